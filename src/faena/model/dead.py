"""Which dead letters are meant, what failures they have in common, and what becomes of those of workflows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from msgspec import Struct

from faena.model.delivery import DeadLetter, DeadReason
from faena.model.workflow import ACTIVE_STATES, NodeState, NodeView

_FAILED = frozenset({NodeState.FAILURE, NodeState.REVOKED, NodeState.SKIPPED, NodeState.TOLERATED})
"""The last two: it failed, and its workflow went on without it."""


class Wanted(Struct, frozen=True):
    """Which letters are meant: those that all of this is true of; what is None says nothing."""

    ids: frozenset[str] | None = None
    queue: str | None = None
    task: str | None = None  # a name, or a glob
    reason: DeadReason | None = None
    fingerprint: str | None = None  # or how it begins
    before_s: float | None = None  # buried before that moment, unix seconds

    @property
    def is_everything(self) -> bool:
        return self == Wanted()

    def fits(self, letter: DeadLetter) -> bool:
        message = letter.message
        if (self.ids is not None or self.task is not None or self.fingerprint is not None) and message is None:
            return False
        return (
            (self.ids is None or (message is not None and message.id in self.ids))
            and (self.queue is None or letter.queue == self.queue)
            and (self.task is None or (message is not None and fnmatchcase(message.task, self.task)))
            and (self.reason is None or letter.reason == self.reason)
            and (self.fingerprint is None or fingerprint_of_letter(letter).startswith(self.fingerprint))
            and (self.before_s is None or letter.buried_at_s < self.before_s)
        )


class Group(Struct, frozen=True):
    """Dead letters of one task that have died of the same failure."""

    fingerprint: str
    task: str
    reason: DeadReason
    count: int
    first_s: float  # when the first and the last of them were buried, unix seconds
    last_s: float
    error: str  # of the last
    example: str  # the id of the last


@dataclass(slots=True)
class Sorted:
    """Letters by what it takes to put them back.

    One of a workflow is not run by itself: nobody would take what comes of it. Its workflow runs again from there. A letter
    that is older than what became of its node since has nothing to say any more.
    """

    plain: list[str] = field(default_factory=list)  # to put back as they are
    again: dict[str, dict[int, str]] = field(default_factory=dict)  # nodes to begin at, with their ids, by workflow
    stale: list[str] = field(default_factory=list)  # to throw away
    lost: list[tuple[str, str]] = field(default_factory=list)  # id and workflow: it is known no more, so they cannot run


def fingerprint_of_letter(letter: DeadLetter) -> str:
    """Return the fingerprint of the failure that it died of; one that says nothing has that of its reason."""
    if letter.message is not None and letter.message.history:
        return letter.message.history[-1].fingerprint
    return str(letter.reason)


def grouped(letters: Iterable[DeadLetter]) -> Sequence[Group]:
    """Group letters by what they died of, the largest group first."""
    found: dict[tuple[str, str], list[DeadLetter]] = {}
    for letter in letters:
        task = "" if letter.message is None else letter.message.task
        found.setdefault((fingerprint_of_letter(letter), task), []).append(letter)
    groups = [_group(fingerprint, task, members) for (fingerprint, task), members in found.items()]
    return sorted(groups, key=lambda group: (-group.count, -group.last_s, group.fingerprint))


def sort(letters: Iterable[DeadLetter], nodes: Mapping[tuple[str, int], NodeView]) -> Sorted:
    """Say what is to be done with each letter; `nodes` are those of workflows that are known still."""
    found = Sorted()
    for letter in letters:
        message = letter.message
        if message is None or letter.reason is DeadReason.MALFORMED:
            continue
        member = message.member
        if member is None:
            found.plain.append(message.id)
        elif (node := nodes.get((member.workflow, member.node))) is None:
            found.lost.append((message.id, member.workflow))
        elif node.standing.run != member.run or node.standing.state not in _FAILED | ACTIVE_STATES:
            found.stale.append(message.id)
        elif node.standing.state in ACTIVE_STATES:
            found.plain.append(message.id)  # for its workflow it has not ended
        else:
            found.again.setdefault(member.workflow, {})[member.node] = message.id
    return found


def _group(fingerprint: str, task: str, letters: Sequence[DeadLetter]) -> Group:
    last = max(letters, key=lambda letter: letter.buried_at_s)
    error = last.detail
    if last.message is not None and last.message.history:
        error = last.message.history[-1].error
    return Group(
        fingerprint=fingerprint,
        task=task,
        reason=last.reason,
        count=len(letters),
        first_s=min(letter.buried_at_s for letter in letters),
        last_s=last.buried_at_s,
        error=error,
        example="" if last.message is None else last.message.id,
    )
