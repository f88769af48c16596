"""`faena control`: tell workers what to do."""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from datetime import datetime
from json import loads
from typing import Annotated, Any

from faena._lib.arguments import Argument, Option
from faena._lib.arguments.convert import to_seconds
from faena.backend import need_backend
from faena.cli.commands.limits import refuse_rate, terms_as_dict
from faena.cli.deed import Deed
from faena.cli.known import known_of
from faena.cli.options import Destination, Json, ReplyTimeout, to_id, to_queue
from faena.cli.output import shown
from faena.cli.session import Session
from faena.errors import FaenaError, NotRegistered, UsageError, did_you_mean
from faena.model.control import OrderKind
from faena.worker.autoscale import bounds_from

_SAID = 20  # of so many tasks it is said what is known of them


def _signal_name(text: str) -> str:
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    if name not in signals.Signals.__members__:
        raise ValueError("a signal such as SIGTERM or KILL")
    return name


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError("NAME=VALUE, such as tenant=7")
    return name, value


def _before(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a moment such as 2030-01-31T09:00 or 2030-01-31T09:00+01:00") from None
    return moment.astimezone() if moment.tzinfo is None else moment


_Signal = Annotated[
    str,
    Option("-s", "--signal", metavar="SIGNAL", convert=_signal_name, help="With --terminate: kill the process with it."),
]


def revoke(
    session: Session,
    ids: Annotated[Sequence[str], Argument("Ids of tasks.", convert=to_id)] = (),
    *,
    task: Annotated[
        str, Option("--task", metavar="NAME", help="Instead of ids: every task of this name; * and ? fit.")
    ] = "",
    queue: Annotated[str, Option("-Q", "--queue", metavar="NAME", help="Of this queue; * and ? fit.")] = "",
    header: Annotated[
        Sequence[tuple[str, str]],
        Option("--header", metavar="NAME=VALUE", convert=_header, help="Sent with this header; may be given again."),
    ] = (),
    sent_before: Annotated[
        datetime | None,
        Option(
            "--sent-before", metavar="MOMENT", convert=_before, help="Sent before this moment, such as 2030-01-31T09:00."
        ),
    ] = None,
    expires: Annotated[
        float | None, Option("--expires", metavar="TIME", convert=to_seconds, help="How long it stands. Default: 3h.")
    ] = None,
    terminate: Annotated[bool, Option("--terminate", help="Stop those that run, too.")] = False,
    signal: _Signal = "",
    json: Json = False,
) -> int:
    """Never begin these tasks, anywhere; a worker started later obeys, too.

    A task that waits ends as REVOKED at once. With --terminate one that runs is asked to stop, and its process is killed
    when it does not, or at once with --signal.

    Without ids, tasks are chosen by what they are: --task, --queue, --header and --sent-before, which have to fit together.
    That is remembered, too, until --expires; take it back with: faena control withdraw.
    """
    control = session.connected_app.control
    if task or queue or header or sent_before is not None:
        if ids:
            raise UsageError("name ids, or say what the tasks are, not both")
        headers: dict[str, list[str]] = {}
        for name, value in header:
            headers.setdefault(name, []).append(value)
        count = control.revoke_by(
            task=task, queue=queue, headers=headers, sent_before=sent_before, terminate=terminate, signal=signal,
            expires=expires,
        )  # fmt: skip
        deed = Deed(session, "revoked", json=json)
        deed.remark(f"{count} waiting tasks revoked; others that fit, and those sent later, do not begin")
        return deed.report(count=count)
    if not ids:
        raise UsageError("name ids of tasks, or say which: --task, --queue, --header, --sent-before")
    ids = list(dict.fromkeys(ids))
    need_backend(session.link.backend, "revoking tasks")
    known = known_of(session, ids)
    control.revoke(ids, terminate=terminate or bool(signal), signal=signal)
    deed = Deed(session, "revoked", ids, json=json)
    deed.details.update({each.task_id: {"was": each.word} for each in known})
    count = sum(each.can_be_revoked for each in known)
    deed.remark(f"{count} revoked")
    said = [text for each in known if (text := each.said_of_revoking(terminate=terminate or bool(signal)))]
    for text in said[:_SAID]:
        deed.remark(text)
    if said[_SAID:]:
        deed.remark(f"... and something like it of {len(said) - _SAID} more")
    return deed.report(count=count)


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


def _bounds(text: str) -> tuple[int, int | None]:
    return (0, None) if text == "off" else bounds_from(text)


def autoscale(
    session: Session,
    bounds: Annotated[
        tuple[int, int | None], Argument("The most processes and the fewest, as 10,2; or off.", convert=_bounds)
    ],
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 2.0,
    json: Json = False,
) -> int:
    """Let workers have as many processes as the work needs, between two numbers."""
    return _tell(session, "autoscale", destination, timeout, json, {"max": bounds[0], "min": bounds[1]})


def add_consumer(
    session: Session,
    queue: Annotated[str, Argument("Name of the queue.", convert=to_queue)],
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 2.0,
    json: Json = False,
) -> int:
    """Let workers take from this queue, too, for as long as they run."""
    return _tell(session, "add_consumer", destination, timeout, json, {"queue": queue})


def cancel_consumer(
    session: Session,
    queue: Annotated[str, Argument("Name of the queue.", convert=to_queue)],
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 2.0,
    json: Json = False,
) -> int:
    """Let workers take nothing more from this queue; what has not begun goes back."""
    return _tell(session, "cancel_consumer", destination, timeout, json, {"queue": queue})


def withdraw(
    session: Session,
    names: Annotated[Sequence[str], Argument("As `faena inspect orders` names them.")],
    *,
    json: Json = False,
) -> int:
    """Let orders stand no more: what was revoked by --task, --queue, --header or --sent-before."""
    control = session.connected_app.control
    standing = [order.name for order in control.orders() if order.kind == OrderKind.REVOKE]
    for name in names:
        if not control.withdraw(name):
            raise FaenaError(f"no such order stands: '{name}'{did_you_mean(name, standing)}; list: faena inspect orders")
    deed = Deed(session, "withdrawn", names, json=json)
    deed.remark(f"{len(names)} withdrawn")
    return deed.report()


def time_limit(
    session: Session,
    task: Annotated[str, Argument("Name of the task.")],
    *,
    soft: Annotated[
        float | None, Option("--soft", metavar="TIME", convert=to_seconds, help="Raises SoftTimeLimitExceeded; 0: none.")
    ] = None,
    hard: Annotated[
        float | None, Option("--hard", metavar="TIME", convert=to_seconds, help="Ends it by force; 0: none.")
    ] = None,
    declared: Annotated[bool, Option("--declared", help="As the task was declared: forget what was said here.")] = False,
    json: Json = False,
) -> int:
    """Change the time limits of runs that begin from now on, in every worker, also in one that starts later."""
    if declared == (soft is not None or hard is not None):
        raise UsageError("say --soft, --hard or both; or --declared, to forget what was said before")
    if soft and hard and soft >= hard:
        raise UsageError(f"--soft has to be less than --hard, or it never comes: {soft:g} s and {hard:g} s")
    app = session.connected_app
    if app.tasks and task not in app.tasks:
        raise NotRegistered(task, app.tasks, where=f"app '{app.main or 'faena'}'")
    answers = app.control.time_limit(task, soft, hard)
    if json:
        session.out.json({**answers, **dict.fromkeys(answers.missing)})
    else:
        session.out.remark("as declared" if declared else "it stands, until it is changed or: --declared")
        for name in answers.missing:
            session.out.line(f"{name}: no answer in time")
    return 1 if answers.missing else 0


def run_command(
    session: Session,
    name: Annotated[str, Argument("Name of the command; - may stand for _.")],
    arguments: Annotated[Sequence[str], Argument("Its arguments, as NAME=VALUE.")] = (),
    *,
    destination: Destination = (),
    timeout: ReplyTimeout = 2.0,
    json: Json = False,
) -> int:
    """Run a command that the app declares with @app.control.command; `faena control NAME` does so, too.

    Each value is read as JSON; what is no JSON is a text, and so is what the command's annotation calls a text.
    """
    app = session.any_app
    own = app.control.commands
    name = name if name in own else name.replace("-", "_")
    if name not in own and app.tasks:
        known = (*(each for each in COMMANDS if each != "run"), *own)
        raise UsageError(
            f"no command '{name}' of `faena control`, nor one that app '{app.main or 'faena'}' declares"
            f"{did_you_mean(name, known)}"
        )
    texts = own[name].texts() if name in own else set()
    values = {key: text if key in texts else _value(text) for key, text in map(_named, arguments)}
    if name in own:
        own[name].coerce(values)  # what is wrong is said here, and once
    return _tell(session, name, destination, timeout, json, values)


def _named(text: str) -> tuple[str, str]:
    try:
        return _header(text)
    except ValueError as error:
        raise UsageError(f"an argument of a command is {error}, not '{text}'") from None


def _value(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return text


def rate_limit(
    session: Session,
    task: Annotated[str, Argument("Name of the task.")],
    rate: Annotated[str, Argument("Such as 10/s, 100/m, 1000/h; none for no limit.")],
    *,
    json: Json = False,
) -> int:
    """Change how many runs of a task begin in a time, over all workers, at once; more: faena limits."""
    refuse_rate(rate)
    app = session.connected_app
    if app.tasks and task not in app.tasks:
        raise NotRegistered(task, app.tasks, where=f"app '{app.main or 'faena'}'")
    terms = app.control.rate_limit(task, None if rate == "none" else rate)
    deed = Deed(session, "set", [task], json=json)
    deed.details[task] = terms_as_dict(terms)
    deed.remark(f"it stands, until it is changed; as declared: faena limits reset {task}")
    return deed.report()


def enable_events(
    session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 2.0, json: Json = False
) -> int:
    """Let workers tell events to those who listen, as with -E, for as long as they run."""
    return _tell(session, "enable_events", destination, timeout, json)


def disable_events(
    session: Session, *, destination: Destination = (), timeout: ReplyTimeout = 2.0, json: Json = False
) -> int:
    """Let workers tell no events any more."""
    return _tell(session, "disable_events", destination, timeout, json)


COMMANDS = {
    "revoke": revoke,
    "withdraw": withdraw,
    "time-limit": time_limit,
    "rate-limit": rate_limit,
    "shutdown": shutdown,
    "restart": restart,
    "pool-grow": pool_grow,
    "pool-shrink": pool_shrink,
    "autoscale": autoscale,
    "add-consumer": add_consumer,
    "cancel-consumer": cancel_consumer,
    "enable-events": enable_events,
    "disable-events": disable_events,
    "run": run_command,
}
OTHERWISE = "run"


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
    parts = [part for answer in answers.values() for part in (answer if isinstance(answer, list) else [answer])]
    is_refused = any(isinstance(part, dict) and "error" in part for part in parts)
    return 1 if answers.missing or is_refused else 0
