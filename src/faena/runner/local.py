"""Invoke's runner classes: what `c.run` does, as an object to subclass or to put into `runners.local`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from faena.runner.context import Context


class Runner:
    """Runs commands for a context."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def run(self, command: Any, **kwargs: Any) -> Any:
        """Run a command as `Context.run` does."""
        from faena.runner.commands import run_command

        prefix = "".join(f"{each} && " for each in self.context.command_prefixes)
        return run_command(self.context.config, command, kwargs, cwd=self.context.cwd, prefix=prefix)


class Local(Runner):
    """Runs commands on this machine."""
