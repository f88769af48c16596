"""Fetches whose answer never came.

The script may have run: then messages are marked as held, by a holder who does not know of them, and whose lease goes on.
Worse, it may yet run, where the connection is parked on the server and only this side knows that it is dead. So what was
asked for is noted before it is sent. The next connection of that holder closes the old one from the server's side, and has
what the old one took put back.
"""

from __future__ import annotations

import os
from typing import TypeAlias

from faena.drivers.redis.driver import Driver

_Client: TypeAlias = tuple[int, str] | None
Noted: TypeAlias = tuple[dict[str, _Client], str]

# By process and holder, claim -> connection. A consumer is made anew after each error, so it cannot remember by itself.
_open: dict[tuple[int, str, str], dict[str, _Client]] = {}


def note_lost(driver: Driver, holder: str, client: _Client, claim: str) -> Noted:
    """Note a fetch that is about to be sent."""
    claims = _open.setdefault((os.getpid(), driver.prefix, holder), {})
    claims[claim] = client
    return claims, claim


def forget_lost(entry: Noted) -> None:
    """Its answer has come."""
    claims, claim = entry
    claims.pop(claim, None)


async def take_lost(driver: Driver, holder: str) -> None:
    """Put back what fetches of this process took for `holder` without its knowing."""
    claims = _open.get((os.getpid(), driver.prefix, holder))
    if not claims:
        return
    asked = dict(claims)
    for number, name in {each for each in asked.values() if each is not None}:
        # A server that has started anew numbers from one again: that number may be somebody else's by now.
        listed = await driver.command("CLIENT", "LIST", "ID", number)
        if f" name={name} ".encode() in listed:
            await driver.command("CLIENT", "KILL", "ID", number)
    await driver.run("reclaim", *asked, held=holder)
    for claim in asked:
        claims.pop(claim, None)
