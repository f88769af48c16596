"""Options of the command line that are settings: made from the declarations, so that nothing is said twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faena._lib.arguments import CommandSpec, Parameter
from faena.config.declaration import Setting
from faena.config.settings import Settings

_METAVARS = {"s": "TIME", "KiB": "SIZE"}


def with_settings(command: CommandSpec, groups: Mapping[str, Mapping[str, tuple[str, ...]]]) -> CommandSpec:
    """Return the command with an option for each setting; `groups` has the spellings by title and setting.

    The values arrive under the settings' names, as their declarations have them.
    """
    own = [each for each in command.parameters if each.shape != "unknown"]
    declared = Settings.declarations()
    added = [
        _option(declared[name], spellings, title)
        for title, members in groups.items()
        for name, spellings in members.items()
    ]
    return CommandSpec(command.name, [*own, *added], summary=command.summary, description=command.description)


def _option(declared: Setting, spellings: tuple[str, ...], group: str) -> Parameter:
    choices = tuple(map(str, declared.kind.choices)) if declared.kind is not None else ()

    def convert(text: str) -> Any:
        try:
            return declared.read(text, is_text=True)
        except ValueError as error:
            raise ValueError(str(error).removeprefix("expected ")) from None

    return Parameter(
        declared.name,
        "one",
        spellings=spellings,
        default=None,
        convert=convert,
        metavar="|".join(choices).lower() or _metavar(declared),
        help=_help(declared),
        group=group,
    )


def _metavar(declared: Setting) -> str:
    if declared.unit:
        return _METAVARS[declared.unit]
    kinds = {origin for origin, _ in declared.kind.members} if declared.kind is not None else set()
    return "N" if int in kinds else "PATH" if declared.name.endswith("_file") else "TEXT"


def _help(declared: Setting) -> str:
    """Say the first sentence of the setting's text, and its default."""
    first, _, rest = declared.text.replace("`", "").partition(". ")
    sentence = first.removesuffix(".") + "."
    if declared.default is None:
        return f"{sentence} Default: {rest.removeprefix('None: ')}" if rest.startswith("None: ") else sentence
    unit = f" {declared.unit}" if declared.unit else ""
    default = f"{declared.default:g}" if isinstance(declared.default, float) else str(declared.default).lower()
    return f"{sentence} Default: {default}{unit}."
