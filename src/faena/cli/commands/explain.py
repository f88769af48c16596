"""`faena explain`: why is this task not running?"""

from __future__ import annotations

from typing import Annotated

from msgspec import to_builtins

from faena._lib.arguments import Argument
from faena.app.explain import explain_task
from faena.cli.options import Json, to_id
from faena.cli.session import Session
from faena.model.explanation import Why


def explain(
    session: Session,
    task_id: Annotated[str, Argument("Id of the task.", metavar="ID", convert=to_id)],
    *,
    json: Json = False,
) -> int:
    """Say where a task is, why it is not running, and what to do about it.

    Asks the broker, the backend, and every worker that is there. The exit code is 1 where nothing is known of the id.
    """
    explanation = explain_task(session.connected_app, task_id)
    if json:
        session.out.json(to_builtins(explanation))
    else:
        task = f" ({explanation.task})" if explanation.task else ""
        session.out.line(session.out.styled("bold", f"{task_id}{task}: {explanation.why}"))
        for reason in explanation.reasons:
            session.out.line(reason)
        for hint in explanation.hints:
            session.out.line(f"- {hint}")
    return 1 if explanation.why is Why.UNKNOWN else 0


COMMAND = explain
