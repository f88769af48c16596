"""The template: a process that has imported what every worker process needs, and forks them. Linux only.

Memory that nobody writes to is shared: the interpreter, the modules of faena and what they import are there once for all
processes of a worker, its supervisor included. The template never imports user code, has no thread, no event loop and no
connection, so a fork of it is as good as a fresh interpreter, and faster.

    supervisor ──"start process 1", its two descriptors──▶ template ──fork──▶ (between) ──fork──▶ process
        ▲                                                     │                  └─ ends at once
        └──────────────────────── pid ────────────────────────┘

The process in between ends, which makes the worker process a child of the supervisor: that has declared itself the reaper
of its descendants (prctl(2), PR_SET_CHILD_SUBREAPER). So it hears of each death with its exact status, as if it had forked
the process itself.

A supervisor that needs no more processes for now lets its template go, and forks another one from itself later: from within
its event loop, of which the copy must keep nothing (`_be_alone`). That asks for a supervisor without threads.

The template ends when the supervisor does. When it is killed itself, running processes notice nothing, and the supervisor
starts another one (`python -m faena.worker.template DESCRIPTOR`) as soon as it needs one.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import gc
import importlib
import os
import signal
import socket
import sys
from contextlib import suppress
from traceback import print_exc
from typing import NoReturn

from faena.config.settings import Settings
from faena.worker import process

NAME = "faena:template"  # as ps and top show it; Linux keeps 15 bytes
READY = b"ready"
_SOON_NEEDED = (
    "faena.brokers.sqlite", "faena.backends.sqlite", "faena.drivers.sqlite.schedules",
    "faena.brokers.redis", "faena.backends.redis", "faena.drivers.redis.schedules",
    "faena.app.declared", "uvloop",
    "encodings.idna",  # for names of hosts
    "json",  # hardly an app does without; and it compiles patterns, for which `re` is written to all over
)  # fmt: skip


def load() -> None:
    """Import what processes are going to, as far as it is installed, and keep the collector from writing to it.

    Importing writes: it counts references to names all over the memory, which then is no longer shared. So processes
    should have little left to import but the app. The adapters of both stores take 1.5 MiB, once for all of them.
    """
    for name in _SOON_NEEDED:
        with suppress(ImportError):
            importlib.import_module(name)
    sys.path_importer_cache.clear()  # what each folder holds; a process has to look anew anyway
    Settings.declarations()  # every app that says a setting in code needs them
    _give_back_what_is_free()
    gc.freeze()


def _give_back_what_is_free() -> None:
    gc.collect()
    if sys.version_info >= (3, 13):
        sys._clear_internal_caches()
    else:
        sys._clear_type_cache()  # it counts references to the names in it, and each that is pushed out is written to
    with suppress(AttributeError):  # it is of glibc
        ctypes.CDLL(None).malloc_trim(0)


def order(index: int, slots: int) -> bytes:
    """Return the words that ask for a process; the descriptors of its socket and its slots go with them."""
    return b"%d %d" % (index, slots)


def serve(supervisor: socket.socket) -> NoReturn:
    """Fork processes as the supervisor asks for them, until it is gone. The process must have one thread."""
    code = 1
    try:
        _be_alone(supervisor)
        _name(NAME)
        while _serve_one(supervisor):
            pass
        code = 0
    except BaseException:  # noqa: BLE001 - the edge of a process: it must not go on as a copy of its parent
        print_exc()
    finally:
        os._exit(code)


def _serve_one(supervisor: socket.socket) -> bool:
    words, descriptors, _, _ = socket.recv_fds(supervisor, 64, 2, socket.MSG_CMSG_CLOEXEC)
    if not words:
        return False
    index, slots = map(int, words.split())
    try:
        pid = _fork_for_the_supervisor(supervisor, index, slots, descriptors)
    except OSError as error:
        pid = -(error.errno or errno.EAGAIN)
    for descriptor in descriptors:
        os.close(descriptor)
    supervisor.send(b"%d" % pid)
    return True


def _fork_for_the_supervisor(supervisor: socket.socket, index: int, slots: int, descriptors: list[int]) -> int:
    """Fork a process whose parent is the supervisor by the time that its pid is returned."""
    reader, writer = os.pipe()
    try:
        between = os.fork()
        if between == 0:
            _fork_and_end(supervisor, index, slots, descriptors, reader, writer)
        os.close(writer)
        writer = -1
        os.waitpid(between, 0)
        pid = int(os.read(reader, 32) or -errno.EAGAIN)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return pid


def _fork_and_end(
    supervisor: socket.socket, index: int, slots: int, descriptors: list[int], reader: int, writer: int
) -> NoReturn:
    """Be the process in between."""
    try:
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            os.close(writer)
            supervisor.close()
            _become_process(index, slots, descriptors)
        os.setpgid(pid, pid)  # here, too: the supervisor may kill the group as soon as it knows the number
    except OSError as error:
        pid = -(error.errno or errno.EAGAIN)
    os.write(writer, b"%d" % pid)
    os._exit(0)


def _become_process(index: int, slots: int, descriptors: list[int]) -> NoReturn:
    """Go on as `python -m faena.worker.process` would."""
    code = 1
    try:
        os.setpgid(0, 0)  # a terminal's Ctrl-C is for the supervisor
        _name(f"faena:{index}")
        _see_modules_as_if_started_here()
        code = process.main([*map(str, descriptors), str(slots)])
    except BaseException:  # noqa: BLE001 - the edge of a process, as above
        print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or nobody reads it
                stream.flush()
        os._exit(code)


def _see_modules_as_if_started_here() -> None:
    sys.modules["__main__"] = process  # what multiprocessing's spawned children import anew, instead of the command line
    if not sys.flags.safe_path:
        command = sys.argv[0]
        if sys.path[:1] in ([os.path.dirname(os.path.abspath(command))], [os.path.dirname(os.path.realpath(command))]):
            del sys.path[0]
        sys.path.insert(0, os.getcwd())
    sys.argv = [process.__file__]
    sys.path_importer_cache.clear()  # files may have come since the template looked


def _be_alone(supervisor: socket.socket) -> None:
    """Let go of everything that belongs to the process that this one was forked from."""
    signal.set_wakeup_fd(-1)  # first of all: it leads to the supervisor, which would take our signals for its own
    gc.freeze()  # what it has open must not be closed by the collector later, when others have the numbers
    os.setpgid(0, 0)  # a terminal's Ctrl-C is for the supervisor
    if sys.version_info < (3, 12):  # from then on asyncio does this itself
        asyncio._set_running_loop(None)
        asyncio.set_event_loop_policy(None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in process.STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # the supervisor says when to end; not SIG_IGN, which is inherited
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != supervisor.fileno():
            with suppress(OSError):  # the one that read this folder
                os.close(int(name))


def _name(name: str) -> None:
    with suppress(OSError), open("/proc/self/comm", "w") as file:
        file.write(name)


if __name__ == "__main__":
    import faena.worker.supervisor  # noqa: F401 - its pages are shared, too

    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)
    load()
    link.send(READY)
    serve(link)
