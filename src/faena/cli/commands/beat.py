"""`faena beat`: a process that only sends what is due."""

from __future__ import annotations

from typing import Annotated, Any

from faena._lib.arguments import CommandSpec, Option, command_from
from faena._lib.drive import run
from faena.cli.commands.worker import _log_to, _refuse_second
from faena.cli.session import Session
from faena.cli.setting_options import with_settings

_SETTINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "Log": {"worker_loglevel": ("-l", "--loglevel"), "worker_log_format": ("--log-format",)}
}


def beat(
    session: Session,
    *,
    pidfile: Annotated[str, Option("--pidfile", metavar="PATH", help="Write the process id there.")] = "",
    logfile: Annotated[str, Option("-f", "--logfile", metavar="PATH", help="Append everything printed to a file.")] = "",
    **settings: Any,
) -> int:
    """Send what schedules say, and do nothing else.

    Workers do that by themselves: one of them holds the scheduler's lease. Run this where they shall not (the setting
    `worker_beat` is false), or where the process that does shall have no other work. Any number may run; one of all,
    workers included, is at it, and another one takes over within 10 seconds when it dies. Stops on SIGTERM or Ctrl-C.
    """
    import os

    from faena.scheduler.process import run_beat
    from faena.telemetry.logs import set_up_logging

    app = session.connected_app
    app.conf.override({**session.overrides, **settings})
    app.declared.schedules()  # what is wrong with them shows now
    run(session.link.backend.schedules.next_due_s())  # and what is wrong with the backend
    if pidfile:
        _refuse_second(pidfile)
    if logfile:
        _log_to(logfile)
    level = "WARNING" if session.out.is_quiet and "worker_loglevel" not in settings else app.conf.worker_loglevel
    set_up_logging(level, app.conf.worker_log_format)
    if pidfile:
        with open(pidfile, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    try:
        return run_beat(app)
    finally:
        if pidfile:
            os.unlink(pidfile)


COMMAND = beat


def spec() -> CommandSpec:
    """Return the command with its options, those that are settings included."""
    return with_settings(command_from(beat, skip_first=True), _SETTINGS)
