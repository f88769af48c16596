"""What a command that changes something says afterwards: lines for people, or one shape for programs.

{"done": "paused", "count": 1, "named": ["mail"], "details": {"mail": {...}}, "remarks": [], "errors": []}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faena.cli.session import Session


class Deed:
    """One thing that a command does, to what the line names or to what fits its options.

    `done` says it in a word. `details` holds what is known of single things afterwards, by their names. With `json` nothing
    is printed before `report`.
    """

    def __init__(self, session: Session, done: str, named: Sequence[str] = (), *, json: bool) -> None:
        self.details: dict[str, Any] = {}
        self.has_failed = False
        self._out, self._done, self._named, self._is_json = session.out, done, list(named), json
        self._remarks: list[str] = []
        self._errors: list[str] = []

    def remark(self, text: str) -> None:
        """Say something besides."""
        if self._is_json:
            self._remarks.append(text)
        else:
            self._out.remark(text)

    def error(self, text: str) -> None:
        """Say what could not be done, which makes the exit code 1."""
        self.has_failed = True
        if self._is_json:
            self._errors.append(text)
        else:
            self._out.complain(text)

    def report(self, text: str = "", *, count: int | None = None) -> int:
        """Print the answer, `text` for people; return the exit code. `count` is of what was named unless it is given."""
        if self._is_json:
            self._out.json(
                {
                    "done": self._done,
                    "count": len(self._named) if count is None else count,
                    "named": self._named,
                    "details": self.details,
                    "remarks": self._remarks,
                    "errors": self._errors,
                }
            )
        elif text:
            self._out.line(text)
        return 1 if self.has_failed else 0
