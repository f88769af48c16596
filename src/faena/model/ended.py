"""What the backend records of nodes that end without a run of their own. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from faena.errors import ChordError, TaskRevokedError
from faena.model.result import Failure, ResultRecord, State
from faena.model.workflow import REFERENCE, NodeState, Standing, Workflow, reference_to


class Cause(Struct, frozen=True):
    """The task whose failure a node suffers from. `content` is the codec of the failure's arguments."""

    id: str = ""
    failure: Failure | None = None
    content: str = "json"


def ended_record(
    workflow: Workflow,
    number: int,
    node_id: str,
    name: str,
    standing: Standing,
    cause: Cause,
    now_s: float,
) -> ResultRecord:
    """Return the record of a group, of a task that was replaced, or of one that was abandoned or revoked before it ran."""
    value, content, failure, state = None, "json", None, State.FAILURE
    match standing.state:
        case NodeState.SUCCESS:
            state, value, content = State.SUCCESS, reference_to(workflow.id, number), REFERENCE
        case NodeState.REVOKED:
            state = State.REVOKED
            failure = revoked_failure(node_id)
        case _:
            failure = cause.failure or revoked_failure(cause.id)
            content = cause.content
            if standing.through_group:
                failure, content = _of_group(cause.id, failure), "json"
    return ResultRecord(
        node_id, name, state, value, content, failure, finished_at_s=now_s, root_id=workflow.root_id or workflow.id,
        expires_at_s=now_s + workflow.keep_s if workflow.keep_s else None,
    )  # fmt: skip


def revoked_failure(task_id: str) -> Failure:
    """Return the failure of a task that was revoked before it ran; its arguments are JSON."""
    message = f"task {task_id} was revoked"
    arguments = msgspec.json.encode([message])  # without them nobody could make the exception again
    return Failure(TaskRevokedError.__module__, TaskRevokedError.__qualname__, message, arguments)


def _of_group(cause_id: str, failure: Failure) -> Failure:
    """A task after a group does not fail with the error of one member: it could be taken for its own."""
    message = f"task {cause_id} of the group before it failed: {text_of(failure)}"
    return Failure(
        ChordError.__module__, ChordError.__qualname__, message, msgspec.json.encode([message]), failure.traceback,
    )  # fmt: skip


def text_of(failure: Failure) -> str:
    """Return an error as its class and arguments would be written."""
    return f"{failure.type_name}({failure.message!r})" if failure.message else failure.type_name
