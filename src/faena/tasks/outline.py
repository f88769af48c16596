"""A canvas in a few words: its shape and its tasks, and nothing of their arguments, which may be secret or large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faena.tasks.canvas import Canvas, Chain, Chord, Group
from faena.tasks.signature import Signature

_MOST_PARTS, _DEEPEST = 3, 2


def outline(canvas: Canvas[Any], depth: int = 0) -> str:
    """Return such as `chord(shop.add, shop.add, ... 8 more; shop.total)`."""
    match canvas:
        case Signature():
            return canvas.task
        case Chain():
            return f"chain({_parts(canvas.tasks, depth)})"
        case Group():
            return f"group({_parts(canvas.tasks, depth)})"
        case Chord():
            body = outline(canvas.body, depth + 1) if canvas.body is not None else ""
            return f"chord({_parts(canvas.tasks, depth)}; {body})"
    return type(canvas).__name__


def _parts(canvases: Sequence[Canvas[Any]], depth: int) -> str:
    if depth >= _DEEPEST:
        return f"{len(canvases):,} parts"
    shown = [outline(each, depth + 1) for each in canvases[:_MOST_PARTS]]
    if len(canvases) > _MOST_PARTS:
        shown.append(f"... {len(canvases) - _MOST_PARTS:,} more")
    return ", ".join(shown)
