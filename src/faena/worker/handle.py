"""A supervisor's handle on one process: how it is started, spoken to, looked at and killed."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import time
from enum import StrEnum
from typing import Any

from faena.broker import Holder
from faena.model.delivery import Verdict, VerdictKind
from faena.worker.slots import Running, Slots
from faena.worker.starting import ProcessStarter
from faena.worker.wire import Answer, Hello, Query, ToProcess, pack

ENDS_OF_PROCESSES = ("left", "crashed", "killed", "stopped")


class ProcessState(StrEnum):
    """Of a process, as its supervisor sees it.

    STARTING ─▶ WORKING ─▶ LEAVING ─▶ (gone)
    """

    STARTING = "starting"
    WORKING = "working"
    LEAVING = "leaving"


class ProcessHandle:
    """One incarnation of one process. It never comes back: its successor is another handle."""

    def __init__(self, index: int, slots: int, starter: ProcessStarter) -> None:
        self.index = index
        self.state = ProcessState.STARTING
        self.hello: Hello | None = None
        self.holders: dict[str, Holder] = {}  # by the name of the broker; "": there is only one
        self.slots = Slots.create(slots)
        self.started_s = time.monotonic()
        self.kill_reason: dict[str, Verdict] = {}  # what we killed it for, by task id
        self.killed_for = ""
        ours, theirs = socket.socketpair()
        try:
            self._started = starter.start(index, theirs, self.slots.descriptor, slots)
        except OSError:
            ours.close()
            self.slots.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        self.reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.is_silent = asyncio.Event()  # all that it has said was heard, and it will say no more
        self._numbers = itertools.count(1)
        self._questions: dict[int, asyncio.Future[Answer]] = {}

    @property
    def pid(self) -> int:
        return self._started.pid

    async def open(self) -> asyncio.StreamReader:
        """Join the socket to the running loop."""
        self._socket.setblocking(False)
        self.reader, self._writer = await asyncio.open_connection(sock=self._socket)
        return self.reader

    def say(self, spoken: ToProcess) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(pack(spoken))

    async def ask(self, name: str, arguments: dict[str, Any], timeout_s: float, *, own: bool = False) -> Answer | None:
        """Return the process's answer, or None when it gave none in time. `own`: it is a command of the app's."""
        number = next(self._numbers)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        self.say(Query(number, name, arguments, own))
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return None
        finally:
            self._questions.pop(number, None)

    def answered(self, answer: Answer) -> None:
        future = self._questions.get(answer.number)
        if future is not None and not future.done():
            future.set_result(answer)

    def poll(self) -> int | None:
        """Return the exit status if the process has ended: negative for a signal."""
        return self._started.poll()

    def kill(self, number: int, why: str, verdicts: dict[str, Verdict] | None = None) -> None:
        """End the process; `verdicts` say what becomes of the tasks that it is killed for."""
        self.killed_for = self.killed_for or why
        self.kill_reason.update(verdicts or {})
        self.signal(number)

    def signal(self, number: int) -> None:
        """Send a signal to the process and to what it has started."""
        if self._started.poll() is None:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass

    def running(self) -> list[Running]:
        return self.slots.running()

    def verdicts(self, status: int) -> dict[str, Verdict]:
        """Say for each task that ran when the process ended why it did."""
        if self.kill_reason:
            return self.kill_reason
        running = self.slots.running()
        if self.killed_for and not self.killed_for.startswith("memory"):
            return {}
        detail = self.killed_for or describe_exit(status)
        return {task.task_id: Verdict(VerdictKind.CRASHED, detail, len(running)) for task in running}

    def rss_kib(self) -> int:
        """Return the resident memory of the process; 0 where it cannot be read."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)
        except (OSError, IndexError, ValueError):
            return 0

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        else:
            self._socket.close()
        self.slots.close()


def describe_exit(status: int) -> str:
    """Return an exit status in words, such as "killed by SIGSEGV"."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def how_it_ended(handle: ProcessHandle, status: int, *, is_stopping: bool) -> str:
    """Return one of ENDS_OF_PROCESSES."""
    if is_stopping:
        return "stopped"
    if handle.killed_for:
        return "killed"
    return "left" if status == 0 else "crashed"
