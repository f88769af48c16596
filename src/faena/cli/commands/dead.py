"""`faena dead`: messages that nobody will run unless somebody asks for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from faena._lib.arguments import Argument, Option
from faena._lib.arguments.convert import to_seconds
from faena._lib.drive import run
from faena.broker import DeadLetters
from faena.cli.confirm import confirm
from faena.cli.dead_members import fitting, nodes_of, requeue_members, sort
from faena.cli.options import Force, Json, Limit
from faena.cli.output import ago, shown
from faena.cli.session import Session
from faena.errors import CodecError, FaenaError, NotSupported, UsageError
from faena.model.delivery import DeadLetter, DeadReason

Ids = Annotated[Sequence[str], Argument("Ids of tasks.")]
Queue = Annotated[str, Option("-Q", "--queue", metavar="QUEUE", help="Those of this queue.")]
All = Annotated[bool, Option("--all", help="Those of all queues.")]


def list_letters(session: Session, *, queue: Queue = "", limit: Limit = 50, json: Json = False) -> int:
    """List dead letters, the latest first."""
    found = run(_letters(session).list(queue or None, limit))
    if json:
        session.out.json([_as_dict(session, each) for each in found])
        return 0
    now_s = time.time()
    session.out.table(
        ("id", "task", "queue", "reason", "detail", "buried"),
        [
            (
                "" if each.message is None else each.message.id,
                "" if each.message is None else each.message.task,
                each.queue,
                str(each.reason),
                each.detail.strip().rpartition("\n")[2],
                f"{ago(now_s - each.buried_at_s)} ago",
            )
            for each in found
        ],
        empty="no dead letters",
    )
    return 0


def show(session: Session, task_id: Annotated[str, Argument("Id of the task.")], *, json: Json = False) -> int:
    """Show one dead letter: what it was to do, why it is dead, and the traceback of its last failure."""
    letter = run(_letters(session).find(task_id))
    if letter is None:
        raise FaenaError(f"no dead letter of task {task_id}; list them with: faena dead list")
    if json:
        session.out.json(_as_dict(session, letter))
        return 0
    facts = _as_dict(session, letter)
    traceback = facts.pop("traceback")
    for name, value in facts.items():
        if value not in (None, "", []):
            session.out.line(f"{session.out.styled('dim', name.ljust(12))} {shown(value)}")
    if traceback:
        session.out.line()
        session.out.line(traceback.rstrip())
    return 0


def requeue(
    session: Session,
    ids: Ids = (),
    *,
    queue: Queue = "",
    reason: Annotated[DeadReason | None, Option("--reason", help="Those that died for this reason.")] = None,
    everything: All = False,
) -> int:
    """Put dead letters back into their queues, with fresh counters.

    A task that belongs to a workflow is not run by itself: its workflow runs again from there, as with
    `faena workflow retry ID --from NODE`.
    """
    _refuse_nothing(ids, queue, everything or reason is not None)
    letters = _letters(session)
    found = fitting(letters, queue, ids, reason)
    sorted_letters = sort(found, nodes_of(session, found))
    count, is_well = requeue_members(session, sorted_letters)
    if sorted_letters.stale:
        run(letters.purge(None, sorted_letters.stale))
    if sorted_letters.plain:
        run(session.link.backend.forget(sorted_letters.plain))  # the first end that is recorded stands: that of the failure
        count += run(letters.requeue(queue or None, sorted_letters.plain, reason))
    session.out.line(f"{count} put back")
    return _code(session, ids, len(found)) if is_well else 1


def purge(
    session: Session,
    ids: Ids = (),
    *,
    queue: Queue = "",
    older_than: Annotated[
        float | None,
        Option("--older-than", metavar="TIME", convert=to_seconds, help="Those that were buried so long ago: 7d."),
    ] = None,
    everything: All = False,
    force: Force = False,
) -> int:
    """Throw dead letters away for good."""
    _refuse_nothing(ids, queue, everything or older_than is not None)
    what = (
        f"{len(ids)} dead letters"
        if ids
        else f"the dead letters of queue '{queue}'"
        if queue
        else "dead letters of all queues"
    )
    confirm(session.out, f"Throw away {what}?", force=force)
    before_s = None if older_than is None else time.time() - older_than
    count = run(_letters(session).purge(queue or None, list(ids) or None, before_s))
    session.out.line(f"{count} thrown away")
    return _code(session, ids, count)


COMMANDS = {"list": list_letters, "show": show, "requeue": requeue, "purge": purge}
DEFAULT = "list"


def _letters(session: Session) -> DeadLetters:
    broker = session.link.broker
    if not broker.capabilities.dead_letters:
        raise NotSupported("dead letters", "this broker", "it keeps none")
    return broker.dead_letters


def _refuse_nothing(ids: Sequence[str], queue: str, everything: bool) -> None:
    if not ids and not queue and not everything:
        raise UsageError("say which: ids, -Q QUEUE, or --all")


def _code(session: Session, ids: Sequence[str], count: int) -> int:
    if len(ids) > count:
        session.out.remark(f"{len(ids) - count} of the {len(ids)} named were not among the dead letters")
        return 1
    return 0


def _as_dict(session: Session, letter: DeadLetter) -> dict[str, Any]:
    message = letter.message
    facts: dict[str, Any] = {
        "id": None if message is None else message.id,
        "task": None if message is None else message.task,
        "queue": letter.queue,
        "reason": str(letter.reason),
        "detail": letter.detail,
        "buried_at_s": letter.buried_at_s,
        "deliveries": letter.deliveries,
        "crashes": letter.crashes,
        "retries": None if message is None else message.retries,
        "workflow": None if message is None or message.member is None else message.member.workflow,
        "node": None if message is None or message.member is None else message.member.node,
        "args": None,
        "kwargs": None,
        "raw": letter.raw.decode("utf-8", "backslashreplace") if message is None else None,
        "traceback": None,
    }
    if message is not None:
        try:
            facts["args"], facts["kwargs"] = session.connected_app.codecs.decode(message.content, message.body)
        except CodecError as error:
            facts["args"] = f"(cannot be shown: {error})"
        record = run(session.link.backend.read([message.id]))[0]
        if record is not None and record.failure is not None:
            facts["traceback"] = record.failure.traceback
    return facts
