"""Options that several commands take, spelled the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from faena._lib.arguments import Option
from faena._lib.arguments.convert import to_seconds

_MOST = 1_000_000_000
_LONGEST_NAME = 300


def to_count(text: str) -> int:
    """Read how many of something are wanted."""
    try:
        count = int(text)
    except ValueError:
        count = -1
    if not 0 <= count <= _MOST:
        raise ValueError(f"a whole number from 0 to {_MOST:,}")
    return count


def to_name(text: str) -> str:
    """Take a name as it is, where it can be one."""
    if not text or len(text) > _LONGEST_NAME or not text.isprintable():
        raise ValueError(f"a printable text of 1 to {_LONGEST_NAME} characters")
    return text


def to_queue(text: str) -> str:
    """Take the name of a queue as it is, where a queue can be called so."""
    from faena.model.queue import refused_name

    refused = refused_name(text)
    if refused is not None:
        raise ValueError(refused.removeprefix("a queue is named by ").partition(", not ")[0])
    return text


def to_id(text: str) -> str:
    """Take an id as it is; nobody has an empty one."""
    if not text:
        raise ValueError("an id")
    return text


Json = Annotated[bool, Option("--json", help="Print JSON, for programs.")]
Queues = Annotated[Sequence[str], Option("-Q", "--queues", comma=True, metavar="A,B", help="These queues.")]
Destination = Annotated[
    Sequence[str], Option("-d", "--destination", comma=True, metavar="A,B", help="These workers only, by name.")
]
ReplyTimeout = Annotated[
    float, Option("-t", "--timeout", metavar="TIME", convert=to_seconds, help="How long to wait for answers.")
]
Force = Annotated[bool, Option("-f", "--force", help="Do it without asking.")]
Limit = Annotated[int, Option("-n", "--limit", metavar="N", convert=to_count, help="At most so many.")]
