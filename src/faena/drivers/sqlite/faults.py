"""Say in the words of `faena.errors` what SQLite or the file system refused."""

from __future__ import annotations

import sqlite3

from faena.errors import FaenaError, StorageDamaged, StorageFull, StorageUnavailable

_PRIMARY = 0xFF  # an extended code keeps its primary code in the lowest byte
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_FORMAT})
_REFUSED = {
    sqlite3.SQLITE_BUSY: "another process holds the file locked; is one stopped in the middle of a step?",
    sqlite3.SQLITE_LOCKED: "another process holds the file locked; is one stopped in the middle of a step?",
    sqlite3.SQLITE_READONLY: "it cannot be written: check the permissions of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that its folder exists and may be written",
    sqlite3.SQLITE_PERM: "it cannot be opened: check the permissions of the file and of its folder",
    sqlite3.SQLITE_AUTH: "it cannot be opened: check the permissions of the file and of its folder",
    sqlite3.SQLITE_NOLFS: "the file system takes no files of this size",
}


def translated(path: str, error: sqlite3.Error | OSError) -> FaenaError | None:
    """Return what to raise instead of `error`; None: it tells of a defect of ours, so let it pass."""
    if isinstance(error, OSError):
        return StorageUnavailable(path, f"the operating system refused: {error.strerror or error}")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = code & _PRIMARY
    if primary == sqlite3.SQLITE_FULL:
        return StorageFull(path, "no space is left (the disk, or the bound set by max_pages); the step was undone")
    if primary in _DAMAGED:
        return StorageDamaged(path, f"this is no database that can be used ({error}); it was left as it was found")
    if primary == sqlite3.SQLITE_IOERR:
        name = getattr(error, "sqlite_errorname", "SQLITE_IOERR")
        return StorageUnavailable(path, f"the disk refused ({name}); the step was undone")
    if primary in _REFUSED:
        return StorageUnavailable(path, _REFUSED[primary])
    return None
