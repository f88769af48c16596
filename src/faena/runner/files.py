"""Know whether a file's content changed, mostly without reading it.

An `Entry` is what was seen: (mtime_ns, ctime_ns, size, inode, content hash, seen_at_ns). The stat alone is believed
only when the file was last changed well before it was read: a second change within the clock's step would leave the
same stat (git's "racy" entries). `ctime` cannot be set by any program, so tools that restore times are noticed.
"""

from __future__ import annotations

import os
import time
from _blake2 import blake2b  # the C module: `hashlib` loads OpenSSL

TYPE_CHECKING = False
if TYPE_CHECKING:
    Entry = tuple[int, int, int, int, bytes, int]

MARGIN_NS = 2_000_000_000  # the coarsest clock of a file system in use, FAT's
_CHUNK_BYTES = 1 << 20


def digest(*parts: bytes) -> bytes:
    """A hash of several texts; each one's length counts, so that they cannot run into one another."""
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


def content_hash(path: str) -> bytes:
    found = blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.digest()


def digest_of(content: bytes) -> bytes:
    """What `content_hash` gives for a file of that content."""
    return blake2b(content, digest_size=16).digest()


def look(path: str, known: Entry | None) -> Entry:
    """What the file is now; its content is read only where the stat does not tell.

    Raises OSError: the file cannot be read.
    """
    stat = os.stat(path)
    if known is not None and is_same(stat, known):
        return known
    seen_at_ns = time.time_ns()  # before the reading: a change meanwhile must look newer
    return (
        stat.st_mtime_ns,
        stat.st_ctime_ns,
        stat.st_size,
        stat.st_ino,
        content_hash(path),
        seen_at_ns,
    )


def is_same(stat: os.stat_result, known: Entry) -> bool:
    """Whether the stat alone says that the file is as known."""
    return (
        stat.st_mtime_ns == known[0]
        and stat.st_ctime_ns == known[1]
        and stat.st_size == known[2]
        and stat.st_ino == known[3]
        and max(known[0], known[1]) < known[5] - MARGIN_NS
    )
