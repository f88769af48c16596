"""Tasks in the typed style: annotations everywhere, lazily evaluated."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from invoke import task
from invoke.context import Context
from invoke.runners import Result

if t.TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Check:
    name: str
    command: str

    def run(self, c: Context, fix: bool = False) -> Result | None:
        command = self.command + (" --fix" if fix else "")
        return c.run(command, warn=True, hide="out")


CHECKS: Sequence[Check] = [Check("ruff", "ruff check ."), Check("mypy", "mypy ."), Check("black", "black --check .")]


@task(help={"only": "Run this check only.", "fix": "Repair what can be repaired."})
def lint(c: Context, only: str = "", fix: bool = False) -> None:
    """Run the linters and sum up."""
    failed = []
    for check in CHECKS:
        if only and check.name != only:
            continue
        result = check.run(c, fix)
        if result is None or result.failed:
            failed.append(check.name)
    print(f"{len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    if failed:
        raise SystemExit(1)


@task
def scale(c: Context, service: str, count: int = 1, cpu: float = 0.5, wait: bool = True) -> None:
    """Scale a service."""
    c.run(f"kubectl scale deployment/{service} --replicas={count + 0}")
    print(type(count).__name__, type(cpu).__name__, wait)


@task(auto_shortflags=False)
def logs(c: Context, service: str, follow: bool = False, tail: t.Optional[int] = None) -> None:
    flags = (" -f" if follow else "") + (f" --tail={tail}" if tail is not None else "")
    c.run(f"kubectl logs deployment/{service}{flags}")
