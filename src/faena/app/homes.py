"""On which of its brokers each queue of an app lives: as its settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faena.app.routing import homes_named_in
from faena.config.settings import Settings
from faena.errors import NotSupported
from faena.model.homes import Homes, homes_of
from faena.model.queue import queues_of

if TYPE_CHECKING:
    from faena.app.links import Links
    from faena.model.message import Message


def homes_in(conf: Settings) -> Homes:
    """Return the homes of an app with several brokers. Raises ConfigurationError."""
    queues = queues_of(conf.task_queues)
    return homes_of(tuple(conf.brokers), queues, homes_named_in(conf.task_routes, queues))


def refuse_unlimited(links: Links, homes: Homes, message: Message) -> None:
    """Raise NotSupported where a call is under limits, and goes to a queue whose broker has none."""
    name = homes.of(message.queue)
    if not links.broker("blocking", name).capabilities.limits:
        raise NotSupported(
            f"the limits of task '{message.task}'", f"broker '{name}', on which queue '{message.queue}' lives,",
            "it hands out what it has in its own order", "send it to a queue of a broker that has limits",
        )  # fmt: skip
