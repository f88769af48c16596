"""Outputs of earlier runs by fingerprint: on this machine, and shared with a team.

    entries/ab/<fingerprint>   what a step made: paths, modes, content hashes, what it printed
    blobs/cd/<content hash>    the contents

Files come in whole (written beside, then renamed), so that readers and writers on many machines need no lock. The
place is `.faena/cache`, or what `cache` of the configuration says; a value with `://` is opened through fsspec, with
the local folder in front of it.
"""

from __future__ import annotations

import os
import time

from faena.errors import ConfigurationError
from faena.runner.files import content_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    from faena.runner.execute import Runner
    from faena.runner.files import Entry

    class Place(Protocol):
        def read(self, name: str) -> bytes | None: ...
        def write(self, name: str, content: bytes) -> None: ...
        def has(self, name: str) -> bool: ...


class Folder:
    """A place for cached files in a directory."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        path = os.path.join(self.path, name)
        try:
            with open(path, "rb") as file:
                content = file.read()
            os.utime(path)  # what is used is kept by `gc`
        except OSError:
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{os.getpid()}.{time.monotonic_ns()}.tmp"
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, path)

    def has(self, name: str) -> bool:
        return os.path.exists(os.path.join(self.path, name))

    def files(self) -> list[tuple[str, int, float]]:
        """Every cached file with its size and the time of its last use, the oldest first."""
        found = []
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    stat = os.stat(path)
                except OSError:
                    continue
                found.append((os.path.relpath(path, self.path), stat.st_size, stat.st_mtime))
        return sorted(found, key=lambda each: each[2])


class Shared:
    """A place for cached files behind any URL that fsspec knows, with a local one in front."""

    def __init__(self, url: str, front: Folder) -> None:
        try:
            import fsspec  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra
        except ImportError:
            raise ConfigurationError(
                f"cache {url}: needs fsspec (pip install fsspec, and the driver of its kind)"
            ) from None
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._front = front

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        content = self._front.read(name)
        if content is None:
            try:
                content = bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None
            self._front.write(name, content)
        return content

    def write(self, name: str, content: bytes) -> None:
        self._front.write(name, content)
        path = self._path(name)
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(path, content)

    def has(self, name: str) -> bool:
        return bool(self._files.exists(self._path(name)))


class Cache:
    """What steps made, by fingerprint."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def keep(self, fingerprint: bytes, folder: str, outputs: Mapping[str, Entry], log: list[tuple[str, bytes]]) -> None:
        """Put a step's outputs in, contents first, so that an entry never lacks one."""
        import json

        files = []
        for path, entry in outputs.items():
            full = os.path.join(folder, path)
            with open(full, "rb") as file:
                content = file.read()
            name = f"blobs/{entry[4].hex()[:2]}/{entry[4].hex()}"
            if not self._place.has(name):
                self._place.write(name, content)
            files.append({"path": path, "mode": os.stat(full).st_mode & 0o777, "content": entry[4].hex()})
        printed = [[name, data.decode("latin-1")] for name, data in log]
        entry_text = json.dumps({"files": files, "printed": printed})
        self._place.write(_entry_name(fingerprint), entry_text.encode())

    def restore(self, fingerprint: bytes, folder: str) -> list[tuple[str, bytes]] | None:
        """Put a step's outputs back and return what it had printed; None where the cache has it not, or not whole."""
        import json

        raw = self._place.read(_entry_name(fingerprint))
        if raw is None:
            return None
        try:
            entry: dict[str, Any] = json.loads(raw)
            wanted = [(each["path"], each["mode"], each["content"]) for each in entry["files"]]
            printed = [(str(name), str(text).encode("latin-1")) for name, text in entry["printed"]]
        except (ValueError, KeyError, TypeError):
            return None
        contents = []
        for path, mode, name in wanted:
            content = self._place.read(f"blobs/{name[:2]}/{name}")
            if content is None or os.path.isabs(path) or ".." in path.split("/"):
                return None
            contents.append((path, mode, content, name))
        for path, mode, content, name in contents:
            if not _put(os.path.join(folder, path), mode, content, name):
                return None
        return printed


def _put(path: str, mode: int, content: bytes, name: str) -> bool:
    """Write one output in one piece; False when its content is not what its name says."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.{os.getpid()}.fa-tmp"
    with open(temporary, "wb") as file:
        file.write(content)
    if content_hash(temporary).hex() != name:
        os.unlink(temporary)
        return False
    os.chmod(temporary, mode)
    os.replace(temporary, path)
    return True


def _entry_name(fingerprint: bytes) -> str:
    return f"entries/{fingerprint.hex()[:2]}/{fingerprint.hex()}"


def local_folder(folder: str) -> Folder:
    return Folder(os.path.join(folder, ".faena", "cache"))


def cache_of(runner: Runner) -> Cache | None:
    """The cache that the configuration names, or the local one; None when it is switched off (`cache = false`)."""
    from faena.runner.fingerprint import folder_of

    front = local_folder(folder_of(runner))
    wanted = runner.config_for("").get("cache", True)
    if wanted is False or wanted is None:
        return None
    if wanted is True:
        return Cache(front)
    if "://" in str(wanted):
        return Cache(Shared(str(wanted), front))
    return Cache(Folder(os.path.join(folder_of(runner), os.path.expanduser(str(wanted)))))
