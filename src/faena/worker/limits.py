"""What a process does for limits: it declares those of its tasks, and brings under them what was sent without.

Who sends a task by its name need not know its code, what a step of a workflow is given stands only in the worker, and
limits can be set at run time. So a message may come that waited without all that it is under: it goes back, and waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena.app.derived import queue_of
from faena.app.links import Link
from faena.backend import Completion
from faena.engine.attempt import Runner
from faena.errors import NotSupported
from faena.model.breaker import FAMILY
from faena.model.delivery import Delivery, Release
from faena.model.limit import Lane, plain
from faena.tasks.flow import QUEUE, Flow
from faena.worker.breakers import Breakers

if TYPE_CHECKING:
    from faena.app.app import Faena


def refuse_unless_limited(app: Faena) -> None:
    """Raise NotSupported where the broker cannot hold back what the code says that it shall."""
    flow = app.sender.flow
    declared = [] if flow is None else [family for family, terms in flow.declared().items() if terms is not None]
    if not declared:
        return
    homes = app.links.homes
    if homes is None:
        if not app.links.broker("blocking").capabilities.limits:
            raise _refused(declared[0], "this broker")
        return
    unable = {name for name in homes.names if not app.links.broker("blocking", name).capabilities.limits}
    for family in declared if unable else ():
        for queue in _queues_under(app, flow, family):
            if homes.of(queue) in unable:
                raise _refused(family, f"broker '{homes.of(queue)}', on which queue '{queue}' lives,")


def _queues_under(app: Faena, flow: Flow | None, family: str) -> Iterator[str]:
    """Return the queues that a family of limits is about: that of its name, or those to which its tasks are sent."""
    for queue in app.queues:
        if family == f"{QUEUE}{plain(queue)}":
            yield queue
    for task in app.tasks.values():
        own = None if flow is None else flow.of_task(task.name)
        if own is not None and any(part.family == family for part in own.parts):
            yield queue_of(app.sender, task)


def _refused(family: str, by: str) -> NotSupported:
    task = family.removeprefix(FAMILY)
    return NotSupported(
        f"the limit '{family}'" if task == family else f"the circuit breaker of task '{task}'", by,
        "it hands out what it has in its own order; keep such tasks on Redis or SQLite, or take that away",
    )  # fmt: skip


class Limiter:
    """Says of messages whether they are under limits that they have not waited for."""

    def __init__(self, app: Faena, runner: Runner) -> None:
        self._app, self._runner = app, runner
        self.breakers = Breakers(app.tasks, app.clock)
        self._flow: Flow | None = None
        self.is_any = False

    async def load(self, link: Link) -> None:
        """Declare what the code says, and learn what was set at run time, and what breakers hold back."""
        if not link.broker.capabilities.limits:
            return
        flow = self._app.sender.flow or Flow(self._app.tasks)
        declared = flow.declared()
        in_force = await link.broker.limits.declare(declared)
        self._flow = flow.with_run_time(in_force)
        self.is_any = self._app.sender.flow is not None or any(declared.get(family) is None for family in in_force)
        await self.breakers.act(link)

    def sent_back(self, delivery: Delivery) -> Completion | None:
        """Return what puts a message back that has not waited for all that it is under; None: it may run."""
        lane = self.lacking(delivery)
        return None if lane is None else Completion(Release(delivery, replace(delivery.message, lane=lane)))

    def lacking(self, delivery: Delivery) -> Lane | None:
        """Return where a message has to wait first; None: it has."""
        message, flow = delivery.message, self._flow
        if flow is None or not flow.lacks(message.task, message.queue, message.lane):
            return None
        task = self._app.tasks.get(message.task)
        try:
            args, kwargs = self._runner.arguments_of(delivery, task) if task is not None else ((), {})
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it fails with that as soon as it runs
            return None
        return flow.completed(message.task, message.queue, message.lane, args, kwargs)
