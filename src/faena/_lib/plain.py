"""Turn any value into what can travel and be shown: what JSON has no word for is named."""

from __future__ import annotations

from typing import Any

import msgspec


def plain(value: Any) -> Any:
    """Return the value made of dicts, lists, tuples, texts, numbers and None; functions by name, all else as text."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_named)


def _named(value: Any) -> str:
    if callable(value):
        return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return str(value)
