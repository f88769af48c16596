"""What a server says when a queue is there already and was declared otherwise, read and put into our words. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from faena.errors import DeclaredOtherwise

_SAID = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>.*)' in vhost '.*': "
    r"received (?P<wanted>.+?) but current is (?P<found>.+)",
    re.DOTALL,
)
_VALUE = re.compile(r"(?:the value )?'(.*?)'(?: of type '\w+')?")
_LIMIT = "x-delivery-limit"


class Mismatch(Struct, frozen=True):
    """The first thing that differs: the server names no others. None: it is not set."""

    kind: str
    name: str
    argument: str
    wanted: str | None
    found: str | None

    @property
    def is_of_version_3(self) -> bool:
        """Whether it is the one difference that an upgrade makes: version 3 knew no limit, and 4 has to be told of none."""
        return self.argument == _LIMIT and self.wanted == "-1" and self.found is None


def mismatch_in(text: str) -> Mismatch | None:
    """Read the text of a PRECONDITION_FAILED; None: it is about something else."""
    said = _SAID.search(text)
    if said is None:
        return None
    argument, found = said["argument"], _value(said["found"])
    if argument == "x-queue-type" and found is None:  # so says 3.10 of a queue that was declared without a type
        found = "classic"
    wanted = _value(said["wanted"])
    if argument == "x-max-priority" and wanted is None:  # only classic queues have any, and we want some of every such one
        argument, wanted, found = "x-queue-type", "quorum", "classic"
    return Mismatch(said["kind"], said["name"], argument, wanted, found)


def declared_otherwise(shown: str, mismatch: Mismatch) -> DeclaredOtherwise:
    return DeclaredOtherwise(
        shown, mismatch.kind, mismatch.name, mismatch.argument, mismatch.found, mismatch.wanted, _advice(mismatch)
    )


def _advice(mismatch: Mismatch) -> str:
    delete = "delete it once it is empty, or set another `prefix`"
    if mismatch.kind == "queue" and mismatch.argument == "x-queue-type" and mismatch.found in ("quorum", "classic"):
        return f"set `queue_type` to {mismatch.found}, {delete}"
    if mismatch.argument in ("durable", "auto_delete", "exclusive"):
        return f"it does not keep messages safely: {delete}"
    return delete


def _value(text: str) -> str | None:
    text = text.strip()
    if text == "none":
        return None
    value = _VALUE.fullmatch(text)
    return text if value is None else value[1]
