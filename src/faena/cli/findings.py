"""What a look at something has found."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Status = Literal["ok", "warn", "fail"]


class Finding(Struct, frozen=True):
    """One thing that was looked at; `advice` says what to do where it is not well."""

    name: str
    status: Status
    text: str
    advice: str = ""
