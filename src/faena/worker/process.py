"""A worker process: loads the app, and works until its supervisor says stop, or is gone.

Started as `python -m faena.worker.process LINK SLOTS COUNT`: the descriptors of the socket to the supervisor and of the
shared memory, and the number of slots there.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import platform
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from traceback import format_exc
from typing import TYPE_CHECKING, Any

from faena.app.discovery import explained, find_app, load_tasks
from faena.backend import WITHOUT_BACKEND, carries_events, has_backend
from faena.errors import AppNotFound, ConfigurationError, FaenaError
from faena.sink import Sink
from faena.tasks.options import seconds
from faena.telemetry.logs import LogSink, set_up_logging
from faena.telemetry.metrics import need_exposition
from faena.worker.autoscale import Bounds
from faena.worker.choice import chosen, warn_of_slips
from faena.worker.connection import BROKEN
from faena.worker.core import Core
from faena.worker.counting import Counting
from faena.worker.custody import put_off
from faena.worker.limits import refuse_unless_limited
from faena.worker.observed import Observed
from faena.worker.options import CoreOptions
from faena.worker.own_commands import run_command
from faena.worker.questions import answer
from faena.worker.slots import Slots
from faena.worker.wire import (
    Answer,
    Begin,
    Boot,
    BootFailed,
    Granted,
    Hello,
    Interrupt,
    Leaving,
    Query,
    Revoke,
    Stop,
    ToSupervisor,
    Unrevoke,
    pack,
    receive,
    receive_blocking,
)

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.worker")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_BOOT_FAILED, EXIT_LEASE_LOST = 3, 4
ONE_PROCESS = ("solo", "threads")  # pools
SUPERVISED = (
    "worker_autoscale_max", "worker_autoscale_min", "worker_autoscale_target_age", "worker_autoscale_cooldown",
    "worker_concurrency", "worker_pool", "worker_threads", "worker_coroutines", "worker_lease", "worker_shutdown_timeout",
    "worker_max_memory_per_child", "worker_health_file", "worker_health_address", "worker_watchdog_timeout",
    "worker_metrics_port", "worker_metrics_host", "worker_send_task_events",
    "worker_loglevel", "worker_log_format", "dead_letter_expires",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run a process; returns its exit code."""
    _leave_stopping_to_the_supervisor()
    for descriptor in arguments[:2]:
        os.set_inheritable(int(descriptor), False)  # programs that tasks start have no use for them
    link = socket.socket(fileno=int(arguments[0]))
    slots = Slots(int(arguments[1]), int(arguments[2]))
    boot = receive_blocking(link)
    if not isinstance(boot, Boot):
        return 0
    try:
        app = _load(boot)
        hello = _hello(app, boot)
    except BaseException as error:  # noqa: BLE001 - whatever the user's module raises, Ctrl-C and exit() included
        text = format_exc()
        if isinstance(error, FaenaError):
            text = explained(error) if isinstance(error, AppNotFound) else str(error)
        link.sendall(pack(BootFailed(text)))
        return EXIT_BOOT_FAILED
    gc.collect()
    gc.freeze()  # what the app has loaded stays: the collector need not look at it again
    link.sendall(pack(hello))
    while not isinstance(begin := receive_blocking(link), Begin):
        if begin is None or isinstance(begin, Stop):
            return 0  # what else is said meanwhile concerns tasks, and there are none yet
    return _Process(app, boot, begin.holder, begin.queues or hello.queues, slots, link).run()


def _leave_stopping_to_the_supervisor() -> None:
    """Take no notice of the signals that ask to stop; what a task starts or forks shall."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # not SIG_IGN: that is inherited by every program a task starts

    def be_like_others() -> None:
        with contextlib.suppress(ValueError):
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)

    os.register_at_fork(after_in_child=be_like_others)


class _Process:
    """Joins a core to its supervisor."""

    def __init__(
        self, app: Faena, boot: Boot, holder: str, queues: tuple[str, ...], slots: Slots, link: socket.socket
    ) -> None:
        conf = app.conf
        self._link, self._slots, self._exit_code = link, slots, 0
        self._writer: asyncio.StreamWriter | None = None
        self._asides: set[asyncio.Task[None]] = set()  # commands of the app that run
        self._app = app
        options = CoreOptions(
            holder=holder,
            queues=queues,
            hostname=boot.hostname,
            threads=threads_of(app),
            coroutines=conf.worker_coroutines,
            prefetch=conf.worker_prefetch_multiplier,
            max_tasks=conf.worker_max_tasks_per_child,
            crash_limit=conf.task_crash_limit,
            acks_late=conf.task_acks_late,
            track_started=conf.task_track_started,
            soft_time_limit_s=conf.task_soft_time_limit,
            time_limit_s=conf.task_time_limit,
            schedules=boot.index == 0 and conf.worker_beat,
            taking=chosen(app, boot.queues, boot.exclude_queues).taking,
        )
        sinks: list[Sink] = [LogSink(conf.worker_log_tasks, boot.index)]
        self._observed = Observed(app, boot.hostname)
        sinks.append(self._observed)
        self._counting = (
            Counting(self._say, lambda: self._observed.counts) if conf.worker_metrics_port is not None else None
        )
        if self._counting is not None:
            sinks.append(self._counting)
        self._core = Core(app, options, slots, sinks=sinks, main_lane=True, on_end=self._on_end, on_limit=self._on_limit)

    def run(self) -> int:
        """Work in this, the main thread."""
        self._core.start()
        self._core.call(self._listen)
        self._core.lanes.run_main()
        self._core.join(30.0)
        logging.shutdown()
        with contextlib.suppress(ValueError, OSError, AttributeError):  # a task may have closed or replaced it
            sys.stdout.flush()
        os._exit(self._exit_code)  # threads and atexit handlers of user code have had their time; nothing of ours waits

    # -- in the I/O thread ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        assert self._core.loop is not None
        self._listening = self._core.loop.create_task(self._serve())
        self._observed.join(self._core)
        if self._app.conf.worker_send_task_events and carries_events(self._app.links.backend("asyncio")):
            self._observed.set(True)

    async def _serve(self) -> None:
        self._link.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=self._link)
        while True:
            match await receive(reader):
                case None:
                    await self._outlive()
                    return
                case Stop():
                    self._core.stop()
                case Granted(broker=broker, holder=holder):
                    self._core.connection.grant(broker, holder)
                case Interrupt():
                    self._core.interrupt()
                case Revoke(ids=ids, terminate=terminate, remember=remember):
                    self._core.revoke(ids, terminate, remember)
                case Unrevoke(ids=ids):
                    self._core.unrevoke(ids)
                case Query(own=True) as query:
                    aside = asyncio.get_running_loop().create_task(self._run_command(query))
                    self._asides.add(aside)
                    aside.add_done_callback(self._asides.discard)
                case Query(number=number, name=name, arguments=arguments):
                    self._say(self._answer(number, name, arguments))

    async def _outlive(self) -> None:
        """The supervisor is gone: keep the lease ourselves, finish what runs, and end."""
        log.warning("the supervisor is gone: finishing what runs, then ending")
        self._core.stop()
        lease_s = float(self._app.conf.worker_lease)
        link = self._app.links.connect("asyncio")
        while True:
            try:
                await link.broker.leases.renew([self._core.connection.holder], lease_s)
                await put_off(link, [each.task_id for each in self._slots.running()], lease_s)
            except BROKEN as error:
                log.warning("renewing the lease: %s", error)
            self._end_with_what_does_not_end()
            await asyncio.sleep(min(1.0, lease_s / 3))

    def _end_with_what_does_not_end(self) -> None:
        """Do what the supervisor would have done to a task that is over its time limit; the lease hands the rest back."""
        now_s = time.monotonic()
        if any(task.deadline_s and now_s >= task.deadline_s for task in self._slots.running()):
            log.error("a task is over its time limit and does not end; this process ends with it")
            os._exit(EXIT_LEASE_LOST)

    def _answer(self, number: int, name: str, arguments: dict[str, Any]) -> Answer:
        if name == "held" and self._counting is not None:
            self._counting.tell()  # a page of metrics is made: what was counted is there before the answer
        try:
            if name == "events":
                return Answer(number, self._observed.set(bool(arguments["on"])))
            return Answer(number, answer(self._core, name, arguments))
        except FaenaError as error:
            return Answer(number, None, str(error))
        except Exception as error:  # noqa: BLE001 - a stranger's arguments; a question never stops a process
            return Answer(number, None, f"{type(error).__name__}: {error}")

    async def _run_command(self, query: Query) -> None:
        """Run a command of the app's. Whatever it raises, an exit included, is no more than an answer."""
        try:
            answer = Answer(query.number, await run_command(self._app, query.name, query.arguments))
            pack(answer)
        except FaenaError as error:
            answer = Answer(query.number, None, str(error))
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            log.warning("command '%s' failed", query.name, exc_info=True)
            answer = Answer(query.number, None, f"{type(error).__name__}: {error}")
        self._say(answer)

    def _say(self, spoken: ToSupervisor) -> None:
        if self._writer is not None:
            self._writer.write(pack(spoken))

    def _on_limit(self) -> None:
        self._say(Leaving("max_tasks_per_child"))

    def _on_end(self, reason: str) -> None:
        if reason == "lease lost":
            self._exit_code = EXIT_LEASE_LOST


def threads_of(app: Faena) -> int:
    """Return how many functions one process runs at a time."""
    conf = app.conf
    if conf.worker_pool == "solo":
        return 1
    if conf.worker_pool == "threads":
        return conf.worker_concurrency or os.cpu_count() or 1
    return conf.worker_threads


def _load(boot: Boot) -> Faena:
    os.chdir(boot.workdir)
    app: Faena = find_app(boot.app, boot.workdir)
    app.conf.override(boot.overrides)
    set_up_logging(app.conf.worker_loglevel, app.conf.worker_log_format, process=boot.index)
    load_tasks(app)
    if not app.tasks:
        raise ConfigurationError(
            f"app '{app.main or 'faena'}' has no tasks, so there is nothing that a worker could run; "
            "name the modules that declare them in `include` or `imports`"
        )
    return app


def _hello(app: Faena, boot: Boot) -> Hello:
    conf = app.conf
    refuse_unless_limited(app)
    if conf.worker_metrics_port is not None:
        need_exposition()
    broker_url, backend_url = app.links.urls()
    queues = chosen(app, boot.queues, boot.exclude_queues).queues
    if boot.index == 0:
        warn_of_slips(app, boot.queues, boot.exclude_queues)
    if conf.worker_beat:
        app.declared.schedules()  # what is wrong with them shows now
    if conf.worker_autoscale_max is not None:
        if conf.worker_pool in ONE_PROCESS:
            raise ConfigurationError(
                f"worker_autoscale_max is set, and the pool is '{conf.worker_pool}', which is one process; "
                "scale a pool of processes, or none"
            )
        Bounds(conf.worker_autoscale_max, conf.worker_autoscale_min)
    settings = {name: getattr(conf, name) for name in SUPERVISED}
    settings["dead_letter_expires"] = seconds(settings["dead_letter_expires"])
    return Hello(
        app=app.main or "faena",
        broker_url=broker_url,
        backend_url=backend_url,
        broker_options=dict(conf.broker_transport_options),
        backend_options=dict(app.links.backend_options()),
        queues=queues,
        tasks=len(app.tasks),
        slots=threads_of(app) + conf.worker_coroutines,
        settings=settings,
        warnings=tuple(_warnings(app)),
        homes=app.links.homes,
        places={name: (url, dict(said)) for name, (url, said) in app.links.places().items()},
    )


def _warnings(app: Faena) -> Iterator[str]:
    """Say what the worker will do without."""
    backend = app.links.backend("asyncio")
    if not has_backend(backend):
        yield WITHOUT_BACKEND
    if app.conf.worker_send_task_events and not carries_events(backend):
        yield "worker_send_task_events is set, and there is no backend that carries events: none are sent"


if __name__ == "__main__":
    if platform.system() == "Windows":
        raise SystemExit("a worker needs a POSIX system; run it in WSL or a container")
    sys.exit(main(sys.argv[1:]))
