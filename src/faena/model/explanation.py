"""Why a task is not running: the law that makes an explanation of facts. Pure.

Facts are collected by `faena.app.explain`. Several things may stand in a task's way at once; all of them are said, the
first is `why`. What somebody can do about it follows as hints.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

from faena.model.breaker import Standing
from faena.model.control import Order, Revocation
from faena.model.delivery import DeadLetter, Found, Place, QueueStatus
from faena.model.journal import Parked
from faena.model.limit import Obstacle, Refusal
from faena.model.message import Message
from faena.model.result import ResultRecord, State
from faena.model.workflow import NodeState, WorkflowState

_LAST_S = 253_402_000_000.0  # in the year 9999; what a sender says may be beyond what can be written


class Why(StrEnum):
    """What is so of a task. The first words are for programs."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVOKED = "revoked"
    RUNNING = "running"
    TAKEN = "taken"  # a worker holds it, and has not begun
    HELD = "held"  # by nobody who answers
    WAITS_ITS_TURN = "waits-its-turn"
    PAUSED = "queue-paused"
    NO_WORKER = "no-worker"
    NO_WORKER_FOR_QUEUE = "no-worker-for-queue"
    UNKNOWN_TASK = "unknown-task"
    LIMITED = "limited"
    BREAKER = "circuit-breaker"
    DELAYED = "delayed"
    RETRY = "waits-for-retry"
    SLEEPS = "sleeps"
    WAITS_FOR_EVENT = "waits-for-event"
    WAITS_FOR_TASKS = "waits-for-tasks"
    WAITS_FOR_FAILURE = "waits-for-failure"
    ABANDONED = "abandoned"
    DEAD = "dead-letter"
    EXPIRED = "expired"
    LOST = "lost"
    UNKNOWN = "unknown"


class WorkerFacts(Struct, frozen=True):
    """What a worker that is there said of the task."""

    name: str
    queues: tuple[str, ...]
    answered: bool = True
    knows: bool | None = None  # whether it has a task of that name; None: not said
    holds: str = ""  # "active" or "reserved"
    runtime_s: float | None = None
    processes: int = 0
    busy: int = 0  # of its processes, those that run something


class Needed(Struct, frozen=True):
    """A task that another one waits for."""

    id: str
    task: str
    state: NodeState


class NodeFacts(Struct, frozen=True):
    """The place of the task in its workflow."""

    workflow: str
    number: int
    task: str
    state: NodeState
    workflow_state: WorkflowState
    is_hook: bool = False
    waits_for: tuple[Needed, ...] = ()  # tasks that have not ended, the first of them
    waits_count: int = 0
    cause: Needed | None = None  # whose failure it suffers from


class Facts(Struct, frozen=True):
    """Everything that is known of one task at one moment."""

    id: str
    now_s: float
    record: ResultRecord | None = None
    found: Found | None = None
    dead: DeadLetter | None = None
    queue: QueueStatus | None = None  # of the queue that the message is in
    parked: Parked | None = None
    node: NodeFacts | None = None
    revocation: Revocation | None = None
    rule: Order | None = None  # of revocation, that fits the message
    obstacles: tuple[Obstacle, ...] = ()  # limits that hold it back now
    breaker: Standing | None = None  # of its task, if it is not closed
    workers: tuple[WorkerFacts, ...] = ()
    place: str = ""  # broker and backend, masked; for what is not found
    locates: bool = True  # whether the broker can say where a message is

    @property
    def message(self) -> Message | None:
        if self.found is not None and self.found.message is not None:
            return self.found.message
        return self.parked.message if self.parked is not None else self.dead.message if self.dead is not None else None

    @property
    def task(self) -> str:
        """The name of the task, as far as it is known."""
        if (message := self.message) is not None:
            return message.task
        if self.record is not None and self.record.task:
            return self.record.task
        return self.node.task if self.node is not None else ""


class Explanation(Struct, frozen=True):
    """What is so, in words: `reasons` say why, the most telling first, `hints` what to do."""

    id: str
    task: str
    state: str
    why: Why
    reasons: tuple[str, ...]
    hints: tuple[str, ...] = ()

    def text(self) -> str:
        """Return it for people."""
        return "\n".join([*self.reasons, *(f"- {hint}" for hint in self.hints)])


def explain(facts: Facts) -> Explanation:
    """Say what is so of a task."""
    if facts.parked is not None:
        return _of_parked(facts, facts.parked)
    if facts.found is not None:
        match facts.found.place:
            case Place.HELD:
                return _of_held(facts, facts.found)
            case Place.DELAYED:
                return _of_delayed(facts, facts.found)
            case Place.WAITING | Place.LIMITED:
                return _of_waiting(facts, facts.found)
            case Place.DEAD:
                return _of_dead(facts)
    if facts.dead is not None:
        return _of_dead(facts)
    if facts.record is not None and facts.record.is_terminal:
        return _of_ended(facts, facts.record)
    if any(worker.holds for worker in facts.workers):  # acknowledged before it ran, or the broker cannot tell
        return _of_held(facts, Found(Place.HELD, None))
    if facts.node is not None:
        return _of_node(facts, facts.node)
    return _of_nowhere(facts)


# -- where it is -------------------------------------------------------------------------------------------


def _of_ended(facts: Facts, record: ResultRecord) -> Explanation:
    at = f" at {_moment(record.finished_at_s)}" if record.finished_at_s else ""
    match record.state:
        case State.SUCCESS:
            on = f" on {record.worker}" if record.worker else ""
            return _said(facts, Why.SUCCEEDED, [f"It has succeeded{at}{on}."], [f"its result: faena result {facts.id}"])
        case State.REVOKED:
            detail = record.failure.message if record.failure is not None else ""
            return _said(facts, Why.REVOKED, [f"It was revoked{at}{f': {detail}' if detail else ''}."])
    failure = record.failure
    text = f": {failure.type_name}: {failure.message}" if failure is not None else ""
    hints = [f"its traceback: faena result {facts.id} --traceback"]
    return _said(facts, Why.FAILED, [f"It has failed{at}{text}."], hints)


def _of_dead(facts: Facts) -> Explanation:
    dead = facts.dead
    if dead is None:
        return _said(facts, Why.DEAD, ["It lies in the dead letters."], [f"see it: faena dead show {facts.id}"])
    what = {
        "failed": "It has failed for good",
        "crashed": f"It has ended its process {dead.crashes} times",
        "rejected": "It was rejected",
        "unknown-task": f"No task '{facts.task}' was known to the worker that took it",
        "malformed": "It could not be read",
    }[dead.reason]
    detail = f" ({dead.detail})" if dead.detail else ""
    since = f"since {_moment(dead.buried_at_s)} it lies in the dead letters of queue '{dead.queue}'"
    hints = [f"see it: faena dead show {facts.id}", f"let it run again: faena dead requeue {facts.id}"]
    return _said(facts, Why.DEAD, [f"{what}{detail}; {since}."], hints)


def _of_held(facts: Facts, found: Found) -> Explanation:
    for worker in facts.workers:
        if worker.holds == "active":
            hints = [f"stop it: faena control revoke {facts.id} --terminate"]
            return _said(facts, Why.RUNNING, [_runs_on(worker, facts), *_again(found)], hints)
    for worker in facts.workers:
        if worker.holds == "reserved":
            why = f"{worker.name} has taken it and not begun: it runs others first ({worker.busy} of "
            why += f"{_processes(worker.processes)} are busy)."
            return _said(
                facts, Why.TAKEN, [why, *_again(found)], [f"what runs there: faena inspect active -d {worker.name}"]
            )
    silent = [worker.name for worker in facts.workers if not worker.answered]
    holder = f"{found.owner} holds it" if found.owner else "A worker holds it"
    back = "when its lease ends"
    if found.lease_ends_at_s is not None:
        left_s = found.lease_ends_at_s - facts.now_s
        back += f", in {_span(left_s)} unless it is renewed" if left_s > 0 else ", which is over: it goes back any moment"
    if silent:
        why = f"{holder}, and {', '.join(silent)} did not answer. If that worker is gone, the task goes back {back}."
    else:
        why = f"{holder}, and no worker that answers knows of it: one that has just ended, or it has just finished. "
        why += f"Otherwise it goes back {back}."
    return _said(facts, Why.HELD, [why, *_again(found)], ["ask again in a moment", "who is there: faena inspect workers"])


def _of_delayed(facts: Facts, found: Found) -> Explanation:
    message = found.message
    due_at_s = message.due_at_s if message is not None else None
    when = f"until {_moment(due_at_s)}, in {_span(due_at_s - facts.now_s)}" if due_at_s else "until a later moment"
    record = facts.record
    why, reason = Why.DELAYED, f"It was sent to run later: it waits in the broker {when}."
    if record is not None and record.state == State.WAITING:
        why, reason = Why.SLEEPS, f"It sleeps (self.sleep) {when}, and holds no place in a worker meanwhile."
    elif message is not None and message.retries:
        error = ""
        if record is not None and record.failure is not None:
            error = f" after {record.failure.type_name}: {record.failure.message}"
        why, reason = Why.RETRY, f"It waits for retry {message.retries}{error}: {when}."
    return _said(facts, why, [reason, *(text for _, text in _in_the_way(facts, message))])


def _of_waiting(facts: Facts, found: Found) -> Explanation:
    message = found.message
    found_reasons = _in_the_way(facts, message)
    if found_reasons:
        return _said(facts, found_reasons[0][0], [text for _, text in found_reasons], _hints(facts, found_reasons))
    queue = facts.queue.name if facts.queue is not None else message.queue if message is not None else "?"
    ahead = "" if found.ahead is None else "it is the next one" if found.ahead == 0 else f"{found.ahead:,} are before it"
    serving = [worker for worker in facts.workers if queue in worker.queues]
    busy, processes = sum(each.busy for each in serving), sum(each.processes for each in serving)
    if found.place is Place.LIMITED and (facts.obstacles or busy < processes):
        return _of_limited(facts)
    reason = f"It waits for its turn in queue '{queue}'{f': {ahead}' if ahead else ''}."
    load = f"{_workers(len(serving))} from that queue, and {busy} of {_processes(processes)} run something."
    hints = ["what runs now: faena inspect active"]
    if processes and busy >= processes:
        hints.append("run more at once: faena control pool-grow, or start another worker")
    return _said(facts, Why.WAITS_ITS_TURN, [reason, load], hints)


def _of_limited(facts: Facts) -> Explanation:
    reasons = [_held_back(obstacle, facts.now_s) for obstacle in facts.obstacles]
    if not reasons:
        reasons = ["It waits behind others of the same limits, which come first."]
    paused = [obstacle.limit for obstacle in facts.obstacles if obstacle.reason is Refusal.PAUSED]
    hints = [f"go on: faena limits resume {' '.join(paused)}"] if paused else []
    hints += ["every limit, and how it stands: faena limits", "what runs now: faena inspect active"]
    return _said(facts, Why.LIMITED, reasons, hints)


def _held_back(obstacle: Obstacle, now_s: float) -> str:
    match obstacle.reason:
        case Refusal.PAUSED:
            return f"The limit {obstacle.limit} is paused: nothing under it is handed out."
        case Refusal.CONCURRENCY:
            return f"The limit {obstacle.limit} lets no more run at once: {_running(obstacle.in_use)}."
    when = "" if obstacle.until_s is None else f": the next one may begin in {_span(obstacle.until_s - now_s)}"
    return f"The rate of the limit {obstacle.limit} is used up{when}."


def _of_parked(facts: Facts, parked: Parked) -> Explanation:
    until = ""
    if parked.due_at_s is not None:
        until = f", until {_moment(parked.due_at_s)} at most (in {_span(parked.due_at_s - facts.now_s)})"
    reason = f"It waits for the event '{parked.event}'{until}, and holds no place in a worker meanwhile."
    return _said(facts, Why.WAITS_FOR_EVENT, [reason], [f"let it happen: app.signal_event({parked.event!r}, value)"])


def _of_node(facts: Facts, node: NodeFacts) -> Explanation:
    show = f"see the workflow: faena workflow show {node.workflow}"
    where = f"It is step {node.number} of workflow {node.workflow}"
    match node.state:
        case NodeState.WAITING if node.is_hook:
            return _said(facts, Why.WAITS_FOR_FAILURE, [f"{where}, and runs only if what it stands by fails."], [show])
        case NodeState.WAITING:
            named = ", ".join(f"{each.task} ({each.state}, {each.id})" for each in node.waits_for)
            more = node.waits_count - len(node.waits_for)
            others = f" and {more:,} more" if more > 0 else ""
            reason = f"{where}, and waits for {named}{others}." if named else f"{where}, and waits for those before it."
            hints = [f"why that one is not done: faena explain {each.id}" for each in node.waits_for[:1]]
            return _said(facts, Why.WAITS_FOR_TASKS, [reason], [*hints, show])
        case NodeState.ABANDONED:
            cause = f": {node.cause.task} ({node.cause.id}) has failed" if node.cause is not None else ""
            hints = [f"run it again from where it failed: faena workflow retry {node.workflow}", show]
            return _said(facts, Why.ABANDONED, [f"{where}, and will not run{cause}."], hints)
        case NodeState.READY:
            reason = f"{where}, it is ready, and about to be sent. What a crash has left so is sent within 20 seconds."
            return _said(facts, Why.WAITS_ITS_TURN, [reason], ["ask again in a moment", show])
        case NodeState.SENT:
            return _lost(facts, f"{where}, was sent")
    ended = Why.SUCCEEDED if node.state in (NodeState.SUCCESS, NodeState.TOLERATED) else Why.FAILED
    ended = Why.REVOKED if node.state is NodeState.REVOKED else ended
    return _said(facts, ended, [f"{where}, and has ended: {node.state}."], [show])


def _of_nowhere(facts: Facts) -> Explanation:
    if facts.record is not None:
        return _lost(facts, f"Its last state is {facts.record.state}")
    reasons = [f"Nothing is known of {facts.id} in {facts.place}."]
    if facts.revocation is not None:
        reasons.append("It is revoked: were it sent, it would not run.")
    hints = [
        "it was never sent, or to another broker: compare `faena config broker_url` here and where it is sent",
        "it has ended, and its result has expired (result_expires), was forgotten, or is ignored (ignore_result)",
        "it was purged, or the id is not whole",
    ]
    if not facts.locates:
        hints.insert(0, "it may wait: this broker cannot say where a message is")
        if not facts.workers:
            reasons.append("No worker is running.")
    return _said(facts, Why.UNKNOWN, reasons, hints)


def _lost(facts: Facts, what: str) -> Explanation:
    if not facts.locates:
        return _said(
            facts, Why.WAITS_ITS_TURN, [f"{what}. This broker cannot say where its message is."], ["faena queues"]
        )  # fmt: skip
    reason = f"{what}, and its message is not in {facts.place}, nor does a worker that answers run it."
    hints = [
        "it may just have been handed on: ask again in a moment",
        "purged, or acknowledged before the run (acks_late=False) by a worker that was killed: it will not run",
        "sent through another broker than this one: compare `faena config broker_url`",
    ]
    return _said(facts, Why.LOST, [reason], hints)


# -- what is in its way -------------------------------------------------------------------------------------


def _in_the_way(facts: Facts, message: Message | None) -> list[tuple[Why, str]]:
    """Return what keeps a message from running that waits, or will when it is due: the most lasting first."""
    if message is None:
        return [(Why.DEAD, "Its message cannot be read; the worker that takes it puts it into the dead letters.")]
    reasons: list[tuple[Why, str]] = []
    if facts.revocation is not None:
        reasons.append((Why.REVOKED, "It is revoked: it will be dropped when its turn comes."))
    elif facts.rule is not None:
        reasons.append((Why.REVOKED, f"It is revoked by what it is ({facts.rule.name}): it will be dropped."))
    if message.expires_at_s is not None and message.expires_at_s <= facts.now_s:
        since = _moment(message.expires_at_s)
        reasons.append((Why.EXPIRED, f"It had to begin before {since}: it will be dropped when its turn comes."))
    queue = facts.queue.name if facts.queue is not None else message.queue
    if facts.queue is not None and facts.queue.paused:
        reasons.append((Why.PAUSED, f"Queue '{queue}' is paused: nobody is handed anything of it."))
    serving = [worker for worker in facts.workers if queue in worker.queues]
    if not facts.workers:
        reasons.append((Why.NO_WORKER, "No worker is running."))
    elif not serving:
        others = ", ".join(sorted({name for worker in facts.workers for name in worker.queues}))
        reasons.append(
            (Why.NO_WORKER_FOR_QUEUE, f"No worker takes from queue '{queue}'; those that run take from: {others}.")
        )
    told = [worker for worker in serving if worker.knows is not None]
    if told and not any(worker.knows for worker in told):
        names = ", ".join(worker.name for worker in told)
        reasons.append((Why.UNKNOWN_TASK, f"No task '{message.task}' is known to {names}: whoever takes it cannot run it."))
    silent = [worker.name for worker in serving if not worker.answered]
    if silent and len(silent) == len(serving):
        reasons.append((Why.NO_WORKER, f"What takes from queue '{queue}' did not answer: {', '.join(silent)}."))
    if facts.breaker is not None:
        said = f"It is held back: the circuit breaker of task '{message.task}' is {facts.breaker.text(facts.now_s)}."
        reasons.append((Why.BREAKER, said))
    return reasons


def _hints(facts: Facts, reasons: list[tuple[Why, str]]) -> list[str]:
    message = facts.message
    queue = facts.queue.name if facts.queue is not None else message.queue if message is not None else ""
    found: list[str] = []
    for why, _ in reasons:
        match why:
            case Why.PAUSED:
                found.append(f"go on: faena queues resume {queue}")
            case Why.NO_WORKER if not facts.workers:
                found.append(f"start one: faena worker -Q {queue}")
            case Why.NO_WORKER:
                found.append("is it stopped, or its machine gone? faena inspect ping")
            case Why.NO_WORKER_FOR_QUEUE:
                found += [
                    f"let one take from it: faena control add-consumer {queue}",
                    f"or start one: faena worker -Q {queue}",
                ]
            case Why.BREAKER:
                found.append(f"let it go on now: faena limits close-breaker {facts.task}")
            case Why.UNKNOWN_TASK:
                found += ["what they know: faena inspect registered", "start the worker with the code that declares it, or"
                          " name its module in `include`"]  # fmt: skip
            case Why.REVOKED if facts.revocation is None and facts.rule is not None:
                found.append(f"take that back: faena control withdraw '{facts.rule.name}'")
            case _:
                pass
    return found


# -- words --------------------------------------------------------------------------------------------------


def _said(facts: Facts, why: Why, reasons: list[str], hints: list[str] | None = None) -> Explanation:
    state = facts.record.state if facts.record is not None else State.PENDING if why is not Why.UNKNOWN else State.UNKNOWN
    return Explanation(facts.id, facts.task, str(state), why, tuple(reasons), tuple(hints or ()))


def _runs_on(worker: WorkerFacts, facts: Facts) -> str:
    since = f" for {_span(worker.runtime_s)}" if worker.runtime_s is not None else ""
    progress = ""
    if facts.record is not None and facts.record.state == State.PROGRESS:
        progress = " It reports progress."
    if not since:
        return f"It is running on {worker.name}.{progress}"
    return f"It has been running on {worker.name}{since}.{progress}"


def _again(found: Found) -> list[str]:
    said = []
    if found.deliveries > 1:
        said.append(f"It was handed out {found.deliveries} times.")
    if found.crashes:
        said.append(f"It has ended its process {_times(found.crashes)}; it runs alone for that.")
    return said


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"


def _running(count: int) -> str:
    return "one runs" if count == 1 else f"{count} run"


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _workers(count: int) -> str:
    return "One worker takes" if count == 1 else f"{count} workers take"


def _moment(moment_s: float | None) -> str:
    if moment_s is None:
        return "?"
    return datetime.fromtimestamp(min(moment_s, _LAST_S), UTC).isoformat(" ", "seconds").replace("+00:00", " UTC")


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 2:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.1f} s" if seconds < 10 else f"{seconds:.0f} s"
