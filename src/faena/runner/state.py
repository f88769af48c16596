"""Keep what is known of earlier runs in files that survive being killed at any moment.

A state is a mapping, written as one marshalled block (the fastest there is to read), replaced as a whole by a rename.
Beside it a journal takes single changes while a long build goes on; a torn last record is left out. A state that is
damaged, or written by another version of Python (marshal's format differs), counts as empty: everything is built anew.
"""

from __future__ import annotations

import marshal
import os
import sys
from binascii import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAGIC = f"faena state 1 {sys.version_info[0]}.{sys.version_info[1]} {marshal.version}\n".encode()
_LIMIT_BYTES = 1 << 31


def journal_of(path: str) -> str:
    return f"{path}.log"


def load(path: str) -> dict[Any, Any]:
    """The state at `path` with its journal, or an empty one."""
    found = _load_block(path)
    for key, value in _load_journal(journal_of(path)):
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def save(path: str, values: dict[Any, Any]) -> None:
    """Replace the state, and drop its journal."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    payload = marshal.dumps(values)
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        file.write(_MAGIC)
        file.write(crc32(payload).to_bytes(4, "little"))
        file.write(payload)
    os.replace(temporary, path)
    try:
        os.unlink(journal_of(path))
    except FileNotFoundError:
        pass


def append(path: str, key: Any, value: Any) -> None:
    """Note one change (`None` removes the key); readers see it at once."""
    journal = journal_of(path)
    payload = marshal.dumps((key, value))
    record = len(payload).to_bytes(4, "little") + crc32(payload).to_bytes(4, "little") + payload
    fd = _open_journal(journal)
    try:
        os.write(fd, record)  # one write: it is there whole, or torn at the end of the file
    finally:
        os.close(fd)


def _open_journal(journal: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        return os.open(journal, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(journal), exist_ok=True)
        return os.open(journal, flags, 0o666)


def _load_block(path: str) -> dict[Any, Any]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return {}
    start = len(_MAGIC) + 4
    payload = memoryview(content)[start:]
    if not content.startswith(_MAGIC) or crc32(payload).to_bytes(4, "little") != content[start - 4 : start]:
        return {}
    values = marshal.loads(payload)  # noqa: S302  our own file, its checksum right; the task file beside it is code
    return values if isinstance(values, dict) else {}


def _load_journal(path: str) -> list[tuple[Any, Any]]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return []
    found: list[tuple[Any, Any]] = []
    position = 0
    while position + 8 <= len(content):
        length = int.from_bytes(content[position : position + 4], "little")
        payload = content[position + 8 : position + 8 + length]
        expected = content[position + 4 : position + 8]
        if length > _LIMIT_BYTES or len(payload) < length or crc32(payload).to_bytes(4, "little") != expected:
            break  # what stands behind a torn record cannot be found
        key, value = marshal.loads(payload)  # noqa: S302  as above
        found.append((key, value))
        position += 8 + length
    return found
