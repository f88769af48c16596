from invoke import task, Collection


@task
def style(c):
    c.run("flake8" + (" --strict" if c.lint.strict else ""))


@task(name="types")
def check_types(c):
    c.run("mypy src")


ns = Collection(style, check_types)
ns.configure({"lint": {"strict": False}})
