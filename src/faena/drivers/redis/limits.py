"""Limits, and how they stand. What holds messages back are the scripts (`lua/part_lanes.lua`)."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from faena.drivers.redis.driver import Driver
from faena.model.limit import (
    Change,
    Declared,
    LimitStatus,
    Obstacle,
    Refusal,
    Terms,
    family_of,
    shown,
)

_encode = msgspec.msgpack.Encoder().encode
_decode_terms = msgspec.msgpack.Decoder(Terms).decode
_decode_change = msgspec.msgpack.Decoder(Change).decode
_AT_ONCE = 1000


class RedisLimits:
    """See `faena.broker.Limits`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def declare(self, terms: Mapping[str, Terms | None]) -> Mapping[str, Terms]:
        return (await self._write(lambda declared: declared.declare(terms))).in_force()

    async def change(self, family: str, change: Change | None) -> Terms:
        return (await self._write(lambda declared: declared.change(family, change))).terms_of(family)

    async def list(self) -> Sequence[LimitStatus]:
        _, declared = await self._read()
        running, parked = await self._driver.run("limits", "list")
        return declared.statuses(_counted(running, [1] * len(running)), _counted(parked[::2], parked[1::2]))

    async def obstacles(self, ids: Sequence[str]) -> Sequence[Sequence[Obstacle] | None]:
        found: builtins.list[Sequence[Obstacle] | None] = []
        for at in range(0, len(ids), _AT_ONCE):
            rows = await self._driver.run("limits", "obstacles", *ids[at : at + _AT_ONCE])
            found += [None if row is None else _obstacles_in(row) for row in rows]
        return found

    async def _read(self) -> tuple[bytes, Declared]:
        revision, declared, changes = await self._driver.run("limits", "read")
        return revision, Declared(
            {family.decode(): _decode_terms(value) for family, value in _pairs(declared)},
            {family.decode(): _decode_change(value) for family, value in _pairs(changes)},
        )

    async def _write(self, do: Callable[[Declared], None]) -> Declared:
        """Change what is kept, and again where somebody else was faster; return what stands then."""
        while True:
            revision, before = await self._read()
            after = Declared(before.declared, before.changes)
            do(after)
            words: builtins.list[str | bytes] = []
            for family in sorted({*before.families(), *after.families()}):
                declared, change = after.declared.get(family), after.changes.get(family)
                if (declared, change) != (before.declared.get(family), before.changes.get(family)):
                    is_known = declared is not None or change is not None
                    words += (
                        family,
                        b"" if declared is None else _encode(declared),
                        b"" if change is None else _encode(change),
                        _terms_text(after.terms_of(family)) if is_known else "",
                    )
            if not words or await self._driver.run("limits", "write", revision, *words):
                return after


def _terms_text(terms: Terms) -> str:
    """Return the terms as the scripts read them."""
    rate = f"{terms.interval_s * 1000!r};{terms.tolerance_s * 1000!r}" if terms.rate_per_s else ";0"
    return f"{rate};{'' if terms.concurrency is None else terms.concurrency};{int(terms.is_paused)}"


def _obstacles_in(row: Sequence[Any]) -> list[Obstacle]:
    now_s = time.time()
    found = []
    for limit, reason, left, in_use in zip(row[::4], row[1::4], row[2::4], row[3::4], strict=True):
        until_s = now_s + float(left) / 1000 if float(left) >= 0 else None
        found.append(Obstacle(shown(limit.decode()), Refusal(reason.decode()), until_s, in_use))
    return found


def _pairs(row: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(row[::2], row[1::2], strict=True))


def _counted(limits: Sequence[bytes], counts: Sequence[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for limit, count in zip(limits, counts, strict=True):
        family = family_of(limit.decode())
        found[family] = found.get(family, 0) + count
    return found
