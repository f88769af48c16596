"""What is seen while the demo runs: a bar on a terminal, plain lines in a pipe. Both go to standard error."""

from __future__ import annotations

import time
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from faena.cli.demo.tasks import RETRIES, RETRY_AFTER_S

_LINE_EVERY_S = 2.0


class View(Protocol):
    """Somebody who is told what happens."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...

    def begin(self, total: int, done: int) -> None: ...
    def say(self, text: str) -> None: ...
    def finished(self, file: str) -> None: ...
    def failed(self, file: str, error: str) -> None: ...
    def retried(self, file: str, error: str, retries: int) -> None: ...


class BarView:
    """A bar that stays at the bottom, with what is worth a line above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._failed = self._retried = 0
        self._bar = Progress(
            TextColumn("analysing"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TaskProgressColumn(show_speed=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task("analysing", total=None, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def begin(self, total: int, done: int) -> None:
        self._bar.update(self._task, total=total, completed=done)

    def say(self, text: str) -> None:
        self._console.print(escape(text), highlight=False)

    def finished(self, file: str) -> None:  # noqa: ARG002 - the bar shows how many, not which
        self._bar.advance(self._task)

    def failed(self, file: str, error: str) -> None:
        self._failed += 1
        self._console.print(f"[red]failed[/]  {escape(file)}: {escape(error)}", highlight=False)
        self._bar.update(self._task, advance=1, note=self._note())

    def retried(self, file: str, error: str, retries: int) -> None:
        self._retried += 1
        line = retry_line(file, error, retries)
        self._console.print(f"[yellow]retry[/]   {escape(line)}", highlight=False)
        self._bar.update(self._task, note=self._note())

    def _note(self) -> str:
        return f"{self._retried} retried, {self._failed} failed"


class LineView:
    """A line for each thing worth one, and how far it is: every other second, and every tenth of the way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._done = self._said = 0
        self._said_at_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def begin(self, total: int, done: int) -> None:
        self._total, self._done, self._said = total, done, done

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def finished(self, file: str) -> None:  # noqa: ARG002 - the line shows how many, not which
        self._done += 1
        self._say_how_far()

    def failed(self, file: str, error: str) -> None:
        self._done += 1
        self.say(f"failed  {file}: {error}")

    def retried(self, file: str, error: str, retries: int) -> None:
        self.say(f"retry   {retry_line(file, error, retries)}")

    def _say_how_far(self) -> None:
        now_s = time.monotonic()
        far = (self._done - self._said) * 10 >= self._total
        if far or self._done == self._total or now_s - self._said_at_s >= _LINE_EVERY_S:
            self._said, self._said_at_s = self._done, now_s
            self.say(f"{self._done:,} of {self._total:,} ({100 * self._done // max(self._total, 1)} %)")


def view_for(console: Console) -> View:
    """Return the view that suits where the console writes to."""
    return BarView(console) if console.is_terminal and not console.is_dumb_terminal else LineView(console)


def retry_line(file: str, error: str, retries: int) -> str:
    """Say that a file is tried again."""
    return f"{retries} of {RETRIES} in {RETRY_AFTER_S:g} s  {file}: {error}"
