"""Rows of a workflow as lines of text, with colours and columns that fit where they are wanted."""

from __future__ import annotations

from collections.abc import Sequence

from faena.cli.outcome import local
from faena.cli.output import Output, ago
from faena.cli.workflow_rows import Row, Shown, own_id
from faena.cli.workflow_view import Look

_STYLES = {
    Shown.SUCCESS: "ok",
    Shown.FAILURE: "fail",
    Shown.REVOKED: "fail",
    Shown.ABANDONED: "fail",
    Shown.RUNNING: "warn",
    Shown.RETRYING: "warn",
    Shown.HELD: "warn",
    Shown.SKIPPED: "warn",
    Shown.TOLERATED: "warn",
    Shown.WAITING: "dim",
    Shown.UNUSED: "dim",
}
_WIDEST_TITLE = 72
_STATE_WIDTH = max(len(state) for state in Shown)
_RUNTIME_WIDTH = 9


def head(out: Output, look: Look) -> list[str]:
    """Return what is said of the whole."""
    workflow, status = look.status.workflow, look.status
    style = {"SUCCESS": "ok", "RUNNING": "warn"}.get(status.state, "fail")
    lines = [
        ("workflow", workflow.id),
        ("name", workflow.name),
        ("state", out.styled(style, status.state)),
        ("tasks", look.summary()),
        ("sent", local(workflow.sent_at_s)),
        ("took" if look.is_at_rest else "for", duration(_duration_s(look))),
    ]
    return [f"{out.styled('dim', name.ljust(9))} {text}" for name, text in lines if text]


def tree(out: Output, look: Look, *, width: int | None) -> list[str]:
    """Return a line for each row; `width` None: they may be as long as they are."""
    rows = look.rows()
    workflow = look.status.workflow.id
    titles = [f"{row.lead}{row.title}" for row in rows]
    wide = min(_WIDEST_TITLE, max([len(title) for title, row in zip(titles, rows, strict=True) if row.state], default=0))
    used = wide + _STATE_WIDTH + _RUNTIME_WIDTH + 6
    has_ids = width is None or all(used + _length(row) <= width for row in rows)
    lines = []
    for title, row in zip(titles, rows, strict=True):
        if row.state is None:
            lines.append(_cut(title, width))
            continue
        note, task_id = row.note, row.id if has_ids else own_id(workflow, row)
        if width is not None:
            note = _cut(note, max(0, width - used - (len(task_id) + 2 if task_id else 0)))
        parts = [
            title.ljust(wide), out.styled(_STYLES.get(row.state, "bold"), row.state.ljust(_STATE_WIDTH)),
            duration(row.runtime_s).rjust(_RUNTIME_WIDTH), note, out.styled("dim", task_id) if task_id else "",
        ]  # fmt: skip
        lines.append("  ".join(part for index, part in enumerate(parts) if part or index < 3).rstrip())
    return lines


def change(row: Row) -> str:
    """Say in a line what has become of a node."""
    said = [row.title, row.state or "", duration(row.runtime_s), row.note, row.id]
    return "  ".join(part for part in said if part)


def cropped(lines: Sequence[str], height: int, focus: int) -> list[str]:
    """Return as many lines as there is room for, those around line `focus` among them."""
    if len(lines) <= height:
        return list(lines)
    room = max(1, height - 2)
    first = min(max(0, focus - room // 2), len(lines) - room)
    above, below = first, len(lines) - first - room
    shown = list(lines[first : first + room])
    return [f"↑ {above} more" if above else "", *shown, f"↓ {below} more" if below else ""]


def duration(seconds: float | None) -> str:
    """Say how long something took: 12 ms, 3.21 s, 5 min."""
    if seconds is None:
        return ""
    return f"{seconds:.2f} s" if 1 <= seconds < 120 else ago(seconds)


def _duration_s(look: Look) -> float:
    end_s = look.status.finished_at_s
    return max(0.0, (look.now_s if end_s is None else end_s) - look.status.workflow.sent_at_s)


def _length(row: Row) -> int:
    return len(row.note) + len(row.id) + 2 if row.state else 0


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else f"{text[: max(0, width - 1)]}…"
