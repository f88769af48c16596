"""`faena limits`: how many of a task begin in a time, and run at once; and stopping a task for a while."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from faena._lib.arguments import Argument, Option
from faena._lib.arguments.convert import to_seconds
from faena._lib.drive import run
from faena.app.limits import AppLimits, family_for
from faena.cli.deed import Deed
from faena.cli.options import Json, to_count, to_id, to_name
from faena.cli.output import ago
from faena.cli.session import Session
from faena.errors import FaenaError, UsageError, did_you_mean
from faena.model.breaker import FAMILY, Phase
from faena.model.limit import LimitStatus, Obstacle, Refusal, Terms, parse_rate, rate_text
from faena.tasks.flow import QUEUE

Name = Annotated[str, Argument("Name of a task, or queue:NAME, limit:NAME.", convert=to_name)]
Names = Annotated[Sequence[str], Argument("Names of tasks, or queue:NAME, limit:NAME.", convert=to_name)]
Rate = Annotated[str, Option("-r", "--rate", metavar="RATE", help="Such as 10/s, 100/m, 1000/h; none for no limit.")]
Concurrency = Annotated[
    str, Option("-c", "--concurrency", metavar="N", help="So many at once, over all workers; none for no limit.")
]


def list_limits(session: Session, *, json: Json = False) -> int:
    """Show every limit that is declared or set, what runs and what waits under it."""
    found = _limits(session).list()
    if json:
        session.out.json([_as_dict(each) for each in found])
        return 0
    session.out.table(
        ("limit", "rate", "concurrency", "running", "keys-waiting", "state"),
        [
            (
                each.name,
                rate_text(each.terms.rate_per_s),
                "none" if each.terms.concurrency is None else each.terms.concurrency,
                each.running,
                each.waiting,
                _state(each),
            )
            for each in found
        ],
        right="concurrency running keys-waiting",
        empty="no limit is declared or set",
    )
    return 0


def set_limit(session: Session, name: Name, *, rate: Rate = "", concurrency: Concurrency = "", json: Json = False) -> int:
    """Let another rate or concurrency be in force for all workers, at once; it goes before what the code says."""
    if not rate and not concurrency:
        raise UsageError("say what to set: --rate 10/s, --concurrency 3, or both")
    refuse_rate(rate)
    terms = _limits(session).set(
        name,
        rate=UNSET if not rate else None if rate == "none" else rate,
        concurrency=_number(concurrency),
    )
    deed = Deed(session, "set", [name], json=json)
    deed.details[name] = terms_as_dict(terms)
    deed.remark(f"{family_for(name)}: {_text(terms)}; undo it with: faena limits reset {name}")
    _remark_on_unknown(session, [name], deed)
    return deed.report()


def reset(session: Session, names: Names, *, json: Json = False) -> int:
    """Let what the code says be in force again."""
    deed = Deed(session, "reset", names, json=json)
    for name in names:
        terms = _limits(session).reset(name)
        deed.details[name] = terms_as_dict(terms)
        deed.remark(f"{family_for(name)}: {_text(terms)}")
    _remark_on_unknown(session, names, deed)
    return deed.report()


def pause(session: Session, names: Names, *, json: Json = False) -> int:
    """Let nothing more of these tasks begin, on any worker, until they are resumed; sending goes on."""
    deed = Deed(session, "paused", names, json=json)
    for name in names:
        deed.details[name] = terms_as_dict(_limits(session).pause(name))
        deed.remark(f"{family_for(name)} is paused; go on with: faena limits resume {name}")
    _remark_on_unknown(session, names, deed)
    return deed.report()


def resume(session: Session, names: Names, *, json: Json = False) -> int:
    """Let these tasks begin again."""
    deed = Deed(session, "resumed", names, json=json)
    for name in names:
        terms = _limits(session).resume(name)
        deed.details[name] = terms_as_dict(terms)
        deed.remark(f"{family_for(name)} is running: {_text(terms)}")
    _remark_on_unknown(session, names, deed)
    return deed.report()


def why(session: Session, task_id: Annotated[str, Argument("Id of a task.", convert=to_id)], *, json: Json = False) -> int:
    """Say which limit keeps a task waiting, and until when."""
    found = _limits(session).obstacles(task_id)
    if found is None:
        place = run(session.link.broker.locate([task_id]))[0]
        raise FaenaError(f"task {task_id} waits under no limit; it is {place or 'in no queue'}")
    if json:
        session.out.json([_obstacle_as_dict(each) for each in found])
        return 0
    for each in found:
        session.out.line(_obstacle_text(each))
    if not found:
        session.out.line("its limits allow it; those before it come first")
    return 0


def list_breakers(session: Session, *, json: Json = False) -> int:
    """Show the circuit breakers that hold tasks back, why, and until when."""
    found = session.connected_app.breakers.list()
    if json:
        session.out.json([{"task": task, **asdict(each), "until_s": each.until_s} for task, each in found.items()])
        return 0
    now_s = time.time()
    session.out.table(
        ("task", "state", "since", "errors", "next try", "last error"),
        [
            (
                task,
                each.phase,
                f"{ago(now_s - each.opened_at_s)} ago",
                "by hand" if each.by_hand else f"{each.errors} of {each.attempts}",
                f"in {ago(max(0.0, each.until_s - now_s))}" if each.phase is Phase.OPEN else "now",
                each.error,
            )
            for task, each in found.items()
        ],
        empty="no circuit breaker is open",
    )
    return 0


def open_breaker(
    session: Session,
    task: Annotated[str, Argument("Name of a task with a circuit breaker.")],
    *,
    pause: Annotated[
        float | None, Option("--for", metavar="TIME", convert=to_seconds, help="Such as 10m. Default: as it is declared.")
    ] = None,
    json: Json = False,
) -> int:
    """Hold a task back as if it had failed too often: after the pause it is tried again."""
    standing = session.connected_app.breakers.open(task, pause)
    deed = Deed(session, "opened", [task], json=json)
    deed.details[task] = {**asdict(standing), "until_s": standing.until_s}
    deed.remark(f"{task} is held back for {ago(standing.pause_s)}; undo it with: faena limits close-breaker {task}")
    return deed.report()


def close_breaker(
    session: Session,
    tasks: Annotated[Sequence[str], Argument("Names of tasks, as `faena limits breakers` names them.")],
    *,
    json: Json = False,
) -> int:
    """Let tasks go on that their circuit breakers hold back."""
    deed = Deed(session, "closed", tasks, json=json)
    for task in tasks:
        was_open = session.connected_app.breakers.close(task)
        deed.details[task] = {"was_open": was_open}
        deed.remark(f"{task} goes on" if was_open else f"{task} was not held back by a circuit breaker")
    return deed.report()


COMMANDS = {
    "list": list_limits,
    "set": set_limit,
    "reset": reset,
    "pause": pause,
    "resume": resume,
    "why": why,
    "breakers": list_breakers,
    "open-breaker": open_breaker,
    "close-breaker": close_breaker,
}
DEFAULT = "list"


def refuse_rate(rate: str) -> None:
    """Raise UsageError where this is no rate; nothing, and `none`, are."""
    try:
        parse_rate(None if rate in ("", "none") else rate)
    except ValueError as error:
        raise UsageError(str(error)) from None


def terms_as_dict(terms: Terms) -> dict[str, Any]:
    """Return what a limit allows, for JSON."""
    return {"rate_per_s": terms.rate_per_s, "concurrency": terms.concurrency, "paused": terms.is_paused}


def _remark_on_unknown(session: Session, names: Sequence[str], deed: Deed) -> None:
    """Say which of them stand for no task, queue or limit that is known here: that is allowed, and mostly a slip."""
    app = session.any_app
    if not app.tasks:
        return  # without the code nobody can tell
    declared = {each.name for each in _limits(session).list() if each.declared is not None}
    known = {*map(family_for, app.tasks), *(f"{QUEUE}{queue}" for queue in app.default_queues()), *declared}
    for family in map(family_for, names):
        if family not in known:
            deed.remark(f"nothing called {family} is known here{did_you_mean(family, known)}")


def _limits(session: Session) -> AppLimits:
    return session.connected_app.limits


def _number(text: str) -> int | UnsetType | None:
    if not text:
        return UNSET
    if text == "none":
        return None
    try:
        return to_count(text)
    except ValueError as error:
        raise UsageError(f"--concurrency takes {error}, or none, not '{text}'") from None


def _state(status: LimitStatus) -> str:
    if status.name.startswith(FAMILY):
        return "closed" if status.change is None else "open" if status.terms.is_paused else "half-open"
    words = ["paused"] if status.terms.is_paused else []
    if status.change is not None:
        words.append("set at run time")
    return ", ".join(words) or "declared"


def _text(terms: Terms) -> str:
    concurrency = "none" if terms.concurrency is None else terms.concurrency
    text = f"rate {rate_text(terms.rate_per_s)}, concurrency {concurrency}"
    return f"{text}, paused" if terms.is_paused else text


def _obstacle_text(obstacle: Obstacle) -> str:
    match obstacle.reason:
        case Refusal.PAUSED if obstacle.limit.startswith(FAMILY):
            return f"the circuit breaker of {obstacle.limit.removeprefix(FAMILY)} is open: faena limits breakers"
        case Refusal.PAUSED:
            return f"{obstacle.limit} is paused"
        case Refusal.CONCURRENCY:
            return f"{obstacle.limit} allows no more at once than the {obstacle.in_use} that run"
        case Refusal.RATE:
            return f"{obstacle.limit} lets the next begin in {ago(max(0.0, (obstacle.until_s or 0.0) - time.time()))}"
    raise AssertionError(obstacle)


def _obstacle_as_dict(obstacle: Obstacle) -> dict[str, Any]:
    return {"limit": obstacle.limit, "reason": str(obstacle.reason), "until_s": obstacle.until_s, "in_use": obstacle.in_use}


def _as_dict(status: LimitStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        **terms_as_dict(status.terms),
        "running": status.running,
        "waiting": status.waiting,
        "declared": status.declared is not None,
        "changed": status.change is not None,
    }
