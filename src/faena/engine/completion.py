"""From an outcome to what has to happen: settle, record, send what follows, and tell (law 7)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from faena.backend import Backend, Completion, JournalEnd
from faena.broker import Consumer, Publishes, publish_possible
from faena.codec import CodecSet
from faena.engine.attempt import Attempt, Ended, retried_message
from faena.engine.notes import RETURNED, is_end_of
from faena.engine.outcome import (
    Failed,
    Ignored,
    Interrupted,
    Outcome,
    Rejected,
    Replaced,
    Retried,
    Revoked,
    Succeeded,
    Suspended,
)
from faena.engine.rules import Rules
from faena.engine.steps import Stepper
from faena.errors import (
    CodecError,
    MessageTooLarge,
    NotRegistered,
    TaskRevokedError,
    WorkerLostError,
)
from faena.model.claim import released_by
from faena.model.delivery import Ack, Bury, DeadReason, Delivery, Release, Settlement
from faena.model.event import Event, EventKind
from faena.model.history import past_attempt, with_attempt
from faena.model.journal import Parked
from faena.model.message import Link, Message
from faena.model.result import Failure, ResultRecord, State
from faena.model.workflow import Ending, NodeState
from faena.signals import Reject
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.failure import capture, rebuild
from faena.tasks.options import seconds
from faena.tasks.outline import outline
from faena.tasks.task import Task

log = logging.getLogger("faena.engine")

_LONGEST_TEXT = 500
_KEPT_S = 86400.0  # the result of a step that could not be published


class Completer:
    """Turns outcomes into completions and events. Pure but for the clock, which is handed in."""

    def __init__(
        self,
        codecs: CodecSet,
        sender: Sender,
        rules: Rules,
        tasks: Mapping[str, Task[..., Any]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._codecs, self._sender, self.rules, self._clock = codecs, sender, rules, clock
        self._tasks = tasks
        self._steps = Stepper(codecs, sender, rules, tasks)
        self.on_end: Callable[[Attempt | Ended, Outcome], None] | None = None  # told how each attempt ends
        self.describes = True  # whether events show results: a large one is slow to write out

    def complete(self, attempt: Attempt | Ended, outcome: Outcome) -> tuple[Completion, Event]:
        """Say what has to happen now that the attempt has ended so, and what there is to tell."""
        if self.on_end is not None:
            self.on_end(attempt, outcome)
        completion, event = self._complete(attempt, outcome)
        if type(attempt) is Attempt and attempt.request.durable is not None:
            has_succeeded = type(outcome) is Succeeded or type(outcome) is Replaced
            end = JournalEnd.FORGOTTEN if has_succeeded else JournalEnd.RESUMED
            completion = msgspec.structs.replace(completion, journal=end)
        return completion, event

    def _complete(self, attempt: Attempt | Ended, outcome: Outcome) -> tuple[Completion, Event]:
        if type(outcome) is Succeeded:
            return self._succeeded(attempt, outcome)
        match outcome:
            case Succeeded():
                return self._succeeded(attempt, outcome)
            case Failed():
                return self._failed(attempt, outcome.error)
            case Retried():
                return self._retried(attempt, outcome)
            case Rejected():
                return self._rejected(attempt, outcome)
            case Revoked():
                return self._revoked(attempt, outcome)
            case Ignored():
                return self._ignored(attempt)
            case Replaced():
                return self._replaced(attempt, outcome)
            case Suspended():
                return self._suspended(attempt, outcome)
            case Interrupted():
                return Completion(Release(attempt.delivery)), self._event(EventKind.TASK_RELEASED, attempt)
        assert_never(outcome)

    # -- one ending each -----------------------------------------------------------------------------------

    def _succeeded(self, attempt: Attempt | Ended, outcome: Succeeded) -> tuple[Completion, Event]:
        message, now_s = attempt.delivery.message, self._clock()
        record = ending = None
        value = outcome.value
        member = message.member
        is_kept = not self._ignores(attempt.task, message)
        follow: tuple[Message, ...] = ()
        try:
            if is_kept or member is not None:
                encoded = None
                if value is not None and (is_kept or (member is not None and member.feeds)):
                    encoded = self._codecs.encode(self.rules.result_serializer, value)
                if is_kept:
                    record = self._record(attempt, State.SUCCESS, now_s, value=encoded)
                if member is not None:
                    ending = self._steps.ending(attempt, NodeState.SUCCESS, now_s, value=encoded)
            if message.on_success:
                follow = self._follow(message, message.on_success, value, now_s)
                if record is not None:
                    children = (*record.children, *[each.id for each in follow])
                    record = msgspec.structs.replace(record, children=children)
        except Exception as error:  # noqa: BLE001 - what a task returns, or has added, can be broken in any way
            return self._failed(attempt, error)
        started_at_s = attempt.started_at_s if isinstance(attempt, Attempt) else now_s
        event = Event(
            EventKind.TASK_SUCCEEDED, now_s, self.rules.hostname, message.id, message.task, message.queue,
            message.retries, now_s - started_at_s, short_text(value) if self.describes and value is not None else "",
        )  # fmt: skip
        return Completion(Ack(attempt.delivery), record, follow, ending), event

    def _ignored(self, attempt: Attempt | Ended) -> tuple[Completion, Event]:
        try:
            ending = self._steps.ending(attempt, NodeState.SUCCESS, self._clock())
        except Exception as error:  # noqa: BLE001 - the same
            return self._failed(attempt, error)
        event = self._event(EventKind.TASK_SUCCEEDED, attempt, text="ignored")
        return Completion(Ack(attempt.delivery), ending=ending), event

    def _replaced(self, attempt: Attempt | Ended, outcome: Replaced) -> tuple[Completion, Event]:
        now_s = self._clock()
        try:
            ending, start = self._steps.replacement(attempt, outcome.signature, now_s)
        except Exception as error:  # noqa: BLE001 - what a task has built can be broken in any way; it fails with it
            return self._failed(attempt, error)
        record = None
        if start is not None and not self._ignores(attempt.task, attempt.delivery.message):
            # its message goes, and its id does not tell that it belongs to a workflow now: without a record nobody would
            # know of it until the workflow has ended. It stays as long as that takes.
            record = msgspec.structs.replace(self._record(attempt, State.PENDING, None), expires_at_s=None)
        event = self._event(
            EventKind.TASK_SUCCEEDED, attempt, text=f"replaced by {outline(outcome.signature)}", now_s=now_s
        )
        return Completion(Ack(attempt.delivery), record, (), ending, start), event

    def _suspended(self, attempt: Attempt | Ended, outcome: Suspended) -> tuple[Completion, Event]:
        delivery, now_s = attempt.delivery, self._clock()
        # it has begun in time; from here on only what it waits for decides when it goes on
        message = msgspec.structs.replace(delivery.message, due_at_s=outcome.due_at_s, expires_at_s=None)
        record = None
        if not self._ignores(attempt.task, message):
            meta = {"event": outcome.event, "until": outcome.due_at_s}
            value = self._codecs.encode(self.rules.result_serializer, meta)
            record = self._record(attempt, State.WAITING, None, value=value)
        what = f"waits for event '{outcome.event}'" if outcome.event is not None else "sleeps"
        event = self._event(EventKind.TASK_SUSPENDED, attempt, text=what, now_s=now_s, due_at_s=outcome.due_at_s)
        if outcome.event is None:
            return Completion(Release(delivery, message), record), event
        woken = msgspec.structs.replace(message, due_at_s=None)
        return Completion(Ack(delivery), record, park=Parked(woken, outcome.event, outcome.due_at_s)), event

    def _failed(self, attempt: Attempt | Ended, error: BaseException) -> tuple[Completion, Event]:
        message, now_s = attempt.delivery.message, self._clock()
        failure = self._capture(error)
        follow = self._follow(message, message.on_failure, message.id, now_s) if message.on_failure else ()
        event = self._event(
            EventKind.TASK_FAILED, attempt, text=_text_of(failure), traceback=failure.traceback, now_s=now_s
        )
        settlement = self._settle_failed(attempt, error, failure)
        keeps = not self._ignores(attempt.task, message) or self._keeps_errors(attempt.task)
        record = self._record(attempt, State.FAILURE, now_s, failure=failure) if keeps else None
        ending = self._steps.ending(attempt, NodeState.FAILURE, now_s, failure=failure)
        return Completion(settlement, record, follow, ending), event

    def _settle_failed(self, attempt: Attempt | Ended, error: BaseException, failure: Failure) -> Settlement:
        delivery, task = attempt.delivery, attempt.task
        reason = DeadReason.FAILED
        if isinstance(error, WorkerLostError):
            reason = DeadReason.CRASHED
        elif isinstance(error, NotRegistered) and task is None:
            reason = DeadReason.UNKNOWN_TASK
        elif isinstance(attempt, Ended) and isinstance(error, CodecError):
            reason = DeadReason.MALFORMED
        else:
            wanted = task.dead_letter if task is not None and task.dead_letter is not None else self.rules.dead_letter
            if not wanted:
                return Ack(delivery)
        return Bury(delivery, reason, _text_of(failure), self._with_attempt(delivery.message, failure, is_last=True))

    def _retried(self, attempt: Attempt | Ended, outcome: Retried) -> tuple[Completion, Event]:
        delivery, now_s = attempt.delivery, self._clock()
        try:
            message = retried_message(delivery, outcome, self._codecs)
        except CodecError as error:
            return self._failed(attempt, error)
        failure = self._capture(outcome.error) if outcome.error is not None else None
        if failure is not None:
            message = self._with_attempt(message, failure, is_last=False)
        record = None
        if not self._ignores(attempt.task, delivery.message):
            record = self._record(attempt, State.RETRY, now_s, failure=failure, retries=message.retries)
        event = self._event(
            EventKind.TASK_RETRIED,
            attempt,
            text=_text_of(failure) if failure is not None else "",
            traceback=failure.traceback if failure is not None else "",
            now_s=now_s,
            due_at_s=outcome.due_at_s,
        )
        return Completion(Release(delivery, message), record), event

    def _rejected(self, attempt: Attempt | Ended, outcome: Rejected) -> tuple[Completion, Event]:
        event = self._event(EventKind.TASK_REJECTED, attempt, text=outcome.reason)
        if outcome.requeue:
            return Completion(Release(attempt.delivery)), event
        failure = Failure(Reject.__module__, Reject.__qualname__, outcome.reason)
        now_s = self._clock()
        record = self._record(attempt, State.FAILURE, now_s, failure=failure)
        ending = self._steps.ending(attempt, NodeState.FAILURE, now_s, failure=failure)
        return Completion(Bury(attempt.delivery, DeadReason.REJECTED, outcome.reason), record, (), ending), event

    def _revoked(self, attempt: Attempt | Ended, outcome: Revoked) -> tuple[Completion, Event]:
        text = f"task {attempt.delivery.message.id} {outcome.reason}"
        failure = self._capture(TaskRevokedError(text))
        now_s = self._clock()
        record = self._record(attempt, State.REVOKED, now_s, failure=failure)
        ending = self._steps.ending(attempt, NodeState.REVOKED, now_s, failure=failure)
        event = self._event(EventKind.TASK_REVOKED, attempt, text=outcome.reason)
        return Completion(Ack(attempt.delivery), record, (), ending), event

    def ended_before(self, delivery: Delivery) -> Completion:
        """Say what is left to do for a message whose end is recorded, since its process did not come to letting go of it.

        What follows has the same ids as it had then. Of a task that was replaced it is up to its workflow, which has
        written the record.
        """
        record, message = delivery.ended, delivery.message
        assert record is not None
        settlement: Settlement = Ack(delivery)
        follow: tuple[Message, ...] = ()
        try:
            if record.worker and record.state == State.SUCCESS and message.on_success:
                value = None if record.value is None else self._codecs.decode(record.content, record.value)
                follow = self._follow(message, message.on_success, value, self._clock())
            elif record.worker and record.failure is not None and record.state == State.FAILURE:
                follow = self._follow(message, message.on_failure, message.id, self._clock())
                settlement = self._buried_before(delivery, record, record.failure)
        except Exception as error:  # noqa: BLE001 - what was recorded can be broken in any way
            log.error("what follows from task %s, which has ended before, cannot be sent: %s", message.id, error)
        end = JournalEnd.FORGOTTEN if record.state == State.SUCCESS else JournalEnd.RESUMED
        return Completion(settlement, record, follow, journal=end)

    def _buried_before(self, delivery: Delivery, record: ResultRecord, failure: Failure) -> Settlement:
        if (failure.module, failure.type_name) == (Reject.__module__, Reject.__qualname__):
            return Bury(delivery, DeadReason.REJECTED, failure.message)
        error = rebuild(failure, lambda data: self._codecs.decode(record.content, data))
        return self._settle_failed(Ended(delivery, Failed(error), self._tasks.get(delivery.message.task)), error, failure)

    # -- parts ---------------------------------------------------------------------------------------------

    def started(self, attempt: Attempt) -> ResultRecord | None:
        """Return the record that says the task runs now; None where nobody wants to know."""
        if self._ignores(attempt.task, attempt.delivery.message):
            return None
        return self._record(attempt, State.STARTED, None)

    def _record(
        self,
        attempt: Attempt | Ended,
        state: str,
        finished_at_s: float | None,
        *,
        value: bytes | None = None,
        failure: Failure | None = None,
        retries: int | None = None,
    ) -> ResultRecord:
        message, rules = attempt.delivery.message, self.rules
        if isinstance(attempt, Attempt):
            started_at_s: float | None = attempt.started_at_s
            children = tuple(attempt.request.children) if attempt.request.children else ()
        else:
            started_at_s, children = None, ()
        keep_s = message.result_expires_s
        if keep_s is None:
            own = attempt.task.result_expires if attempt.task is not None else None
            keep_s = seconds(own) if own is not None else rules.result_expires_s
        return ResultRecord(
            message.id, message.task, state, value, rules.result_serializer, failure,
            message.retries if retries is None else retries, started_at_s, finished_at_s, rules.hostname,
            message.root_id, message.parent_id, children, message.queue,
            (finished_at_s or self._clock()) + keep_s if keep_s else None,
        )  # fmt: skip

    def _ignores(self, task: Task[..., Any] | None, message: Message) -> bool:
        if message.ignore_result is not None:
            return message.ignore_result
        if task is not None and task.ignore_result is not None:
            return task.ignore_result
        return self.rules.ignore_result

    def _keeps_errors(self, task: Task[..., Any] | None) -> bool:
        own = task.store_errors_even_if_ignored if task is not None else None
        return self.rules.store_errors_even_if_ignored if own is None else own

    def _capture(self, error: BaseException) -> Failure:
        return capture(error, lambda value: self._codecs.encode(self.rules.result_serializer, value))

    def _with_attempt(self, message: Message, failure: Failure, *, is_last: bool) -> Message:
        past = past_attempt(failure, self._clock(), self.rules.hostname, message.task, is_last=is_last)
        if is_last:
            message = msgspec.structs.replace(message, retries=0)  # as it runs when somebody puts it back
        return with_attempt(message, past)

    def _follow(self, message: Message, links: tuple[Link, ...], first: Any, now_s: float) -> tuple[Message, ...]:
        return tuple(self._linked(message, link, index, first, now_s) for index, link in enumerate(links))

    def _linked(self, message: Message, link: Link, index: int, first: Any, now_s: float) -> Message:
        args, kwargs = self._codecs.decode(link.content, link.body)
        if not link.immutable:
            args = [first, *args]
        options: Any = {**(link.options or {}), "serializer": link.content}
        options |= {"parent_id": message.id, "root_id": message.root_id or message.id}
        call = Call(link.task, args, kwargs, options)
        return build_message(call, self._sender, now_s=now_s, new_id=derived_id(message.id, index), parent=None)

    def _event(
        self,
        kind: EventKind,
        attempt: Attempt | Ended,
        *,
        text: str = "",
        traceback: str = "",
        now_s: float | None = None,
        due_at_s: float | None = None,
    ) -> Event:
        message = attempt.delivery.message
        at_s = self._clock() if now_s is None else now_s
        runtime_s = at_s - attempt.started_at_s if isinstance(attempt, Attempt) and attempt.started_at_s else None
        return Event(
            kind, at_s, self.rules.hostname, message.id, message.task, message.queue, message.retries,
            runtime_s, text[:_LONGEST_TEXT], traceback, due_at_s,
        )  # fmt: skip


class FourSteps:
    """Completes where broker and backend are two: result, what follows, then the settlement (law 7).

    A crash between any two steps repeats the message; the result that stands is kept, and what follows has ids derived
    from the message, so that the broker takes it once.
    """

    def __init__(self, broker: Publishes, consumer: Consumer, backend: Backend) -> None:
        self._broker, self._consumer, self._backend = broker, consumer, backend

    async def complete(self, completions: Sequence[Completion]) -> list[bool]:
        completions = await conclude(self._broker, self._backend, completions)
        can = self._broker.capabilities
        if not (can.locates and can.finds_all):  # without a record nobody could tell a claim that a crash has left behind
            await release_claims(self._backend, [each for each in completions if each.result is None])
        settlements = [completion.settlement for completion in completions]
        parked = [(at, self._to_park(each.park)) for at, each in enumerate(completions) if each.park is not None]
        waits = await self._backend.journal.park([park for _, park in parked]) if parked else ()
        for (at, park), is_waiting in zip(parked, waits, strict=True):
            if not is_waiting:  # what it waits for has happened meanwhile
                settlements[at] = _back_at_once(completions[at], park)
        settled = list(await self._consumer.settle(settlements))
        ends = list(zip(completions, settled, strict=True))
        await release_claims(self._backend, [each for each, is_ours in ends if is_ours])
        over = {
            each.settlement.delivery.message.id: JournalEnd.FORGOTTEN
            for each, is_ours in ends
            if is_ours and _forgets_late(each) and isinstance(each.settlement.delivery, Delivery)
        }
        if over and self._broker.capabilities.deduplicates:
            await self._backend.journal.end(over)
        return settled

    def _to_park(self, park: Parked) -> Parked:
        """Mark what comes back where the broker may carry a message twice: a copy of it may have ended meanwhile."""
        if self._broker.capabilities.deduplicates:
            return park
        message = park.message
        return msgspec.structs.replace(
            park, message=msgspec.structs.replace(message, headers={**(message.headers or {}), RETURNED: True})
        )


def _back_at_once(completion: Completion, park: Parked) -> Settlement:
    delivery = completion.settlement.delivery
    assert isinstance(delivery, Delivery)  # what is malformed waits for nothing
    return Release(delivery, park.message)


async def conclude(broker: Publishes, backend: Backend, completions: Sequence[Completion]) -> Sequence[Completion]:
    """Take all steps but the settlement: results and workflows, then what follows from them.

    Returns the completions as they are to be settled: of a task that another attempt has ended otherwise, that end stands.
    """
    completions = await _recorded(backend, completions)
    flows = [completion for completion in completions if _is_of_workflow(completion)]
    if flows:
        records = [completion.result for completion in flows if completion.result is not None]
        endings = [completion.ending for completion in flows if completion.ending is not None]
        starts = [completion.start for completion in flows if completion.start is not None]
        await carry_on(broker, backend, await backend.workflows.advance(records, endings, starts))
    follow = [message for completion in completions for message in completion.publish]
    if follow:
        await broker.publish(follow)
    # what is remembered stays, until it expires, where a copy of the message may still run
    keeps = not broker.capabilities.deduplicates
    ends = {
        completion.settlement.delivery.message.id: (
            JournalEnd.RESUMED if keeps or _forgets_late(completion) else completion.journal
        )
        for completion in completions
        if completion.journal is not None and isinstance(completion.settlement.delivery, Delivery)
    }
    if ends:
        await backend.journal.end(ends)
    return completions


def _is_of_workflow(completion: Completion) -> bool:
    return completion.ending is not None or completion.start is not None


def _forgets_late(completion: Completion) -> bool:
    """Whether a task could run again until it is settled: what it remembers is kept until then."""
    return completion.journal is JournalEnd.FORGOTTEN and completion.result is None and completion.ending is None


async def _recorded(backend: Backend, completions: Sequence[Completion]) -> Sequence[Completion]:
    """Keep the results of tasks that belong to no workflow. Where another end stands, there is nothing to do but let go."""
    own = {at: each.result for at, each in enumerate(completions) if each.result and not _is_of_workflow(each)}
    kept = await backend.record(list(own.values())) if own else ()
    refusals = [at for at, is_kept in zip(own, kept, strict=True) if not is_kept]
    if not refusals:
        return completions
    stand = await backend.read([own[at].id for at in refusals])
    left = list(completions)
    for at, record in zip(refusals, stand, strict=True):
        delivery = left[at].settlement.delivery
        is_other = record is not None and record.state != own[at].state
        if is_other and record is not None and isinstance(delivery, Delivery) and is_end_of(record, delivery.message):
            left[at] = Completion(Ack(delivery))
    return left


async def release_claims(backend: Backend, completions: Sequence[Completion]) -> None:
    """Let go of what the tasks that have ended had claimed.

    After the settlement: a claim that goes before it would let another task run beside one that comes back. A crash in
    between leaves a claim whose task is not there, which counts for nothing.
    """
    ended = [
        message
        for each in completions
        for message in released_by(each.settlement, each.result, is_parked=each.park is not None)
    ]
    if ended:
        await backend.claims.release(ended)


async def carry_on(broker: Publishes, backend: Backend, ready: Sequence[Message]) -> None:
    """Publish what became ready in workflows, and note that it is.

    A step that no broker takes fails with that: left as it is, it would be in the way of all others, for ever. What is for
    one of several brokers that is away stays unpublished: the scheduler sends it when that is back.
    """
    while ready:
        refusals: list[tuple[Message, MessageTooLarge]] = []
        taken: list[Message] = []
        try:
            taken += await publish_possible(broker, ready)
        except MessageTooLarge:
            for message in ready:
                try:
                    taken += await publish_possible(broker, [message])
                except MessageTooLarge as error:
                    refusals.append((message, error))
        await backend.workflows.published([message.member for message in taken if message.member is not None])
        ends = [_unpublishable(message, error) for message, error in refusals]
        ready = (
            await backend.workflows.advance([record for record, _ in ends], [ending for _, ending in ends]) if ends else ()
        )


def outdated(delivery: Delivery) -> Completion:
    """Say what becomes of the message of a node that does not want this run any more.

    If it was handed out before, its process may have died before it had published what came next: its event is repeated,
    which is no news, and what stands unpublished is sent.
    """
    member = delivery.message.member
    if member is None or delivery.redelivered_at_s is None:
        return Completion(Ack(delivery))
    repeated = Ending(member.workflow, member.node, member.run, NodeState.SUCCESS)
    return Completion(Ack(delivery), ending=repeated, journal=JournalEnd.FORGOTTEN)


def _unpublishable(message: Message, error: MessageTooLarge) -> tuple[ResultRecord, Ending]:
    member, now_s = message.member, time.time()
    assert member is not None  # steps of workflows have one
    failure = Failure(type(error).__module__, type(error).__qualname__, str(error))
    keep_s = message.result_expires_s
    record = ResultRecord(
        message.id, message.task, State.FAILURE, failure=failure, finished_at_s=now_s, root_id=message.root_id,
        parent_id=message.parent_id, queue=message.queue, expires_at_s=now_s + (keep_s or _KEPT_S),
    )  # fmt: skip
    ending = Ending(member.workflow, member.node, member.run, NodeState.FAILURE, failure=failure, finished_at_s=now_s)
    return record, ending


def refused(completion: Completion, error: BaseException) -> Completion:
    """Return what to do in the place of a completion that the broker or backend cannot write: the task has failed."""
    delivery, failure = (
        completion.settlement.delivery,
        Failure(type(error).__module__, type(error).__qualname__, str(error)),
    )
    record = completion.result
    if record is not None:
        record = msgspec.structs.replace(record, state=State.FAILURE, value=None, failure=failure)
    ending = completion.ending
    if ending is not None:
        ending = msgspec.structs.replace(
            ending, state=NodeState.FAILURE, value=None, failure=failure, replaced_by=None, added=()
        )
    return Completion(Bury(delivery, DeadReason.FAILED, _text_of(failure)), record, (), ending)


def derived_id(task_id: str, index: int) -> str:
    """Return the id of the `index`-th task that follows from another: always the same one."""
    import hashlib  # 5 ms that only workflows pay

    return hashlib.blake2b(f"{task_id}/{index}".encode(), digest_size=16).hexdigest()


def short_text(value: Any) -> str:
    kind = type(value)
    if kind is int or kind is bool or kind is float:
        return repr(value)
    if kind is str:
        return repr(value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "...")
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__
        return f"<{kind.__qualname__}>"
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."


def _text_of(failure: Failure) -> str:
    return f"{failure.type_name}({failure.message!r})" if failure.message else failure.type_name
