"""The live display of a parallel run: how far it is, and what runs, below all that tasks print.

    ⠋ ━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━  40% 0:00:03 4 of 10 tasks
      test 0:00:03
      compile 120/900 0:00:01

It is drawn by a thread of its own, and nothing of it is loaded for runs that are over before anybody could look.
"""

from __future__ import annotations

import os
import threading
import time

from faena.runner.secret import masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from faena.runner.parallel import Progress
    from faena.runner.sinks import Direct

_DELAY_S = 0.2
_PERIOD_S = 0.1
_MOST_TASKS = 8


class LiveBoard:
    """Draws from its making until `stop`; then nothing of it is left on the screen."""

    def __init__(self, direct: Direct, progress: Callable[[], Progress]) -> None:
        self._direct = direct
        self._progress = progress
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="fa display", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._direct.show_block([])

    def _draw(self) -> None:
        if self._stopped.wait(_DELAY_S):
            return
        painter = _Painter(self._direct)
        while True:
            self._direct.show_block(painter.lines(self._progress()))
            if self._stopped.wait(_PERIOD_S):
                return


class _Painter:
    """Turns a state of the run into lines for the terminal."""

    def __init__(self, direct: Direct) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bars

        from faena.cli.progress import bar_columns

        self._terminal = direct.terminal
        self._console = Console(file=direct.terminal)
        self._bars = Bars(*bar_columns(), console=self._console, auto_refresh=False)
        self._all = self._bars.add_task("")

    def lines(self, progress: Progress) -> list[str]:
        from rich.console import Group
        from rich.text import Text

        self._bars.update(
            self._all,
            completed=progress.done,
            total=progress.total,
            description=f"{progress.done} of {progress.total} tasks",
        )
        size = _size(self._terminal)
        most = max(1, min(_MOST_TASKS, size.lines - 3))
        now_s = time.monotonic()
        rows = [
            Text(f"  {masked(title)} {_clock(now_s - began_s)}", style="dim", no_wrap=True, overflow="ellipsis")
            for title, began_s in progress.running[:most]
        ]
        if len(progress.running) > most:
            rows.append(Text(f"  and {len(progress.running) - most} more", style="dim"))
        self._console.width = max(10, size.columns - 1)
        with self._console.capture() as painted:
            self._console.print(Group(self._bars.get_renderable(), *rows))
        return painted.get().splitlines()


def _size(terminal: object) -> os.terminal_size:
    try:
        found = os.get_terminal_size(terminal.fileno())  # type: ignore[attr-defined]  # a real stream
    except OSError:
        return os.terminal_size((80, 24))
    return os.terminal_size((found.columns or 80, found.lines or 24))  # a terminal that nobody gave a size has 0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
