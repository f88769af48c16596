"""Options that several commands take, spelled the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from faena._lib.arguments import Option

Json = Annotated[bool, Option("--json", help="Print JSON, for programs.")]
Queues = Annotated[Sequence[str], Option("-Q", "--queues", comma=True, metavar="A,B", help="These queues.")]
Destination = Annotated[
    Sequence[str], Option("-d", "--destination", comma=True, metavar="A,B", help="These workers only, by name.")
]
ReplyTimeout = Annotated[float, Option("-t", "--timeout", metavar="SECONDS", help="How long to wait for answers.")]
Force = Annotated[bool, Option("-f", "--force", help="Do it without asking.")]
Limit = Annotated[int, Option("-n", "--limit", metavar="N", help="At most so many.")]
