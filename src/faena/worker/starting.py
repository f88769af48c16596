"""How a supervisor starts processes: forked from a template where that is possible, else as interpreters of their own."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from faena.worker import template

log = logging.getLogger("faena.worker")

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_PATIENCE_S = 5.0  # with the template, which needs some milliseconds
_QUIET_S = 1.0  # without a start, after which the template goes
_TRIES = 3  # in a row, with templates that end before they are ready
_LOOKUPS_AT_ONCE = 4
_LOOKS = 3  # for threads that may have ended meanwhile
_UNKNOWN = 255  # the status of what somebody else has waited for


class Started(Protocol):
    """A process that was started; `poll` is that of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return the exit status if the process has ended: negative for a signal."""
        ...


class ProcessStarter:
    """Starts the processes of one supervisor."""

    def __init__(self, template: Template | None = None) -> None:
        self._template = template
        self._adopts = template is not None
        self._rests = False  # the template was let go, and comes back when it is needed
        self._in_vain = 0  # templates, one after the other, that were never ready
        self._started_at_s, self._looks_left = 0.0, 0
        self._executor: ThreadPoolExecutor | None = None

    def start(self, index: int, link: socket.socket, slots_descriptor: int, slots: int) -> Started:
        """Start a process on its end of a socket pair. Raises OSError: the system has no means for it."""
        self._started_at_s, self._looks_left = time.monotonic(), _LOOKS
        if self._rests:
            self._template = Template.fork_again() or Template.spawn()
            self._rests = self._template is None
        if self._template is not None:
            try:
                started = self._template.start(index, link, slots_descriptor, slots)
            except _TemplateGone as reason:
                self._replace_template(str(reason))
            else:
                if started is not None:
                    return started
        return _spawn(link, slots_descriptor, slots)

    def rest(self) -> None:
        """Let the template go while nothing is started, if another one can be forked when it is needed.

        It costs some 5 MiB: the old pages of all that the other processes have written to since.
        """
        if self._template is None or not self._looks_left or time.monotonic() < self._started_at_s + _QUIET_S:
            return
        if _has_one_thread():
            self._template.close()
            self._template, self._rests = None, True
        else:
            self._looks_left -= 1
            self._end_idle_threads()

    def keep_threads_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the threads that the loop looks names up in under control: they would not end by themselves."""
        self._executor = ThreadPoolExecutor(_LOOKUPS_AT_ONCE)
        loop.set_default_executor(self._executor)

    def _end_idle_threads(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False)  # what is being looked up comes to its end
            self.keep_threads_in(asyncio.get_running_loop())

    def reap_others(self, known: Collection[int]) -> None:
        """Wait for what has ended and is no process of ours: what tasks left behind comes to us, as to an init."""
        while self._adopts:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in known:
                return  # that is ours, and its end has been signalled
            if self._template is not None and ended.si_pid == self._template.pid:
                self._replace_template("is gone")
                continue
            with suppress(ChildProcessError):
                os.waitpid(ended.si_pid, os.WNOHANG)

    def close(self) -> None:
        """End the template."""
        self._rests = False
        if self._template is not None:
            self._template.close()
            self._template = None

    def _replace_template(self, reason: str) -> None:
        assert self._template is not None
        self._in_vain = 0 if self._template.is_ready() else self._in_vain + 1
        self._template.close()
        if self._in_vain < _TRIES:  # one that was not ready may have been killed, too
            log.warning("the template of the processes %s; another one is started", reason)
            self._template = Template.spawn()
        else:
            log.warning("no template can be started; processes are interpreters of their own from now on")
            self._template = None


class Template:
    """The supervisor's end of a template (`faena.worker.template`)."""

    def __init__(self, pid: int, link: socket.socket, *, is_ready: bool) -> None:
        self.pid, self._link, self._is_ready = pid, link, is_ready
        link.settimeout(_PATIENCE_S)

    @classmethod
    def fork(cls) -> Template | None:
        """Fork one from this process, which has to have one thread. None: not on this system, or not now."""
        if sys.platform != "linux" or not _has_one_thread() or not _adopt_orphans():
            return None
        template.load()
        return cls._fork()

    @classmethod
    def fork_again(cls) -> Template | None:
        """Fork another one from this process, which has been at work since. None: it has threads by now, or not now."""
        return cls._fork() if _has_one_thread() else None

    @classmethod
    def _fork(cls) -> Template | None:
        ours, theirs = _pair()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            return None
        if pid == 0:
            template.serve(theirs)
        theirs.close()
        return cls(pid, ours, is_ready=True)

    @classmethod
    def spawn(cls) -> Template | None:
        """Start one as a fresh interpreter; until it is ready, `start` says None."""
        ours, theirs = _pair()
        try:
            pid = _run("faena.worker.template", theirs.fileno()).pid
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        return cls(pid, ours, is_ready=False)

    def start(self, index: int, link: socket.socket, slots_descriptor: int, slots: int) -> Started | None:
        """Have a process forked. None: the template is not ready yet. Raises OSError: it could not fork."""
        try:
            if not self.is_ready():
                return None
            socket.send_fds(self._link, [template.order(index, slots)], [link.fileno(), slots_descriptor])
            answer = self._link.recv(64)
        except TimeoutError:
            raise _TemplateGone("gives no answer") from None
        except ConnectionError:
            answer = b""
        if not answer:
            raise _TemplateGone("is gone")
        pid = int(answer)
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return _Forked(pid)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # it has nothing to put in order
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self._link.close()

    def is_ready(self) -> bool:
        """Say whether it has ever been ready."""
        if not self._is_ready:
            with suppress(BlockingIOError, ConnectionError):
                self._is_ready = self._link.recv(64, socket.MSG_DONTWAIT) == template.READY
        return self._is_ready


class _TemplateGone(Exception):
    pass


class _Forked:
    """A process that the template has forked, and that is our child by now."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self._status = _UNKNOWN
            else:
                self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status


def _has_one_thread() -> bool:
    return len(os.listdir("/proc/self/task")) == 1


def _adopt_orphans() -> bool:
    """Become the parent of descendants whose parents end (prctl(2)); say whether the system lets us."""
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _spawn(link: socket.socket, slots_descriptor: int, slots: int) -> Started:
    return _run("faena.worker.process", link.fileno(), slots_descriptor, slots=slots)


def _run(module: str, *descriptors: int, slots: int | None = None) -> subprocess.Popen[bytes]:
    arguments = [str(each) for each in (*descriptors, *(() if slots is None else (slots,)))]
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        process_group=0,  # a terminal's Ctrl-C is for the supervisor
    )
