"""Bring a file to the schema of this version: once, in one step, whoever comes first.

The header says whose file it is (`application_id`) and how far it is (`user_version`). A file of a newer version, of
another application, or none of SQLite's at all is refused before anything is written.
"""

from __future__ import annotations

import sqlite3

from faena.drivers.sqlite.statements import text_of
from faena.errors import StorageDamaged, StorageTooNew

APPLICATION_ID = 0x66A37A01  # "faena", as far as four bytes go
_STEPS = (
    "schema_1",
    "schema_2",
    "schema_3",
    "schema_4",
    "schema_5",
    "schema_6",
    "schema_7",
)  # the n-th step leads to version n; one that was released never changes
VERSION = len(_STEPS)


def check(connection: sqlite3.Connection, path: str) -> bool:
    """Return whether the file has this version's schema; False: it needs `migrate`."""
    application_id, version = _header(connection)
    if application_id == APPLICATION_ID:
        if version > VERSION:
            raise StorageTooNew(path, f"a newer faena wrote it (schema {version}, this one knows {VERSION}); upgrade")
        return version == VERSION
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application_id or version or tables:
        raise StorageDamaged(path, "it is a database of another application; name another file")
    return False


def migrate(connection: sqlite3.Connection) -> None:
    """Run the steps that are missing, inside the transaction of the caller."""
    _, version = _header(connection)  # again: somebody may have been faster
    for number in range(version, VERSION):
        for statement in text_of(_STEPS[number]).split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return application_id, version
