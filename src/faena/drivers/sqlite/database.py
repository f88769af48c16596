"""One connection to the file, and the transactions on it.

Writers of all processes queue at a `flock` on a side file before they begin: SQLite's own busy handler sleeps in
steps of up to 100 ms and starves the loser. The kernel releases the lock of a process that dies; one that is stopped
keeps it, so the wait for it has a deadline.

The connection is used under a mutex, so any thread may use it. It is closed before a fork and opened again after it,
on both sides: POSIX locks do not survive a fork, and a process that inherits an open connection believes that it holds
locks which it does not hold (SQLite, "How To Corrupt An SQLite Database File", section 2.6).

A file that was deleted or written over is noticed before the next write; what would have gone into the void goes into
the file that has the name now. One that was moved away is noticed by the next read.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from faena.drivers.signals import Marks
from faena.drivers.sqlite import migrations
from faena.drivers.sqlite.faults import translated
from faena.drivers.sqlite.location import Location
from faena.errors import FaenaError, StorageUnavailable

T = TypeVar("T")


class Connection(sqlite3.Connection):
    """A connection, and what it knows of the file that does not change while it is open."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.queue_numbers: dict[str, int] = {}


Work: TypeAlias = Callable[[Connection], T]

_MMAP_BYTES = 256 * 1024 * 1024
_CHECKPOINT_PAGES = 4000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.00005, 0.001
_JOURNAL_BYTES = 64 * 1024 * 1024  # a longer write-ahead log is cut back to this at the next checkpoint
_GITIGNORE = "*\n"


class Database:
    """The connection of one process. Opened at the first use, and again after an error, a fork or `close`."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._mutex = threading.Lock()
        self._connection: Connection | None = None
        self._lock_fd = -1
        self._path_fd = -1  # names the file without opening it, where the system can do that
        self.marks: Marks | None = None  # in the lock file: it is there as long as the database
        self._identity = (0, 0)  # device and inode of the file that is open
        self.commits = 0  # of this connection; PRAGMA data_version tells of those of the others
        _databases.add(self)

    def open(self) -> None:
        """Create or migrate the file now, so that what is wrong with it shows now."""
        self.read(lambda _: None)

    def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction: all of it stays, or nothing."""

        def transaction(connection: Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
            return result

        return self.write_one(transaction)

    def write_one(self, work: Work[T]) -> T:
        """Do as `write` does for work that changes something with one statement only, a transaction by itself."""
        with self._mutex:
            try:
                connection = self._ready()
                try:  # from here on: an exception of a signal handler may come at any moment
                    self._queue_up()
                    if self._is_deleted():
                        connection = self._reopened()
                    result = work(connection)
                except BaseException:
                    self._undo()
                    raise
                finally:
                    if self._lock_fd >= 0:
                        fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
            except (sqlite3.Error, OSError) as error:
                raise self._fault(error) from error
            self.commits += 1
            return result

    def read(self, work: Work[T]) -> T:
        """Run `work`, which changes nothing; each of its statements sees one moment."""
        with self._mutex:
            try:
                if self._connection is not None and self._is_replaced():
                    self._close()
                return work(self._ready())
            except (sqlite3.Error, OSError) as error:
                raise self._fault(error) from error

    def version(self) -> tuple[int, int]:
        """Return a value that differs from an earlier one if anybody has changed the file meanwhile."""
        return self.read(lambda connection: connection.execute("PRAGMA data_version").fetchone()[0]), self.commits

    def close(self) -> None:
        with self._mutex:
            self._close()

    # -- all of these are called with the mutex held ------------------------------------------------------

    def _queue_up(self) -> None:
        """Take the lock of the writers. Raises SQLITE_BUSY after `busy_timeout_s`: its holder was stopped, perhaps."""
        pause_s, deadline_s = _FIRST_PAUSE_S, 0.0
        while True:
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                deadline_s = deadline_s or time.monotonic() + self.location.busy_timeout_s
                if time.monotonic() >= deadline_s:
                    busy = sqlite3.OperationalError("the lock of the writers is not to be had")
                    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
                    raise busy from None
                time.sleep(pause_s)  # a waiting `flock` has no deadline; a step takes about a millisecond
                pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
            else:
                return

    def _ready(self) -> Connection:
        if self._connection is None:
            return self._open()
        return self._connection

    def _is_deleted(self) -> bool:
        """Do as `_is_replaced`, for a fifth of its cost; but a file that was moved away is still there."""
        if self._path_fd < 0:
            return self._is_replaced()
        return os.fstat(self._path_fd).st_nlink == 0

    def _is_replaced(self) -> bool:
        try:
            status = os.stat(self.location.path)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def _reopened(self) -> Connection:
        """Open what has the name now; the lock of its own is taken, too (that of the old one is let go)."""
        self._close()
        connection = self._open()
        self._queue_up()
        return connection

    def _open(self) -> Connection:
        path = self.location.path
        _make_room(path)
        self._lock_fd = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        connection: Connection | None = None
        try:
            self._queue_up()  # one at a time creates, migrates and switches the journal
            connection = sqlite3.connect(
                path,
                timeout=self.location.busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,  # the mutex sees to it
                cached_statements=256,
                factory=Connection,
            )
            self._set_up(connection)
            status = os.stat(path)
            if os.fstat(self._lock_fd).st_size < Marks.SIZE_BYTES:
                # Written, not just made longer: storing into a hole of a mapped file on a full disk kills the process.
                os.pwrite(self._lock_fd, bytes(Marks.SIZE_BYTES), 0)
            self.marks = Marks(self._lock_fd)
            # Closing such a descriptor drops no POSIX lock; closing any other one of the file would.
            self._path_fd = os.open(path, os.O_PATH | os.O_CLOEXEC) if hasattr(os, "O_PATH") else -1
        except BaseException:
            if connection is not None:
                connection.close()
            os.close(self._lock_fd)
            self._lock_fd = -1
            raise
        fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        self._connection, self._identity = connection, (status.st_dev, status.st_ino)
        return connection

    def _set_up(self, connection: Connection) -> None:
        is_current = migrations.check(connection, self.location.path)  # reads only: a foreign file stays as it is
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StorageUnavailable(
                self.location.path,
                "SQLite cannot keep a write-ahead log here; put the file on a local disk, not on a network share",
            )
        for pragma in (
            f"synchronous = {self.location.synchronous}",
            f"mmap_size = {_MMAP_BYTES}",
            f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            f"journal_size_limit = {_JOURNAL_BYTES}",
            "temp_store = MEMORY",
            "secure_delete = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        if self.location.max_pages is not None:
            connection.execute(f"PRAGMA max_page_count = {self.location.max_pages}").fetchall()
        if not is_current:
            connection.execute("BEGIN IMMEDIATE")
            try:
                migrations.migrate(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _undo(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.queue_numbers.clear()  # one of them may have come with what is undone
        if connection is not None and connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error:
                self._connection = None  # nothing can be said of it any more; closing undoes the transaction
                connection.close()

    def _fault(self, error: sqlite3.Error | OSError) -> BaseException:
        fault: FaenaError | None = error if isinstance(error, FaenaError) else translated(self.location.path, error)
        if fault is None:
            return error
        self._close()  # connections are disposable: the next use opens a new one
        return fault

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self.marks = None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                pass  # it is given up in any case, and what was committed is in the file
        for fd in (self._lock_fd, self._path_fd):
            if fd >= 0:
                os.close(fd)
        self._lock_fd = self._path_fd = -1


def _make_room(path: str) -> None:
    """Create the folder and the file where they are missing, for nobody but this user."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if os.path.basename(folder) == ".faena":
            with open(os.path.join(folder, ".gitignore"), "w", encoding="utf-8") as stream:
                stream.write(_GITIGNORE)
    try:
        # Only a new file: closing a descriptor of a file drops every POSIX lock that this process has on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass


# -- forks -------------------------------------------------------------------------------------------------

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_forking: list[Database] = []
_one_fork = threading.Lock()


def _before_fork() -> None:
    _one_fork.acquire()
    _forking[:] = list(_databases)
    for database in _forking:
        database._mutex.acquire()
        database._close()


def _after_fork() -> None:
    for database in _forking:
        database._mutex.release()
    _forking.clear()
    _one_fork.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
