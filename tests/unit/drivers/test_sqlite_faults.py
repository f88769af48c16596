"""Errors of SQLite in the words of faena."""

import sqlite3

import pytest

from faena.drivers.sqlite.faults import translated
from faena.errors import StorageDamaged, StorageFull, StorageUnavailable


def error(code, name="SQLITE_X"):
    raised = sqlite3.OperationalError("as SQLite says it")
    raised.sqlite_errorcode, raised.sqlite_errorname = code, name
    return raised


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_CORRUPT, StorageDamaged),
        (sqlite3.SQLITE_CORRUPT | 1 << 8, StorageDamaged),
        (sqlite3.SQLITE_NOTADB, StorageDamaged),
        (sqlite3.SQLITE_BUSY, StorageUnavailable),
        (sqlite3.SQLITE_IOERR | 3 << 8, StorageUnavailable),
        (sqlite3.SQLITE_READONLY, StorageUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StorageUnavailable),
    ],
)
def test_each_refusal_has_its_own_error_that_names_the_file(code, kind):
    fault = translated("/the/file.db", error(code))
    assert type(fault) is kind
    assert "/the/file.db: " in str(fault)


def test_a_refusal_of_the_operating_system_is_one_of_the_file():
    fault = translated("/the/file.db", PermissionError(13, "Permission denied"))
    assert str(fault) == "/the/file.db: the operating system refused: Permission denied"


def test_a_defect_of_ours_is_not_dressed_up():
    assert translated("/the/file.db", error(sqlite3.SQLITE_CONSTRAINT)) is None
    assert translated("/the/file.db", sqlite3.ProgrammingError("no code")) is None
