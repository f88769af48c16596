import os

import invoke
from invoke import task

MANAGE = "python manage.py"


def manage(c, command, **kwargs):
    env = {"DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "site.settings.local")}
    return c.run("{} {}".format(MANAGE, command), env=env, **kwargs)


@task(default=True, optional=["port"])
def serve(c, port=None, host="127.0.0.1"):
    """Start the development server."""
    manage(c, "runserver {}:{}".format(host, port or 8000))


@task(aliases=("mm",))
def makemigrations(c, app="", check=False):
    flags = " --check --dry-run" if check else ""
    manage(c, "makemigrations {}{}".format(app, flags).strip())


@task(aliases=("m",))
def migrate(c, fake=False):
    manage(c, "migrate" + (" --fake" if fake else ""))


@task(iterable=["fixture"])
def load(c, fixture):
    """Load fixtures, all of them when none is named."""
    for name in fixture or ["users", "pages"]:
        manage(c, "loaddata {}".format(name), echo=True)


@task
def reset_db(c, yes=False):
    """Throw the database away."""
    if not yes:
        answer = input("Really? [y/N] ")
        if answer.lower() != "y":
            raise invoke.Exit("aborted")
    with c.cd("db"):
        c.run("rm -f site.sqlite3")
    migrate(c)
    load(c, ["users"])


@task(incrementable=["verbose"])
def test(c, path="", verbose=0, keepdb=True, failfast=False):
    flags = ["-v{}".format(verbose)]
    if keepdb:
        flags.append("--keepdb")
    if failfast:
        flags.append("--failfast")
    result = manage(c, "test {} {}".format(path, " ".join(flags)), warn=True)
    if result.failed:
        print("tests failed: {}".format(result.exited))
        raise SystemExit(result.exited)
