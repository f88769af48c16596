"""Options of adapters, as they stand in the query of a URL or in the settings: read alike wherever they mean the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from faena.errors import InvalidSetting, did_you_mean

TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


def number(name: str, value: object, *, least: float) -> float:
    """Return the value of an option that is a number. Raises InvalidSetting."""
    try:
        found = float(value)  # type: ignore[arg-type] # whatever has no number is refused
    except (TypeError, ValueError):
        found = -1.0
    if not found >= least:  # so that what is no number at all is refused, too
        raise InvalidSetting(name, value, f"it is a number, {least:g} or more")
    return found


def tls_option(name: str, value: object) -> dict[str, Any]:
    """Return what an option of TLS sets. Raises InvalidSetting."""
    if name == "ssl_cert_reqs":
        if value not in ("required", "none"):
            raise InvalidSetting(name, value, "it is required or none")
        return {"ssl_check": value == "required"}
    if not isinstance(value, str):
        raise InvalidSetting(name, value, "it is the path of a file")
    return {name: value}


def unknown(name: str, value: object, by: str, known: Iterable[str]) -> InvalidSetting:
    """Return what to raise for an option that an adapter does not have; what may be a secret is not shown."""
    is_secret = any(word in name.lower() for word in ("pass", "secret", "token", "key"))
    return InvalidSetting(name, "***" if is_secret else value, f"{by} has no such option{did_you_mean(name, known)}")
