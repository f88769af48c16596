"""Maintenance of a library: tests, changelog, release."""

import os
import re
import shutil
import sys

from invoke import Exit, task

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "sturdy"
VERSION_FILE = os.path.join(HERE, PACKAGE, "__init__.py")


def read_version():
    with open(VERSION_FILE) as handle:
        found = re.search(r'__version__ = "([^"]+)"', handle.read())
    if not found:
        raise Exit("cannot find the version in {}".format(VERSION_FILE), code=2)
    return found.group(1)


@task
def clean(ctx):
    """Remove build artifacts."""
    for name in ("build", "dist", "{}.egg-info".format(PACKAGE)):
        shutil.rmtree(os.path.join(HERE, name), ignore_errors=True)


@task(help={"verbose": "Print each test.", "k": "Only tests whose name matches.", "cov": "Measure coverage."})
def test(ctx, verbose=False, k=None, cov=False):
    """Run the test suite."""
    args = ["pytest"]
    if verbose:
        args.append("-v")
    if k:
        args.append("-k {}".format(k))
    if cov:
        args.extend(["--cov", PACKAGE, "--cov-report=term-missing"])
    ctx.run(" ".join(args), pty=sys.platform != "win32", env={"PYTHONHASHSEED": "0"})


@task
def bump(ctx, part="patch", dry_run=False):
    """Raise the version."""
    major, minor, patch = (int(number) for number in read_version().split("."))
    if part == "major":
        new = (major + 1, 0, 0)
    elif part == "minor":
        new = (major, minor + 1, 0)
    elif part == "patch":
        new = (major, minor, patch + 1)
    else:
        raise Exit("no such part: {}".format(part))
    text = ".".join(map(str, new))
    print("{} -> {}".format(read_version(), text))
    if dry_run:
        return
    with open(VERSION_FILE, "w") as handle:
        handle.write('__version__ = "{}"\n'.format(text))


@task(clean)
def dist(ctx):
    """Build the distributions."""
    ctx.run("python -m build --sdist --wheel", hide="out")


@task(pre=[test, dist], help={"repository": "Where to upload."})
def release(ctx, repository="testpypi"):
    """Tag and upload."""
    branch = ctx.run("git rev-parse --abbrev-ref HEAD", hide=True).stdout.strip()
    if branch != "main":
        raise Exit("releases are made from main, not from {!r}".format(branch), code=3)
    ctx.run("git tag -a v{0} -m 'Release {0}'".format(read_version()))
    ctx.run("twine upload --repository {} dist/*".format(repository))
