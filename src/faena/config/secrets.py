"""Take secrets out of what people will read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_PASSWORD_IN_URL = re.compile(r"(?P<head>[a-z][a-z0-9+.\-]*://[^/?#\s:@]*):(?P<secret>[^/?#\s]*)@", re.IGNORECASE)
_SECRET_IN_QUERY = re.compile(
    r"(?P<head>[?&;](?:[^=&;\s]*)(?:password|passwd|secret|token|access_?key|api_?key|signature|credential)[^=&;\s]*=)"
    r"[^&;#\s]*",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"password|passwd|secret|token|access_?key|api_?key|signature|credential", re.IGNORECASE)


def mask_text(text: str) -> str:
    """Mask the passwords of every URL in `text`, and the secrets among its query parameters."""
    if "@" in text:
        text = _PASSWORD_IN_URL.sub(lambda found: f"{found['head']}:{MASK}@", text)
    return _SECRET_IN_QUERY.sub(lambda found: f"{found['head']}{MASK}", text) if "=" in text else text


def mask(value: Any) -> Any:
    """Mask what is secret in a value, however deep it lies; return it in the same shape."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(key, str) and inner and _SECRET_NAME.search(key) else mask(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(mask(inner) for inner in value) if type(value) in (list, tuple) else value
    return value
