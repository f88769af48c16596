"""On which of an app's brokers each queue lives. A value, and the law that makes it; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from faena.errors import ConfigurationError, did_you_mean
from faena.model.queue import COPY_MARK, Queue

_DEFAULT = "default"


class Homes(Struct, frozen=True):
    """The brokers of an app by name, and what lives on another one than the default."""

    default: str
    names: tuple[str, ...]
    queues: Mapping[str, str] = {}
    broadcasts: frozenset[str] = frozenset()  # the copies of these live where they do

    def of(self, queue: str) -> str:
        """Return the name of the broker that a queue lives on."""
        found = self.queues.get(queue)
        if found is None and COPY_MARK in queue:
            at = queue.find(COPY_MARK)
            while at > 0 and queue[:at] not in self.broadcasts:
                at = queue.find(COPY_MARK, at + 1)
            if at > 0:
                found = self.queues.get(queue[:at])
        return self.default if found is None else found

    def parted(self, queues: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the queues of each broker that some of these live on, in their order."""
        found: dict[str, list[str]] = {}
        for queue in queues:
            found.setdefault(self.of(queue), []).append(queue)
        return {name: tuple(of_it) for name, of_it in found.items()}

    def check(self, queue: str, broker: str, who: str) -> None:
        """Raise ConfigurationError where a queue does not live on the broker that somebody says."""
        check_name(broker, self.names, who)
        if self.of(queue) != broker:
            raise ConfigurationError(
                f"{who} says that queue '{queue}' lives on broker '{broker}', and it lives on '{self.of(queue)}'; "
                f"declare it in task_queues, with broker='{broker}'"
            )


def default_of(names: Sequence[str]) -> str:
    """Return the broker on which everything lives of which nothing is said: 'default', else the first."""
    return _DEFAULT if _DEFAULT in names else names[0]


def homes_of(names: Sequence[str], queues: Mapping[str, Queue], routes: Iterable[tuple[str, str]]) -> Homes:
    """Say where queues live that are declared, or named by routes (queue, broker).

    Raises ConfigurationError: there is no such broker, or two say different things.
    """
    default = default_of(names)
    found = {}
    for queue in queues.values():
        if queue.broker is not None:
            check_name(queue.broker, names, f"queue '{queue.name}'")
            found[queue.name] = queue.broker
    for name, broker in routes:
        check_name(broker, names, f"task_routes, for queue '{name}',")
        said = found.get(name, default if name in queues else None)
        if said is not None and said != broker:
            place = f"Queue('{name}', broker='{said}')" if name in queues else "another route"
            if name in queues and queues[name].broker is None:
                place = "task_queues, where no broker stands beside it,"
            raise ConfigurationError(
                f"a queue lives on one broker: task_routes puts '{name}' on '{broker}', and {place} puts it on '{said}'"
            )
        found[name] = broker
    broadcasts = frozenset([queue.name for queue in queues.values() if queue.broadcast])
    return Homes(default, tuple(names), {name: each for name, each in found.items() if each != default}, broadcasts)


def check_name(broker: object, names: Sequence[str], who: str) -> None:
    """Raise ConfigurationError where an app has no broker of that name."""
    if broker not in names:
        known = f"the app has {', '.join(names)}" if names else "the app has one broker, without a name: see `brokers`"
        raise ConfigurationError(f"{who} names broker '{broker}', and {known}{did_you_mean(str(broker), names)}")


def holder_from(holders: Mapping[str, str]) -> str:
    """Return the one name of a holder on several brokers."""
    return msgspec.json.encode(holders).decode()


def holders_of(holder: str) -> dict[str, str]:
    """Return the holders by broker that one name stands for; of one that was never given out, none."""
    try:
        return msgspec.json.decode(holder, type=dict[str, str])
    except msgspec.DecodeError:
        return {}
