"""`faena workflow`: see what becomes of workflows, run them again, end them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from faena._lib.arguments import Argument, Option
from faena._lib.drawing import FORMS
from faena.cli.confirm import confirm
from faena.cli.options import Json, Limit, to_count, to_id
from faena.cli.output import ago
from faena.cli.session import Session
from faena.cli.workflow_ids import find_workflow, find_workflows, node_number
from faena.errors import UsageError, WorkflowError
from faena.model.rerun import failed, plan_rerun
from faena.model.workflow import NodeState, NodeView, WorkflowState, WorkflowStatus

Id = Annotated[
    str, Argument("Id of the workflow, or its beginning, or the id of a task in it.", metavar="ID", convert=to_id)
]
Ids = Annotated[Sequence[str], Argument("Ids of workflows.", metavar="ID", convert=to_id)]
Unfolded = Annotated[bool, Option("--all", help="Show every member of large groups and every step of long chains.")]


def list_workflows(
    session: Session,
    *,
    state: Annotated[WorkflowState | None, Option("-s", "--state", help="Those in this state.")] = None,
    limit: Limit = 50,
    offset: Annotated[int, Option("--offset", metavar="N", convert=to_count, help="Leave out so many of the latest.")] = 0,
    json: Json = False,
) -> int:
    """List workflows, the latest first, with how far they are.

    The numbers are those of tasks: done (succeeded, or failed and the workflow went on), failed (revoked and abandoned ones
    too), running (sent, whether or not a worker has begun), waiting for others.
    """
    from faena.cli.workflow_view import status_as_dict

    workflows = session.connected_app.workflows
    found = [(each, _counts(session, each)) for each in workflows.latest(limit, state, offset)]
    if json:
        session.out.json([status_as_dict(status, counts) for status, counts in found])
        return 0
    rows = [_listed(status, counts, time.time()) for status, counts in found]
    columns: tuple[str, ...] = ("id", "name", "state", "done", "failed", "running", "waiting", "sent", "took")
    if session.out.is_terminal:
        width = shutil.get_terminal_size().columns
        room = width - (_REST_WIDTH if width >= _WIDE else _LEAST_WIDTH)
        if width < _WIDE:  # the rest is seen one by one, with `show`
            columns = columns[:5]
        rows = [(row[0], _cut(row[1], max(_SHORTEST_NAME, room)), *row[2 : len(columns)]) for row in rows]
    session.out.table(
        columns,
        rows,
        right="done failed running waiting",
        empty="no workflows" if state is None else f"no workflow is {state}",
    )
    return 0


def show(
    session: Session,
    workflow: Id,
    *,
    watch: Annotated[bool, Option("-w", "--watch", help="Follow it until nothing of it happens any more.")] = False,
    everything: Unfolded = False,
    json: Json = False,
) -> int:
    """Show a workflow as a tree: its steps in order, the members of its groups, what is beside them.

    Of a large group, or a long chain, some members are shown, those that failed first, and the rest is counted. A task
    that is `sent` waits in its queue; one that is `held` is with a worker; it is `running` once it has recorded so
    (`track_started`, or progress).

    Exit code: 0 it has succeeded, or has not ended yet; 1 it has failed or was cancelled.
    """
    from faena.cli import workflow_text as text
    from faena.cli import workflow_watch as watching
    from faena.cli.workflow_view import WorkflowView

    out = session.out
    view = WorkflowView(session, find_workflow(session, workflow).workflow.id, unfolded=everything)
    if json:
        if watch:
            watching.follow(session, view, lambda _: None)
        look = view.look(whole=True)
        out.json(look.as_dict())
    elif watch:
        look = watching.show_live(session, view) if out.is_terminal else watching.show_changes(session, view)
    else:
        look = view.look()
        width = shutil.get_terminal_size().columns if out.is_terminal else None
        for line in [*text.head(out, look), "", *text.tree(out, look, width=width)]:
            out.line(line)
    has_failed = look.status.state in (WorkflowState.FAILURE, WorkflowState.REVOKED)
    if has_failed and not json:
        out.remark(f"to run again what has not succeeded: faena workflow retry {view.workflow}")
    return 1 if has_failed or (watch and look.status.state is WorkflowState.RUNNING) else 0


def graph(
    session: Session,
    workflow: Id,
    *,
    form: Annotated[str, Option("-f", "--format", metavar="|".join(FORMS), help="How to draw it.")] = "mermaid",
    everything: Unfolded = False,
    json: Json = False,
) -> int:
    """Draw a workflow with its states as colours: as Mermaid, for Graphviz (dot), or as a tree."""
    from faena.cli import workflow_text as text
    from faena.cli.workflow_graph import draw_graph
    from faena.cli.workflow_view import WorkflowView

    if form not in FORMS:
        raise UsageError(f"no form '{form}' to draw a graph in: one of {', '.join(FORMS)}")
    look = WorkflowView(session, find_workflow(session, workflow).workflow.id, unfolded=everything).look()
    drawn = "\n".join(text.tree(session.out, look, width=None)) if form == "tree" else None
    drawn = draw_graph(look.steps, look.states(), form).rstrip("\n") if drawn is None else drawn
    if json:
        session.out.json({"id": look.status.workflow.id, "format": form, "graph": drawn})
    else:
        session.out.line(drawn)
    return 0


def retry(
    session: Session,
    ids: Ids,
    *,
    begun_at: Annotated[
        Sequence[str],
        Option("--from", comma=True, metavar="NODE", help="Run it again from here: number of a node, or id of a task."),
    ] = (),
    json: Json = False,
) -> int:
    """Run workflows again from where they have failed, or from the nodes named, with all that comes after them.

    What had succeeded elsewhere is kept. Exit code: 1 where one of them cannot be run again so; the others are.
    """
    found = find_workflows(session, ids)
    if begun_at and len(found) > 1:
        raise UsageError("--from names nodes of one workflow; name one workflow only")
    numbers = [node_number(session, found[0].workflow.id, word) for word in begun_at] if begun_at else None
    done: list[dict[str, Any]] = []
    for status in found:
        workflow = status.workflow.id
        try:
            nodes = {node.number: node for node in session.connected_app.workflows.nodes(workflow)}
            again = plan_rerun(workflow, nodes, numbers)
            session.connected_app.workflows.rerun(workflow, numbers)
        except WorkflowError as error:
            session.out.complain(str(error))
            continue
        starts = [nodes[number] for number in (failed(nodes) if numbers is None else numbers)]
        done.append({"id": workflow, "from": [node.number for node in starts], "again": list(again)})
        if not json:
            session.out.line(f"{workflow} runs again from {_named(starts)}")
    if json:
        session.out.json(done)
    return 0 if len(done) == len(found) else 1


def cancel(
    session: Session,
    ids: Ids,
    *,
    terminate: Annotated[bool, Option("--terminate", help="Stop the tasks that run, too.")] = False,
    yes: Annotated[bool, Option("-y", "--yes", help="Do it without asking.")] = False,
    json: Json = False,
) -> int:
    """End workflows: nothing of them begins any more. What runs is let finish, unless --terminate is given."""
    found = find_workflows(session, ids)
    open_ones = [status for status in found if status.active or status.state is WorkflowState.RUNNING]
    for status in found:
        if status not in open_ones:
            session.out.remark(f"{status.workflow.id} has ended already: {status.state}")
    if open_ones:
        names = ", ".join(f"{status.workflow.id} ({status.workflow.name})" for status in open_ones)
        confirm(session.out, f"Cancel {names}?", force=yes, option="--yes")
    for status in open_ones:
        session.connected_app.workflows.cancel(status.workflow.id, terminate=terminate)
        if not json:
            session.out.line(f"{status.workflow.id} cancelled")
    if json:
        session.out.json({"cancelled": [status.workflow.id for status in open_ones]})
    return 0


COMMANDS = {"list": list_workflows, "show": show, "graph": graph, "retry": retry, "cancel": cancel}
DEFAULT = "list"

_MOST_NAMED = 3
_WIDE = 140  # columns of a terminal that has room for all that is listed
_REST_WIDTH, _LEAST_WIDTH = 104, 64  # columns that everything but the names takes
_SHORTEST_NAME = 16


def _listed(status: WorkflowStatus, counts: Mapping[NodeState, int], now_s: float) -> tuple[Any, ...]:
    from faena.cli.workflow_rows import progress_of

    numbers = progress_of(counts, is_at_rest=status.active == 0)
    sent_at_s, end_s = status.workflow.sent_at_s, status.finished_at_s
    took_s = (now_s if end_s is None else end_s) - sent_at_s
    return (
        status.workflow.id, status.workflow.name, str(status.state), numbers["done"], numbers["failed"],
        numbers["running"], numbers["waiting"], f"{ago(now_s - sent_at_s)} ago", ago(took_s),
    )  # fmt: skip


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _counts(session: Session, status: WorkflowStatus) -> Mapping[NodeState, int]:
    states = session.connected_app.workflows.states(status.workflow.id)
    return states.counts() if states is not None else {}


def _named(nodes: Sequence[NodeView]) -> str:
    named = ", ".join(f"{node.number} {node.name}" for node in nodes[:_MOST_NAMED])
    return f"{named} and {len(nodes) - _MOST_NAMED} more" if len(nodes) > _MOST_NAMED else named
