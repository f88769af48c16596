"""`faena control`: tell workers what to do."""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from typing import Annotated, Any

from faena._lib.arguments import Argument, Option
from faena.cli.options import Destination, Json, ReplyTimeout
from faena.cli.session import Session
from faena.errors import FaenaError


def _signal_name(text: str) -> str:
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    if name not in signals.Signals.__members__:
        raise ValueError("a signal such as SIGTERM or KILL")
    return name


def revoke(
    session: Session,
    ids: Annotated[Sequence[str], Argument("Ids of tasks.")],
    *,
    terminate: Annotated[bool, Option("--terminate", help="Stop those that run, too.")] = False,
    signal: Annotated[
        str,
        Option(
            "-s", "--signal", metavar="SIGNAL", convert=_signal_name, help="With --terminate: kill the process with it."
        ),
    ] = "",
) -> int:
    """Never begin these tasks, anywhere; a worker started later obeys, too.

    A task that waits ends as REVOKED at once. With --terminate one that runs is asked to stop, and its process is killed
    when it does not, or at once with --signal.
    """
    session.connected_app.control.revoke(ids, terminate=terminate or bool(signal), signal=signal)
    session.out.remark(f"{len(ids)} revoked")
    return 0


def shutdown(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 2.0, json: Json = False) -> int:
    """Stop workers gracefully: they take nothing more, and end when what runs has finished."""
    return _tell(session, "shutdown", destination, timeout, json)


def restart(session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 2.0, json: Json = False) -> int:
    """Replace the processes of workers, each when its work is done; new code is loaded."""
    return _tell(session, "restart", destination, timeout, json)


COMMANDS = {"revoke": revoke, "shutdown": shutdown, "restart": restart}


def _tell(session: Session, command: str, destination: Sequence[str], timeout_s: float, json: bool) -> int:
    answers: dict[str, Any] = session.connected_app.control.ask(command, destination=destination, timeout=timeout_s)
    if not answers:
        raise FaenaError("no worker is running")
    if json:
        session.out.json(answers)
    else:
        for name, answer in answers.items():
            session.out.line(f"{name}: {'no answer in time' if answer is None else answer.get('ok', answer)}")
    return 1 if None in answers.values() else 0
