"""`faena result`: what became of a task."""

from __future__ import annotations

from typing import Annotated

from faena._lib.arguments import Argument, Option
from faena.cli.commands.call import duration
from faena.cli.options import Json
from faena.cli.outcome import as_dict, exit_code_of, print_details, wait_for
from faena.cli.session import Session
from faena.errors import ResultNotFound
from faena.model.result import State


def result(
    session: Session,
    task_id: Annotated[str, Argument("Id of the task, as `faena call` prints it.")],
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
        raise ResultNotFound(task_id)
    if json:
        session.out.json(as_dict(session, task_id, record, state))
    else:
        print_details(session, task_id, record, state, traceback=traceback)
    if forget:
        found.forget()
    return exit_code_of(state)


COMMAND = result
