"""Collect what is known of one task, for the law that says why it is not running (`faena.model.explanation`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from faena._lib.drive import run
from faena.app.breakers import standing_breakers
from faena.app.links import Link
from faena.app.pausing import statuses
from faena.config.secrets import mask_text
from faena.model.control import Order, OrderKind, RevokeRule
from faena.model.delivery import Found, Place, QueueStatus
from faena.model.explanation import Explanation, Facts, Needed, NodeFacts, Why, WorkerFacts, explain
from faena.model.limit import Obstacle
from faena.model.message import Member, Message
from faena.model.result import ResultRecord
from faena.model.workflow import UNENDED_STATES, NodeState, NodeView

if TYPE_CHECKING:
    from faena.app.app import Faena

_ANSWER_WITHIN_S = 1.0
_MAY_HAVE_MOVED_ON = frozenset({Why.HELD, Why.LOST})  # between two looks; so they are looked at once more
_AGAIN_AFTER_S = 0.3
_NAMED = 5  # of the tasks that one waits for
_LOOKED_AT = 1000  # nodes of a workflow, on the way to them


def explain_task(app: Faena, task_id: str) -> Explanation:
    """Say what is so of a task, and why it is not running."""
    explanation = explain(run(_facts(app, app.links.blocking(), task_id)))
    if explanation.why in _MAY_HAVE_MOVED_ON:
        time.sleep(_AGAIN_AFTER_S)
        explanation = explain(run(_facts(app, app.links.blocking(), task_id)))
    return explanation


async def aexplain_task(app: Faena, task_id: str) -> Explanation:
    """Do as `explain_task`, without blocking the event loop."""
    explanation = explain(await _facts(app, await app.links.asyncio(), task_id))
    if explanation.why in _MAY_HAVE_MOVED_ON:
        import asyncio  # who comes here has it

        await asyncio.sleep(_AGAIN_AFTER_S)
        explanation = explain(await _facts(app, await app.links.asyncio(), task_id))
    return explanation


async def _facts(app: Faena, link: Link, task_id: str) -> Facts:
    broker, backend = link.broker, link.backend
    (record,) = await backend.read([task_id])
    found = await broker.find(task_id) if broker.capabilities.locates else None
    parked = next(iter(await backend.journal.waiting([task_id], 1)), None)
    looks_for_dead = broker.capabilities.dead_letters if found is None else found.place is Place.DEAD
    dead = await broker.dead_letters.find(task_id) if looks_for_dead else None
    message = found.message if found is not None and found.message is not None else parked.message if parked else None
    node = await _node(link, task_id, message, record)
    _, revoked = await backend.revocations.since(0)
    facts = Facts(
        task_id,
        app.clock(),
        record,
        found,
        dead,
        await _queue(link, message),
        parked,
        node,
        next((each for each in revoked if each.task_id == task_id), None),
        await _rule(link, message),
        await _obstacles(link, task_id, found),
        (await standing_breakers(link)).get(message.task) if message is not None else None,
        place=_place(app),
        locates=broker.capabilities.locates and broker.capabilities.finds_all,
    )
    return msgspec.structs.replace(facts, workers=await _workers(app, link, task_id, facts.task))


def _place(app: Faena) -> str:
    urls = [url for url, _ in app.links.places().values()] + [app.links.urls()[1]]
    return " and ".join(dict.fromkeys(map(mask_text, urls)))


async def _queue(link: Link, message: Message | None) -> QueueStatus | None:
    if message is None:
        return None
    return next((each for each in await statuses(link, message.queue) if each.name == message.queue), None)


async def _rule(link: Link, message: Message | None) -> Order | None:
    """Return the order of revocation that a message fits."""
    if message is None:
        return None
    for order in await link.backend.orders.standing():
        try:
            fits = order.kind == OrderKind.REVOKE and msgspec.convert(order.value, RevokeRule).matches(message)
        except msgspec.ValidationError:
            continue
        if fits:
            return order
    return None


async def _obstacles(link: Link, task_id: str, found: Found | None) -> tuple[Obstacle, ...]:
    """Return what keeps a message in its lane."""
    if found is None or found.place is not Place.LIMITED:
        return ()
    (obstacles,) = await link.broker.limits.obstacles([task_id])
    return tuple(obstacles or ())


async def _workers(app: Faena, link: Link, task_id: str, task: str) -> tuple[WorkerFacts, ...]:
    present = await link.backend.mailbox.workers()
    if not present:
        return ()
    answers = await app.control.tell_through(link, "explain", {"id": task_id, "task": task}, _ANSWER_WITHIN_S)
    found = []
    for info in present:
        said = answers.get(info.name)
        if not isinstance(said, dict) or "error" in said:
            found.append(WorkerFacts(info.name, info.queues, answered=said is not None))
            continue
        found.append(msgspec.convert({"name": info.name, **said}, WorkerFacts))
    return tuple(found)


# -- the workflow ---------------------------------------------------------------------------------------------


async def _node(link: Link, task_id: str, message: Message | None, record: ResultRecord | None) -> NodeFacts | None:
    """Return the place of the task in its workflow, if it has one."""
    member = message.member if message is not None else None
    if member is None:
        member = await _member(link, task_id, record)
    if member is None:
        return None
    workflows = link.backend.workflows
    (status,) = await workflows.statuses([member.workflow])
    views = await workflows.nodes(member.workflow, [member.node])
    if status is None or not views:
        return None
    view = views[0]
    needed, count = await _needed(link, member.workflow, view) if view.standing.state is NodeState.WAITING else ((), 0)
    cause = None
    if view.standing.cause is not None:
        cause = next((_as_needed(each) for each in await workflows.nodes(member.workflow, [view.standing.cause])), None)
    return NodeFacts(
        member.workflow, view.number, view.name, view.standing.state, status.state, view.is_hook, needed, count, cause
    )


async def _member(link: Link, task_id: str, record: ResultRecord | None) -> Member | None:
    """Find the node that a task is: by its id, which says so unless it was given one, or by the root of its record."""
    workflow, _, digits = task_id.rpartition(".")
    if workflow and digits.isdigit():
        return Member(workflow, int(digits))
    root = record.root_id if record is not None else None
    if root is None or root == task_id:
        return None
    views = await link.backend.workflows.nodes(root)
    return next((Member(root, view.number) for view in views if view.id == task_id), None)


async def _needed(link: Link, workflow: str, view: NodeView) -> tuple[tuple[Needed, ...], int]:
    """Return the first of the tasks that have not ended and that a node waits for, and how many there are.

    What is between them and runs nothing, such as the end of a group, is looked through.
    """
    found: list[NodeView] = []
    numbers: Sequence[int] = view.needs
    seen: set[int] = set()
    while numbers and len(seen) < _LOOKED_AT:
        seen.update(numbers)
        views = [each for each in await link.backend.workflows.nodes(workflow, numbers)
                 if each.standing.state in UNENDED_STATES]  # fmt: skip
        found += [each for each in views if not each.links.is_virtual]
        numbers = [number for each in views if each.links.is_virtual for number in each.needs if number not in seen]
    # those that could be under way say more than those that wait themselves
    found.sort(key=lambda each: (each.standing.state is NodeState.WAITING, each.number))
    return tuple(_as_needed(each) for each in found[:_NAMED]), len(found)


def _as_needed(view: NodeView) -> Needed:
    return Needed(view.id, view.name, view.standing.state)
