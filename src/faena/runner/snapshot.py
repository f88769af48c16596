"""Tell in one go that all targets of a rule are as they were, without reading the state of each.

A snapshot holds what decides for a whole rule: fingerprint, the names of its sources, and the stats of all sources and
targets as one piece of bytes. The stats of now are packed alike and compared at once: everything here is a loop inside
the interpreter, as ten thousand turns of one in Python cost more than the system calls. Anything that differs, and
anything younger than the clock can tell apart, leads to the slow way, which knows each target by itself.

Paths are bytes all through: to decode and to encode twenty thousand of them is a tenth of the time.
"""

from __future__ import annotations

import gc
import marshal
import os
import sys
from operator import attrgetter

from faena.runner import state
from faena.runner.files import MARGIN_NS
from faena.runner.globs import is_pattern, matcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faena.runner.files import Entry

_stats_of = attrgetter("st_mtime_ns", "st_ctime_ns", "st_size", "st_ino")  # as the first four of an Entry
_KEY = "snapshot 1"  # the form of what is kept
_MOST_FOLDERS = 64
_WORTH_A_FORK = 2_000  # starting a second process costs two milliseconds, a thousand files one and a half

Snapshot = tuple[tuple[object, ...], bytes, bytes, bytes, bytes]


def path_of(rule_path: str) -> str:
    return f"{rule_path}.all"


def write(
    rule_path: str,
    decides: tuple[object, ...],
    sources: Sequence[str],
    entries: Iterable[tuple[Entry, Entry]],
    targets: Sequence[str],
) -> None:
    """Keep the snapshot of a rule whose targets are all made; without the last one, if some file is too young.

    `decides` is compared as a whole by `holds`; `entries` are those of each source and its target.
    """
    befores: list[tuple[int, ...]] = []
    afters: list[tuple[int, ...]] = []
    for before, after in entries:
        if max(before[0], before[1]) >= before[5] - MARGIN_NS or max(after[0], after[1]) >= after[5] - MARGIN_NS:
            forget(rule_path)
            return
        befores.append(before[:4])
        afters.append(after[:4])
    names = b"\0".join(map(os.fsencode, sources)), b"\0".join(map(os.fsencode, targets))
    state.save(path_of(rule_path), {_KEY: (decides, *names, _packed(befores), _packed(afters))})


def forget(rule_path: str) -> None:
    try:
        os.unlink(path_of(rule_path))
    except FileNotFoundError:
        pass


def load(rule_path: str) -> Snapshot | None:
    """The snapshot, or None: there is none, or a killed build left targets that it knows nothing of."""
    if os.path.exists(state.journal_of(rule_path)):
        return None
    found: Snapshot | None = state.load(path_of(rule_path)).get(_KEY)
    return found


def count_unchanged(folder: str, patterns: Sequence[str], found: Snapshot) -> int | None:
    """How many targets there are, when no source came or went and no file's stat is another; else None."""
    _, sources, targets, befores, afters = found
    is_collecting = gc.isenabled()
    gc.disable()  # it would look through the growing lists again and again
    try:
        names = sources.split(b"\0") if sources else []
        if not _is_same_listing(folder, _listing(folder, patterns), names):
            return None
        return len(names) if _are_both_same(folder, names, befores, targets.split(b"\0"), afters) else None
    finally:
        if is_collecting:
            gc.enable()


def _are_both_same(folder: str, names: list[bytes], befores: bytes, targets: list[bytes], afters: bytes) -> bool:
    """Whether sources and targets have the stats they had; with many of them, on two processors."""
    if not names:
        return True
    if len(names) < _WORTH_A_FORK or not _may_fork():
        return _are_same(folder, names, befores) and _are_same(folder, targets, afters)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if _are_same(folder, targets, afters) else 1
        finally:
            os._exit(status)
    is_same = False
    try:
        is_same = _are_same(folder, names, befores)
    finally:
        _, status = os.waitpid(pid, 0)
    return is_same and status == 0


def _may_fork() -> bool:
    """Only where nobody else runs in this process: a lock that another thread holds would stay locked for ever."""
    threading = sys.modules.get("threading")
    return hasattr(os, "fork") and (os.cpu_count() or 1) > 1 and (threading is None or threading.active_count() == 1)


def _are_same(folder: str, paths: list[bytes], stats: bytes) -> bool:
    if os.getcwd() != folder:  # a path relative to where we are is the cheaper one
        prefix = os.fsencode(folder) + b"/"
        paths = [prefix + path for path in paths]
    try:
        return _packed(list(map(_stats_of, map(os.stat, paths)))) == stats
    except OSError:
        return False


def _packed(stats: list[tuple[int, ...]]) -> bytes:
    return marshal.dumps(stats, 2)  # later versions write references, which depend on who else holds a number


def _is_same_listing(folder: str, listed: list[bytes], known: list[bytes]) -> bool:
    """Whether the listing is the known one, but for folders: which is a folder costs a look at each."""
    if listed == known:
        return True
    extra = set(listed).difference(known)
    if len(extra) != len(listed) - len(known) or len(extra) > _MOST_FOLDERS:
        return False
    if not all(os.path.isdir(os.path.join(os.fsencode(folder), path)) for path in extra):
        return False
    return [path for path in listed if path not in extra] == known


def _listing(folder: str, patterns: Sequence[str]) -> list[bytes]:
    """What `expand` would give for the patterns; the everyday form `folder/*.suffix` is listed in one go."""
    found: list[bytes] = []
    for pattern in patterns:
        head, slash, name = os.path.normpath(pattern).rpartition("/")
        if is_pattern(head) or not is_pattern(name) or "**" in name or name.startswith(".") or os.path.isabs(pattern):
            from faena.runner.globs import expand

            found += map(os.fsencode, expand(folder, pattern))
            continue
        found += _names(os.path.join(folder, head), os.fsencode(head + slash), name)
    return found


def _names(folder: str, prefix: bytes, pattern: str) -> list[bytes]:
    """The names that match, of folders too."""
    try:
        names = os.listdir(os.fsencode(folder))
    except OSError:
        return []
    first, star, last = pattern.partition("*")
    if star and not is_pattern(first + last):
        ends, begins, least = os.fsencode(last), os.fsencode(first), len(os.fsencode(first + last))
        names = [name for name in names if name.endswith(ends) and name[0] != 46]  # 46: a dot
        if first:
            names = [name for name in names if name.startswith(begins) and len(name) >= least]
    else:
        matches = matcher(pattern)
        names = [name for name in names if name[0] != 46 and matches(os.fsdecode(name))]
    names.sort()
    return [prefix + name for name in names] if prefix else names
