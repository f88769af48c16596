"""Wake processes of this machine without polling: named pipes (FIFOs) beside the database.

        consumer                                   publisher
        listen(name)      opens the FIFO           commits
        looks once more   finds what came before   notify(name)    one byte: one token
        wait(...)  ◀───────── token ──────────────┘

A token means "look again", never more: one that is lost (its reader was killed, the folder was deleted) costs the wait
until the reader's next look of its own accord, and one too many costs a look. A FIFO that nobody listens to is not
written: opening it fails at once. Where there are no FIFOs (some mounts), `Listener.is_pushed` is False and the reader
has to look often.

So that a publisher need not try, `Marks` tells in shared memory that nobody has listened to a name of late. Who listens
sets the mark after opening the pipe. Who finds no reader clears it, and tries once more: had somebody come in between, the
pipe is there now, or the mark is set after it was cleared.

Waiting blocks the thread (`wait`) or suspends the task (`await_token`), as the adapter was opened; `Alarm` ends either
from any thread.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_TOKEN = b"\1"
_CHUNK_BYTES = 512  # no longer than POSIX's least PIPE_BUF: written wholly or not at all
_DRAIN_BYTES = 65536
OVERFLOW_BYTES = 48 * 1024
"""Who drains that much at once may have missed a write: with chunks of 512 bytes, a pipe of 16 pages refuses a write at
57 KiB at the earliest, and whatever it held then is drained together."""
_STALE_S = 60.0  # younger FIFOs may be about to be opened


class Alarm:
    """Ends a wait, from any thread; one that comes before the wait is kept for it."""

    def __init__(self) -> None:
        self.is_raised = False
        self._fds: tuple[int, int] | None = None  # of a pipe, made by the first wait
        self._mutex = threading.Lock()

    def descriptor(self) -> int:
        """Return what becomes readable when it rings; look at `is_raised` after it was asked for."""
        with self._mutex:
            if self._fds is None:
                self._fds = os.pipe()
                for fd in self._fds:
                    os.set_blocking(fd, False)
            return self._fds[0]

    def ring(self) -> None:
        with self._mutex:
            self.is_raised = True
            if self._fds is not None:
                try:
                    os.write(self._fds[1], _TOKEN)
                except BlockingIOError:
                    pass  # full: it rings already

    def take(self) -> bool:
        """Return whether it rang, and silence it."""
        with self._mutex:
            was_raised, self.is_raised = self.is_raised, False
            if was_raised and self._fds is not None:
                _drain(self._fds[0])
        return was_raised

    def close(self) -> None:
        with self._mutex:
            fds, self._fds = self._fds, None
        for fd in fds or ():
            os.close(fd)


class Listener:
    """Open FIFOs to wait at. Open it, then look, then wait: so nothing can fall between."""

    def __init__(self, fds: tuple[int, ...], *, takes_tokens: bool = True) -> None:
        self._fds, self._takes_tokens = fds, takes_tokens
        self.is_pushed = bool(fds)

    def wait(self, timeout_s: float, alarm: Alarm | None = None) -> bool:
        """Block until a token was taken (True), the alarm rang or the time is up (False)."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        for fd in self._fds:
            poll.register(fd, select.POLLIN)
        alarm_fd = None if alarm is None else alarm.descriptor()
        if alarm_fd is not None:
            poll.register(alarm_fd, select.POLLIN)
        while True:
            left_s = deadline - time.monotonic()
            if (alarm is not None and alarm.is_raised) or not (ready := poll.poll(max(0.0, left_s) * 1000)):
                return False
            if any(self._take(fd) for fd, _ in ready if fd != alarm_fd):
                return True

    async def await_token(self, timeout_s: float, alarm: Alarm | None = None) -> bool:
        """Do the same as `wait`, but suspend instead of blocking."""
        from asyncio import get_running_loop  # 30 ms that synchronous programs do not pay

        loop = get_running_loop()
        woken: asyncio.Future[bool] = loop.create_future()

        def at_token(fd: int) -> None:
            if not woken.done() and self._take(fd):
                woken.set_result(True)

        def at_end() -> None:
            if not woken.done():
                woken.set_result(False)

        timer = loop.call_later(max(0.0, timeout_s), at_end)
        for fd in self._fds:
            loop.add_reader(fd, at_token, fd)
        alarm_fd = None if alarm is None else alarm.descriptor()
        if alarm is not None and alarm_fd is not None:
            loop.add_reader(alarm_fd, at_end)
            if alarm.is_raised:
                at_end()
        try:
            return await woken
        finally:
            timer.cancel()
            for fd in self._fds:
                loop.remove_reader(fd)
            if alarm_fd is not None:
                loop.remove_reader(alarm_fd)

    def drain(self) -> bytes:
        """Return everything that is in the FIFOs."""
        return b"".join([_drain(fd) for fd in self._fds])

    def _take(self, fd: int) -> bool:
        if not self._takes_tokens:
            return True
        try:
            return bool(os.read(fd, 1))
        except BlockingIOError:
            return False  # another listener was faster

    def close(self) -> None:
        fds, self._fds = self._fds, ()
        for fd in fds:
            os.close(fd)


class Marks:
    """A byte for each of many names: 0 says that nobody listens. Two names that share a byte keep it for ever."""

    SIZE_BYTES = 4096
    _SHARED = 255

    def __init__(self, fd: int) -> None:
        self._bytes = mmap.mmap(fd, self.SIZE_BYTES)

    def may_listen(self, name: str) -> bool:
        return self._bytes[int(name[-3:], 16)] != 0

    def set(self, name: str) -> None:
        at, own = _mark_of(name)
        if self._bytes[at] != own:
            self._bytes[at] = own if self._bytes[at] == 0 else self._SHARED

    def clear(self, name: str) -> None:
        at, own = _mark_of(name)
        if self._bytes[at] == own:
            self._bytes[at] = 0


def _mark_of(name: str) -> tuple[int, int]:
    return int(name[-3:], 16), 1 + int(name[-5:-3], 16) % 254


class Signals:
    """The FIFOs of one folder. It is created when somebody listens first."""

    def __init__(self, folder: str, marks: Callable[[], Marks | None] = lambda: None) -> None:
        self._folder, self._marks = folder, marks

    def listen(self, names: Sequence[str]) -> Listener:
        """Open the FIFOs of `names`, creating those that are missing."""
        fds: list[int] = []
        for name in names:
            fd = self._opened(self._path(name))
            if fd is not None:
                fds.append(fd)
        marks = self._marks()
        if marks is not None and fds:
            for name in names:
                marks.set(name)
        return Listener(tuple(fds))

    def listen_for_records(self, name: str) -> Listener:
        """Open the FIFO of one reader; what `send` writes there is left for `drain`."""
        fd = self._opened(self._path(name))
        return Listener(() if fd is None else (fd,), takes_tokens=False)

    def notify(self, names: Iterable[str]) -> None:
        """Give one token to each name; it wakes one of those who listen there."""
        marks = self._marks()
        for name in names:
            if marks is None:
                self._write(self._path(name), _TOKEN)
            elif marks.may_listen(name) and not self._write(self._path(name), _TOKEN):
                marks.clear(name)
                if self._write(self._path(name), _TOKEN):  # somebody has come in between
                    marks.set(name)

    def send(self, name: str, data: bytes, record_bytes: int) -> None:
        """Write records of equal length to the one reader of `name`; what does not fit is dropped (OVERFLOW_BYTES)."""
        step = _CHUNK_BYTES - _CHUNK_BYTES % record_bytes
        for at in range(0, len(data), step):
            self._write(self._path(name), data[at : at + step])

    def has_listener(self, name: str) -> bool:
        try:
            os.close(os.open(self._path(name), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def remove(self, name: str) -> None:
        try:
            os.unlink(self._path(name))
        except OSError:
            pass

    def clean(self, now_s: float) -> int:
        """Remove the FIFOs that nobody has listened to for a while; return how many."""
        removed = 0
        try:
            entries = list(os.scandir(self._folder))
        except OSError:
            return 0
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
                is_old = max(status.st_mtime, status.st_ctime) < now_s - _STALE_S
                if stat.S_ISFIFO(status.st_mode) and is_old and not self.has_listener(entry.name):
                    os.unlink(entry.path)
                    removed += 1
            except OSError:
                continue  # somebody else was faster
        return removed

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _opened(self, path: str) -> int | None:
        """Return a descriptor of the FIFO; None: there can be none here."""
        # Read and write: so it is never at its end, and opening never waits for the other side (Linux, fifo(7)).
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
        for _ in range(3):
            try:
                fd = os.open(path, flags)
                if stat.S_ISFIFO(os.fstat(fd).st_mode):
                    return fd
                os.close(fd)
                return None
            except FileNotFoundError:
                pass
            except OSError:
                return None
            try:
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
                os.mkfifo(path, 0o600)
            except FileExistsError:
                pass
            except OSError:
                return None
        return None

    def _write(self, path: str, data: bytes) -> bool:
        """Write what fits; say whether anybody listens."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False  # nobody listens (ENXIO, ENOENT), or it is not ours to open: they look of their own accord
        try:
            os.write(fd, data)
        except OSError:
            pass  # full: it is awake already, or going to look at everything (OVERFLOW_BYTES)
        finally:
            os.close(fd)
        return True


@lru_cache(maxsize=4096)
def name_of(kind: str, text: str) -> str:
    """Return the name of a FIFO for any text: short, and of plain letters."""
    return f"{kind}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"


def _drain(fd: int) -> bytes:
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(fd, _DRAIN_BYTES)
        except BlockingIOError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)
