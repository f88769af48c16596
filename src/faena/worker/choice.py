"""Which queues a worker takes from, and how: of its command line, its settings, and what the app declares."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from faena.app.bounded import cannot_bound
from faena.errors import ConfigurationError, NotSupported, UnknownQueue, nearest
from faena.model.queue import Queue, refused_name
from faena.model.turns import Taking

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.worker")


class Choice(Struct, frozen=True):
    queues: tuple[str, ...]
    taking: Taking


def chosen(app: Faena, named: Sequence[str], excluded: Sequence[str]) -> Choice:
    """Return what a worker takes from; `named` (-Q) may hold weights, as 'high:3', where the order is by weight.

    Raises ConfigurationError, UnknownQueue; NotSupported: the broker has no such order.
    """
    declared, order = app.queues, app.conf.worker_queue_order
    weights = {name: queue.weight for name, queue in declared.items()} if order == "weighted" else {}
    names: list[str] = []
    for word in named or app.default_queues():
        name, weight = _with_weight(word, declared) if order == "weighted" and named else (word, None)
        if weight is not None:
            weights[name] = weight
        names.append(name)
    _check_names(app, names)
    queues = tuple(dict.fromkeys(name for name in names if name not in excluded))
    if not queues:
        raise ConfigurationError(f"no queue is left to take from: {', '.join(excluded)} excluded")
    ageing_s = {name: queue.ageing_s for name, queue in declared.items() if queue.ageing_s is not None}
    taking = Taking(order, weights, ageing_s)  # of all that are declared: others may be added to it later
    bounded = [name for name, queue in declared.items() if queue.max_length is not None]
    _check_brokers(app, queues, taking, bounded)
    return Choice(queues, taking)


def warn_of_slips(app: Faena, named: Sequence[str], excluded: Sequence[str]) -> None:
    """Log names that look like slips: that nothing declares or sends to, and that are near one which is used."""
    used = set(app.default_queues())
    names = [_with_weight(word, app.queues)[0] for word in named] if app.conf.worker_queue_order == "weighted" else named
    for name in (*names, *excluded):
        meant = None if name in used else nearest(name, used)
        if meant is not None and meant not in names:
            log.warning("queue '%s' is named by no route, no task and no declaration; did you mean '%s'?", name, meant)


def _with_weight(word: str, declared: Mapping[str, Queue]) -> tuple[str, int | None]:
    name, colon, weight = word.rpartition(":")
    if word in declared or not colon or not name:
        return word, None
    if not weight.isdecimal() or not 1 <= int(weight) <= 1000:
        raise ConfigurationError(f"-Q {word}: a weight is a whole number from 1 to 1000, as in high:3,low:1")
    return name, int(weight)


def _check_names(app: Faena, names: Sequence[str]) -> None:
    for name in names:
        if reason := refused_name(name):
            raise ConfigurationError(f"-Q {name}: {reason}")
    if not app.conf.task_create_missing_queues:
        for name in names:
            if name not in app.queues:
                raise UnknownQueue(name, app.queues)


def _check_brokers(app: Faena, queues: Sequence[str], taking: Taking, bounded: Sequence[str]) -> None:
    """Refuse what a broker cannot do with the queues that live on it, before anything runs."""
    homes = app.links.homes
    if homes is None:
        _check_broker(app, None, taking.among(queues), bounded)
        return
    parted, of_bounded = homes.parted(queues), homes.parted(bounded)
    if taking.order != "fair" and len(parted) > 1:
        raise NotSupported(
            f"worker_queue_order = '{taking.order}'",
            "a worker of several brokers",
            f"each hands out its own queues, and nobody sees to an order among those of {' and '.join(parted)}",
            "start a worker for each broker, or take all as they come",
        )
    for name in dict.fromkeys([*parted, *of_bounded]):
        _check_broker(app, name, taking.among(parted.get(name, ())), of_bounded.get(name, ()))


def _check_broker(app: Faena, name: str | None, taking: Taking, bounded: Sequence[str]) -> None:
    if taking.order == "fair" and not taking.ageing_s and not bounded:
        return
    broker = app.links.broker("asyncio", name)
    kind = type(broker).__name__
    if bounded and not broker.capabilities.bounds:
        raise cannot_bound(bounded[0], kind)
    if taking.order != "fair" and not broker.capabilities.orders:
        raise NotSupported(
            f"worker_queue_order = '{taking.order}'",
            kind,
            "it hands out messages of all queues of a worker as they come",
            "start a worker for each queue, with a concurrency that fits",
        )
    if taking.ageing_s and not broker.capabilities.ages:
        raise NotSupported(
            f"ageing of queue '{next(iter(taking.ageing_s))}'",
            kind,
            "it cannot choose among the messages that wait",
            "give the messages of one priority a queue of their own",
        )
