"""The contract of a broker: it carries messages from those who send to those who run.

What every adapter promises; `faena.testing.conformance` checks it.

- `publish` returns when the broker has taken every message as safely as it can; it raises BrokerUnavailable when it
  took none, and PublishedInPart, with the ids, when it took some. A message whose id is already in the broker is not
  taken twice where `deduplicates` says so.
- A message handed out by `receive` belongs to one holder until it is settled, or the holder's lease ends, or the holder
  is recovered. It is then handed out again: at least once, never lost.
- A holder is one incarnation of one process. Its lease is renewed by the supervisor, which no task can block. The holder
  is also the fencing token: `settle` and `receive` of a holder whose lease was taken away change nothing.
- A delayed message waits in the broker. Higher priority first, then first in, first out, within a queue. Where a queue ages
  (`Taking.ageing_s`), a message counts as one priority higher for each such time that it has waited, up to the highest;
  among equals, what has waited longest comes first.
- A message with a `lane` waits there once it is due, and is handed out when all its limits allow it, under the law of
  `faena.model.lanes`: taking what it takes of them and handing it out are one step, and so are giving it back and whatever
  ends the delivery: a settlement, the recovery of its holder.
- Adapters translate the errors of their driver to those of `faena.errors`, and never log or show credentials.

Every method is a coroutine, but those of an adapter that was opened with io="blocking" never suspend (`faena.types.Io`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from msgspec import Struct

from faena.model.delivery import (
    DeadLetter,
    DeadReason,
    Delivery,
    Found,
    Malformed,
    Place,
    QueueStatus,
    Settlement,
    Verdict,
)
from faena.model.message import Message
from faena.model.turns import USUAL, Taking

if TYPE_CHECKING:
    from faena.model.limit import Change, LimitStatus, Obstacle, Terms

Holder: TypeAlias = str
"""One incarnation of one process, as the broker knows it; never used again."""


class Capabilities(Struct, frozen=True):
    """What a broker can do. Ask these, never a broker's name (law 3)."""

    durable: bool  # what was accepted survives the end of every process that takes part
    lease: Literal["holder", "message", "connection"]  # what is renewed, and whose end hands work back
    longest_delay_s: float | None = None  # None: no bound
    longest_lease_s: float | None = None  # how long one delivery can be held in all, renewals included; None: no bound
    deduplicates: bool = True  # a message whose id is already in the broker is not taken twice
    keeps_verdicts: bool = True  # `recover` hands out each verdict with its message
    priority_levels: int = 10  # 1: no priorities
    largest_message_bytes: int | None = None
    dead_letters: bool = True
    expires_dead_letters: bool = False  # it removes old ones itself, and nobody shall look through them for that
    cancels: bool = True  # a waiting message can be taken out by its id
    locates: bool = True  # it can say whether an id is in it
    finds_all: bool = True  # where it locates: what it does not find is not in it
    browses: bool = True  # waiting messages can be listed without taking them
    pauses: bool = True  # else pauses are kept in the backend, and consumers leave queues out: `Skipping`
    limits: bool = False  # it holds back what is under limits
    joint: bool = False  # settles in one atomic step with a backend on the same technology (law 7)
    orders: bool = False  # a consumer looks at its queues in the order that it is given, and not only in turn
    ages: bool = False  # messages of a queue can rise with the time that they have waited
    bounds: bool = False  # it can take messages only where there is room for them: `offer`, `take_oldest`


class Consumer(Protocol):
    """Receives for one holder from a fixed set of queues. Used by one task at a time per method."""

    async def receive(self, limit: int, wait_s: float) -> Sequence[Delivery | Malformed]:
        """Return up to `limit` messages, waiting up to `wait_s` seconds for the first; empty after that.

        Safe to call again at any time. Not to be cancelled: use `interrupt`.
        Raises LeaseLost: the holder's lease was taken away; BrokerUnavailable: make a new consumer.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        """Carry out each settlement whose delivery is still ours; say for each whether it was.

        A settlement that was carried out before and is repeated answers False and changes nothing.
        """
        ...

    async def begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Note that these run now, and must not run twice; say for each whether it is still ours.

        They stay held. One that goes back unsettled is handed out with a verdict of kind BEGUN, unless its supervisor
        knew better. A Release with a message forgets it, as it does every verdict.
        """
        ...

    def interrupt(self) -> None:
        """Make a waiting `receive` return at once. Any thread may call it."""
        ...

    async def close(self) -> None: ...


class Skipping(Consumer, Protocol):
    """What a broker that cannot pause queues has for consumers: they leave some of theirs out."""

    def skip(self, queues: Collection[str]) -> None:
        """Receive nothing of these of its queues from now on, and of all others again; any thread may call it.

        What came before and was not handed out goes back, at the latest with the next `receive`. What was handed out stays
        held. A `receive` that waits goes on waiting, for what is left.
        """
        ...


class Publishes(Protocol):
    """What takes messages: a broker, or what stands for one."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def publish(self, messages: Sequence[Message]) -> None: ...


class Courier(Protocol):
    """Publishes messages of one kind, one by one, for a thread that blocks: what is the same of them is made ready once."""

    def carry(self, task_id: str, body: bytes, sent_at_s: float) -> bool:
        """Publish the message with this id, body and moment; False: it may have been taken or not, so `publish` it.

        `task_id` is one that `faena._lib.ids.new_id` has made.
        """
        ...


class Leases(Protocol):
    """What a supervisor does for its processes."""

    async def open_holder(self, owner: str, lease_s: float) -> Holder:
        """Register a new incarnation for `owner` (for people: host:pid) with a lease of `lease_s` seconds."""
        ...

    async def renew(self, holders: Sequence[Holder], lease_s: float) -> Sequence[Holder]:
        """Let the leases run for `lease_s` seconds from now; return those that are still ours."""
        ...

    async def recover(self, holder: Holder, verdicts: Mapping[str, Verdict]) -> int:
        """End a holder whose process is gone: everything it held goes back to where it was, at once.

        A message with a verdict of kind CRASHED counts one crash; each verdict is handed out with its message.
        Returns how many messages went back. Repeating it changes nothing.
        """
        ...

    async def reap(self) -> int:
        """Recover every holder whose lease has ended, of any supervisor. Their messages count no crash."""
        ...


class Queues(Protocol):
    """Looking at queues, and changing them as a whole."""

    async def status(self) -> Sequence[QueueStatus]:
        """Numbers of every queue that holds something, was declared, or is paused; by name."""
        ...

    async def browse(self, queue: str, limit: int, offset: int = 0) -> Sequence[tuple[Place, Message]]:
        """List messages of a queue in the order in which they will run, without taking them."""
        ...

    async def purge(self, queue: str) -> int:
        """Remove every waiting and delayed message of `queue`; held ones stay. Returns how many went."""
        ...

    async def take_oldest(self, holder: Holder, queue: str, limit: int) -> Sequence[Delivery | Malformed]:
        """Hand out what has waited longest, whatever its priority, also of a paused queue; nothing under limits."""
        ...

    async def pause(self, queue: str) -> None:
        """Hand out nothing more of `queue`, to anybody, until `resume`; publishing goes on."""
        ...

    async def resume(self, queue: str) -> None: ...


class DeadLetters(Protocol):
    """Messages that nobody will run unless somebody asks for it. `queue` None means all queues."""

    async def list(self, queue: str | None, limit: int, offset: int = 0) -> Sequence[DeadLetter]:
        """List dead letters, the latest first."""
        ...

    async def find(self, task_id: str) -> DeadLetter | None: ...

    async def replace(self, task_id: str, message: Message) -> bool:
        """Put another message of that id into the letter, for the queue that it names; False: there is no such letter.

        Raises MessageTooLarge.
        """
        ...

    async def requeue(
        self, queue: str | None = None, ids: Sequence[str] | None = None, reason: DeadReason | None = None
    ) -> int:
        """Put the dead letters that fit back into their queues with fresh counters; malformed ones stay."""
        ...

    async def purge(self, queue: str | None = None, ids: Sequence[str] | None = None, before_s: float | None = None) -> int:
        """Remove the dead letters that fit; `before_s`: buried before that moment (unix seconds)."""
        ...


class Limits(Protocol):
    """Limits of rate and concurrency, and how they stand. See `faena.model.limit`."""

    async def declare(self, terms: Mapping[str, Terms | None]) -> Mapping[str, Terms]:
        """Keep what the code declares of these families of limits, None for nothing; return all terms that are in force."""
        ...

    async def change(self, family: str, change: Change | None) -> Terms:
        """Let this go before what is declared, at once and for all; what was changed before stands. None: nothing does.

        Returns the terms that are in force then.
        """
        ...

    async def list(self) -> Sequence[LimitStatus]:
        """Return every family that is declared or changed, by name."""
        ...

    async def obstacles(self, ids: Sequence[str]) -> Sequence[Sequence[Obstacle] | None]:
        """Say for each message what keeps it in its lane now; empty: only those before it. None: it waits in none."""
        ...


class Broker(Protocol):
    """One connection (or pool) to a broker. Made by a class method `connect(url, *, io, options)`."""

    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def queues(self) -> Queues: ...
    @property
    def dead_letters(self) -> DeadLetters: ...
    @property
    def limits(self) -> Limits: ...

    async def open(self) -> None:
        """Connect, and create or migrate what has to be there. Repeating it is harmless."""
        ...

    async def close(self) -> None: ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take the messages; each goes to `message.queue`, due at `due_at_s`.

        Raises BrokerUnavailable: none was taken; PublishedInPart: some were; MessageTooLarge: none was.
        """
        ...

    async def offer(self, messages: Sequence[Message], bounds: Mapping[str, int], *, whole: bool) -> Sequence[str]:
        """Take messages as `publish` does, but no more than there is room for; return the ids of those not taken.

        `bounds` says for some queues how many messages may wait there: what is due, whether or not limits hold it back, and
        that nobody holds. Messages to be due later are taken always. Counting and taking are one step; of one queue the
        first that come are taken first. `whole`: if there is no room for one, none is taken.
        Raises as `publish`; what was taken together may be parts of 1000 messages each.
        """
        ...

    async def cancel(self, ids: Sequence[str]) -> Sequence[Message]:
        """Take waiting and delayed messages out for good; return those that were found. Held ones stay."""
        ...

    async def locate(self, ids: Sequence[str]) -> Sequence[Place | None]:
        """Say for each id where its message is; None: not in this broker."""
        ...

    async def find(self, task_id: str) -> Found | None:
        """Say where a message is, with what is known of it there; None: not in this broker."""
        ...

    def consumer(self, holder: Holder, queues: Sequence[str], taking: Taking = USUAL) -> Consumer:
        """Return what receives from these queues. `taking` is the usual one unless capabilities say `orders` or `ages`."""
        ...


def is_several(broker: Broker) -> bool:
    """Whether it is several brokers, of which one can be away while others are there."""
    return hasattr(broker, "home_of")


def home_of(broker: Broker, queue: str) -> Broker:
    """Return the broker that a queue lives on: this one, or one of several, which may not be open yet: ask what it can."""
    of = getattr(broker, "home_of", None)
    return broker if of is None else cast("Broker", of(queue))


def courier_of(broker: Broker, like: Message, within_s: float) -> Courier | None:
    """Return what publishes messages that differ from `like` in id, body and `sent_at_s` only; None: only `publish` does.

    Of a broker that was opened with io="blocking". It waits for the server `within_s` seconds at most.
    """
    make = getattr(broker, "courier", None)
    return None if make is None else cast("Courier | None", make(like, within_s))


def lone_receiver_of(consumer: Consumer) -> Callable[[float], Sequence[Delivery | Malformed] | None] | None:
    """Return what receives one message as `receive` does, without a coroutine: it is given how long to wait, seconds.

    It returns None where `receive` is to be asked. None: this consumer has no such way.
    """
    return getattr(consumer, "receive_lone", None)


async def check_queues(broker: Broker, queues: Sequence[str]) -> None:
    """Raise what will keep a worker from taking from these queues, where the broker can tell beforehand."""
    check = getattr(broker, "check_queues", None)
    if check is not None:
        await check(queues)


async def publish_possible(broker: Publishes, messages: Sequence[Message]) -> Sequence[Message]:
    """Publish what its broker takes now, and return that: where one of several is away, what is for it is left over.

    For messages that are kept elsewhere until they are said to be published. Raises as `publish`, where there is only one.
    """
    possible = getattr(broker, "publish_possible", None)
    if possible is None:
        await broker.publish(messages)
        return messages
    return cast("Sequence[Message]", await possible(messages))


async def declare_queues(broker: Broker, queues: Sequence[str]) -> bool:
    """Make all that these queues will need, for users who may not; False: there is nothing to be made beforehand."""
    declare = getattr(broker, "declare_queues", None)
    if declare is None:
        return False
    await declare(queues)
    return True


async def opened_home(broker: Broker, queue: str) -> Broker:
    """Return the broker that a queue lives on, open."""
    opened = getattr(broker, "opened_home", None)
    return broker if opened is None else cast("Broker", await opened(queue))
