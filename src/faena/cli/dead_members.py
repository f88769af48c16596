"""Dead letters of tasks that belong to a workflow: to put one back is to run its workflow again from there.

The task has ended for its workflow, so that the message alone would run for nothing: nobody takes what comes of it. A
letter that is older than what became of its node since, as after `faena workflow retry`, has nothing to say any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faena._lib.drive import run
from faena.broker import DeadLetters
from faena.errors import WorkflowError
from faena.model.delivery import DeadLetter, DeadReason
from faena.model.message import Member
from faena.model.workflow import ACTIVE_STATES, NodeState, NodeView

if TYPE_CHECKING:
    from faena.cli.session import Session

_PAGE = 500
_FAILED = frozenset({NodeState.FAILURE, NodeState.REVOKED, NodeState.SKIPPED, NodeState.TOLERATED})
"""The last two: it failed, and its workflow went on without it."""


@dataclass(slots=True)
class Sorted:
    """Letters by what is to be done with them."""

    plain: list[str] = field(default_factory=list)  # to put back as they are
    again: dict[str, dict[int, str]] = field(default_factory=dict)  # nodes to begin at, with their ids, by workflow
    stale: list[str] = field(default_factory=list)  # to throw away
    lost: list[tuple[str, str]] = field(
        default_factory=list
    )  # id and workflow: it is not known any more, so they cannot run


def fitting(letters: DeadLetters, queue: str, ids: Sequence[str], reason: DeadReason | None) -> list[DeadLetter]:
    """Return the letters that a command line is about; malformed ones are left out."""
    if ids:
        found: list[DeadLetter | None] = [run(letters.find(each)) for each in dict.fromkeys(ids)]
    else:
        found = []
        while page := run(letters.list(queue or None, _PAGE, len(found))):
            found += page
    return [
        each
        for each in found
        if each is not None and each.message is not None and reason in (None, each.reason) and queue in ("", each.queue)
    ]


def sort(letters: Iterable[DeadLetter], nodes: dict[tuple[str, int], NodeView]) -> Sorted:
    """Say what is to be done with each letter; `nodes` are those of workflows that are known still. Pure."""
    found = Sorted()
    for letter in letters:
        message = letter.message
        if message is None:
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


def requeue_members(session: Session, sorted_letters: Sorted) -> tuple[int, bool]:
    """Run workflows again from their dead nodes; return how many nodes, and whether each could be."""
    count, is_well = 0, not sorted_letters.lost
    for workflow, nodes in sorted_letters.again.items():
        try:
            session.connected_app.workflows.rerun(workflow, sorted(nodes))
        except WorkflowError as error:
            session.out.stderr.write(f"faena: {error}\n")
            is_well = False
            continue
        count += len(nodes)
        session.out.remark(f"workflow {workflow} runs again from {', '.join(nodes[each] for each in sorted(nodes))}")
    for task_id, workflow in sorted_letters.lost:
        session.out.stderr.write(f"faena: task {task_id} cannot run: its workflow {workflow} was forgotten\n")
    for task_id in sorted_letters.stale:
        session.out.remark(f"task {task_id} has been run again by its workflow since; its dead letter was thrown away")
    return count, is_well


def nodes_of(session: Session, letters: Iterable[DeadLetter]) -> dict[tuple[str, int], NodeView]:
    """Return the nodes that letters are about, by workflow and number."""
    of_workflows: dict[str, set[int]] = {}
    for member in [letter.message.member for letter in letters if letter.message is not None]:
        if isinstance(member, Member):
            of_workflows.setdefault(member.workflow, set()).add(member.node)
    return {
        (workflow, node.number): node
        for workflow, numbers in of_workflows.items()
        for node in session.connected_app.workflows.nodes(workflow, sorted(numbers))
    }
