"""Start one command and follow it to its end: streams, input, watchers, time limit, signals.

    spawn ──▶ follow: poll both pipes ──▶ end of both ──▶ wait ──▶ status
                 │ deadline passed: the whole group is killed
                 │ Ctrl-C: SIGINT to the group, then SIGTERM, then SIGKILL; goes on as KeyboardInterrupt
                 └ a watcher gave up: the group is killed, its error kept

A command gets a process group of its own, so that everything it started can be ended with it; except when it may
read the terminal: a background group that reads one is stopped by the kernel (POSIX, "job control"), so it stays in
ours, where Ctrl-C reaches it by itself.
"""

from __future__ import annotations

import os
import select
import subprocess
import time

from faena.runner.ending import TICK_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from faena.runner.watchers import StreamWatcher

_CHUNK_BYTES = 65_536
GRACE_S = 5.0
_CLOSED = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Process:
    """A started command with pipes, or under a pseudo-terminal."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        program: str | None = None,
        env: dict[str, str] | None,
        cwd: str | None,
        stdin: int | None,
        has_own_group: bool,
        pty: bool = False,
    ) -> None:
        self.is_grouped = has_own_group or pty
        self.popen: subprocess.Popen[bytes] | None = None
        self._status: int | None = None
        self.stdin_fd: int | None = None
        self.err_fd: int | None = None
        if pty:
            self.pid, master = fork_pty(argv, env, cwd)
            self.out_fd = master
            self.stdin_fd = master
            return
        popen = subprocess.Popen(
            argv,
            executable=program,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0 if has_own_group else None,
        )
        self.popen = popen
        self.pid = popen.pid
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.out_fd, self.err_fd = popen.stdout.fileno(), popen.stderr.fileno()
        if popen.stdin is not None:
            self.stdin_fd = popen.stdin.fileno()

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit status; raises subprocess.TimeoutExpired."""
        if self.popen is not None:
            return self.popen.wait(timeout_s)
        if self._status is None:
            self._status = _wait_pid(self.pid, timeout_s)
        return self._status

    def poll(self) -> int | None:
        """The exit status if it has ended."""
        if self.popen is not None:
            return self.popen.poll()
        if self._status is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    @property
    def has_ended(self) -> bool:
        if self.popen is not None:
            return self.popen.returncode is not None
        return self._status is not None

    def signal(self, number: int) -> None:
        """Send a signal to the command and everything it started."""
        if self.has_ended and not self.is_grouped:
            return
        pids = [self.pid] if self.is_grouped else [*descendants(self.pid), self.pid]
        for pid in pids:
            try:
                if self.is_grouped:
                    os.killpg(pid, number)
                else:
                    os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue

    def end(self, first: int = 15, grace_s: float = GRACE_S) -> int:
        """End the command: `first`, then SIGKILL when it will not."""
        self.signal(first)
        try:
            return self.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.signal(9)
            return self.wait()

    def close(self) -> None:
        if self.popen is not None:
            for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:
                        continue
        else:
            os.close(self.out_fd)

    def close_stdin(self) -> None:
        if self.popen is not None and self.popen.stdin is not None:
            try:
                self.popen.stdin.close()
            except OSError:
                pass
        elif self.stdin_fd is not None:
            _write_some(self.stdin_fd, b"\x04")  # a terminal's end of input
        self.stdin_fd = None


def disowned(argv: Sequence[str], env: dict[str, str] | None, cwd: str | None) -> int:
    """Start a command that outlives us and that nobody listens to; its process's number."""
    process = subprocess.Popen(
        argv, env=env, cwd=cwd or None, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    process.returncode = 0  # nobody waits for it; the interpreter must not warn about it either
    return process.pid


class Follower:
    """Copies a process's streams until both end.

    `on_output(name, data)` gets every piece as it comes. `source` is what to feed: bytes, or a descriptor to copy.
    """

    def __init__(
        self,
        process: Process,
        on_output: Callable[[str, bytes], None],
        *,
        feed: bytes | None = None,
        keyboard_fd: int | None = None,
        on_typed: Callable[[bytes], None] | None = None,
        watchers: Sequence[StreamWatcher] = (),
        encoding: str = "utf-8",
    ) -> None:
        self._process = process
        self._on_output = on_output
        self._pending = feed or b""
        self._ends_input = feed is not None
        self._keyboard_fd = keyboard_fd
        self._was_typed = False
        self._on_typed = on_typed
        self._watchers = watchers
        self._encoding = encoding
        self._seen: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._decoders: dict[str, Any] = {}
        self.stdout: list[bytes] = []
        self.stderr: list[bytes] = []

    def follow(self, deadline_s: float | None) -> bool:
        """Copy until both streams end; say False when the deadline came first. What a watcher raises goes through."""
        process = self._process
        poll = select.poll()
        names = {process.out_fd: "stdout"}
        if process.err_fd is not None:
            names[process.err_fd] = "stderr"
        for fd in names:
            poll.register(fd, select.POLLIN)
        if self._keyboard_fd is not None:
            poll.register(self._keyboard_fd, select.POLLIN)
        self._feed(poll, names)
        while names:
            wait_ms = TICK_S * 1000
            if deadline_s is not None:
                left_ms = (deadline_s - time.monotonic()) * 1000
                if left_ms <= 0:
                    return False
                wait_ms = min(left_ms, wait_ms)
            for fd, event in poll.poll(wait_ms):
                if fd in names and event & (select.POLLIN | _CLOSED):
                    if not self._read(fd, names[fd]):
                        poll.unregister(fd)
                        del names[fd]
                elif fd == self._keyboard_fd:
                    self._read_keyboard(poll, fd)
            self._feed(poll, names)
        return True

    def _read(self, fd: int, name: str) -> bool:
        try:
            data = os.read(fd, _CHUNK_BYTES)
        except OSError:  # Linux answers EIO at the end of a pseudo-terminal
            return False
        if not data:
            return False
        (self.stdout if name == "stdout" else self.stderr).append(data)
        self._on_output(name, data)
        if self._watchers:
            self._ask_watchers(name, data)
        return True

    def _ask_watchers(self, name: str, data: bytes) -> None:
        if name not in self._decoders:
            import codecs

            self._decoders[name] = codecs.getincrementaldecoder(self._encoding)("replace")
        pieces = self._seen[name]
        pieces.append(self._decoders[name].decode(data))
        text = "".join(pieces)
        pieces[:] = [text]
        for watcher in self._watchers:
            for answer in watcher.submit(text):
                self._pending += answer.encode(self._encoding)

    def _read_keyboard(self, poll: select.poll, fd: int) -> None:
        data = os.read(fd, _CHUNK_BYTES)
        if not data:
            poll.unregister(fd)
            self._keyboard_fd = None
            # where nothing was ever typed (`/dev/null`), the input stays open for the answers of watchers
            self._ends_input = self._was_typed or not self._watchers
            return
        self._was_typed = True
        self._pending += data
        if self._on_typed is not None:
            self._on_typed(data)

    def _feed(self, poll: select.poll, names: dict[int, str]) -> None:
        """Write what waits for the command's input, as much as it takes without blocking."""
        fd = self._process.stdin_fd
        if fd is None:
            return
        if self._pending:
            os.set_blocking(fd, False)
            written = _write_some(fd, self._pending)
            if written is None:
                self._pending = b""
                self._ends_input = True
            else:
                self._pending = self._pending[written:]
        is_shared = fd in names  # a pseudo-terminal is read and written through one descriptor
        if self._pending:
            poll.register(fd, select.POLLOUT | (select.POLLIN if is_shared else 0))
            return
        if is_shared:
            poll.modify(fd, select.POLLIN)
        else:
            try:
                poll.unregister(fd)
            except KeyError:
                pass
        if self._ends_input:
            self._ends_input = False
            self._process.close_stdin()


def _write_some(fd: int, data: bytes) -> int | None:
    """Write without waiting; None when nobody reads any more."""
    try:
        return os.write(fd, data[:_CHUNK_BYTES])
    except BlockingIOError:
        return 0
    except OSError:
        return None


def _wait_pid(pid: int, timeout_s: float | None) -> int:
    if timeout_s is None:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    deadline_s = time.monotonic() + timeout_s
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline_s:
            raise subprocess.TimeoutExpired([], timeout_s)
        time.sleep(0.01)


def fork_pty(argv: Sequence[str], env: dict[str, str] | None, cwd: str | None) -> tuple[int, int]:
    """Start a command as the leader of a new session on a new pseudo-terminal of this one's size."""
    rows, columns = pty_size()
    pid, master = os.forkpty()
    if pid == 0:  # only system calls from here to the exec: other threads may hold any lock
        try:
            _set_size(0, rows, columns)
            if cwd:
                os.chdir(cwd)
            os.execvpe(argv[0], list(argv), os.environ if env is None else env)  # noqa: S606  that is the job
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(127)
    return pid, master


def _set_size(fd: int, rows: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def pty_size() -> tuple[int, int]:
    """Rows and columns of our terminal, or 24 and 80."""
    for fd in (0, 1, 2):
        try:
            size = os.get_terminal_size(fd)
        except OSError:
            continue
        if size.lines and size.columns:
            return size.lines, size.columns
    return 24, 80


def descendants(pid: int) -> list[int]:
    """The processes that `pid` started and their own, deepest first (Linux; elsewhere none are found)."""
    children: dict[int, list[int]] = {}
    try:
        entries = os.listdir("/proc")
    except OSError:
        return []
    for entry in entries:
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    pending = [pid]
    while pending:
        for each in children.get(pending.pop(), ()):
            found.append(each)
            pending.append(each)
    return found[::-1]
