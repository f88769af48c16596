"""What Celery calls `app.control.inspect()`: questions to workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from faena._lib.drive import run
from faena.backend import need_backend
from faena.broker import home_of
from faena.errors import NotSupported
from faena.model.delivery import Place
from faena.model.message import Message

if TYPE_CHECKING:
    from faena.app.links import Link, Links

_MOST_SCHEDULED = 1000  # of each queue


class Answers(dict[str, Any]):
    """What workers have answered, by name; `missing` names those that gave no answer in time."""

    missing: tuple[str, ...] = ()


class Inspect:
    """Asks the workers that are there, or those of `destination`; every question gives the answers by worker."""

    def __init__(self, ask: Callable[..., Answers], links: Links, destination: Sequence[str], timeout: float) -> None:
        self._put, self._links, self._destination, self._timeout = ask, links, destination, timeout

    def ping(self) -> Answers:
        """Ask whether they are there."""
        return self._ask("ping")

    def active(self) -> Answers:
        """Ask for the tasks that run now."""
        return self._ask("active")

    def reserved(self) -> Answers:
        """Ask for the tasks that they hold and have not begun."""
        return self._ask("reserved")

    def query_task(self, *ids: str | Sequence[str]) -> Answers:
        """Ask for these tasks: by id, whether each is `active` or `reserved`, and what is known of it."""
        wanted = [task_id for each in ids for task_id in ([each] if isinstance(each, str) else each)]
        return self._ask("query_task", {"ids": wanted})

    def registered(self) -> Answers:
        """Ask for the names of the tasks that they can run."""
        return self._ask("registered")

    registered_tasks = registered

    def stats(self) -> Answers:
        """Ask for numbers."""
        return self._ask("stats")

    def conf(self) -> Answers:
        """Ask for their settings; secrets are masked."""
        return self._ask("conf")

    def active_queues(self) -> Answers:
        """Ask for the queues that they take from."""
        return self._ask("active_queues")

    def commands(self) -> Answers:
        """Ask for the commands that the app declares itself."""
        return self._ask("commands")

    def scheduled(self) -> Answers:
        """Return the delayed tasks, under the one name `broker`: that is where they wait, not in a worker.

        Raises NotSupported: the broker shows no messages before it hands them out.
        """
        return Answers(broker=[_scheduled(message) for message in run(delayed(self._links.blocking(), _MOST_SCHEDULED))])

    def revoked(self) -> Answers:
        """Return the ids of revoked tasks, under the one name `backend`: that is where they stand, for every worker."""
        backend = self._links.blocking().backend
        need_backend(backend, "revoking tasks")
        _, found = run(backend.revocations.since(0))
        return Answers(backend=[each.task_id for each in found])

    def _ask(self, name: str, arguments: dict[str, Any] | None = None) -> Answers:
        return self._put(name, arguments, destination=self._destination, timeout=self._timeout)


async def delayed(link: Link, limit: int) -> list[Message]:
    """Return delayed messages of every queue, at most so many of each, those that are due first before the others."""
    broker = link.broker
    if not broker.capabilities.browses:
        raise NotSupported("listing delayed tasks", "this broker", "it shows no messages before it hands them out")
    found: list[Message] = []
    for status in await broker.queues.status():
        if status.delayed and home_of(broker, status.name).capabilities.browses:
            listed = await broker.queues.browse(
                status.name, limit, offset=status.waiting + status.limited
            )  # these stand before them
            found += [message for place, message in listed if place is Place.DELAYED]
    return sorted(found, key=lambda message: message.due_at_s or 0.0)


def _scheduled(message: Message) -> dict[str, Any]:
    request = {
        "id": message.id,
        "name": message.task,
        "type": message.task,
        "retries": message.retries,
        "delivery_info": {"routing_key": message.queue, "priority": message.priority},
    }
    return {"eta": message.due_at_s, "priority": message.priority, "request": request}
