"""What is seen while the demo runs."""

from __future__ import annotations

import io

from rich.console import Console

from faena.cli.demo.progress import BarView, LineView, View, view_for


def console(stream: io.StringIO, *, terminal: bool) -> Console:
    return Console(file=stream, width=100, force_terminal=terminal, color_system="standard" if terminal else None)


def drive(view: View) -> None:
    with view:
        view.begin(20, 2)
        view.say("20 files in [lib]")
        view.retried("a.py", "line 1: no", 1)
        for number in range(4):
            view.finished(f"{number}.py")
        view.failed("[b].py", "line 2: no")


def test_in_a_pipe_there_is_a_line_for_each_tenth_and_for_what_went_wrong() -> None:
    stream = io.StringIO()
    view = view_for(console(stream, terminal=False))
    assert isinstance(view, LineView)
    drive(view)
    assert stream.getvalue() == (
        "20 files in [lib]\n"
        "retry   1 of 2 in 0.5 s  a.py: line 1: no\n"
        "4 of 20 (20 %)\n"
        "6 of 20 (30 %)\n"
        "failed  [b].py: line 2: no\n"
    )


def test_on_a_terminal_a_bar_is_drawn_and_goes_away() -> None:
    stream = io.StringIO()
    view = view_for(console(stream, terminal=True))
    assert isinstance(view, BarView)
    drive(view)
    text = stream.getvalue()
    assert "20 files in [lib]" in text
    assert "[b].py: line 2: no" in text
    assert "7/20" in text
    assert "1 retried, 1 failed" in text
    assert text.endswith("\x1b[2K")  # the line of the bar is erased


def test_a_dumb_terminal_gets_lines() -> None:
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(view_for(dumb), LineView)
