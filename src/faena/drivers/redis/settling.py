"""Settle deliveries, and complete attempts in one step with what they leave behind (law 7)."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from faena.backend import Completion
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import ROW, Words, rows_of, settlement_words
from faena.model.delivery import Ack, Settlement
from faena.model.result import TERMINAL_STATES, ResultRecord

AT_ONCE = 500  # in one script: nobody else is served meanwhile

encode_record = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(ResultRecord).decode


async def settle(driver: Driver, holder: str, settlements: Sequence[Settlement]) -> list[bool]:
    answers: list[bool] = []
    for at in range(0, len(settlements), AT_ONCE):
        words: Words = []
        for settlement in settlements[at : at + AT_ONCE]:
            words += settlement_words(settlement, driver.location)
            words += ("", "", 0)
        answers += _read(await driver.run("complete", *words, held=holder))
    return answers


class RedisJoint:
    """See `faena.backend.JointSettler`."""

    def __init__(self, driver: Driver, holder: str) -> None:
        self._driver, self._holder = driver, holder

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        answers: list[bool] = []
        for at in range(0, len(completions), AT_ONCE):
            words = self._words(completions[at : at + AT_ONCE])
            answers += _read(await self._driver.run("complete", *words, held=self._holder))
        return answers

    def _words(self, completions: Sequence[Completion]) -> Words:
        location = self._driver.location
        words: Words = []
        for each in completions:
            settlement, record = each.settlement, each.result
            if type(settlement) is Ack:
                words += settlement.delivery.grip
                words.append("a")
            else:
                words += settlement_words(settlement, location)
            words += ("", "") if record is None else record_words(record)
            if each.publish:
                rows = rows_of(each.publish, location.largest_message_bytes)
                words.append(len(rows) // ROW)
                words += rows
            else:
                words.append(0)
        return words


def record_words(record: ResultRecord) -> tuple[bytes, str | int]:
    """Return value and milliseconds to live of a record."""
    value = (b"T" if record.state in TERMINAL_STATES else b"N") + encode_record(record)
    if record.expires_at_s is None:
        return value, ""
    return value, round((record.expires_at_s - time.time()) * 1000)  # a distance, as with `due`


def record_of(value: bytes | None) -> ResultRecord | None:
    return None if value is None else decode_record(memoryview(value)[1:])


def _read(reply: bytes) -> list[bool]:
    return [each == 49 for each in reply]
