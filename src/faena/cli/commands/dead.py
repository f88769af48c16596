"""`faena dead`: messages that nobody will run unless somebody asks for it."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from msgspec import to_builtins

from faena._lib.arguments import Argument, Option
from faena._lib.arguments.convert import to_seconds
from faena._lib.drive import run
from faena.app.dead_letters import AppDeadLetters, Which
from faena.cli.confirm import confirm
from faena.cli.deed import Deed
from faena.cli.options import Force, Json, Limit, to_id
from faena.cli.outcome import local
from faena.cli.output import ago, shown
from faena.cli.session import Session
from faena.errors import CodecError, FaenaError, NotSupported, UsageError
from faena.model.dead import fingerprint_of_letter
from faena.model.delivery import DeadLetter, DeadReason
from faena.model.message import PastAttempt

Ids = Annotated[Sequence[str], Argument("Ids of tasks.", convert=to_id)]
Id = Annotated[str, Argument("Id of the task.", convert=to_id)]
Queue = Annotated[str, Option("-Q", "--queue", metavar="QUEUE", help="Those of this queue.")]
TaskName = Annotated[str, Option("--task", metavar="NAME", help="Those of this task; a glob such as 'mail.*' will do.")]
Reason = Annotated[DeadReason | None, Option("--reason", help="Those that died for this reason.")]
Fingerprint = Annotated[
    str, Option("--fingerprint", metavar="DIGITS", help="Those that died of this failure, see `faena dead groups`.")
]
OlderThan = Annotated[
    float | None,
    Option("--older-than", metavar="TIME", convert=to_seconds, help="Those that were buried so long ago: 7d."),
]
All = Annotated[bool, Option("--all", help="Those of all queues.")]


def list_letters(
    session: Session,
    *,
    queue: Queue = "",
    task: TaskName = "",
    reason: Reason = None,
    fingerprint: Fingerprint = "",
    older_than: OlderThan = None,
    limit: Limit = 50,
    json: Json = False,
) -> int:
    """List dead letters, the latest first."""
    which = _which((), queue, task, reason, fingerprint, older_than)
    found = _letters(session).list(limit, **which)
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


def groups(
    session: Session,
    *,
    queue: Queue = "",
    task: TaskName = "",
    reason: Reason = None,
    older_than: OlderThan = None,
    json: Json = False,
) -> int:
    """Group dead letters by what they died of, the most frequent first.

    Failures are the same where their type, the functions where they happened and their words are, but for numbers, ids and
    what stands in quotation marks. `--fingerprint` picks the letters of one group.
    """
    found = _letters(session).groups(**_which((), queue, task, reason, "", older_than))
    if json:
        session.out.json([to_builtins(each) for each in found])
        return 0
    now_s = time.time()
    session.out.table(
        ("count", "fingerprint", "task", "reason", "error", "first", "last"),
        [
            (
                each.count,
                each.fingerprint,
                each.task,
                str(each.reason),
                each.error.strip().rpartition("\n")[2],
                f"{ago(now_s - each.first_s)} ago",
                f"{ago(now_s - each.last_s)} ago",
            )
            for each in found
        ],
        empty="no dead letters",
    )
    return 0


def show(session: Session, task_id: Id, *, json: Json = False) -> int:
    """Show one dead letter: what it was to do, why it is dead, what became of each attempt, and the last traceback."""
    letter = _letters(session).find(task_id)
    if letter is None:
        raise FaenaError(f"no dead letter of task {task_id}; list them with: faena dead list")
    facts = _as_dict(session, letter)
    if json:
        session.out.json(facts)
        return 0
    traceback, attempts = facts.pop("traceback"), facts.pop("attempts")
    for name, value in facts.items():
        if name == "buried_at_s":
            name, value = "buried", local(value)
        if value not in (None, "", []):
            session.out.line(f"{session.out.styled('dim', name.ljust(12))} {shown(value)}")
    now_s = time.time()
    for number, each in enumerate(attempts, 1):
        said = f"{ago(now_s - each['at_s'])} ago on {each['worker']}: {each['error']}"
        session.out.line(f"{session.out.styled('dim', f'attempt {number}'.ljust(12))} {said}")
    if traceback:
        session.out.line()
        session.out.line(traceback.rstrip())
    return 0


def edit(
    session: Session,
    task_id: Id,
    *,
    args: Annotated[str, Option("--args", metavar="JSON", help="New positional arguments, a JSON list.")] = "",
    kwargs: Annotated[str, Option("--kwargs", metavar="JSON", help="New arguments by name, a JSON object.")] = "",
    queue: Annotated[str, Option("-Q", "--queue", metavar="QUEUE", help="The queue that it is for.")] = "",
    priority: Annotated[int | None, Option("--priority", metavar="0-9", help="Its priority.")] = None,
    again: Annotated[bool, Option("--requeue", help="Put it back at once.")] = False,
    json: Json = False,
) -> int:
    """Change what a dead letter will do when it is put back: its arguments, its queue, its priority.

    Arguments are checked against the task where its code is known here.
    """
    if not (args or kwargs or queue or priority is not None):
        raise UsageError("say what is to be changed: --args, --kwargs, --queue or --priority")
    letters = _letters(session)
    letters.edit(
        task_id,
        args=_read_json("--args", args, list),
        kwargs=_read_json("--kwargs", kwargs, dict),
        queue=queue or None,
        priority=priority,
    )
    if not again:
        return Deed(session, "edited", [task_id], json=json).report("changed")
    if not json:
        session.out.line("changed")
    return _requeue(letters, {"ids": [task_id]}, [task_id], Deed(session, "requeued", [task_id], json=json))


def requeue(
    session: Session,
    ids: Ids = (),
    *,
    queue: Queue = "",
    task: TaskName = "",
    reason: Reason = None,
    fingerprint: Fingerprint = "",
    older_than: OlderThan = None,
    everything: All = False,
    json: Json = False,
) -> int:
    """Put dead letters back into their queues, with fresh counters.

    A task that belongs to a workflow is not run by itself: its workflow runs again from there, as with
    `faena workflow retry ID --from NODE`.
    """
    which = _which(ids, queue, task, reason, fingerprint, older_than)
    _refuse_nothing(which, everything)
    return _requeue(_letters(session), which, ids, Deed(session, "requeued", ids, json=json))


def purge(
    session: Session,
    ids: Ids = (),
    *,
    queue: Queue = "",
    task: TaskName = "",
    reason: Reason = None,
    fingerprint: Fingerprint = "",
    older_than: OlderThan = None,
    everything: All = False,
    force: Force = False,
    json: Json = False,
) -> int:
    """Throw dead letters away for good."""
    which = _which(ids, queue, task, reason, fingerprint, older_than)
    _refuse_nothing(which, everything)
    confirm(session.out, f"Throw away {_described(which)}?", force=force)
    count = _letters(session).purge(**which)
    deed = Deed(session, "purged", ids, json=json)
    _miss(deed, ids, count)
    return deed.report(f"{count} thrown away", count=count)


COMMANDS = {
    "list": list_letters,
    "groups": groups,
    "show": show,
    "edit": edit,
    "requeue": requeue,
    "purge": purge,
}
DEFAULT = "list"


def _letters(session: Session) -> AppDeadLetters:
    return session.connected_app.dead_letters


def _which(
    ids: Sequence[str], queue: str, task: str, reason: DeadReason | None, fingerprint: str, older_than: float | None
) -> Which:
    which: Which = {}
    if ids:
        which["ids"] = list(ids)
    if queue:
        which["queue"] = queue
    if task:
        which["task"] = task
    if reason is not None:
        which["reason"] = reason
    if fingerprint:
        which["fingerprint"] = fingerprint
    if older_than is not None:
        which["older_than"] = older_than
    return which


def _refuse_nothing(which: Which, everything: bool) -> None:
    if not which and not everything:
        raise UsageError("say which: ids, -Q QUEUE, --task, --reason, --fingerprint, --older-than, or --all")


def _described(which: Which) -> str:
    ids, queue, task = which.get("ids"), which.get("queue"), which.get("task")
    if ids:
        return f"{len(list(ids))} dead letters"
    parts = [f"of queue '{queue}'"] if queue else ["of all queues"]
    if task:
        parts.append(f"of task '{task}'")
    if reason := which.get("reason"):
        parts.append(f"with reason '{reason}'")
    if fingerprint := which.get("fingerprint"):
        parts.append(f"with fingerprint {fingerprint}")
    return f"the dead letters {', '.join(parts)}"


def _requeue(letters: AppDeadLetters, which: Which, ids: Sequence[str], deed: Deed) -> int:
    done = letters.requeue(**which)
    for error in done.refused:
        deed.error(str(error))
    for workflow, tasks in done.workflows.items():
        deed.details[workflow] = {"runs_again_from": list(tasks)}
        deed.remark(f"workflow {workflow} runs again from {', '.join(tasks)}")
    for task_id, workflow in done.lost:
        deed.error(f"task {task_id} cannot run: its workflow {workflow} was forgotten")
    for task_id in done.stale:
        deed.remark(f"task {task_id} has been run again by its workflow since; its dead letter was thrown away")
    if not deed.has_failed:
        _miss(deed, ids, done.count + len(done.stale))
    return deed.report(f"{done.count} put back", count=done.count)


def _miss(deed: Deed, ids: Sequence[str], count: int) -> None:
    """Say that some of those that were named are no dead letters."""
    if len(ids) > count:
        deed.remark(f"{len(ids) - count} of the {len(ids)} named were not among the dead letters")
        deed.has_failed = True


def _read_json(option: str, text: str, kind: type) -> Any:
    if not text:
        return None
    try:
        value = json_module.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} is no JSON: {error}") from None
    if not isinstance(value, kind):
        raise UsageError(f"{option} is a JSON {'list' if kind is list else 'object'}, not {text}")
    return value


def _as_dict(session: Session, letter: DeadLetter) -> dict[str, Any]:
    message = letter.message
    attempts: Sequence[PastAttempt] = () if message is None else message.history
    facts: dict[str, Any] = {
        "id": None if message is None else message.id,
        "task": None if message is None else message.task,
        "queue": letter.queue,
        "broker": letter.broker or None,
        "reason": str(letter.reason),
        "detail": letter.detail,
        "fingerprint": fingerprint_of_letter(letter),
        "buried_at_s": letter.buried_at_s,
        "deliveries": letter.deliveries,
        "crashes": letter.crashes,
        "workflow": None if message is None or message.member is None else message.member.workflow,
        "node": None if message is None or message.member is None else message.member.node,
        "args": None,
        "kwargs": None,
        "raw": letter.raw.decode("utf-8", "backslashreplace") if message is None else None,
        "attempts": [
            {"at_s": each.at_s, "worker": each.worker, "error": each.error, "fingerprint": each.fingerprint}
            for each in attempts
        ],
        "traceback": attempts[-1].traceback or None if attempts else None,
    }
    if message is not None:
        try:
            facts["args"], facts["kwargs"] = session.connected_app.codecs.decode(message.content, message.body)
        except CodecError as error:
            facts["args"] = f"(cannot be shown: {error})"
        if facts["traceback"] is None:
            with suppress(NotSupported):  # there is no backend
                record = run(session.link.backend.read([message.id]))[0]
                if record is not None and record.failure is not None:
                    facts["traceback"] = record.failure.traceback
    return facts
