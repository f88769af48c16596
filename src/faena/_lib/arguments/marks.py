"""The marks a function's annotations carry: `Annotated[int, Option("-c", "--concurrency")]`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class Option:
    """Describe an option: its spellings, help and how its text becomes a value.

    Without spellings the parameter's name makes them. `comma=True` takes `a,b` for two values, `count=True` counts
    how often the switch stands there, `optional_value=True` lets the value away (the parameter is then `True`).
    """

    __slots__ = (
        "comma",
        "convert",
        "count",
        "env",
        "group",
        "help",
        "hidden",
        "metavar",
        "optional_value",
        "spellings",
    )

    def __init__(
        self,
        *spellings: str,
        help: str = "",  # noqa: A002  the word every user of a command line knows
        metavar: str = "",
        comma: bool = False,
        count: bool = False,
        optional_value: bool = False,
        convert: Callable[[str], Any] | None = None,
        group: str = "",
        hidden: bool = False,
        env: str = "",
    ) -> None:
        for spelling in spellings:
            if not spelling.startswith("-") or spelling.strip("-") == "":
                raise ValueError(f"an option's spelling begins with a dash: {spelling!r}")
        self.spellings = spellings
        self.help = help
        self.metavar = metavar
        self.comma = comma
        self.count = count
        self.optional_value = optional_value
        self.convert = convert
        self.group = group
        self.hidden = hidden
        self.env = env


class Argument:
    """Describe a positional argument; one with a default may be left out."""

    __slots__ = ("choices", "convert", "help", "metavar")

    def __init__(
        self,
        help: str = "",  # noqa: A002  as above
        *,
        metavar: str = "",
        convert: Callable[[str], Any] | None = None,
        choices: Sequence[str] = (),
    ) -> None:
        self.help = help
        self.metavar = metavar
        self.convert = convert
        self.choices = tuple(choices)
