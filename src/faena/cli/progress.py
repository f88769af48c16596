"""The progress of one task, drawn at the bottom of a terminal."""

from __future__ import annotations

from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from faena.cli.outcome import progress_text


def bar_columns() -> list[ProgressColumn]:
    """What every progress of ours consists of."""
    return [
        SpinnerColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    ]


class BarProgress:
    """Called with the meta data of the task each time it changes; draws from `with` to its end."""

    def __init__(self, stream: TextIO) -> None:
        self._bar = Progress(*bar_columns(), console=Console(file=stream), transient=True)
        self._task = self._bar.add_task("waiting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()

    def __call__(self, meta: Any) -> None:
        if isinstance(meta, dict) and isinstance(meta.get("current"), int | float):
            text = str(meta.get("text") or "running")
            self._bar.update(self._task, completed=meta["current"], total=meta.get("total"), description=text)
        else:
            self._bar.update(self._task, description=progress_text(meta) or "running")
