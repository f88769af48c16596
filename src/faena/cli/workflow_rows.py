"""A workflow as lines: what is said of each node, and the tree that they stand in. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from faena._lib.drawing import leads
from faena.cli.workflow_tree import Branch, Fold, Item, Kind, Steps
from faena.model.delivery import Place
from faena.model.result import Failure, ResultRecord, State
from faena.model.workflow import (
    ACTIVE_STATES,
    BROKEN_STATES,
    DONE_STATES,
    NodeState,
    NodeView,
    WorkflowStatus,
    node_id,
)

_LONGEST_NAME = 48


class Shown(StrEnum):
    """What is said of a node: its state in the workflow, made finer by what its record and the broker know."""

    WAITING = "waiting"
    READY = "ready"
    SENT = "sent"
    DELAYED = "delayed"
    HELD = "held"  # by a worker, which may have begun: most tasks do not record that they have
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCESS = "success"
    FAILURE = "failure"
    REVOKED = "revoked"
    SKIPPED = "skipped"
    TOLERATED = "tolerated"
    ABANDONED = "abandoned"
    REPLACED = "replaced"
    UNUSED = "unused"  # a hook of something that did not fail


FAILED = frozenset({Shown.FAILURE, Shown.REVOKED})
_UNDER_WAY = {Place.DELAYED: Shown.DELAYED, Place.HELD: Shown.HELD}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a node beside the node. `progress` is what it recorded, as a text."""

    record: ResultRecord | None = None
    place: Place | None = None
    progress: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `key` names what it is about, the same each time it is asked; `is_folded`: one of a choice of many."""

    key: str
    lead: str
    title: str
    state: Shown | None
    runtime_s: float | None = None
    note: str = ""
    id: str = ""
    is_folded: bool = False


def shown_state(node: NodeView, facts: Facts, *, is_at_rest: bool) -> Shown:
    standing = node.standing
    if standing.state is NodeState.WAITING:
        if standing.alias is not None:
            return Shown.REPLACED
        return Shown.UNUSED if is_at_rest else Shown.WAITING
    if standing.state is not NodeState.SENT:
        return Shown(standing.state.value)
    record = facts.record
    if record is None or record.state in (State.PENDING, State.RECEIVED) or record.is_terminal:
        return _UNDER_WAY.get(facts.place, Shown.SENT) if facts.place is not None else Shown.SENT
    return Shown.RETRYING if record.state == State.RETRY else Shown.RUNNING


def state_of(item: Item, facts: Mapping[int, Facts], *, is_at_rest: bool) -> Shown:
    """Return what is said of a node; of a group, or a part, that it runs once something in it has begun."""
    state = shown_state(item.node, facts.get(item.node.number, Facts()), is_at_rest=is_at_rest)
    if state is not Shown.WAITING or item.kind is Kind.TASK:
        return state
    begun = any(count for each, count in item.states.items() if each is not NodeState.WAITING)
    inner = (each for member in item.members for each in member if isinstance(each, Item))
    if begun or any(state_of(each, facts, is_at_rest=is_at_rest) not in (Shown.WAITING, Shown.UNUSED) for each in inner):
        return Shown.RUNNING
    return state


def runtime_of(node: NodeView, facts: Facts, now_s: float) -> float | None:
    """Return how long a node ran, or runs by now; seconds."""
    if node.started_at_s is not None and node.finished_at_s is not None:
        return node.finished_at_s - node.started_at_s
    record = facts.record
    if node.standing.state is NodeState.SENT and record is not None and not record.is_terminal:
        return None if record.started_at_s is None or record.state == State.RETRY else now_s - record.started_at_s
    return None


def error_line(failure: Failure | None) -> str:
    if failure is None:
        return ""
    message = failure.message.strip().partition("\n")[0]
    return f"{failure.type_name}: {message}" if message else failure.type_name


def counted(states: Mapping[NodeState, int]) -> str:
    """Say how many are in which state: 3 success, 1 failure."""
    return ", ".join(f"{states[state]:,} {state}" for state in NodeState if states.get(state))


def progress_of(states: Mapping[NodeState, int], *, is_at_rest: bool) -> dict[str, int]:
    """Return how many tasks are done, have failed, are under way and wait; at rest nothing waits: it will not run."""
    found = {
        "done": sum(states.get(state, 0) for state in DONE_STATES),
        "failed": sum(states.get(state, 0) for state in BROKEN_STATES),
        "running": sum(states.get(state, 0) for state in ACTIVE_STATES),
        "waiting": 0 if is_at_rest else states.get(NodeState.WAITING, 0),
    }
    return {"tasks": sum(found.values()), **found}


class Rows:
    """Makes rows of a tree, at one moment."""

    def __init__(self, status: WorkflowStatus, facts: Mapping[int, Facts], names: Mapping[int, str], now_s: float) -> None:
        self._status, self._facts, self._names, self._now_s = status, facts, names, now_s
        self._is_at_rest = status.active == 0

    def of(self, steps: Steps) -> Iterator[Row]:
        yield from self._steps(steps, [("", "")] * len(steps), is_folded=_has_fold(steps))

    def _steps(self, steps: Steps, places: Sequence[tuple[str, str]], *, is_folded: bool) -> Iterator[Row]:
        for each, (lead, below) in zip(steps, places, strict=True):
            if isinstance(each, Fold):
                yield _fold_row(each, lead, "steps")
            else:
                yield from self._item(each, lead, below, "", is_folded=is_folded)

    def _item(self, item: Item, lead: str, below: str, role: str, *, is_folded: bool) -> Iterator[Row]:
        node = item.node
        facts = self._facts.get(node.number, Facts())
        state = state_of(item, self._facts, is_at_rest=self._is_at_rest)
        yield Row(
            str(node.number), lead, f"{role}{node.number} {_name_of(item)}", state,
            None if node.links.is_virtual else runtime_of(node, facts, self._now_s),
            self._note(item, state, facts), node.id, is_folded,
        )  # fmt: skip
        parts: list[Steps | Branch | Fold] = []
        if item.kind is Kind.PART:
            parts += [(each,) for each in item.members[0]]
        else:
            parts += item.members
        if item.folded is not None:
            parts.append(item.folded)
        parts += item.beside
        for part, (inner, after) in zip(parts, leads(below, len(parts)), strict=True):
            if isinstance(part, Fold):
                yield _fold_row(part, inner, "members")
            elif isinstance(part, Branch):
                yield from self._several(part.steps, inner, after, f"{part.role}: ", is_folded=False)
            else:
                yield from self._several(part, inner, after, "", is_folded=is_folded or item.folded is not None)

    def _several(self, steps: Steps, lead: str, below: str, role: str, *, is_folded: bool) -> Iterator[Row]:
        """Give the rows of steps that stand in one place of a tree: of more than one below a line of their own."""
        if len(steps) == 1 and isinstance(steps[0], Item):
            yield from self._item(steps[0], lead, below, role, is_folded=is_folded)
            return
        if len(steps) == 1 and isinstance(steps[0], Fold):
            yield _fold_row(steps[0], lead, "steps")
            return
        yield Row("", lead, f"{role}chain", None)
        yield from self._steps(steps, leads(below, len(steps)), is_folded=is_folded or _has_fold(steps))

    def _note(self, item: Item, state: Shown, facts: Facts) -> str:
        node = item.node
        if item.kind is Kind.GROUP and item.states:
            count = sum(item.states.values())
            return f"{count:,} member{'s' if count != 1 else ''}: {counted(item.states)}"
        match state:
            case Shown.RUNNING:
                return facts.progress
            case Shown.RETRYING if facts.record is not None:
                return f"retry {facts.record.retries}: {error_line(facts.record.failure)}"
            case Shown.ABANDONED | Shown.FAILURE | Shown.SKIPPED | Shown.TOLERATED if node.failure is None:
                cause = node.standing.cause
                return "" if cause in (None, node.number) else f"because of {cause} {self._names.get(cause, '')}".rstrip()
        return error_line(node.failure)


def own_id(workflow: str, row: Row) -> str:
    """Return the id of a node where it was given one; others are told from their numbers."""
    return "" if not row.id or row.id == node_id(workflow, int(row.key)) else row.id


def _name_of(item: Item) -> str:
    if item.kind is Kind.PART:
        return "part"
    name = item.node.name
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _fold_row(fold: Fold, lead: str, what: str) -> Row:
    return Row("", lead, f"… {fold.count:,} more {what}: {counted(fold.states)}", None, is_folded=True)


def _has_fold(steps: Steps) -> bool:
    return any(isinstance(each, Fold) for each in steps)
