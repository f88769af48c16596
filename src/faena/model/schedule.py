"""A schedule, how far it is, and the law of its ticks: which are sent now, which are left out, and what comes next.

    due ──take_turn──▶ ticks to send │ a tick that waits for the one before │ the next moment

- A tick that is late by no more than `ON_TIME_S` is on time: another scheduler had to take over, or this one was busy. All
  of these are sent, whatever the rest says.
- What is later was missed. `catch_up` says what becomes of it: "last" sends the last one missed, and none where one is on
  time; "all" sends every one; "none" sends nothing. What is missed by more than `window_s` is never sent.
- `overlap` says what happens while the task of the tick before has not ended: "allow" sends; "skip" leaves the tick
  out; "queue" keeps one (the first) until that task has ended; "cancel" revokes that task, and sends.
- `jitter_s` delays a tick by a part of that time which its id decides: the same for everybody who computes it.

The id of a tick is derived from schedule and moment, so that two who send the same one send it once.

A tick that is more than one message (a workflow), or that may come to nothing (its task is unique), cannot be sent by the
change that takes it. It takes two: the first notes it as `starting`, then it is begun, the second notes that it was.
Whoever finds one that is starting begins it again, under the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from faena.model.blueprint import Blueprint
from faena.model.claim import Rule
from faena.model.message import Message
from faena.model.timing import Every, Timing, ZoneOf, following, latest
from faena.model.workflow import Graph, Workflow

CatchUp = Literal["last", "all", "none"]
Overlap = Literal["allow", "skip", "queue", "cancel"]

ON_TIME_S = 15.0
"""A lease of the scheduler ends, and another one has taken it, in less than 10 s."""
LOOK_AGAIN_S = 0.5  # whether a task has ended that a tick waits for
MOST_AT_ONCE = 500  # ticks of one schedule in one turn

MISSED, OVERLAPPED = "nobody was there to send it in time", "the run before had not ended"
"""Why a tick was left out."""

HEADER_NAME, HEADER_MOMENT = "schedule", "scheduled_for"


class Schedule(Struct, frozen=True, kw_only=True):
    """What is to be done, and when. `message` is what to send but for its id and moments; durations in seconds.

    Where a workflow is to be begun, `message` says for people what it is.
    """

    name: str
    timing: Timing
    message: Message
    delay_s: float = 0.0  # `countdown` of its options
    expires_s: float | None = None  # from when it is sent (after jitter and delay)
    catch_up: CatchUp = "last"
    window_s: float | None = None  # None: however long ago
    overlap: Overlap = "allow"
    jitter_s: float = 0.0
    starts_at_s: float | None = None
    ends_at_s: float | None = None  # the last moment at which a tick may be
    workflow: Blueprint | None = None
    claims: Rule | None = None  # its task is not to be sent twice; the key is made of task and arguments already

    @property
    def is_plain(self) -> bool:
        """Whether a tick is one message, which is sent whatever else there is."""
        return self.workflow is None and self.claims is None


class Standing(Struct, frozen=True, kw_only=True):
    """A schedule as the backend keeps it, and how far it is. Moments are unix seconds.

    `revision` changes with everything else: who changes it says which one they have seen.
    """

    schedule: Schedule
    revision: str = ""
    next_s: float | None = None  # None: there is no tick any more
    last_s: float | None = None  # the tick that was sent last
    last_id: str = ""  # its task
    held_s: float | None = None  # a tick that waits for the end of that task
    sent: int = 0
    left_out: int = 0  # at least: those missed during a longer time count once
    is_paused: bool = False
    made_at_s: float = 0.0
    app: str = ""  # whose code declares it; "": it was added at run time
    digest: str = ""  # of the declaration
    outdated: tuple[str, ...] = ()  # digests of declarations that it has had before
    is_edited: bool = False  # at run time, since it was declared
    starting: tuple[float, ...] = ()  # ticks that are taken, and of which it is not known that they have begun
    left_out_s: float | None = None  # when a tick was left out last, and why
    left_out_why: str = ""

    @property
    def wakes_at_s(self) -> float | None:
        """When it has to be looked at; None: not before somebody changes it."""
        if self.starting:
            return self.starting[0]
        if self.is_paused:
            return None
        return self.held_s if self.held_s is not None else self.next_s

    @property
    def state(self) -> Literal["active", "paused", "ended"]:
        if self.is_paused:
            return "paused"
        is_over = self.next_s is None and self.held_s is None and not self.starting
        return "ended" if is_over else "active"

    def having_sent(self, ticks: Sequence[float]) -> Standing:
        """Return how it stands when these are sent, or have begun."""
        if not ticks:
            return self
        last_id = tick_id(self.schedule.name, ticks[-1])
        return replace(self, last_s=ticks[-1], last_id=last_id, sent=self.sent + len(ticks))

    def without(self, count: int, why: str, now_s: float) -> Standing:
        """Return how it stands when so many ticks are left out."""
        return replace(self, left_out=self.left_out + count, left_out_s=now_s, left_out_why=why) if count else self


class Change(Struct, frozen=True):
    """A change of one schedule: made if it stands at revision `seen` ("": if there is none of that name).

    `standing` None removes it. `wakes_at_s` is when it has to be looked at next; `publish` is what follows from the change.
    """

    name: str
    seen: str
    standing: Standing | None
    wakes_at_s: float | None = None
    publish: tuple[Message, ...] = ()


class Manifest(Struct, frozen=True):
    """What one version of the code of an app declares: digests of its schedules, by name."""

    app: str
    digests: dict[str, str]

    @property
    def key(self) -> str:
        return _digest("\n".join(f"{name}={digest}" for name, digest in sorted(self.digests.items())))


class Turn(Struct, frozen=True):
    """What becomes of a schedule that is due: `ticks` to send, how it stands then, whether the task before is revoked.

    Of one that is not plain, the ticks are `starting` in that standing.
    """

    standing: Standing
    ticks: tuple[float, ...] = ()
    cancels: str = ""
    wakes_at_s: float | None = None


def begun(schedule: Schedule, now_s: float, zone_of: ZoneOf) -> Standing:
    """Return how a schedule stands that begins now."""
    timing = schedule.timing
    if isinstance(timing, Every) and timing.anchor_ms is None:
        anchor_s = now_s if schedule.starts_at_s is None else schedule.starts_at_s
        schedule = replace(schedule, timing=Every(timing.every_ms, round(anchor_s * 1000)))
    return Standing(schedule=schedule, next_s=next_tick(schedule, now_s, zone_of), made_at_s=now_s)


def next_tick(schedule: Schedule, after_s: float, zone_of: ZoneOf) -> float | None:
    """Return the first tick after a moment that lies between start and end of the schedule."""
    starts_at_s = schedule.starts_at_s
    if starts_at_s is not None and starts_at_s > after_s:
        after_s = starts_at_s - 0.001  # a tick at the start counts
    tick_s = following(schedule.timing, after_s, zone_of)
    is_over = tick_s is not None and schedule.ends_at_s is not None and tick_s > schedule.ends_at_s
    return None if is_over else tick_s


def next_ticks(schedule: Schedule, after_s: float, count: int, zone_of: ZoneOf) -> list[float]:
    """Return the next so many ticks."""
    found: list[float] = []
    tick_s = next_tick(schedule, after_s, zone_of)
    while tick_s is not None and len(found) < count:
        found.append(tick_s)
        tick_s = next_tick(schedule, tick_s, zone_of)
    return found


def ticks_between(schedule: Schedule, first_s: float, last_s: float, most: int, zone_of: ZoneOf) -> list[float]:
    """Return the ticks from one moment to another, both included, but no more than `most`."""
    found: list[float] = []
    tick_s = next_tick(schedule, first_s - 0.001, zone_of)
    while tick_s is not None and tick_s <= last_s and len(found) < most:
        found.append(tick_s)
        tick_s = next_tick(schedule, tick_s, zone_of)
    return found


def take_turn(standing: Standing, now_s: float, zone_of: ZoneOf, *, is_running: bool) -> Turn:
    """Say what has to happen with a schedule at a moment. `is_running`: the task of the tick before has not ended."""
    schedule = standing.schedule
    if standing.is_paused:
        return Turn(standing)
    due, missed, next_s = _due(standing, now_s, zone_of)
    unseen = missed
    ticks, held_s, cancels = due, None, ""
    if schedule.overlap == "queue":
        waiting = due if standing.held_s is None else [standing.held_s, *due]
        ticks, held_s = [], waiting[0] if waiting else None
        if waiting and not is_running:
            ticks, held_s = waiting[:1], waiting[1] if len(waiting) > 1 else None
        missed += len(waiting) - len(ticks) - (held_s is not None)
    elif schedule.overlap != "allow" and due:
        if schedule.overlap == "skip":
            ticks = [] if is_running else due[:1]
        else:
            ticks, cancels = due[-1:], standing.last_id if is_running else ""
        missed += len(due) - len(ticks)
    why = OVERLAPPED if missed > unseen else MISSED
    after = replace(standing, next_s=next_s, held_s=held_s).without(missed, why, now_s)
    after = after.having_sent(ticks) if schedule.is_plain else replace(after, starting=tuple(ticks))
    looks_at_s = now_s + LOOK_AGAIN_S if held_s is not None else next_s
    return Turn(after, tuple(ticks), cancels, looks_at_s)


def _due(standing: Standing, now_s: float, zone_of: ZoneOf) -> tuple[list[float], int, float | None]:
    """Return what is to be sent of the ticks up to now, how many are known to be left out, and the next one after them."""
    schedule, tick_s = standing.schedule, standing.next_s
    if tick_s is None or tick_s > now_s:
        return [], 0, tick_s
    left_out = 0
    on_time_s = now_s - ON_TIME_S
    window_s = schedule.window_s
    oldest_s = tick_s if window_s is None else max(tick_s, min(on_time_s, now_s - window_s))
    due: list[float] = []
    if schedule.catch_up == "all":
        if tick_s < oldest_s:
            left_out, tick_s = 1, next_tick(schedule, oldest_s - 0.001, zone_of)
    elif tick_s < on_time_s:
        last_s = latest(schedule.timing, tick_s, min(now_s, schedule.ends_at_s or now_s), zone_of)
        left_out = 1
        if schedule.catch_up == "last" and oldest_s <= last_s < on_time_s:
            return [last_s], int(last_s > tick_s), next_tick(schedule, now_s, zone_of)
        tick_s = next_tick(schedule, on_time_s - 0.001, zone_of)
    while tick_s is not None and tick_s <= now_s and len(due) < MOST_AT_ONCE:
        due.append(tick_s)
        tick_s = next_tick(schedule, tick_s, zone_of)
    return due, left_out, tick_s


def tick_id(name: str, tick_s: float) -> str:
    """Return the id of the task of a tick: always the same one."""
    return _digest(f"{name}@{round(tick_s * 1000)}")


def message_of(schedule: Schedule, tick_s: float, task_id: str, now_s: float) -> Message:
    """Return what to send for a tick."""
    template = schedule.message
    delay_s = schedule.delay_s + _jitter_s(schedule, task_id)
    due_at_s = max(tick_s, now_s) + delay_s if delay_s else None
    expires_at_s = None if schedule.expires_s is None else (due_at_s or now_s) + schedule.expires_s
    headers = {**(template.headers or {}), **_headers(schedule, tick_s)}
    return replace(
        template, id=task_id, sent_at_s=now_s, due_at_s=due_at_s, expires_at_s=expires_at_s, headers=headers
    )  # fmt: skip


def workflow_of(schedule: Schedule, tick_s: float, workflow: str, now_s: float, sent_at_s: float) -> tuple[Workflow, Graph]:
    """Return the workflow to begin for a tick, under this id."""
    assert schedule.workflow is not None
    delay_s = _jitter_s(schedule, workflow)
    begins_at_s = max(tick_s, now_s) + delay_s if delay_s else sent_at_s
    return schedule.workflow.built(
        workflow, begins_at_s=begins_at_s, sent_at_s=sent_at_s, headers=_headers(schedule, tick_s)
    )  # fmt: skip


def claiming(schedule: Schedule, message: Message, now_s: float) -> tuple[Message, Rule]:
    """Return the message of a tick with what it claims, and by which rule."""
    rule = schedule.claims
    assert rule is not None
    if rule.wait_s is not None:
        message = replace(message, due_at_s=now_s + rule.wait_s)
    return replace(message, claim=rule.claim(rule.key, now_s, message.due_at_s)), rule


def _jitter_s(schedule: Schedule, task_id: str) -> float:
    return schedule.jitter_s * int(task_id[:8], 16) / 0x1_0000_0000


def _headers(schedule: Schedule, tick_s: float) -> dict[str, str]:
    return {HEADER_NAME: schedule.name, HEADER_MOMENT: datetime.fromtimestamp(tick_s, UTC).isoformat()}


def _digest(text: str) -> str:
    import hashlib  # 5 ms that only who schedules pays

    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
