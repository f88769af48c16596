"""What follows from the settings of an app: the same for all its messages, and for all its results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any

from faena.app.routing import HomeCheck, declared_in, flow_in, queues_named_in, router_from
from faena.codecs.registry import Codecs
from faena.config.settings import Settings
from faena.engine.rules import Rules
from faena.model.queue import Queue, queues_of
from faena.tasks.call import Call, Sender
from faena.tasks.options import seconds
from faena.tasks.task import Task

if TYPE_CHECKING:
    from faena.model.homes import Homes


def sender_of(conf: Settings, codecs: Codecs, tasks: Mapping[str, Task[..., Any]], homes: Homes | None = None) -> Sender:
    """Return what is the same for all messages."""
    queues = queues_of(conf.task_queues)
    check = home_check(conf, homes, queues)
    return Sender(
        encoder=codecs,
        origin=f"{os.getpid()}@{os.uname().nodename}",
        serializer=conf.task_serializer,
        default_queue=conf.task_default_queue,
        default_priority=conf.task_default_priority,
        zone=_zone(conf.timezone),
        route=router_from(conf.task_routes, queues, check),
        declared=declared_in(queues, conf.task_create_missing_queues),
        flow=flow_in(tasks, conf.task_default_rate_limit, queues),
        check_home=check,
        tells=conf.task_send_sent_event,
    )


def home_check(conf: Settings, homes: Homes | None, queues: Mapping[str, Queue]) -> HomeCheck:
    """Return what raises ConfigurationError where a queue does not live on a broker that is named beside it."""

    def check(queue: str, broker: str, who: str = "task_routes") -> None:
        if homes is not None:
            homes.check(queue, broker, who)
        else:
            from faena.model.homes import check_name

            check_name(broker, tuple(conf.brokers), who)

    if not conf.brokers and conf.source_of("brokers") == "command line":  # another takes the place of all
        return lambda *_: None
    for queue in queues.values() if homes is None else ():  # several have looked at theirs
        if queue.broker is not None:
            check(queue.name, queue.broker, f"queue '{queue.name}'")
    return check


def rules_of(conf: Settings, hostname: str) -> Rules:
    """Return what decides which results are kept."""
    return Rules(
        ignore_result=conf.task_ignore_result,
        store_errors_even_if_ignored=conf.task_store_errors_even_if_ignored,
        result_serializer=conf.result_serializer,
        result_expires_s=seconds(conf.result_expires) or None,
        dead_letter=conf.task_dead_letter,
        hostname=hostname,
    )


def default_queues_of(conf: Settings, tasks: Iterable[Task[..., Any]]) -> list[str]:
    """Return the queues that a worker consumes when nobody says which."""
    if conf.task_queues:
        return list(queues_of(conf.task_queues))
    of_tasks = [task.queue for task in tasks if task.queue]
    return list(dict.fromkeys([conf.task_default_queue, *queues_named_in(conf.task_routes, {}), *of_tasks]))


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def queue_of(sender: Sender, task: Task[..., Any]) -> str:
    """Return the queue that a task is sent to where the call names none, as far as routes can tell without arguments."""
    options: Any = dict(task._defaults)
    if sender.route is not None and not options.get("queue"):
        try:
            options = {**sender.route(Call(task.name, (), {}, options)), **options}
        except Exception:  # noqa: BLE001 - a function of the user's, which expects arguments
            return sender.default_queue
    queue = options.get("queue") or sender.default_queue
    return queue.name if isinstance(queue, Queue) else str(queue)
