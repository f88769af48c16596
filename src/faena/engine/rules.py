"""The settings that decide what is kept of a task."""

from __future__ import annotations

from msgspec import Struct


class Rules(Struct, frozen=True):
    """The settings that decide what is kept."""

    ignore_result: bool = False
    store_errors_even_if_ignored: bool = False
    result_serializer: str = "json"
    result_expires_s: float | None = 86_400.0
    dead_letter: bool = True
    hostname: str = ""
