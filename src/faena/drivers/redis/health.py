"""What can be known of a server: its version, what it would lose, and how full it is. For people who look after it."""

from __future__ import annotations

from msgspec import Struct

from faena.drivers.redis.driver import Driver
from faena.errors import ServerRefused

LEAST = (6, 2)  # LPOP with a count, SET with PXAT


class Health(Struct, frozen=True):
    """Numbers of one moment. None: this user may not ask for it."""

    name: str  # Redis, or Valkey
    version: str
    is_new_enough: bool
    is_master: bool
    used_bytes: int
    most_bytes: int  # 0: no bound
    machine_bytes: int
    policy: str
    keeps_log: bool  # the append-only file
    log_sync: str | None  # always, everysec, no
    snapshots: str | None  # the setting `save`; "" for none
    changes_unsaved: int
    last_save_failed: bool


async def health_of(driver: Driver) -> Health | None:
    """Return what the server says of itself; None: this user may not ask."""
    try:
        info: dict[str, str] = dict(
            line.split(":", 1)
            for line in (await driver.command("INFO")).decode(errors="replace").splitlines()
            if ":" in line and not line.startswith("#")
        )
    except ServerRefused:
        return None
    version = info.get("redis_version", "0")
    return Health(
        name="Valkey" if info.get("server_name") == "valkey" else "Redis",
        version=info.get("valkey_version", version),
        is_new_enough=tuple(int(part) for part in version.split(".")[:2]) >= LEAST,
        is_master=info.get("role") == "master",
        used_bytes=int(info.get("used_memory", 0)),
        most_bytes=int(info.get("maxmemory", 0)),
        machine_bytes=int(info.get("total_system_memory", 0)),
        policy=info.get("maxmemory_policy", ""),
        keeps_log=info.get("aof_enabled") == "1",
        log_sync=await _setting(driver, "appendfsync"),
        snapshots=await _setting(driver, "save"),
        changes_unsaved=int(info.get("rdb_changes_since_last_save", 0)),
        last_save_failed=info.get("rdb_last_bgsave_status") == "err" or info.get("aof_last_write_status") == "err",
    )


async def _setting(driver: Driver, name: str) -> str | None:
    try:
        found = await driver.command("CONFIG", "GET", name)
    except ServerRefused:
        return None  # managed servers allow it to nobody
    return found[1].decode() if found else None
