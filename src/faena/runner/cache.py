"""Outputs of earlier runs by fingerprint: on this machine, and shared with a team.

    entries/ab/<fingerprint>   what a step made: paths, modes, content hashes, what it printed; small contents too
    blobs/cd/<content hash>    the other contents

Files come in whole (written beside, then renamed), so that readers and writers on many machines need no lock. The
place is `.faena/cache`, or what `cache` of the configuration says; a value with `://` is opened through fsspec, with
the local folder in front of it. A shared place that does not answer is told about once and is done without.
"""

from __future__ import annotations

import errno
import os
import time
from _thread import allocate_lock, get_ident

from faena.errors import ConfigurationError
from faena.runner.files import digest_of
from faena.runner.streams import remark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol

    from faena.runner.execute import Runner
    from faena.runner.files import Entry

    class Place(Protocol):
        def read(self, name: str) -> bytes | None: ...
        def write(self, name: str, content: bytes) -> None: ...
        def has(self, name: str) -> bool: ...
        def fetch(self, names: Iterable[str]) -> None: ...
        def flush(self) -> None: ...


_SMALL_BYTES = 2_048  # contents up to this size stand in the entry: most files of a build are small, and one file is
_MOST_WAITING = 512


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
        if name.startswith("entries/"):
            # a torn entry reads as none: one system call less for each target of a big build than a rename
            try:
                self._create(path, content)
                return
            except FileExistsError:
                pass
        temporary = f"{path}.{os.getpid()}.{get_ident()}.{time.monotonic_ns()}.tmp"
        self._create(temporary, content)
        os.replace(temporary, path)

    @staticmethod
    def _create(path: str, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            fd = os.open(path, flags, 0o666)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fd = os.open(path, flags, 0o666)
        with open(fd, "wb", buffering=0) as file:
            file.write(content)

    def has(self, name: str) -> bool:
        return os.path.exists(os.path.join(self.path, name))

    def fetch(self, names: Iterable[str]) -> None:
        """All there is, is here."""

    def flush(self) -> None:
        """Nothing is held back."""

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
    """A place for cached files behind any URL that fsspec knows, with a local one in front.

    What is written goes to the front at once and far away with `flush`, all of it together: places far away answer
    slowly, and many questions at a time.
    """

    def __init__(self, url: str, front: Folder) -> None:
        try:
            import fsspec  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra
        except ImportError:
            raise ConfigurationError(
                f"cache {url}: needs fsspec (pip install 'faena[cache]', and the driver of its kind, such as s3fs)"
            ) from None
        self._url = url
        self._front = front
        self._waiting: dict[str, bytes] = {}
        self._lock = allocate_lock()
        self._is_down = False
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"cache {url}: {error}") from None
        self._root = root.rstrip("/")

    def read(self, name: str) -> bytes | None:
        content = self._front.read(name)
        if content is None:
            found = self._ask(lambda: self._files.cat_file(f"{self._root}/{name}"))
            if found is None:
                return None
            content = bytes(found)
            self._front.write(name, content)
        return content

    def fetch(self, names: Iterable[str]) -> None:
        """Bring what there is of many files to the front, with as few questions as the place allows."""
        paths = {f"{self._root}/{name}": name for name in names if not self._front.has(name)}
        if len(paths) < 2:  # a single one is read when it is needed
            return
        found = self._ask(lambda: self._files.cat(list(paths), on_error="omit"))
        for path, content in (found or {}).items():
            name = paths.get(path) or paths.get(f"/{path}") or paths.get(str(path).lstrip("/"))
            if name is not None:
                self._front.write(name, bytes(content))

    def write(self, name: str, content: bytes) -> None:
        self._front.write(name, content)
        with self._lock:
            self._waiting[name] = content
            is_full = len(self._waiting) >= _MOST_WAITING
        if is_full:
            self.flush()

    def flush(self) -> None:
        # contents before the entries that name them, so that an entry never lacks one
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for kind in ("blobs/", "entries/"):
            files = {f"{self._root}/{name}": content for name, content in waiting.items() if name.startswith(kind)}
            if files:
                for folder in {path.rpartition("/")[0] for path in files}:
                    self._ask(lambda folder=folder: self._files.makedirs(folder, exist_ok=True))  # type: ignore[misc]
                self._ask(lambda files=files: self._files.pipe(files))  # type: ignore[misc]

    def has(self, name: str) -> bool:
        return name in self._waiting or bool(self._ask(lambda: self._files.exists(f"{self._root}/{name}")))

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The place's answer; None where it has not what was asked for, or does not answer (any more)."""
        if self._is_down:
            return None
        try:
            return question()
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001  drivers raise errors of their own kinds, which nobody can list
            self._is_down = True
            text = str(error).partition("\n")[0]
            remark(f"fa: the shared cache {self._url} is not used: {type(error).__name__}: {text}")
            return None


class Cache:
    """What steps made, by fingerprint."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def keep(self, fingerprint: bytes, folder: str, outputs: Mapping[str, Entry], log: list[tuple[str, bytes]]) -> None:
        """Put a step's outputs in, contents first, so that an entry never lacks one."""
        import json

        files: list[dict[str, Any]] = []
        for path, entry in outputs.items():
            full = os.path.join(folder, path)
            with open(full, "rb", buffering=0) as file:
                content = file.read()
                mode = os.fstat(file.fileno()).st_mode & 0o777
            known: dict[str, Any] = {"path": path, "mode": mode, "content": entry[4].hex()}
            name = _blob_name(known["content"])
            if len(content) <= _SMALL_BYTES:
                known["data"] = content.decode("latin-1")
            elif not self._place.has(name):
                self._place.write(name, content)
            files.append(known)
        printed = [[name, data.decode("latin-1")] for name, data in log]
        entry_text = json.dumps({"files": files, "printed": printed})
        self._place.write(_entry_name(fingerprint), entry_text.encode())

    def expect(self, fingerprints: Iterable[bytes]) -> None:
        """Say what will be asked for, so that a place far away is asked once."""
        self._place.fetch(map(_entry_name, fingerprints))

    def has(self, fingerprint: bytes) -> bool:
        """Whether there is an entry; whether it is whole shows when it is restored."""
        return self._place.has(_entry_name(fingerprint))

    def flush(self) -> None:
        """Let everybody have what was kept."""
        self._place.flush()

    def restore(self, fingerprint: bytes, folder: str) -> list[tuple[str, bytes]] | None:
        """Put a step's outputs back and return what it had printed; None where the cache has it not, or not whole."""
        import json

        raw = self._place.read(_entry_name(fingerprint))
        if raw is None:
            return None
        try:
            entry: dict[str, Any] = json.loads(raw)
            wanted = [(each["path"], each["mode"], each["content"], each.get("data")) for each in entry["files"]]
            printed = [(str(name), str(text).encode("latin-1")) for name, text in entry["printed"]]
            self._place.fetch(_blob_name(name) for _, _, name, data in wanted if data is None)
            contents = []
            for path, mode, name, data in wanted:
                content = self._place.read(_blob_name(name)) if data is None else data.encode("latin-1")
                if content is None or os.path.isabs(path) or ".." in path.split("/"):
                    return None
                contents.append((path, mode, content, name))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        for path, mode, content, name in contents:
            if not _put(folder, path, mode, content, name):
                return None
        return printed


def _put(folder: str, path: str, mode: int, content: bytes, name: str) -> bool:
    """Write one output in one piece; False when its content is not what its name says.

    It is written in a folder of ours first: what a killed run leaves there is nobody's source.
    """
    if digest_of(content).hex() != name:
        return False
    full = os.path.join(folder, path)
    temporary = os.path.join(folder, ".faena", "tmp", f"{os.getpid()}.{get_ident()}")
    os.makedirs(os.path.dirname(full) or ".", exist_ok=True)
    os.makedirs(os.path.dirname(temporary), exist_ok=True)
    _write(temporary, content, mode)
    try:
        os.replace(temporary, full)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        os.unlink(temporary)  # the output lies on another device
        beside = os.path.join(os.path.dirname(full), f".{os.path.basename(full)}.{os.getpid()}.fa-tmp")
        _write(beside, content, mode)
        os.replace(beside, full)
    return True


def _write(path: str, content: bytes, mode: int) -> None:
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


def _entry_name(fingerprint: bytes) -> str:
    return f"entries/{fingerprint.hex()[:2]}/{fingerprint.hex()}"


def _blob_name(content: str) -> str:
    return f"blobs/{content[:2]}/{content}"


def local_folder(folder: str) -> Folder:
    return Folder(os.path.join(folder, ".faena", "cache"))


def cache_of(runner: Runner) -> Cache | None:
    """The cache that the configuration names, or the local one; None when it is switched off (`cache = false`).

    One for a run: a place far away is opened once, and once it does not answer it is not asked again.
    """
    with runner.lock:
        if not runner.caches:
            runner.caches.append(_made(runner))
        return runner.caches[0]


def _made(runner: Runner) -> Cache | None:
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
