"""Settle deliveries, and complete attempts in one step with what they leave behind (law 7)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf

from faena.backend import Completion
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.journal import parked_words
from faena.drivers.redis.messages import ROW, Words, encode, rows_of, settlement_words
from faena.drivers.redis.nodes import ending_words
from faena.drivers.redis.records import record_words, span_to, value_of
from faena.drivers.redis.scripts import script
from faena.drivers.redis.unique import released_words
from faena.drivers.redis.wire import BlockingWire, pack
from faena.drivers.redis.workflows import beginning_words, is_large, send_ready
from faena.errors import FaenaError
from faena.model.claim import released_by
from faena.model.delivery import BEGUN, Ack, Delivery, Settlement
from faena.model.message import Message
from faena.model.result import TERMINAL_STATES, State

_LONE = b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"  # four words behind what is always the same
_PONG = b"+PONG\r\n"
_OURS, _SUCCESS = (True,), State.SUCCESS
AT_ONCE = 512  # in one script: nobody else is served meanwhile


async def settle(driver: Driver, holder: str, settlements: Sequence[Settlement]) -> list[bool]:
    answers: list[bool] = []
    for at in range(0, len(settlements), AT_ONCE):
        words: Words = []
        for settlement in settlements[at : at + AT_ONCE]:
            words += settlement_words(settlement, driver.location)
            words += ("", "", 0, 0)
        answers += _read(await driver.run("complete", *words, held=holder))
    return answers


async def begin(driver: Driver, holder: str, deliveries: Sequence[Delivery]) -> list[bool]:
    answers: list[bool] = []
    for at in range(0, len(deliveries), AT_ONCE):
        grips = [word for each in deliveries[at : at + AT_ONCE] for word in each.grip]
        answers += _read(await driver.run("begin", encode(BEGUN), *grips, held=holder))
    return answers


class RedisJoint:
    """See `faena.backend.JointSettler`."""

    def __init__(self, driver: Driver, holder: str) -> None:
        self._driver, self._holder = driver, holder
        # The command that settles a lone one, up to the words that differ. A server writes first to whom it has had a word
        # for last: our answer would come before the news for who waits, and what we do then would hold these up. So
        # something is answered to us before the script tells of the result.
        words = (b"EVALSHA", script("acknowledge_one").sha, 2, driver.prefix, f"{driver.prefix}h:{holder}")
        self._front = b"*1\r\n$4\r\nPING\r\n*%d\r\n%b" % (len(words) + 4, pack(words).partition(b"\r\n")[2])

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        if len(completions) == 1 and await self._is_lone_settled(completions[0]):
            return _OURS
        answers: list[bool] = []
        if all(map(_is_plain, completions)):
            for at in range(0, len(completions), AT_ONCE):
                part = completions[at : at + AT_ONCE]
                words = _alike_words(part)
                if words and await self._driver.run("acknowledge_alike", *words, held=self._holder):
                    answers += [True] * len(part)
                else:
                    answers += _read(await self._driver.run("acknowledge", *_plain_words(part), held=self._holder))
            return answers
        for at in range(0, len(completions), AT_ONCE):
            words = await self._words(completions[at : at + AT_ONCE])
            answers += _read(await self._driver.run("complete", *words, held=self._holder))
        for each in completions:
            if each.start is not None and is_large(each.start):
                await send_ready(self._driver, each.start.workflow.id)
        return answers

    def complete_lone(self, completion: Completion) -> bool:
        """See `faena.backend.lone_settler_of`. In as few functions as can be: after a pause their code is cold."""
        record, driver = completion.result, self._driver
        wire = driver.wire
        if record is None or record.state is not _SUCCESS or record.expires_at_s is None or not _is_plain(completion):
            return False
        if type(wire) is not BlockingWire or driver.lock.locked():
            return False
        ttl_ms = int((record.expires_at_s - time.time()) * 1000) + 1
        if ttl_ms <= 0:
            return False
        (task_id, claim), ttl, value = completion.settlement.delivery.grip, b"%d" % ttl_ms, b"T" + encode(record)
        data = _LONE % (self._front, len(claim), claim, len(ttl), ttl, len(task_id), task_id, len(value), value)
        try:
            with driver.lock:
                return bool(wire.exchange(data, driver.location.timeout_s, _PONG) == 1)
        except FaenaError:
            return False
        except BaseException:
            driver.break_off(wire)
            raise

    async def _is_lone_settled(self, completion: Completion) -> bool:
        """Settle one of the usual kind with the least that the server can do it with; False: nothing was done."""
        record = completion.result
        if (
            record is None
            or record.state not in TERMINAL_STATES
            or record.expires_at_s is None
            or not _is_plain(completion)
        ):
            return False
        (task_id, claim), (value, ttl_ms) = completion.settlement.delivery.grip, record_words(record)
        if not ttl_ms or ttl_ms <= 0:
            return False
        reply = await self._driver.run("acknowledge_one", claim, ttl_ms, task_id, value, held=self._holder)
        return bool(reply == 1)

    async def _words(self, completions: Sequence[Completion]) -> Words:
        location = self._driver.location
        words: Words = []
        for each in completions:
            settlement, record = each.settlement, each.result
            claimed: tuple[Message, ...] = ()
            if type(settlement) is Ack:
                words += settlement.delivery.grip
                words.append("a")
                if settlement.delivery.message.claim is not None:
                    claimed = released_by(settlement, record, is_parked=each.park is not None)
            else:
                words += settlement_words(settlement, location)
                claimed = released_by(settlement, record, is_parked=each.park is not None)
            words += ("", "") if record is None else record_words(record)
            if each.publish:
                rows = rows_of(each.publish, location.largest_message_bytes)
                words.append(len(rows) // ROW)
                words += rows
            else:
                words.append(0)
            if each.ending is None and each.start is None and each.park is None and each.journal is None and not claimed:
                words.append(0)
            else:
                words += await self._further_words(each, claimed)
        return words

    async def _further_words(self, completion: Completion, claimed: tuple[Message, ...]) -> Words:
        """Return the words of what a completion means for workflows, for the journal, and for what the task has claimed."""
        largest_bytes = self._driver.location.largest_message_bytes
        words: Words = [0]
        if completion.ending is not None:
            words += ending_words(completion.ending, largest_bytes)
        if completion.start is not None:
            start = await beginning_words(self._driver, completion.start)
            words += ("s", len(start), *start)
        if completion.journal is not None:
            words += ("j", 1, completion.journal)
        if completion.park is not None:  # after the journal: what is parked by then is of earlier
            parked = parked_words(completion.park, largest_bytes)
            words += ("p", len(parked), *parked)
        for message in claimed:
            words += ("u", 2, *released_words([message]))
        parts = (completion.ending, completion.start, completion.park, completion.journal)
        words[0] = sum(part is not None for part in parts) + len(claimed)
        return words


def _is_plain(completion: Completion) -> bool:
    """Whether the message goes and its result is kept, and nothing else happens."""
    if type(completion.settlement) is not Ack or completion.publish:
        return False
    message = completion.settlement.delivery.message
    return (
        message.claim is None
        and message.lane is None
        and completion.ending is None
        and completion.start is None
        and completion.park is None
        and completion.journal is None
    )


def _alike_words(completions: Sequence[Completion]) -> Words:
    """Return the words of plain ones that came by one fetch and whose results live equally long; nothing for others."""
    claim = completions[0].settlement.delivery.grip[1]
    words: Words = [claim, ""]
    since_s, until_s = inf, -inf  # what expires between them is kept equally long
    for each in completions:
        task_id, own_claim = each.settlement.delivery.grip
        if own_claim is not claim:
            return []
        record = each.result
        if record is None:
            words += (task_id, b"")
            continue
        expires_at_s = record.expires_at_s
        if expires_at_s is None:
            return []
        if not since_s <= expires_at_s <= until_s:
            if until_s > -inf:
                return []
            ttl_ms, since_s, until_s = span_to(expires_at_s, time.time())
            if ttl_ms <= 0:
                return []
            words[1] = ttl_ms
        words += (task_id, value_of(record))
    return words if len(completions) == 1 or len(set(words[2::2])) == len(completions) else []


def _plain_words(completions: Sequence[Completion]) -> Words:
    words: Words = []
    for each in completions:
        words += each.settlement.delivery.grip
        words += ("", "") if each.result is None else record_words(each.result)
    return words


def _read(reply: bytes) -> list[bool]:
    return [each == 49 for each in reply]
