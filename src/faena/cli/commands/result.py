"""`faena result`: what became of a task."""

from __future__ import annotations

from typing import Annotated

from faena._lib.arguments import Argument, Option
from faena.cli.commands.call import duration
from faena.cli.options import Json, to_id
from faena.cli.outcome import as_dict, exit_code_of, print_details, wait_for
from faena.cli.session import Session
from faena.cli.workflow_ids import workflow_of
from faena.errors import ResultNotFound, WorkflowError
from faena.model.result import State


def result(
    session: Session,
    task_id: Annotated[str, Argument("Id of the task, as `faena call` prints it.", convert=to_id)],
    *,
    wait: Annotated[bool, Option("-w", "--wait", help="Wait until the task has ended.")] = False,
    timeout: Annotated[
        float | None, Option("-t", "--timeout", metavar="TIME", convert=duration, help="Wait, for so long at most.")
    ] = None,
    traceback: Annotated[bool, Option("--traceback", help="Print the traceback of a failure, too.")] = False,
    forget: Annotated[bool, Option("--forget", help="Remove the result after printing it.")] = False,
    json: Json = False,
) -> int:
    """Show the state and the result of a task.

    Exit code: 0 it has succeeded, or has not ended yet; 1 it has failed, nothing is known of it, or the time was up.
    """
    found = session.connected_app.AsyncResult(task_id)
    if wait or timeout is not None:
        wait_for(session, found, timeout)
    state, record = found.state, found.record
    if state == State.UNKNOWN:
        _refuse_workflow(session, task_id)
        raise ResultNotFound(task_id)
    workflow, node = _workflow_of(session, task_id)
    if json:
        more = {"workflow": workflow, "node": node} if workflow is not None else {}
        session.out.json({**as_dict(session, task_id, record, state), **more})
    else:
        place = f"{workflow}{f' (node {node})' if node is not None else ''}" if workflow is not None else ""
        print_details(session, task_id, record, state, traceback=traceback, workflow=place)
    if forget:
        found.forget()
    return exit_code_of(state)


COMMAND = result


def _workflow_of(session: Session, task_id: str) -> tuple[str | None, int | None]:
    """Return the workflow that a task belongs to, or was sent from, and its node where the id tells it."""
    found = workflow_of(session, task_id)
    return (None, None) if found is None else (found[0].workflow.id, found[1])


def _refuse_workflow(session: Session, task_id: str) -> None:
    """Raise WorkflowError where the id is that of a whole workflow."""
    status = session.connected_app.workflows.status(task_id)
    if status is not None:
        output = session.connected_app.workflows.nodes(task_id, [status.workflow.output])
        its_result = f"; its result is that of {output[0].id}" if output and output[0].id else ""
        raise WorkflowError(task_id, f"it is no task{its_result}; see the whole with: faena workflow show {task_id}")
