"""What type checkers see of task files: decorators keep the function's own types."""

from __future__ import annotations

from typing import assert_type

from faena import Config, Context, Task, call, task


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
