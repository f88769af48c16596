from invoke import call, task

from . import docs, lint


@task(pre=[lint.style, call(docs.build, builder="latex"), call(docs.build, builder="html")])
def all_of_it(c):
    """Everything."""
    print("done")
