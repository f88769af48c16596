"""`faena worker`: start one worker. It only reads the options; `faena.worker.supervisor` does the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from faena._lib.arguments import Option
from faena._lib.arguments.convert import to_seconds
from faena.cli.session import Session
from faena.config.settings import Settings
from faena.errors import ConfigurationError

Level = Literal["debug", "info", "warning", "error", "critical"]
Time = float | None

_LIMITS, _PROCESSES, _LOG, _PROBES = "Limits", "Processes", "Log", "Probes"


def worker(
    session: Session,
    *,
    queues: Annotated[
        Sequence[str], Option("-Q", "--queues", comma=True, metavar="A,B", help="Take from these queues only.")
    ] = (),
    exclude_queues: Annotated[
        Sequence[str], Option("-X", "--exclude-queues", comma=True, metavar="A,B", help="Take from the others.")
    ] = (),
    hostname: Annotated[
        str, Option("-n", "--hostname", metavar="NAME", help="Name of the worker; %h is the host, %i the process id.")
    ] = "",
    reload: Annotated[bool, Option("--reload", help="Start anew when a source file changes; for development.")] = False,
    pidfile: Annotated[str, Option("--pidfile", metavar="PATH", help="Write the process id there.")] = "",
    concurrency: Annotated[
        int | None, Option("-c", "--concurrency", metavar="N", help="Processes; default: one per CPU.", group=_PROCESSES)
    ] = None,
    pool: Annotated[
        Literal["processes", "threads", "solo", "prefork"] | None,
        Option("-P", "--pool", help="Where plain functions run; 'prefork' means processes.", group=_PROCESSES),
    ] = None,
    threads: Annotated[
        int | None, Option("--threads", metavar="N", help="Plain functions at once in a process.", group=_PROCESSES)
    ] = None,
    coroutines: Annotated[
        int | None, Option("--coroutines", metavar="N", help="Coroutines at once in a process.", group=_PROCESSES)
    ] = None,
    prefetch_multiplier: Annotated[
        int | None,
        Option("--prefetch-multiplier", metavar="N", help="Messages taken in advance, per slot.", group=_PROCESSES),
    ] = None,
    max_tasks_per_child: Annotated[
        int | None, Option("--max-tasks-per-child", metavar="N", help="Replace a process after N tasks.", group=_LIMITS)
    ] = None,
    max_memory_per_child: Annotated[
        str, Option("--max-memory-per-child", metavar="KIB", help="Replace a process that uses more.", group=_LIMITS)
    ] = "",
    time_limit: Annotated[
        Time,
        Option("--time-limit", metavar="TIME", convert=to_seconds, help="End tasks by force after it.", group=_LIMITS),
    ] = None,
    soft_time_limit: Annotated[
        Time,
        Option("--soft-time-limit", metavar="TIME", convert=to_seconds, help="Interrupt tasks after it.", group=_LIMITS),
    ] = None,
    shutdown_timeout: Annotated[
        Time,
        Option("--shutdown-timeout", metavar="TIME", convert=to_seconds, help="How long a stop may take.", group=_LIMITS),
    ] = None,
    loglevel: Annotated[
        Level | None, Option("-l", "--loglevel", help="Least important messages to log.", group=_LOG)
    ] = None,
    log_format: Annotated[
        Literal["text", "json"] | None, Option("--log-format", help="Lines for people, or for machines.", group=_LOG)
    ] = None,
    log_tasks: Annotated[
        Literal["adaptive", "all", "none"] | None, Option("--log-tasks", help="Which tasks get a line.", group=_LOG)
    ] = None,
    logfile: Annotated[str, Option("-f", "--logfile", metavar="PATH", help="Append the log to a file.", group=_LOG)] = "",
    health_file: Annotated[
        str, Option("--health-file", metavar="PATH", help="File that is fresh while the worker lives.", group=_PROBES)
    ] = "",
    health_address: Annotated[
        str, Option("--health-address", metavar="HOST:PORT", help="Answer probes over HTTP.", group=_PROBES)
    ] = "",
) -> int:
    """Start a worker: run the tasks of an app.

    Stops gracefully on SIGTERM or Ctrl-C: takes nothing more, lets what runs finish within --shutdown-timeout, and hands
    back the rest. A second signal stops at once. SIGHUP replaces the processes, each when its work is done.

    Times may be written 90, 30s, 5m, 1h30m. Each option goes before the setting of the same meaning; see them with
    `faena config worker_`.
    """
    from faena.worker.options import WorkerOptions
    from faena.worker.supervisor import run_worker

    settings = {
        "worker_concurrency": concurrency,
        "worker_pool": pool,
        "worker_threads": threads,
        "worker_coroutines": coroutines,
        "worker_prefetch_multiplier": prefetch_multiplier,
        "worker_max_tasks_per_child": max_tasks_per_child,
        "worker_max_memory_per_child": int(max_memory_per_child)
        if max_memory_per_child.isdecimal()
        else max_memory_per_child,
        "task_time_limit": time_limit,
        "task_soft_time_limit": soft_time_limit,
        "worker_shutdown_timeout": shutdown_timeout,
        "worker_loglevel": loglevel or ("warning" if session.out.is_quiet else None),
        "worker_log_format": log_format,
        "worker_log_tasks": log_tasks,
        "worker_health_file": health_file,
        "worker_health_address": health_address,
    }
    options = WorkerOptions(
        app=session.named_app or None,
        workdir=os.getcwd(),
        queues=tuple(queues),
        exclude_queues=tuple(exclude_queues),
        hostname=hostname or None,
        overrides=_checked({**session.overrides, **settings}),
        reload=reload,
        pidfile=pidfile or None,
    )
    if pidfile:
        _refuse_second(pidfile)
    if logfile:
        _log_to(logfile)
    return run_worker(options)


COMMAND = worker


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, as their declarations have them."""
    given = {name: value for name, value in settings.items() if value not in (None, "")}
    checked = Settings(environ={}, cwd=os.sep)  # the values of the line are looked at, and no others
    checked.override(given)
    return {name: checked[name] for name in given}


def _refuse_second(pidfile: str) -> None:
    """Raise ConfigurationError where the process that wrote the file is still there."""
    try:
        with open(pidfile, encoding="ascii") as file:
            pid = int(file.read())
    except (FileNotFoundError, ValueError):
        return
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    except PermissionError:
        pass  # it is there, and another user's
    raise ConfigurationError(f"a worker runs already, says {pidfile} (process {pid}); stop it, or name another --pidfile")


def _log_to(path: str) -> None:
    """Let everything that this process and its own processes print go to the end of a file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    except OSError as error:
        raise ConfigurationError(f"cannot write the log to {path}: {error.strerror}") from None
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
