"""Show an error of users' code with their frames and without ours."""

from __future__ import annotations

import os
import sys

from faena.runner.secret import masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show_traceback(error: BaseException, *, debug: bool) -> None:
    """Print what an exception tells; without `debug` only the frames outside faena and the import system."""
    import traceback

    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    shown = traceback.TracebackException.from_exception(error)
    if not debug:
        pending: list[Any] = [shown]
        while pending:
            each = pending.pop()
            kept = [frame for frame in each.stack if not _is_ours(frame.filename, own)]
            each.stack = traceback.StackSummary.from_list(kept or list(each.stack))
            pending.extend(inner for inner in (each.__cause__, each.__context__) if inner is not None)
    print(masked("".join(shown.format())), end="", file=sys.stderr)


def _is_ours(filename: str, own: str) -> bool:
    return filename.startswith("<frozen importlib") or os.path.abspath(filename).startswith(own)
