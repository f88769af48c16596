"""What type checkers see of task files: decorators keep the function's own types."""

from __future__ import annotations

from typing import assert_type

from faena import Collection, Config, Context, Executor, Parser, ParserContext, Program, Task, call, task


@task
def bare(c: Context, times: int = 1) -> str:
    return "x" * times


@task(pre=[bare, call(bare, times=2), "by-name"], aliases=["w"], default=True)
def with_options(c: Context, name: str) -> None:
    assert_type(c, Context)


def use(c: Context) -> None:
    assert_type(bare(c, times=2), str)
    assert_type(bare(c), str)
    with_options(c, "x")
    found: Task[..., str] = bare
    assert found.name == "bare"
    assert_type(c.config, Config)


class Own(Program):
    """A program of its own."""


def build(collection: Collection) -> None:
    Own(namespace=collection, version="1", executor_class=Executor, config_class=Config).run("own bare", exit=False)
    found = Parser(collection.to_contexts(), initial=ParserContext()).parse_argv(["bare"])
    assert_type(found[0], ParserContext)
    assert_type(found.remainder, str)


@task(each="src/*", outputs="out/{name}", needed_by=["make:all"])
def rule(c: Context, source: str, output: str) -> None:
    assert_type(source, str)
