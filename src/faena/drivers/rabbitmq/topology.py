"""Names and arguments of queues and exchanges, and the ladder on which delayed messages come down. Pure.

A message's own time to live does not do for a delay: messages expire at the head of their queue only, so that a long delay
would block all behind it. So queues stand in a row, each with one time to live for all that is in it, twice that of the
one below; in each of them the head is always the next. The routing key spells the delay in binary: at each level a message
waits (1) or passes (0), and at the bottom it is routed by the end of its key to the queue that was meant.

    publish ──▶ level 24 ─(1)─▶ queue of 2^24 units ──dead-letter──▶ level 23 ... level 0 ──▶ due ──▶ queue
                    └────(0)─────────────────────────────────────────▲
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from faena.drivers.rabbitmq.location import Location

UNIT_MS = 250
LEVELS = 25  # the longest time to live that every server takes is 2^32 - 1 ms: UNIT_MS * 2^24 is below, 2^25 above
LONGEST_MS = UNIT_MS * (2**LEVELS - 1)
"""About 97 days. What is to wait for longer comes down after this time, and goes up again."""

_LONGEST_NAME = 180  # RabbitMQ takes 255 bytes, prefix and ending included
_FOREIGN = re.compile(r"[^A-Za-z0-9_.@#,/><-]")  # of what the grammar of AMQP 0-9-1 allows in names, ':' is ours
_LIMITS_FROM = 4
PRIORITIES = 10


def queue_name(location: Location, queue: str) -> str:
    """Return the server's name for a queue. One that the protocol does not take is changed, with a digest of the whole."""
    if queue and len(queue) <= _LONGEST_NAME and _FOREIGN.search(queue) is None:
        return location.prefix + queue
    return f"{location.prefix}{_FOREIGN.sub('_', queue[:100])}:{digest(queue)}"


def dead_name(location: Location, queue: str) -> str:
    return queue_name(location, queue) + ".dead"


def registry_name(location: Location) -> str:
    """Return the stream that names every queue: the protocol has no way to list them."""
    return f"{location.prefix}faena.queues"


def due_exchange(location: Location) -> str:
    return f"{location.prefix}faena.due"


def level_name(location: Location, level: int) -> str:
    """Return the name of a level of the ladder: of its exchange, and of its queue."""
    return f"{location.prefix}faena.delay.{level}"


def digest(queue: str) -> str:
    return hashlib.blake2b(queue.encode(), digest_size=12).hexdigest()


def queue_arguments(location: Location, server: int) -> dict[str, Any]:
    """Return the arguments of a queue that tasks wait in. `server`: the first number of its version.

    From version 4 on, a quorum queue throws away what was returned twenty times unless it is told not to. Being returned is
    no fault of a message (law 9); version 3 knows no such limit, and refuses to be told.
    """
    if location.queue_type == "classic":
        return {"x-queue-type": "classic", "x-max-priority": PRIORITIES - 1}
    return {"x-queue-type": "quorum"} | ({"x-delivery-limit": -1} if server >= _LIMITS_FROM else {})


def dead_arguments(location: Location) -> dict[str, Any]:
    return {"x-queue-type": location.queue_type}


def level_arguments(location: Location, level: int) -> dict[str, Any]:
    """Return the arguments of a level's queue. At-least-once: the server keeps what it cannot pass on."""
    arguments: dict[str, Any] = {
        "x-queue-type": location.queue_type,
        "x-message-ttl": UNIT_MS * 2**level,
        "x-dead-letter-exchange": level_name(location, level - 1) if level else due_exchange(location),
    }
    if location.queue_type == "quorum":
        arguments |= {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    return arguments


def level_bindings(level: int) -> tuple[str, str]:
    """Return the patterns of keys that wait at this level, and of those that pass."""
    before = "*." * (LEVELS - 1 - level)
    return f"{before}1.#", f"{before}0.#"


def route_of_delay(location: Location, queue: str, delay_s: float) -> tuple[str, str]:
    """Return the exchange to publish to, and the routing key. It comes down no earlier, and less than a unit later."""
    units = max(1, -int(-min(delay_s * 1000, LONGEST_MS) // UNIT_MS))
    highest = units.bit_length() - 1
    bits = ".".join(format(units, f"0{LEVELS}b"))
    return level_name(location, highest), f"{bits}.{digest(queue)}"
