"""What a process does for limits: it declares those of its tasks, and brings under them what was sent without.

Who sends a task by its name need not know its code, what a step of a workflow is given stands only in the worker, and
limits can be set at run time. So a message may come that waited without all that it is under: it goes back, and waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena.app.links import Link
from faena.backend import Completion
from faena.engine.attempt import Runner
from faena.errors import NotSupported
from faena.model.breaker import FAMILY
from faena.model.delivery import Delivery, Release
from faena.model.limit import Lane
from faena.tasks.flow import Flow
from faena.worker.breakers import Breakers

if TYPE_CHECKING:
    from faena.app.app import Faena


def refuse_unless_limited(app: Faena) -> None:
    """Raise NotSupported where the broker cannot hold back what the code says that it shall."""
    flow = app.sender.flow
    declared = [] if flow is None else [family for family, terms in flow.declared().items() if terms is not None]
    if declared and not app.links.connect("blocking").broker.capabilities.limits:
        what, task = f"the limit '{declared[0]}'", declared[0].removeprefix(FAMILY)
        raise NotSupported(
            what if task == declared[0] else f"the circuit breaker of task '{task}'", "this broker",
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
