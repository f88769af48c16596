"""Find the workflows that a command line names: by id, by the beginning of one, by the id of a task in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from faena._lib.drive import run
from faena.errors import FaenaError, WorkflowError, did_you_mean
from faena.model.workflow import REFERENCE, WorkflowStatus, node_id, referred

if TYPE_CHECKING:
    from faena.cli.session import Session

_PAGE = 1000
_SEARCHED = 100_000  # of the latest workflows, for the beginning of an id
_MOST_LISTED = 5


def find_workflows(session: Session, words: Sequence[str]) -> list[WorkflowStatus]:
    """Return the workflows, each once. Raises WorkflowError: one is not known; FaenaError: the beginning of several."""
    found = {status.workflow.id: status for status in [_find(session, word) for word in words]}
    return list(found.values())


def find_workflow(session: Session, word: str) -> WorkflowStatus:
    return _find(session, word)


def workflow_of(session: Session, task_id: str) -> tuple[WorkflowStatus, int | None] | None:
    """Return the workflow that a task or group belongs to, or was sent from, and its node; None: there is none."""
    workflows = session.connected_app.workflows
    workflow, _, digits = task_id.rpartition(".")
    if workflow and digits.isdigit() and (status := workflows.status(workflow)) is not None:
        return status, int(digits)
    record = run(session.link.backend.read([task_id]))[0]
    if record is None:
        return None
    if record.content == REFERENCE and record.value is not None:  # a task that was replaced, by a workflow
        status = workflows.status(referred(record.value)[0])
        return None if status is None else (status, None)
    if record.root_id is None:
        return None
    status = workflows.status(record.root_id)
    # of a workflow that a task has sent, the root is that of the task; only the nodes tell to which of them an id belongs
    others = [each for each in workflows.latest(_PAGE) if each.workflow.root_id == record.root_id]
    for each in [*([status] if status is not None else []), *others]:
        number = next((node.number for node in workflows.nodes(each.workflow.id) if node.id == task_id), None)
        if number is not None:
            return each, number
    return None if status is None else (status, None)


def node_number(session: Session, workflow: str, word: str) -> int:
    """Return the node that is named by its number or by the id of its task.

    Raises WorkflowError: there is none.
    """
    nodes = session.connected_app.workflows.nodes
    known = ""
    if word.isdigit():
        if nodes(workflow, [int(word)]):
            return int(word)
    else:
        number = word.rpartition(".")[2]
        if number.isdigit() and word == node_id(workflow, int(number)) and nodes(workflow, [int(number)]):
            return int(number)
        own = {node.id: node.number for node in nodes(workflow) if node.id}
        if word in own:
            return own[word]
        known = did_you_mean(word, own)
    hint = known or f"; see them with: faena workflow show {workflow}"
    raise WorkflowError(workflow, f"it has no node '{word}'{hint}")


def _find(session: Session, word: str) -> WorkflowStatus:
    status = session.connected_app.workflows.status(word)
    if status is not None:
        return status
    of_task = workflow_of(session, word)
    if of_task is not None:
        session.out.remark(f"task {word} belongs to workflow {of_task[0].workflow.id}")
        return of_task[0]
    return _begun_with(session, word)


def _begun_with(session: Session, word: str) -> WorkflowStatus:
    fitting: list[WorkflowStatus] = []
    known: list[str] = []
    offset = 0
    while offset < _SEARCHED and (page := session.connected_app.workflows.latest(_PAGE, None, offset)):
        known += [each.workflow.id for each in page if not offset]
        fitting += [each for each in page if word and each.workflow.id.startswith(word)]
        offset += len(page)
    if len(fitting) == 1:
        session.out.remark(f"{word} is workflow {fitting[0].workflow.id}")
        return fitting[0]
    if fitting:
        ids = [f"{each.workflow.id}  {each.workflow.name}" for each in fitting[:_MOST_LISTED]]
        more = [f"... and {len(fitting) - _MOST_LISTED} more"] if len(fitting) > _MOST_LISTED else []
        listed = "\n  ".join([*ids, *more])
        raise FaenaError(f"{len(fitting)} workflows begin with {word}; give more of the id:\n  {listed}")
    hint = did_you_mean(word, known) or "; list them with: faena workflow list"
    raise WorkflowError(word, f"it is not known here, or it was forgotten since{hint}")
