"""The tasks of faena itself, run by its own runner: `./dev` lists them, `./dev test` sets up what is missing first.

What follows `--` goes on to the tool behind a task, such as `./dev test -- -k sqlite -x`.
"""

import os
import sys

from faena import Context, Exit, task

PYTHON = sys.executable
BIN = os.path.dirname(PYTHON)


def follow(c: Context, *command: str) -> None:
    """Run a tool with what follows `--`, on our own terminal; its output and its status are ours, with nothing added."""
    result = c.run([*command, *c.remainder_args], warn=True, pty=sys.stdout.isatty())
    if not result.ok:
        raise Exit(code=result.exited)


@task
def demo(c):
    """Run the main work on real input: analyse Python's standard library with an embedded worker."""
    follow(c, f"{BIN}/faena", "demo")


@task
def test(c, quick: bool = False):
    """Run everything that must hold: linters, types, imports, docs, and all tests.

    Args:
        quick: Leave out what is slow: fault injection and whole scenarios.
    """
    # Two at a time: much of the suite waits for processes. More would only make the waiting less even.
    follow(c, PYTHON, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *(["-m", "not slow"] if quick else []))


@task
def style(c):
    """Check style and formatting with ruff."""
    c.run([f"{BIN}/ruff", "check", "."])
    c.run([f"{BIN}/ruff", "format", "--check", "."])


@task
def types(c):
    """Check types with mypy, strictly."""
    c.run([f"{BIN}/mypy"])


@task
def pyright(c):
    """Check types with pyright, which needs Node.js and fetches itself from the npm registry."""
    c.run([f"{BIN}/pyright", "--warnings"])


@task
def imports(c):
    """Check the contract of who may import whom."""
    c.run([f"{BIN}/lint-imports"])


@task(style, types, imports)
def lint(c):
    """Run the linters: style, types, imports."""


@task
def bench(c, quick: bool = False):
    """Measure the embedded store against its floor and huey (under 5 minutes).

    Args:
        quick: One short round, under a minute.
    """
    follow(c, PYTHON, "-m", "benchmarks.embedded", *(["--quick"] if quick else []))


@task
def bench_runner(c):
    """Measure `fa` against make, ninja, rake, invoke, doit, nox, poe, scons, go-task, just and npm (about 6 minutes).

    Tools of the package index get an environment each in .peers; what is missing is left out and named.
    """
    follow(c, PYTHON, "-m", "benchmarks.runner", "--set-up")


@task
def bench_rabbitmq(c, quick: bool = False):
    """Measure faena on RabbitMQ against its peers and hand-written loops, in environments of their own; some minutes.

    quick: one short round, less exact
    """
    follow(c, PYTHON, "-m", "benchmarks.rabbitmq", *(["--quick"] if quick else []))


@task
def bench_redis(c, quick: bool = False):
    """Measure faena on Redis against its peers and hand-written floors: some ten minutes, and the peers' installation.

    Args:
        quick: One short round, less exact.
    """
    follow(c, PYTHON, "-m", "benchmarks.redis", *(["--quick"] if quick else []))


@task
def docs(c):
    """Write the generated pages anew, then run every code block of the documentation."""
    settings = c.run([PYTHON, "-m", "faena.config"], hide=True).stdout
    with open("docs/reference/settings.md", "w", encoding="utf-8") as page:
        page.write(settings)
    follow(c, PYTHON, "-m", "pytest", "-q", "tests/docs")


@task
def build(c):
    """Build the wheel and the source distribution into dist/."""
    c.run([PYTHON, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", "."])
