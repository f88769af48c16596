"""`faena config`: every setting, its value, and who said so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from faena._lib.arguments import Argument, Option
from faena.cli.options import Json
from faena.cli.output import shown
from faena.cli.session import Session
from faena.config.settings import Settings
from faena.errors import AppNotFound, UnknownSetting

if TYPE_CHECKING:
    from faena.config.declaration import Row


def config(
    session: Session,
    names: Annotated[Sequence[str], Argument("Settings, or the beginning of their names.")] = (),
    *,
    explain: Annotated[bool, Option("--explain", help="Say of each what it does, and where its value comes from.")] = False,
    changed: Annotated[bool, Option("--changed", help="Only those that are not at their default.")] = False,
    json: Json = False,
) -> int:
    """Show the settings, and where each value comes from.

    The settings are those of the app; where there is none, those of the project's files and the environment. Passwords
    are masked.
    """
    settings = _settings_of(session)
    rows = _chosen(settings, names)
    if changed:
        rows = [row for row in rows if row.source != "default"]
    if json:
        session.out.json([_as_dict(row) for row in rows])
    elif explain:
        _explain(session, rows)
    elif len(names) == 1 and len(rows) == 1:
        session.out.line(shown(rows[0].value))
    else:
        session.out.table(
            ("setting", "value", "source"),
            [(row.name, _value(row), row.source) for row in rows],
            empty="every setting is at its default",
        )
    for unknown in settings.unknown_variables():
        hint = f"; did you mean {unknown.suggestion}?" if unknown.suggestion else ""
        session.out.remark(f"warning: {unknown.where} is no setting{hint}")
    return 0


COMMAND = config


def _settings_of(session: Session) -> Settings:
    try:
        return session.any_app.conf
    except AppNotFound as error:
        settings = Settings()
        if session.named_app or settings.app is not None or error.__cause__ is not None:
            raise
        session.out.remark(f"settings of files and environment only: {error}")
        settings.override(session.overrides)
        return settings


def _chosen(settings: Settings, names: Sequence[str]) -> list[Row]:
    rows = list(settings.explain())
    if not names:
        return rows
    found: list[Row] = []
    for name in names:
        exact = [row for row in rows if row.name == name]
        members = exact or [row for row in rows if row.name.startswith(name)]
        if not members:
            raise UnknownSetting(name, settings)
        found += [row for row in members if row not in found]
    return found


def _explain(session: Session, rows: Sequence[Row]) -> None:
    out = session.out
    for index, row in enumerate(rows):
        if index:
            out.line()
        unit = f" {row.unit}" if row.unit and row.value is not None else ""
        out.line(f"{out.styled('bold', row.name)} = {_value(row)}{unit}")
        default = "" if row.source == "default" else f" (default: {shown(row.default)})"
        out.line(f"    from {row.source}{default}")
        out.line(f"    {row.text}")


def _value(row: Row) -> str:
    return shown(row.value)


def _as_dict(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "value": row.value,
        "source": row.source,
        "default": row.default,
        "unit": row.unit,
        "text": row.text,
        "secret": row.secret,
    }
