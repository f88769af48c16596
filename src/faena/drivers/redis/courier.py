"""Publish one message after another of the same kind: what does not change between them is made ready once.

It does what `RedisBroker.publish` does with one message that is due now, by the same script, and knows only the usual
answer. Whatever else happens, it says that it does not know, and `publish` is asked: sending a message twice takes it once.
"""

from __future__ import annotations

from struct import Struct

from faena._lib import forks
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import encode, row_of
from faena.drivers.redis.scripts import script
from faena.drivers.redis.wire import BlockingWire, pack
from faena.errors import FaenaError
from faena.model.message import Message

_MOST_BYTES = 0xFFFF  # of arguments: where they are larger, all else counts for little
_SHORT = 0xFF
_ID = "0" * 32
_NAMES = Message.__struct_fields__
_BODY, _MOMENT = _NAMES.index("body"), _NAMES.index("sent_at_s")
_moment = Struct(">Bd").pack  # of MessagePack
_FLOAT = 0xCB


class RedisCourier:
    """See `faena.broker.Courier`.

    EVALSHA publish_one 1 prefix queue rank ""   id   value: head, [id, task, queue, body, ..., sent_at_s, ...]   (channel)
    ── front ─────────────────────────────────   id   ── middle ───  id  ─ tail ──── body  ─ past     moment  end
    """

    __slots__ = (
        "_channel", "_driver", "_end", "_end_told", "_front", "_front_told", "_middle", "_most_bytes", "_past",
        "_rest_bytes", "_sizes", "_tail", "_within_s",
    )  # fmt: skip

    def __init__(self, driver: Driver, like: Message, within_s: float) -> None:
        """Raises MessageTooLarge: even with these arguments."""
        self._driver, self._within_s = driver, min(within_s, driver.location.timeout_s)
        largest_bytes = driver.location.largest_message_bytes
        queue, rank, due, _, value = row_of(like, largest_bytes)
        message = encode(like)
        fields = [encode(getattr(like, name)) for name in _NAMES]
        begin = message[: len(message) - sum(map(len, fields))]  # of an array of so many
        self._middle = b"".join((value[: len(value) - len(message)], begin, encode(_ID)[: -len(_ID)]))
        self._tail = b"".join(fields[1:_BODY])
        self._past = b"".join(fields[_BODY + 1 : _MOMENT])
        self._end = b"".join((*fields[_MOMENT + 1 :], b"\r\n"))
        self._rest_bytes = len(self._past) + len(_moment(_FLOAT, 0.0)) + len(self._end) - 2
        head_bytes = len(value) - len(message)
        most_around = len(self._middle) - head_bytes + len(_ID) + len(self._tail) + len(b"\xc5..") + self._rest_bytes
        self._most_bytes = min(_MOST_BYTES, largest_bytes - most_around)
        words = (b"EVALSHA", script("publish_one").sha, 1, driver.prefix, queue, rank, due)
        before = pack(words).partition(b"\r\n")[2] + b"$%d\r\n" % len(_ID)
        count = len(words) + 2
        self._front, self._front_told = (b"*%d\r\n%b" % (each, before) for each in (count, count + 1))
        self._channel, self._end_told = "", b""
        self._sizes: dict[int, tuple[bytes, bytes]] = {}

    def carry(self, task_id: str, body: bytes, sent_at_s: float) -> bool:
        driver, size_bytes = self._driver, len(body)
        wire = driver.wire
        # its lock is held where a signal handler comes in between a call of its own thread
        if (
            type(wire) is not BlockingWire
            or driver.pid != forks.pid
            or driver.lock.locked()
            or size_bytes > self._most_bytes
        ):
            return False
        expectant, driver.expectant = driver.expectant, None
        channel = None if expectant is None else expectant.expect(task_id)
        own_id, moment = task_id.encode(), _moment(_FLOAT, sent_at_s)
        middle, tail = self._sizes.get(size_bytes) or self._sized(size_bytes)
        front, end = (self._front, self._end) if channel is None else self._telling(channel)
        is_taken = False
        try:
            with driver.lock:
                data = b"".join((front, own_id, middle, own_id, tail, body, self._past, moment, end))
                is_taken = bool(wire.exchange(data, self._within_s) == 1)
        except FaenaError:
            return False
        except BaseException:
            driver.break_off(wire)
            raise
        finally:
            if is_taken:
                driver.sent_last = task_id
            elif expectant is not None:
                expectant.expect_no_more(task_id)
        return is_taken

    def _sized(self, size_bytes: int) -> tuple[bytes, bytes]:
        """Return what stands before the id in the message, and between that and arguments of this size."""
        head = b"\xc4" + size_bytes.to_bytes(1, "big") if size_bytes <= _SHORT else b"\xc5" + size_bytes.to_bytes(2, "big")
        whole = len(self._middle) + len(_ID) + len(self._tail) + len(head) + size_bytes + self._rest_bytes
        if len(self._sizes) > _SHORT:
            self._sizes.clear()
        made = self._sizes[size_bytes] = (b"\r\n$%d\r\n%b" % (whole, self._middle), self._tail + head)
        return made

    def _telling(self, channel: str) -> tuple[bytes, bytes]:
        """Return how the command begins and ends where the result is to be told to a channel."""
        if channel is not self._channel:
            self._channel, self._end_told = channel, b"%b$%d\r\n%b\r\n" % (self._end, len(channel), channel.encode())
        return self._front_told, self._end_told
