"""`faena control`: tell workers what to do."""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from typing import Annotated, Any

from faena._lib.arguments import Argument, Option
from faena.cli.options import Destination, Json, ReplyTimeout
from faena.cli.output import shown
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


def pool_grow(
    session: Session,
    n: Annotated[int, Argument("How many more processes.")] = 1,
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 2.0,
    json: Json = False,
) -> int:
    """Let workers have more processes."""
    return _tell(session, "pool_grow", destination, timeout, json, {"n": n})


def pool_shrink(
    session: Session,
    n: Annotated[int, Argument("How many fewer processes.")] = 1,
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 2.0,
    json: Json = False,
) -> int:
    """Let workers have fewer processes, one at least; those taken away finish what they run first."""
    return _tell(session, "pool_shrink", destination, timeout, json, {"n": n})


def add_consumer(
    session: Session,
    queue: Annotated[str, Argument("Name of the queue.")],
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 2.0,
    json: Json = False,
) -> int:
    """Let workers take from this queue, too, for as long as they run."""
    return _tell(session, "add_consumer", destination, timeout, json, {"queue": queue})


def cancel_consumer(
    session: Session,
    queue: Annotated[str, Argument("Name of the queue.")],
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 2.0,
    json: Json = False,
) -> int:
    """Let workers take nothing more from this queue; what has not begun goes back."""
    return _tell(session, "cancel_consumer", destination, timeout, json, {"queue": queue})


COMMANDS = {
    "revoke": revoke,
    "shutdown": shutdown,
    "restart": restart,
    "pool-grow": pool_grow,
    "pool-shrink": pool_shrink,
    "add-consumer": add_consumer,
    "cancel-consumer": cancel_consumer,
}


def _tell(
    session: Session,
    command: str,
    destination: Sequence[str],
    timeout_s: float,
    json: bool,
    arguments: dict[str, Any] | None = None,
) -> int:
    """Print the answers; the exit code is 1 where a worker refused, or did not answer."""
    answers = session.connected_app.control.tell(command, arguments, destination=destination, timeout=timeout_s)
    if not answers and not answers.missing:
        raise FaenaError("no worker is running")
    if json:
        session.out.json({**answers, **dict.fromkeys(answers.missing)})
    else:
        for name, answer in answers.items():
            refusal = answer.get("error") if isinstance(answer, dict) else None
            said = answer.get("ok", answer) if isinstance(answer, dict) else answer
            session.out.line(f"{name}: {f'refused: {refusal}' if refusal else shown(said)}")
        for name in answers.missing:
            session.out.line(f"{name}: no answer in time")
    is_refused = any(isinstance(answer, dict) and "error" in answer for answer in answers.values())
    return 1 if answers.missing or is_refused else 0
