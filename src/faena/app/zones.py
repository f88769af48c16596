"""Time zones by their names in the tz database."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache

from faena.errors import InvalidSchedule, did_you_mean


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """Return a time zone. Raises InvalidSchedule: there is none of that name."""
    if not name or name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # not there, a folder, or no name at all
        known = did_you_mean(name, available_timezones()) if name.isprintable() else ""
        hint = known or "; names are as 'Europe/Madrid' (pip install tzdata where the system has none)"
        raise InvalidSchedule(f"there is no time zone '{name}'{hint}") from None
