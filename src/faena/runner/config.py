"""Configuration of task files: Invoke's `Config`, made of layers.

    defaults → collection → system file → user file → project file → environment → runtime file → overrides
             → changes that tasks make

A later layer wins; groups merge, other values replace. A `Config` is also what `c.config` is: values are reached as
items and as attributes at every depth.
"""

from __future__ import annotations

from faena.errors import AmbiguousEnvVar, AmbiguousMergeError, UncastableEnvVar
from faena.runner.local import Local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

DEFAULTS: dict[str, Any] = {
    "run": {
        "asynchronous": False,
        "disown": False,
        "dry": False,
        "echo": False,
        "echo_format": "\033[1;37m{command}\033[0m",
        "echo_stdin": None,
        "encoding": None,
        "env": {},
        "err_stream": None,
        "fallback": True,
        "hide": None,
        "in_stream": None,
        "out_stream": None,
        "pty": False,
        "replace_env": False,
        "shell": "bash",
        "warn": False,
        "watchers": [],
    },
    "runners": {"local": Local},
    "sudo": {"password": None, "prompt": "[sudo] password: ", "user": None},
    "tasks": {
        "auto_dash_names": True,
        "collection_name": "tasks",
        "dedupe": True,
        "executor_class": None,
        "ignore_unknown_help": False,
        "search_root": None,
    },
    "timeouts": {"command": None},
}
_FALSE = ("", "0", "false", "no", "off")
_REMOVED = object()


class DataProxy:
    """A group of values, by item and by attribute. Changes go to the `Config` it belongs to."""

    _root: Config
    _path: tuple[str, ...]
    _data: dict[str, Any]

    def __init__(self, root: Config | None, path: tuple[str, ...], data: dict[str, Any]) -> None:
        own = self.__dict__
        own["_root"] = root if root is not None else self
        own["_path"] = path
        own["_data"] = data

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> DataProxy:
        """A group that stands alone."""
        return DataProxy(Config(overrides=data, defaults={}, lazy=True), (), data)

    def __getitem__(self, key: str) -> Any:
        return self._wrapped(key, self._data[key])

    def _wrapped(self, key: str, value: Any) -> Any:
        return DataProxy(self._root, (*self._path, key), value) if type(value) is dict else value

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        data = self.__dict__["_data"]
        if key in data:
            return self._wrapped(key, data[key])
        if key in ("keys", "values", "items", "get", "copy"):
            return getattr(_Plain(self), key)
        raise AttributeError(
            f"No attribute or config key found for {key!r}\n\nValid keys: {sorted(data, key=str)!r}\n\n"
            f"Valid real attributes: {sorted(each for each in dir(type(self)) if not each.startswith('_'))!r}"
        )

    def __setitem__(self, key: str, value: Any) -> None:
        value = value._data if isinstance(value, DataProxy) else value
        self._data[key] = value
        self._root._note((*self._path, key), value)

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self.__dict__:
            self.__dict__[key] = value
        else:
            self[key] = value

    def __delitem__(self, key: str) -> None:
        del self._data[key]
        self._root._note((*self._path, key), _REMOVED)

    def __delattr__(self, key: str) -> None:
        if key not in self._data:
            raise AttributeError(key)
        del self[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DataProxy):
            return self._data == other._data
        return self._data == other

    __hash__ = None  # type: ignore[assignment]  # its values change

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._data!r}>"

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self._data:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        if key not in self._data and default:
            return default[0]
        value = self._data[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        key = next(reversed(self._data))
        return key, self.pop(key)

    def clear(self) -> None:
        for key in list(self._data):
            del self[key]


class _Plain:
    """The methods of a dict that a key of the same name hides."""

    def __init__(self, proxy: DataProxy) -> None:
        self._proxy = proxy

    def keys(self) -> Any:
        return self._proxy._data.keys()

    def values(self) -> Any:
        return [self._proxy[key] for key in self._proxy._data]

    def items(self) -> Any:
        return [(key, self._proxy[key]) for key in self._proxy._data]

    def get(self, key: str, default: Any = None) -> Any:
        return self._proxy[key] if key in self._proxy._data else default

    def copy(self) -> dict[str, Any]:
        return dict(copied(self._proxy._data))


class Config(DataProxy):
    """All layers together. `Config({...})` puts values over the defaults; `defaults=` replaces those.

    A subclass with another `prefix` reads files and variables of that name: those of a `Program` of its own.
    """

    prefix = "invoke"
    file_prefix: str | None = None
    env_prefix: str | None = None

    def __init__(
        self,
        overrides: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        system_prefix: str | None = None,
        user_prefix: str | None = None,
        project_location: str | None = None,
        runtime_path: str | None = None,
        lazy: bool = False,
    ) -> None:
        super().__init__(None, (), {})
        own = self.__dict__
        own["_layers"] = {
            "defaults": self.global_defaults() if defaults is None else copied(dict(defaults)),
            "collection": {},
            "system": {},
            "user": {},
            "project": {},
            "dotenv": {},
            "env": {},
            "runtime": {},
            "overrides": copied(dict(overrides or {})),
        }
        own["_changes"] = {}
        own["_variables"] = {}  # those of the environment, as they were read last
        own["_sources"] = {}
        own["_files"] = (system_prefix, user_prefix, project_location, runtime_path)
        if not lazy:
            self.load_base_conf_files()
            if project_location is not None:
                self.load_project()
            if runtime_path is not None:
                self.load_runtime()
        self.merge()

    # -- layers ----------------------------------------------------------------------------------------

    def set_layer(self, name: str, values: Mapping[str, Any], source: str = "", *, merge: bool = True) -> None:
        """Replace one layer (see the module's drawing)."""
        self._layers[name] = copied(dict(values))
        self._sources[name] = source
        if merge:
            self.merge()

    def load_base_conf_files(self, merge: bool = False) -> None:
        """Read the system's and the user's file."""
        from os.path import expanduser

        from faena.runner.config_files import read_first

        system, user, _, _ = self._files
        own = self.file_prefix or self.prefix
        for name, prefix in (("system", system or f"/etc/{own}"), ("user", user or expanduser(f"~/.{own}"))):
            path, values = read_first(prefix)
            if path:
                self.set_layer(name, values, path, merge=merge)

    def load_project(self, merge: bool = True) -> None:
        from faena.runner.config_files import read_project

        path, values = read_project(self._files[2] or "", self.file_prefix or self.prefix)
        if path:
            self.set_layer("project", values, path, merge=merge)

    def set_project_location(self, location: str | None) -> None:
        own = self.__dict__
        own["_files"] = (*self._files[:2], location, self._files[3])

    def set_runtime_path(self, path: str | None) -> None:
        own = self.__dict__
        own["_files"] = (*self._files[:3], path)

    def load_runtime(self, merge: bool = True) -> None:
        from faena.runner.config_files import read_file

        path = self._files[3]
        if path:
            self.set_layer("runtime", read_file(path), path, merge=merge)

    def load_collection(self, data: Mapping[str, Any], merge: bool = True) -> None:
        self.set_layer("collection", data, "the task file", merge=merge)

    def load_overrides(self, data: Mapping[str, Any], merge: bool = True) -> None:
        self.set_layer("overrides", data, "the command line", merge=merge)

    @staticmethod
    def global_defaults() -> dict[str, Any]:
        """The defaults, to add to them in a subclass."""
        found: dict[str, Any] = copied(DEFAULTS)
        return found

    def load_shell_env(self, environ: Mapping[str, str] | None = None, *, if_changed: bool = False) -> None:
        """Read `INVOKE_RUN_ECHO=1` and the like; only for values that exist. `if_changed`: since the last time."""
        prefix = (self.env_prefix or self.prefix).upper()
        if environ is None:
            from os import environ as process_environ

            environ = process_environ
        found = {name[len(prefix) + 1 :]: environ[name] for name in environ if name.startswith(f"{prefix}_")}
        before = self._variables
        if found != before or (found and not if_changed):
            self.__dict__["_variables"] = found
            self.set_layer("env", env_values(self._data, found), "environment")

    def merge(self) -> None:
        """Put the layers together anew, and the tasks' changes on top."""
        data: dict[str, Any] = {}
        for name, layer in self._layers.items():
            merge_into(data, layer, name)
        for path, value in self._changes.items():
            _apply(data, path, value)
        self.__dict__["_data"] = data

    def _note(self, path: tuple[str, ...], value: Any) -> None:
        self._changes[path] = value

    def clone(self, into: type[Config] | None = None) -> Config:
        """An independent copy."""
        found = (into or type(self))(lazy=True)
        own = found.__dict__
        own["_layers"] = copied(self._layers)
        own["_changes"] = dict(self._changes)
        own["_variables"] = self._variables
        own["_sources"] = dict(self._sources)
        own["_files"] = self._files
        found.merge()
        return found

    def explain(self) -> list[tuple[str, Any, str]]:
        """Every value with its dotted name and the layer it came from."""
        found: dict[str, tuple[Any, str]] = {}
        for name, layer in self._layers.items():
            source = self._sources.get(name) or name
            for path, value in _leaves(layer):
                found[path] = (value, source)
        for path, value in self._changes.items():
            found[".".join(path)] = (value, "a task")
        return sorted((path, value, source) for path, (value, source) in found.items() if value is not _REMOVED)


def copied(value: Any) -> Any:
    """Copy groups and lists, keep everything else as it is."""
    if type(value) is dict:
        return {key: copied(each) for key, each in value.items()}
    if type(value) is list:
        return [copied(each) for each in value]
    if isinstance(value, DataProxy):
        return copied(value._data)
    return value


def merge_into(data: dict[str, Any], layer: Mapping[str, Any], where: str = "") -> None:
    """Merge a layer over `data`.

    Raises AmbiguousMergeError: one of the two has a group where the other has a value.
    """
    for key, value in layer.items():
        old = data.get(key)
        if isinstance(value, dict):
            if old is not None and not isinstance(old, dict):
                raise AmbiguousMergeError(f"Can't merge {{{key!r}: {old!r}}} with a group of values (in {where})")
            if old is None:
                old = data[key] = {}
            merge_into(old, value, where)
        elif isinstance(old, dict) and value is not None:
            raise AmbiguousMergeError(f"Can't merge a group of values {key!r} with {value!r} (in {where})")
        elif not (isinstance(old, dict) and value is None):
            data[key] = copied(value)


def env_values(data: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Find the values that variables such as `RUN_ECHO` set, converted to the type that stands there."""
    names: dict[str, tuple[str, ...]] = {}
    for path in _paths(data):
        name = "_".join(path).upper().replace("-", "_")
        if name in names and name in variables:
            raise AmbiguousEnvVar(
                f"Found >1 source for {name}: {'.'.join(names[name])} and {'.'.join(path)}; rename one of them"
            )
        names[name] = path
    found: dict[str, Any] = {}
    for name, text in variables.items():
        target = names.get(name)
        if target is None:
            continue
        old: Any = data
        for key in target:
            old = old[key]
        _apply(found, target, _cast(name, old, text))
    return found


def _cast(name: str, old: Any, text: str) -> Any:
    if old is None or isinstance(old, str):
        return text
    if isinstance(old, bool):
        return text.strip().lower() not in _FALSE
    if isinstance(old, list | tuple | dict):
        raise UncastableEnvVar(f"Can't turn {name}={text!r} into a {type(old).__name__}; set it in a file instead")
    try:
        return type(old)(text)
    except ValueError as error:
        raise UncastableEnvVar(f"Can't turn {name}={text!r} into a {type(old).__name__}: {error}") from None


def _paths(data: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, (*prefix, str(key)))
        else:
            yield (*prefix, str(key))


def _leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _apply(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    here = data
    for key in path[:-1]:
        below = here.get(key)
        if not isinstance(below, dict):
            if value is _REMOVED:
                return
            below = here[key] = {}
        here = below
    if value is _REMOVED:
        here.pop(path[-1], None)
    else:
        here[path[-1]] = value
