"""Commands of remote control that an app declares itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from faena.errors import InvalidTask
from faena.model.control import RESERVED
from faena.tasks.arguments import ArgumentSpec


class ControlCommand:
    """One command: a function that a worker process runs when it is asked to, beside its tasks."""

    def __init__(self, function: Callable[..., Any], name: str, everywhere: bool) -> None:
        if not callable(function):
            raise InvalidTask(f"a command is made of a function, not of {function!r}")
        self.function, self.everywhere = function, everywhere
        self.name = name or function.__name__
        if self.name in RESERVED:
            raise InvalidTask(f"a command cannot be called '{self.name}': that is one of faena's own")
        self._arguments = ArgumentSpec(self.name, function, skip_first=False)

    @property
    def help(self) -> str:
        """The first line of the docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def describe(self) -> dict[str, Any]:
        """Return what people have to know to call it."""
        from inspect import signature  # 10 ms that only who asks pays

        parameters = str(signature(self.function)).partition(" ->")[0]
        return {"name": self.name, "help": self.help, "arguments": parameters, "everywhere": self.everywhere}

    def texts(self) -> set[str]:
        """Return the names of the parameters that take a text, whatever it looks like."""
        hints = getattr(self.function, "__annotations__", {})
        return {name for name, hint in hints.items() if hint in (str, "str", str | None, "str | None")}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def coerce(self, arguments: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the arguments as the annotations promise them. Raises InvalidArguments."""
        return self._arguments.coerce((), dict(arguments))
