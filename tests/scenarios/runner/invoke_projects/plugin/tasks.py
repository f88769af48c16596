"""A plugin: its tasks are tested with a mock, and run by an executor from another task."""

import re

from invoke import Collection, Executor, MockContext, Result, task
from invoke.exceptions import Exit, ParseError


@task
def version(c, strict=False):
    """Tell the version of the host program."""
    text = c.run("host --version", hide=True).stdout
    found = re.search(r"\d+\.\d+", text)
    if found is None:
        if strict:
            raise Exit("no version in {!r}".format(text))
        return None
    return found.group(0)


@task(name="install-plugin", aliases=["install"])
def install(c, editable=False, extra=()):
    """Install the plugin into the host."""
    flag = "-e " if editable else ""
    extras = "[{}]".format(",".join(extra)) if extra else ""
    c.run("pip install {}.{}".format(flag, extras))


@task
def self_test(c):
    """Check the tasks themselves."""
    assert version(MockContext(run=Result("host 3.7 (linux)"))) == "3.7"
    assert version(MockContext(run="nothing")) is None
    mock = MockContext(run={"host --version": "1.2", re.compile(r"pip install.*"): True})
    install(mock, editable=True)
    mock.run.assert_called_once_with("pip install -e .")
    try:
        version(MockContext(run="nothing"), strict=True)
    except Exit as error:
        print("exit:", error.message, error.code)
    print("fine")


@task
def everything(c):
    """Run other tasks by name."""
    results = Executor(ns, c.config).execute("version", ("install", {"editable": True}))
    print([(each.name, value) for each, value in results.items()])


@task
def wrong(c):
    try:
        raise ParseError("made up")
    except ParseError as error:
        print("parse error:", error)


ns = Collection(version, install, self_test, everything, wrong)
