"""Follow a workflow until it is at rest: a tree that is drawn again at a terminal, a line for each change elsewhere.

Who follows is woken by the results of what is shown. What records no result, or is folded, is looked at once a second.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from faena._lib.drive import run
from faena.cli import workflow_text as text
from faena.cli.outcome import local
from faena.cli.output import Output
from faena.cli.workflow_rows import FAILED, Row, Shown
from faena.cli.workflow_view import Look, WorkflowView

if TYPE_CHECKING:
    from faena.cli.session import Session

_LOOK_EVERY_S = 1.0
_SOONEST_S = 0.1  # between two looks, however much happens
_SHARE = 4  # looking takes one part in so many of the time, also where one look takes long
_MOST_WATCHED = 1000
_NOTE_EVERY_S = 2.0  # lines that tell of nothing but progress
_BUSY = frozenset({Shown.RUNNING, Shown.RETRYING, Shown.HELD, Shown.SENT, Shown.READY, Shown.DELAYED})


def follow(session: Session, view: WorkflowView, draw: Callable[[Look], None]) -> Look:
    """Look and draw until the workflow is at rest; return the last look."""
    watch = session.link.backend.watch()
    watched: set[str] = set()
    try:
        while True:
            began_s = time.monotonic()
            look = view.look()
            draw(look)
            if look.is_at_rest:
                return look
            cost_s = time.monotonic() - began_s
            fresh = [each for each in look.open_ids if each not in watched][: _MOST_WATCHED - len(watched)]
            records = run(watch.add(fresh)) if fresh else ()
            watched.update(fresh)
            if not any(record is not None and record.is_terminal for record in records):
                waited_from_s = time.monotonic()
                if not run(watch.changed(_LOOK_EVERY_S)):  # at once, too, where nothing is watched
                    time.sleep(max(0.0, _LOOK_EVERY_S - (time.monotonic() - waited_from_s)))
            time.sleep(max(_SOONEST_S, cost_s * _SHARE) if look.status.active else 0.0)
    finally:
        run(watch.close())


def show_live(session: Session, view: WorkflowView) -> Look:
    """Follow at a terminal; the whole tree stays there at the end, also when the user leaves before."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    out = session.out
    console = Console(file=out.stdout, highlight=False)
    last: list[Look] = []
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:

            def draw(look: Look) -> None:
                last[:] = [look]
                shown = _fitting(out, look, console.height - 1)
                live.update(Text("\n").join([Text.from_ansi(line) for line in shown]), refresh=True)

            return follow(session, view, draw)
    finally:
        if last:
            for line in _lines(out, last[0]):
                out.line(line)


def show_changes(session: Session, view: WorkflowView) -> Look:
    """Follow where nobody looks at a terminal: the tree once, then a line for each change."""
    changes = Changes(session.out)
    look = follow(session, view, changes.draw)
    if changes.looks > 1:
        for line in text.head(session.out, look)[2:]:
            session.out.line(line)
    return look


class Changes:
    """Writes the tree at the first look, and at each later one what has changed since."""

    def __init__(self, out: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self.looks = 0
        self._seen: dict[str, tuple[Shown | None, str]] = {}
        self._next_note_s: dict[str, float] = {}

    def draw(self, look: Look) -> None:
        self.looks += 1
        rows = [row for row in look.rows() if row.state is not None]
        if self.looks == 1:
            for line in _lines(self._out, look):
                self._out.line(line)
        whole = Row("", "", "", Shown.RUNNING, note=look.summary())
        news = [row for row in rows if self._is_news(row)] if self.looks > 1 else []
        for row in news:
            self._tell(look, row, text.change(row))
        if self.looks == 1 or news:
            self._seen[whole.key] = (whole.state, whole.note)
        elif self._is_news(whole):  # of what is folded nothing else is told
            self._tell(look, whole, whole.note)
        for row in rows:
            self._seen.setdefault(row.key, (row.state, row.note))
        self._out.stdout.flush()

    def _tell(self, look: Look, row: Row, line: str) -> None:
        self._out.line(f"{local(look.now_s)[11:19]}  {line}")
        self._seen[row.key] = (row.state, row.note)
        self._next_note_s[row.key] = self._clock() + _NOTE_EVERY_S

    def _is_news(self, row: Row) -> bool:
        before = self._seen.get(row.key)
        if before == (row.state, row.note):
            return False
        if row.is_folded and row.state not in FAILED:
            return False  # which ones are shown of many changes all the time
        if before is not None and before[0] is row.state:
            return self._clock() >= self._next_note_s.get(row.key, 0.0)
        return True


def _lines(out: Output, look: Look) -> list[str]:
    width = shutil.get_terminal_size().columns if out.is_terminal else None
    return [*text.head(out, look), "", *text.tree(out, look, width=width)]


def _fitting(out: Output, look: Look, height: int) -> list[str]:
    """Return as much as there is room for: how it stands, and what is around the first node that is under way."""
    lines = _lines(out, look)
    if len(lines) <= height:
        return lines
    rows = look.rows()
    focus = next((index for index, row in enumerate(rows) if row.state in _BUSY), 0)
    brief = text.head(out, look)[2:4]
    return [*brief, *text.cropped(lines[-len(rows) :], height - len(brief), focus)]
