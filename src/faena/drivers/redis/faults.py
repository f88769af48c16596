"""Say in the words of `faena.errors` what Redis, or the way to it, refused."""

from __future__ import annotations

from faena.errors import FaenaError, LeaseLost, ServerRefused, ServerUnavailable

# What passes by itself, or is put right on the server: nothing was changed by the call that was answered so. A script is
# refused before its first write, or not at all (redis.io, "Scripting with Lua", on maxmemory and on replicas).
_PASSING = {
    "OOM": "it is out of memory: maxmemory is reached, and it may not evict; make room, or raise maxmemory",
    "READONLY": "it is a replica, and takes no writes: did it lose its role?",
    "LOADING": "it is still loading its data",
    "BUSY": "it is busy running a script of somebody else",
    "MISCONF": "it takes no writes, because it cannot save its data to disk; see its log",
    "MASTERDOWN": "it is a replica that has lost its master",
    "NOREPLICAS": "it takes no writes, because too few replicas follow it (min-replicas-to-write)",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "its cluster is moving our keys",
    "MOVED": "its cluster has moved our keys",
    "ASK": "its cluster is moving our keys",
    "UNBLOCKED": "it is no master any more",
}
_REFUSING = {
    "NOAUTH": "it wants a password: put it into the URL (redis://user:password@host)",
    "WRONGPASS": "it does not take this user name and password",
    "NOPERM": "this user may not do that; see the minimum in the guide on Redis",
    "WRONGTYPE": "a key of ours holds something else: does another program use this prefix?",
}


def translated(shown: str, error: BaseException) -> FaenaError:
    """Return what to raise for an error that Redis answered with; it lets the connection be."""
    text = str(error)
    code, _, rest = text.partition(" ")
    if code == "LEASELOST":
        return LeaseLost(rest)
    for word in _codes_in(text):
        if word in _PASSING:
            return ServerUnavailable(f"{shown}: {_PASSING[word]}")
        if word in _REFUSING:
            return ServerRefused(f"{shown}: {_REFUSING[word]}")
    return ServerRefused(f"{shown}: it answered: {text}")


def unreachable(shown: str, error: BaseException) -> FaenaError:
    """Return what to raise for an error on the way."""
    if isinstance(error, TimeoutError):
        return ServerUnavailable(f"{shown}: it did not answer in time")
    what = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ServerUnavailable(f"{shown}: it cannot be reached: {what}")


def _codes_in(text: str) -> tuple[str, ...]:
    # An error within a script is wrapped by older servers: "ERR Error running script (...): -OOM command not allowed ..."
    inner = text.partition(": -")[2].partition(" ")[0] or text.partition(": @")[2].partition(" -")[2].partition(" ")[0]
    return text.partition(" ")[0], inner
