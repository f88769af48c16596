"""A task of another tool's file."""

from __future__ import annotations

from faena._lib.arguments.spec import CommandSpec
from faena.runner.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class ForeignTask(Task[..., None]):
    """Runs `argv` in the folder of its file; what stands after `--` on the line is added to it."""

    __slots__ = ("argv", "comment", "folder", "needs_names", "tool")

    def __init__(
        self, tool: str, name: str, argv: Sequence[str], folder: str, summary: str = "", needs: Sequence[str] = ()
    ) -> None:
        self.tool = tool
        self.argv = tuple(argv)
        self.folder = folder
        self.comment = summary
        self.needs_names = tuple(needs)

        def body(c: Any, *words: str) -> None:
            c.run([*self.argv, *words], cwd=self.folder)

        body.__name__ = name
        after = f" (after {', '.join(needs)})" if needs else ""
        body.__doc__ = f"{summary}{after}".strip() or None
        super().__init__(body, name=name)

    def command(self, name: str, *, ignore_unknown_help: bool = False) -> CommandSpec:  # noqa: ARG002  no help given
        """It takes nothing of ours: words after its name are further tasks."""
        return CommandSpec(name, (), summary=self.body.__doc__ or "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ForeignTask) and (self.tool, self.name) == (other.tool, other.name)

    def __hash__(self) -> int:
        return hash((self.tool, self.name))
