"""The supervisor: starts processes, renews their leases, enforces hard limits, replaces the dead, and stops them all.

It imports no user code and carries no task message, so that nothing a task does can hold it up. What it needs to know of
the app it is told by the first process that has loaded it.

    spawn ─▶ hello ─▶ holder opened ─▶ begin ─▶ (renew, look at slots, every so often) ─▶ death seen ─▶ recover ─▶ spawn

A process that dies is recovered at once: what it held goes back, with a verdict on what it was running. When the supervisor
itself dies, its processes notice, keep their own leases while they finish, and end; and when the whole machine dies, any
other supervisor reaps the leases that have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from faena.app.links import Link
from faena.errors import ConfigurationError, FaenaError
from faena.model.control import WorkerInfo
from faena.model.delivery import Verdict
from faena.model.event import EventKind
from faena.telemetry.logs import set_up_logging
from faena.worker.announcing import Announcing
from faena.worker.autoscale import refuse_too_many
from faena.worker.commands import CommandServer
from faena.worker.drain import Phase, next_change_s, phase
from faena.worker.enforcement import Enforcement
from faena.worker.handle import ProcessHandle, ProcessState, describe_exit, how_it_ended
from faena.worker.health import HealthFile, HealthServer
from faena.worker.holding import BROKEN, Holding
from faena.worker.housekeeping import expire_forever
from faena.worker.measuring import Measuring
from faena.worker.options import WorkerOptions
from faena.worker.presence import Presence
from faena.worker.process import EXIT_BOOT_FAILED, EXIT_LEASE_LOST, ONE_PROCESS
from faena.worker.recycle import pause_before_spawn_s, was_short
from faena.worker.reload import check_reload, watch_forever
from faena.worker.scaling import Scaler
from faena.worker.starting import ProcessStarter, Template
from faena.worker.vital import vital
from faena.worker.wire import (
    Answer,
    Begin,
    Boot,
    BootFailed,
    Counted,
    Hello,
    Interrupt,
    Leaving,
    Revoke,
    Stop,
    Unrevoke,
    receive,
)

log = logging.getLogger("faena.worker")

_LOOK_EVERY_S = 0.25  # at the slots, while something runs that has a limit
_LOOK_IDLE_S = 1.0
_PAUSE_WITHOUT_MEANS_S = 5.0
_PATIENCE_S, _LEAST_PATIENCE_S = 30.0, 0.25  # with the broker, about one process
_SPAWN_AT_ONCE, _PAUSE_WHILE_GROWING_S = 8, 0.01  # each takes some milliseconds, in which nothing else is done
_BOOT_SLOTS = 1024  # the slots are made before the process knows how many it needs


class Supervisor:
    """One worker: `await run()` until it is told to stop; gives the exit code."""

    def __init__(self, options: WorkerOptions, starter: ProcessStarter) -> None:
        self._options, self.name, self._starter = options, options.name(), starter
        self._workdir = os.path.abspath(options.workdir)
        self.processes: list[ProcessHandle] = []
        self.hello: Hello | None = None
        self._first: ProcessHandle | None = None  # whose hello says what the app is set to
        self.started_at_s = time.time()
        self._holding = Holding(
            self.name, self.processes, lambda: self.queues, self._patience_s,
            is_stopping=lambda: self._stop_began_s is not None, moved=lambda: self._presence.changed(),
        )  # fmt: skip
        self._ready = asyncio.Event()  # the first process has said hello and the link is open
        self._ended = asyncio.Event()
        self._died = asyncio.Event()
        self._stop_began_s: float | None = None
        self._hard_stop: int | None = None
        self._short_lives: dict[int, int] = {}  # in a row, by the index of the process
        self._exit_code = 0
        self._spawning: set[int] = set()
        self._is_growing = False
        self._size: int | None = None  # how many processes there shall be, where that was said since the start
        self._queues: tuple[str, ...] | None = None  # likewise
        self._asides: set[asyncio.Task[None]] = set()  # of one process each; a stop does not wait for them
        self._enforcement: Enforcement  # from the first hello on
        self.scaler: Scaler  # likewise
        self.done_before = self.failed_before = 0  # by processes that are gone
        self._measuring, self._announcing = Measuring(self), Announcing(self)

    # -- life ----------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Work until told to stop. Returns 0 after a stop, 1 when the app cannot be loaded."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._died.set)
        self._starter.keep_threads_in(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self.restart_processes)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                tasks = [group.create_task(vital(part())) for part in self._parts()]
                if self._options.reload:
                    tasks.append(group.create_task(watch_forever(self._workdir, self.restart_processes)))
                    await asyncio.sleep(0)  # it watches before the first process reads a file: no change is missed
                self._spawn_missing()
                await self._ended.wait()
                for task in (*tasks, *self._asides):
                    task.cancel()
        finally:
            await self._leave()
        return self._exit_code

    def _parts(self) -> Sequence[Callable[[], Any]]:
        return (self._bury_forever, self._look_forever, self._keep_leases, self._serve_others)

    async def _keep_leases(self) -> None:
        await self._ready.wait()
        await self._holding.keep_forever()

    async def _serve_others(self) -> None:
        """What begins when the app is known: presence, remote control, health, housekeeping."""
        await self._ready.wait()
        assert self.hello is not None
        settings = self.hello.settings
        async with asyncio.TaskGroup() as group:
            group.create_task(vital(self._presence.announce_forever()))
            group.create_task(vital(expire_forever(self.link, settings["dead_letter_expires"])))
            group.create_task(vital(CommandServer(self).serve_forever()))
            group.create_task(vital(self.scaler.scale_forever()))
            group.create_task(vital(self._measuring.serve_forever(settings)))
            group.create_task(vital(self._announcing.tell_forever()))
            if settings["worker_health_file"]:
                group.create_task(HealthFile(settings["worker_health_file"], self.health).write_forever())
            if settings["worker_health_address"]:
                group.create_task(HealthServer(settings["worker_health_address"], self.health).serve_forever())

    @property
    def link(self) -> Link:
        """The open broker and backend."""
        return self._holding.link

    # -- processes -----------------------------------------------------------------------------------------

    def _spawn(self, index: int) -> None:
        try:
            handle = ProcessHandle(index, _BOOT_SLOTS, self._starter)
        except OSError as error:  # no memory, no descriptors, or no more processes
            if self.hello is None:
                self._fail(f"no process can be started: {error}")
            else:
                log.error("process %d cannot be started: %s", index, error)
                self._aside(self._spawn_later(index, _PAUSE_WITHOUT_MEANS_S))
            return
        self.processes.append(handle)
        self._measuring.started()
        self._aside(self._attend(handle))

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    async def _spawn_later(self, index: int, pause_s: float) -> None:
        self._spawning.add(index)
        try:
            if pause_s:
                log.warning("process %d is started again in %.1f s", index, pause_s)
                await asyncio.sleep(pause_s)
        finally:
            self._spawning.discard(index)
        if self._stop_began_s is None and index in self._missing():
            self._spawn(index)

    async def _attend(self, handle: ProcessHandle) -> None:
        """Speak with one process until it closes its end."""
        try:
            await self._converse(handle, await handle.open())
        except OSError:  # it has ended, and was closed, before a word was spoken
            return
        finally:
            handle.is_silent.set()

    async def _converse(self, handle: ProcessHandle, reader: asyncio.StreamReader) -> None:
        options = self._options
        handle.say(
            Boot(
                app=options.app,
                workdir=self._workdir,
                overrides={**options.overrides, **self._announcing.overrides},
                queues=options.queues,
                exclude_queues=options.exclude_queues,
                hostname=self.name,
                index=handle.index,
            )
        )
        while True:
            match await receive(reader):
                case None:
                    return
                case Hello() as hello:
                    await self._welcome(handle, hello)
                case BootFailed(text=text):
                    self._boot_failed(text)
                case Answer() as answer:
                    handle.answered(answer)
                case Leaving(reason=reason):
                    self._replace(handle, reason)
                case Counted() as counted:
                    self._measuring.counted(handle, counted)

    async def _welcome(self, handle: ProcessHandle, hello: Hello) -> None:
        """Let a process that has loaded its app begin; the first one also says how many others there shall be."""
        first = self._first in (None, handle)
        if first:
            self._first = handle
        else:
            await self._ready.wait()  # the first one's hello is being looked at
            if self._is_too_many(handle):
                return
        try:
            if first:
                set_up_logging(hello.settings["worker_loglevel"], hello.settings["worker_log_format"])
                await self._holding.open(hello)
                self._presence = Presence(self.link, self.info)
            holder = await self._holding.welcome(handle)
        except (FaenaError, OSError) as error:
            if first:
                self._fail(str(error))
            else:
                handle.kill(signal.SIGKILL, "no lease")
                log.error("process %d cannot begin: %s", handle.index, error)
            return
        handle.hello, handle.state = hello, ProcessState.WORKING
        if first:
            self.hello = hello
            self._enforcement = Enforcement(hello.settings, replace=self._replace)
            self._begin_scaling(hello.settings)
            self._greet(hello)
            self._announcing.begin(hello.settings["worker_send_task_events"])
            self._ready.set()
            self._spawn_missing()
        if self._stop_began_s is not None:
            handle.kill(signal.SIGKILL, "stop")
        elif not self._is_too_many(handle):  # fewer may be wanted than before its lease was opened
            handle.say(Begin(holder, self._queues or ()))
            self._announcing.tell_of_process(EventKind.PROCESS_STARTED, index=handle.index, pid=handle.pid)
            self._holding.changed()

    def _is_too_many(self, handle: ProcessHandle) -> bool:
        """End a process that has not begun and is not wanted any more."""
        if handle.index < self.wanted_processes():
            return False
        handle.state = ProcessState.LEAVING
        handle.kill(signal.SIGKILL, "more than are wanted")
        return True

    def _foreseen_processes(self) -> int:
        """Return how many processes to start before the app is known: all, where the command line says how many."""
        said = self._options.overrides
        if said.get("worker_pool", "processes") not in ("processes", "prefork"):
            return 1
        if said.get("worker_autoscale_max"):
            return max(1, int(said.get("worker_autoscale_min") or 1))
        return max(1, int(said.get("worker_concurrency") or 1))

    def wanted_processes(self) -> int:
        assert self.hello is not None
        settings = self.hello.settings
        if settings["worker_pool"] in ONE_PROCESS:
            return 1
        return self._size or settings["worker_concurrency"] or os.cpu_count() or 1

    def _missing(self) -> set[int]:
        """Return the indexes of processes that shall be there and are not, nor are on their way."""
        wanted = self.wanted_processes() if self.hello is not None else self._foreseen_processes()
        present = {each.index for each in self.processes if each.state is not ProcessState.LEAVING}
        return set(range(wanted)) - present - self._spawning

    def _spawn_missing(self) -> None:
        if not self._is_growing:
            self._is_growing = True
            self._aside(self._grow())

    async def _grow(self) -> None:
        """Start a few, and the others between what else there is to do: signals and questions are not kept waiting."""
        while self._stop_began_s is None and (missing := sorted(self._missing())):
            for index in missing[:_SPAWN_AT_ONCE]:
                self._spawn(index)
            await asyncio.sleep(_PAUSE_WHILE_GROWING_S)
        self._is_growing = False

    def _begin_scaling(self, settings: dict[str, Any]) -> None:
        most, least = settings["worker_autoscale_max"], settings["worker_autoscale_min"]
        self.scaler = Scaler(self, settings)
        if most is not None:
            self._size = least
            self.scaler.keep_between(least, most)

    def resize(self, count: int) -> int:
        """Let there be so many processes, at least one; return how many. Those taken away finish what they run first.

        Raises FaenaError: this worker has one process, whatever is asked; or so many are too many.
        """
        assert self.hello is not None
        pool = self.hello.settings["worker_pool"]
        if pool in ONE_PROCESS:
            raise FaenaError(f"the pool of this worker is '{pool}', which is one process; start it with --pool processes")
        refuse_too_many(count)
        self._size = max(1, count)
        if self._stop_began_s is None:
            self._spawn_missing()
            for handle in self.processes:
                if handle.index >= self._size and handle.state is ProcessState.WORKING:
                    log.info("process %d (pid %d) is taken away", handle.index, handle.pid)
                    handle.state = ProcessState.LEAVING
                    handle.say(Stop())
        self._presence.changed()
        return self._size

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that this worker takes from now."""
        return self._queues or (self.hello.queues if self.hello is not None else ())

    def take_from(self, queues: Sequence[str]) -> None:
        """Let every process that begins from now on take from these queues."""
        self._queues = tuple(queues)
        log.info("takes from the queues %s now", ", ".join(queues))
        self._presence.changed()
        self._holding.changed()

    def _greet(self, hello: Hello) -> None:
        log.info(
            "%s is ready: app '%s' with %d tasks, %d processes, queues %s",
            self.name, hello.app, hello.tasks, self.wanted_processes(), ", ".join(hello.queues),
        )  # fmt: skip
        for warning in hello.warnings:
            log.warning(warning)

    def _boot_failed(self, text: str) -> None:
        if self.hello is None and not self._options.reload:
            self._fail(text)
        else:
            log.error("the app cannot be loaded:\n%s", text.rstrip())

    def _fail(self, text: str) -> None:
        if self._exit_code:
            return  # one process after the other says the same
        print(f"faena: {text.rstrip()}", file=sys.stderr)
        self._exit_code = 1
        self._begin_stop(hard=signal.SIGKILL)

    def _replace(self, handle: ProcessHandle, reason: str) -> None:
        """Start the successor of a process that leaves by itself, while it finishes its work."""
        if handle.state is ProcessState.WORKING and self._stop_began_s is None:
            handle.state = ProcessState.LEAVING
            log.info("process %d (pid %d) is replaced: %s", handle.index, handle.pid, reason)
            if handle.index in self._missing():
                self._spawn(handle.index)

    def restart_processes(self) -> None:
        """Replace every process by a fresh one, each finishing its work first."""
        for handle in list(self.processes):
            if handle.state is ProcessState.WORKING:
                self._replace(handle, "restart")
                handle.say(Stop())
            elif handle.state is ProcessState.STARTING:
                handle.kill(signal.SIGKILL, "restart")
        self._spawn_missing()

    async def _bury_forever(self) -> None:
        """See to processes that have ended."""
        while True:
            await self._died.wait()
            self._died.clear()
            for handle in list(self.processes):
                status = handle.poll()
                if status is not None:
                    await self._bury(handle, status)
            self._starter.reap_others({handle.pid for handle in self.processes})
            if self._stop_began_s is not None and not self.processes:
                self._ended.set()
                return

    async def _bury(self, handle: ProcessHandle, status: int) -> None:
        self.processes.remove(handle)
        _, done, failed, _ = handle.slots.header()
        self.done_before += done
        self.failed_before += failed
        was_left = handle.state is ProcessState.LEAVING
        verdicts = handle.verdicts(status)
        if status != 0 and status != EXIT_BOOT_FAILED and self._stop_began_s is None:
            said = "; ".join(f"task {task_id}: {verdict.detail}" for task_id, verdict in verdicts.items())
            log.error(
                "process %d (pid %d) %s%s%s", handle.index, handle.pid, describe_exit(status),
                f" ({handle.killed_for})" if handle.killed_for else "", f"; it ran {said}" if said else "",
            )  # fmt: skip
        how = how_it_ended(handle, status, is_stopping=self._stop_began_s is not None)
        self._measuring.ended(how)
        about = {"index": handle.index, "pid": handle.pid, "how": how}
        self._announcing.tell_of_process(EventKind.PROCESS_ENDED, **about, detail=describe_exit(status))
        await self._hand_back(handle, verdicts)
        self._aside(self._measuring.close(handle))
        if self._stop_began_s is not None or was_left:
            return
        if status == EXIT_BOOT_FAILED and self._options.reload:
            return  # the next change of a file starts it again
        lived_s = time.monotonic() - handle.started_s
        short = was_short(lived_s, done, len(verdicts)) and status != EXIT_LEASE_LOST and not handle.killed_for
        lives = self._short_lives[handle.index] = self._short_lives.get(handle.index, 0) + 1 if short else 0
        pause_s = pause_before_spawn_s(lives, was_killed=status < 0)
        self._aside(self._spawn_later(handle.index, pause_s))

    async def _hand_back(self, handle: ProcessHandle, verdicts: dict[str, Verdict]) -> None:
        """Hand back what a process held. One of several brokers that is away keeps nobody from being replaced."""
        if len(handle.holders) < 2 or self._stop_began_s is not None:
            await self._holding.recover(handle, verdicts)
        else:
            self._aside(self._holding.recover(handle, verdicts))

    # -- watching ------------------------------------------------------------------------------------------

    async def _look_forever(self) -> None:
        await self._ready.wait()
        while True:
            now_s = time.monotonic()
            is_busy = False
            for handle in self.processes:
                if handle.state is not ProcessState.STARTING:
                    is_busy = self._enforcement.look(handle, now_s) or is_busy
            self._starter.rest()
            await asyncio.sleep(_LOOK_EVERY_S if is_busy or self._enforcement.is_urgent else _LOOK_IDLE_S)

    def revoke(self, ids: Sequence[str], terminate: bool, signal_name: str, remember: bool) -> None:
        """Tell every process; see to it that what must end does."""
        for handle in self.processes:
            handle.say(Revoke(tuple(ids), terminate and not signal_name, remember))
        if terminate:
            self._enforcement.doom(ids, signal_name, time.monotonic())

    def unrevoke(self, ids: Sequence[str]) -> None:
        """Tell every process that these may run again."""
        for handle in self.processes:
            handle.say(Unrevoke(tuple(ids)))

    @property
    def events_told(self) -> tuple[int, int]:
        """How many events of its own this worker has sent, and how many it had to drop."""
        return self._announcing.counts

    def tell_events(self, on: bool) -> bool:
        """Tell events, or no more; return whether it was so before. Raises NoBackend, NotSupported."""
        return self._announcing.set(on)

    # -- telling -------------------------------------------------------------------------------------------

    def info(self) -> WorkerInfo:
        """Return what others may know of this worker."""
        return WorkerInfo(
            name=self.name,
            host=os.uname().nodename,
            pid=os.getpid(),
            started_at_s=self.started_at_s,
            seen_at_s=time.time(),
            queues=self.queues,
            concurrency=len(self.processes),
            stats=self.stats(),
        )

    def stats(self) -> dict[str, Any]:
        """Return numbers of this worker, those of processes that are gone included."""
        headers = [handle.slots.header() for handle in self.processes]
        return {
            "done": self.done_before + sum(header[1] for header in headers),
            "failed": self.failed_before + sum(header[2] for header in headers),
            "running": sum(header[3] for header in headers),
            "processes": [{"index": each.index, "pid": each.pid, "state": each.state.value} for each in self.processes],
            **({"brokers": brokers} if (brokers := self._holding.brokers) else {}),
        }

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Say whether this worker is ready to work, with the numbers."""
        working = sum(handle.state is ProcessState.WORKING for handle in self.processes)
        ready = working > 0 and self._stop_began_s is None and self._holding.is_renewing
        return ready, {"ready": ready, "worker": self.name, "working": working, **self.stats()}

    # -- stopping ------------------------------------------------------------------------------------------

    def _on_stop_signal(self, number: int) -> None:
        if self._stop_began_s is None:
            running = sum(len(handle.running()) for handle in self.processes)
            log.info("stopping: %d tasks run; once more to stop at once", running)
            self._begin_stop()
        else:
            log.warning("stopping at once; what runs goes back to its queue")
            self._exit_code = 128 + number
            self._begin_stop(hard=signal.SIGKILL)

    def shutdown(self) -> None:
        """Stop gracefully."""
        self._begin_stop()

    def _begin_stop(self, hard: int | None = None) -> None:
        first = self._stop_began_s is None
        if first:
            self._stop_began_s = time.monotonic()
            for handle in self.processes:
                if handle.state is ProcessState.STARTING:
                    handle.kill(signal.SIGKILL, "stop")
                else:
                    handle.say(Stop())
            if hard is None:
                self._group.create_task(self._stop_in_phases())
        if hard is not None:
            self._hard_stop = hard
            for handle in self.processes:
                handle.kill(hard, "stop")
        self._died.set()  # perhaps there is nobody left to wait for

    async def _stop_in_phases(self) -> None:
        assert self._stop_began_s is not None
        budget_s = float(self.hello.settings["worker_shutdown_timeout"]) if self.hello is not None else 0.0
        while not self._ended.is_set():
            elapsed_s = time.monotonic() - self._stop_began_s
            match phase(elapsed_s, budget_s):
                case Phase.FINISH:
                    pass
                case Phase.ASK:
                    for handle in self.processes:
                        handle.say(Interrupt())
                case Phase.KILL:
                    for handle in self.processes:
                        handle.kill(signal.SIGKILL, "stop")
                    return
            with contextlib.suppress(TimeoutError):  # the group waits for us: do not sleep past the end
                async with asyncio.timeout(next_change_s(elapsed_s, budget_s)):
                    await self._ended.wait()

    async def _leave(self) -> None:
        for handle in self.processes:
            handle.kill(signal.SIGKILL, "stop")
        if not self._holding.is_open:
            return
        try:
            async with asyncio.timeout(self._patience_s()):
                await self._holding.leave()
        except (*BROKEN, TimeoutError) as error:
            log.warning("leaving: %s", str(error) or "the broker gives no answer; the leases hand back what was held")

    def _patience_s(self) -> float:
        """Return how long to wait for the broker: while stopping, as long as there is time left."""
        if self._stop_began_s is None:
            return _PATIENCE_S
        if self._hard_stop is not None or self.hello is None:
            return _LEAST_PATIENCE_S
        left_s = self._stop_began_s + float(self.hello.settings["worker_shutdown_timeout"]) - time.monotonic()
        return max(_LEAST_PATIENCE_S, left_s)


def run_worker(options: WorkerOptions) -> int:
    """Run a worker until it is told to stop; returns its exit code."""
    if os.name != "posix":
        raise ConfigurationError("a worker needs a POSIX system; run it in WSL or a container")
    if options.reload:
        check_reload()
    starter = ProcessStarter(None if options.spawn else Template.fork())
    set_up_logging("INFO", "text")

    async def whole() -> int:
        return await Supervisor(options, starter).run()

    if options.pidfile:
        with open(options.pidfile, "w") as file:
            file.write(f"{os.getpid()}\n")
    try:
        return asyncio.run(whole())
    finally:
        starter.close()
        if options.pidfile:
            os.unlink(options.pidfile)
