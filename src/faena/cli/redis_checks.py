"""What `faena doctor` looks at in a Redis server: what it would lose, what it may throw away, how full it is."""

from __future__ import annotations

from collections.abc import Iterator

from faena._lib.drive import run
from faena.cli.findings import Finding
from faena.cli.output import size_of
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.health import LEAST, Health, health_of

_FULL_PART, _NEARLY_PART = 0.95, 0.8


def redis_findings(driver: object) -> Iterator[Finding]:
    """Look at the server of a broker or backend; nothing where it is none of Redis."""
    if not isinstance(driver, Driver):
        return
    health = run(health_of(driver))
    if health is None:
        advice = "to have it looked at, allow this user the commands INFO and CONFIG GET"
        yield Finding("server", "ok", "this user may not ask the server about itself", advice)
        return
    yield _server(health)
    yield _eviction(health)
    yield _persistence(health)
    yield _memory(health)


def _server(health: Health) -> Finding:
    text = f"{health.name} {health.version}"
    if not health.is_new_enough:
        least = ".".join(map(str, LEAST))
        return Finding("server", "fail", text, f"Redis {least} or newer is needed, or Valkey")
    if not health.is_master:
        return Finding("server", "fail", f"{text}, a replica: it takes no writes", "name its master, or its sentinels")
    return Finding("server", "ok", text)


def _eviction(health: Health) -> Finding:
    text = f"maxmemory-policy {health.policy}"
    if health.policy in ("noeviction", ""):
        return Finding("eviction", "ok", f"{text}: when it is full it refuses, and throws nothing away")
    if health.policy.startswith("allkeys"):
        return Finding(
            "eviction", "fail", f"{text}: when it is full it throws away waiting tasks", "set maxmemory-policy noeviction"
        )
    return Finding("eviction", "warn", f"{text}: when it is full it throws away results", "set maxmemory-policy noeviction")


def _persistence(health: Health) -> Finding:
    name = "persistence"
    if health.last_save_failed:
        return Finding(name, "fail", "the server could not write its data to disk", "see its log; it may refuse writes")
    if health.keeps_log:
        match health.log_sync:
            case "always":
                return Finding(name, "ok", "append-only file, appendfsync always: a crash loses nothing")
            case "no":
                lost = "what the operating system had not written"
                return Finding(name, "warn", f"append-only file, appendfsync no: a crash loses {lost}", "set everysec")
        return Finding(name, "ok", "append-only file: a crash of the machine loses up to a second")
    advice = "unless tasks may be lost: appendonly yes"
    if health.snapshots:
        text = f"snapshots only (save {health.snapshots}): a crash now loses {health.changes_unsaved:,} changes"
        return Finding(name, "warn", text, advice)
    if health.snapshots is None:
        return Finding(name, "warn", "no append-only file; whether there are snapshots is not told", advice)
    return Finding(name, "warn", "none: a restart loses every task and every result", advice)


def _memory(health: Health) -> Finding:
    most_bytes = health.most_bytes or health.machine_bytes
    text = size_of(health.used_bytes)
    if most_bytes:
        text += f" of {size_of(most_bytes)}" + ("" if health.most_bytes else " (the machine: no maxmemory is set)")
    used = health.used_bytes / most_bytes if most_bytes else 0.0
    advice = "give it more, or let results expire sooner (result_expires)"
    if used >= _FULL_PART:
        return Finding("memory", "fail", f"{text} used", advice)
    if used >= _NEARLY_PART:
        return Finding("memory", "warn", f"{text} used", advice)
    return Finding("memory", "ok", f"{text} used")
