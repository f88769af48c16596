"""`run` and `sudo` without a context: inside a task they use that task's configuration."""

from __future__ import annotations

from faena.runner.context import Context
from faena.runner.scope import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def _context() -> Context:
    scope = CURRENT.get()
    return Context() if scope is None else Context(make_config=scope.config)


def run(command: str | Sequence[str], **kwargs: Any) -> Any:
    """Run a command, as `Context.run`; one started with `asynchronous=True` is joined at the end of the task."""
    return _context().run(command, **kwargs)


def sudo(command: str, **kwargs: Any) -> Any:
    """Run a command as another user, as `Context.sudo`."""
    return _context().sudo(command, **kwargs)


def pty_size() -> tuple[int, int]:
    """Columns and rows of the terminal."""
    from faena.runner.process import pty_size as rows_and_columns

    rows, columns = rows_and_columns()
    return columns, rows
