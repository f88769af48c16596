"""`faena worker`: start one worker. It only reads the options; `faena.worker.supervisor` does the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any

from faena._lib.arguments import CommandSpec, Option, command_from
from faena.cli.session import Session
from faena.cli.setting_options import with_settings
from faena.errors import ConfigurationError
from faena.worker.autoscale import bounds_from

# title -> setting -> how it is spelled, as in Celery where the thing exists there
_SETTINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "Processes": {
        "worker_concurrency": ("-c", "--concurrency"),
        "worker_pool": ("-P", "--pool"),
        "worker_threads": ("--threads",),
        "worker_coroutines": ("--coroutines",),
        "worker_prefetch_multiplier": ("--prefetch-multiplier",),
    },
    "Queues": {
        "worker_queue_order": ("--queue-order",),
    },
    "Limits": {
        "task_time_limit": ("--time-limit",),
        "task_soft_time_limit": ("--soft-time-limit",),
        "worker_max_tasks_per_child": ("--max-tasks-per-child",),
        "worker_max_memory_per_child": ("--max-memory-per-child",),
        "worker_shutdown_timeout": ("--shutdown-timeout",),
    },
    "Log": {
        "worker_loglevel": ("-l", "--loglevel"),
        "worker_log_format": ("--log-format",),
        "worker_log_tasks": ("--log-tasks",),
    },
    "Probes": {
        "worker_health_file": ("--health-file",),
        "worker_health_address": ("--health-address",),
    },
    "Metrics": {
        "worker_metrics_port": ("--metrics-port",),
        "worker_metrics_host": ("--metrics-host",),
    },
}


def worker(
    session: Session,
    *,
    queues: Annotated[
        Sequence[str],
        Option("-Q", "--queues", comma=True, metavar="A,B", help="Take from these queues only; high:3,low:1 with weights."),
    ] = (),
    exclude_queues: Annotated[
        Sequence[str], Option("-X", "--exclude-queues", comma=True, metavar="A,B", help="Take from the others.")
    ] = (),
    hostname: Annotated[
        str, Option("-n", "--hostname", metavar="NAME", help="Name of the worker; %h is the host, %i the process id.")
    ] = "",
    beat: Annotated[
        bool, Option("-B", "--beat", help="Take part in sending what schedules say; one of all workers does it.")
    ] = True,
    task_events: Annotated[
        bool, Option("-E", "--task-events", help="Tell events to those who listen: faena events, app.events().")
    ] = False,
    autoscale: Annotated[
        tuple[int, int] | None,
        Option(
            "--autoscale",
            metavar="MOST,LEAST",
            convert=bounds_from,
            help="As many processes as the work needs, between these: 10,2.",
        ),
    ] = None,
    reload: Annotated[bool, Option("--reload", help="Start anew when a source file changes; for development.")] = False,
    spawn: Annotated[
        bool, Option("--spawn", help="Start processes as interpreters of their own, instead of forking a template.")
    ] = False,
    pidfile: Annotated[str, Option("--pidfile", metavar="PATH", help="Write the process id there.")] = "",
    logfile: Annotated[str, Option("-f", "--logfile", metavar="PATH", help="Append everything printed to a file.")] = "",
    **settings: Any,
) -> int:
    """Start a worker: run the tasks of an app.

    Stops gracefully on SIGTERM or Ctrl-C: takes nothing more, lets what runs finish within --shutdown-timeout, and hands
    back the rest. A second signal stops at once. SIGHUP replaces the processes, each when its work is done.

    Times may be written 90, 30s, 5m, 1h30m, sizes in KiB or as 300MiB. What the options do not say, settings do: see them
    with `faena config worker_`.
    """
    from faena.worker.options import WorkerOptions
    from faena.worker.supervisor import run_worker

    if session.out.is_quiet:
        settings.setdefault("worker_loglevel", "WARNING")
    if not beat:
        settings["worker_beat"] = False
    if task_events:
        settings["worker_send_task_events"] = True
    if autoscale is not None:
        settings["worker_autoscale_max"], settings["worker_autoscale_min"] = autoscale
    options = WorkerOptions(
        app=session.named_app or None,
        workdir=os.getcwd(),
        queues=tuple(queues),
        exclude_queues=tuple(exclude_queues),
        hostname=hostname or None,
        overrides={**session.overrides, **settings},
        reload=reload,
        spawn=spawn,
        pidfile=pidfile or None,
    )
    if pidfile:
        _refuse_second(pidfile)
    if logfile:
        _log_to(logfile)
    return run_worker(options)


COMMAND = worker


def spec() -> CommandSpec:
    """Return the command with its options, those that are settings included."""
    return with_settings(command_from(worker, skip_first=True), _SETTINGS)


def _refuse_second(pidfile: str) -> None:
    """Raise ConfigurationError where the process that wrote the file is still there."""
    try:
        with open(pidfile, encoding="ascii") as file:
            pid = int(file.read())
    except ValueError:
        return
    except FileNotFoundError:
        if not os.access(os.path.dirname(pidfile) or ".", os.W_OK):
            raise ConfigurationError(f"cannot write --pidfile {pidfile}: there is no such folder to write to") from None
        return
    except OSError as error:
        raise ConfigurationError(f"cannot read --pidfile {pidfile}: {error.strerror}") from None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
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
