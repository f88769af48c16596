"""The values that a node of a workflow is given, decoded where they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faena.model.inputs import Encoded, FailedId, Input, Listed, Nothing, Outdated, Raised
from faena.tasks.failure import rebuild


def decoded(value: Input, decode: Callable[[str, bytes], Any]) -> Any:
    """Return the Python value; an error that goes on as a value is an exception. Raises CodecError."""
    match value:
        case Encoded():
            return None if value.value is None else decode(value.content, value.value)
        case Raised():
            return rebuild(value.failure, lambda data: decode(value.content, data))
        case Listed():
            return [decoded(item, decode) for item in value.items]
        case FailedId():
            return value.task_id
        case Nothing() | Outdated():
            return None
