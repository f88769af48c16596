"""A class of declared settings whose values come from layers.

Lowest first: default, project file, `.env`, environment, code, command line. Files and environment are looked at on the
first read of any setting; what code and command line say is checked at once, where the mistake is. Values that were said
and defaults that were read lie in the instance's dictionary, so that the reads after the first cost what any attribute
costs. Defaults that nobody asks for stay where they are: in a worker process, what is copied is memory of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, get_type_hints

from msgspec import Struct

from faena.config import layers
from faena.config.convert import Kind
from faena.config.declaration import Row, Setting
from faena.config.layers import Entry, Project
from faena.config.secrets import mask
from faena.errors import InvalidSetting, UnknownSetting, nearest

TYPE_CHECKING = False


class UnknownVariable(Struct, frozen=True):
    """A variable with our prefix that is no setting."""

    where: str
    suggestion: str | None


class Layered:
    """Settings read as attributes, by name, or all at once; changed with `update`."""

    declared: ClassVar[dict[str, Setting]] = {}

    revision: int
    """Grows with every change, for those who derive something from settings and keep it."""

    def __init_subclass__(cls) -> None:
        cls.declared = {name: value for name, value in vars(cls).items() if isinstance(value, Setting)}

    @classmethod
    def declarations(cls) -> Mapping[str, Setting]:
        """Return every setting, with its type read from the annotation. Only who sets or explains pays for that."""
        if any(declared.kind is None for declared in cls.declared.values()):
            annotations = get_type_hints(cls)
            for name, declared in cls.declared.items():
                declared.kind = Kind(annotations[name], declared.unit)
        return cls.declared

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        cwd: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Settings with `values` said in code; `cwd` and `environ` are those of the process unless handed in."""
        # every layer: name -> (value of the declared type, where that was said)
        own = self.__dict__
        own["_cwd"], own["_environ"] = cwd, environ
        own["_project"] = None
        own["revision"] = 0
        own["_outside"] = None  # the layers of file, .env and environment, once they were read
        own["_unknown_variables"] = ()
        own["_code"], own["_command_line"] = {}, {}
        own["_said"] = {}  # name -> where its value is from, for those that are no defaults, as it was resolved last
        own["_sources"] = None  # the same; None: to be resolved
        if values:
            self.update(values)

    # -- reading -------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        if name not in self.declared:
            raise self._unknown(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self.declared

    def __iter__(self) -> Iterator[str]:
        return iter(self.declared)

    def __len__(self) -> int:
        return len(self.declared)

    def __repr__(self) -> str:
        changed = ", ".join(f"{row.name}={row.value!r}" for row in self.explain() if row.source != "default")
        return f"<{type(self).__name__} {changed}>" if changed else f"<{type(self).__name__}: defaults>"

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting, or `default` where there is none of that name."""
        return getattr(self, name) if name in self.declared else default

    def keys(self) -> Sequence[str]:
        return tuple(self.declared)

    def items(self) -> Iterator[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in self.declared)

    def explain(self) -> Sequence[Row]:
        """Say for every setting what it is and where that was said; secrets are masked."""
        return [
            Row(
                name,
                mask(getattr(self, name)),
                self.source_of(name),
                declared.default,
                declared.unit,
                declared.text,
                declared.secret,
            )
            for name, declared in self.declared.items()
        ]

    def source_of(self, name: str) -> str:
        """Say where the value of a setting was said: "default", a file, a variable, a line of code, the command line."""
        if name not in self.declared:
            raise self._unknown(name)
        self.resolve()
        source: str = self.__dict__["_sources"].get(name, "default")
        return source

    def unknown_variables(self) -> Sequence[UnknownVariable]:
        """Name the variables with our prefix that are no setting: probably misspelled, possibly another program's."""
        self._read_outside()
        found: Sequence[UnknownVariable] = self.__dict__["_unknown_variables"]
        return found

    @property
    def project(self) -> Project:
        """The project that the current folder belongs to."""
        own = self.__dict__
        if own["_project"] is None:
            own["_project"] = layers.find_project(own["_cwd"] or os.getcwd())
        found: Project = own["_project"]
        return found

    # -- changing ------------------------------------------------------------------------------------------

    def __setitem__(self, name: str, value: Any) -> None:
        self._set("_code", {name: value}, _place_in_code())

    def update(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Say in code what settings are; all of them are taken, or none.

        Raises UnknownSetting, InvalidSetting.
        """
        self._set("_code", {**(values or {}), **more}, _place_in_code())

    def override(self, values: Mapping[str, Any], where: str = "command line") -> None:
        """Say what settings are whatever code says, before or after: what the command line asked for."""
        self._set("_command_line", values, where)

    @contextmanager
    def overridden(self, values: Mapping[str, Any], where: str = "override") -> Iterator[None]:
        """Override settings for the time of a `with` block."""
        own = self.__dict__
        before = dict(own["_command_line"])
        try:
            self.override(values, where)
            yield
        finally:
            own["_command_line"], own["_sources"] = before, None
            own["revision"] += 1
            self.resolve()

    def resolve(self) -> None:
        """Bring the values that were said up to date. Reading one does this by itself."""
        own = self.__dict__
        if own["_sources"] is not None:
            return
        said: dict[str, tuple[Any, str]] = {}
        for layer in (*self._read_outside(), own["_code"], own["_command_line"]):
            said.update(layer)
        for name in own["_said"]:
            if name not in said:
                own.pop(name, None)  # back to its default
        own.update({name: value for name, (value, _) in said.items()})
        own["_said"] = own["_sources"] = {name: where for name, (_, where) in said.items()}

    # -- private -------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # a type checker shall know the declared names only

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # what copy, pickle and their like ask for
                raise AttributeError(name)
            if name in self.declared:  # resolving it found an unknown name in a file, which is an AttributeError, too
                return self.declared[name].__get__(self)
            raise self._unknown(name)

        def __setattr__(self, name: str, value: Any) -> None:
            self._set("_code", {name: value}, _place_in_code())

    def _set(self, layer: str, values: Mapping[str, Any], where: str) -> None:
        found = {name: (self._read(name, Entry(value, where)), where) for name, value in values.items()}
        own = self.__dict__
        own[layer].update(found)
        own["_sources"] = None
        own["revision"] += 1
        if own["_outside"] is not None:
            self.resolve()

    def _read_outside(self) -> Sequence[Mapping[str, tuple[Any, str]]]:
        own = self.__dict__
        if own["_outside"] is None:
            project = self.project
            environ = own["_environ"] if own["_environ"] is not None else layers.read_environ()
            variables = (layers.from_dotenv(project.folder), layers.from_environ(environ))
            unknown = tuple(
                UnknownVariable(entry.where, self._variable_like(name))
                for layer in variables
                for name, entry in layer.items()
                if name not in self.declared
            )
            known = ({name: each for name, each in layer.items() if name in self.declared} for layer in variables)
            found = [self._read_layer(layer) for layer in (project.entries, *known)]
            own["_unknown_variables"] = unknown
            own["_outside"] = found
        outside: Sequence[Mapping[str, tuple[Any, str]]] = own["_outside"]
        return outside

    def _read_layer(self, entries: Mapping[str, Entry]) -> dict[str, tuple[Any, str]]:
        return {name: (self._read(name, entry), entry.where) for name, entry in entries.items()}

    def _read(self, name: str, entry: Entry) -> Any:
        declared = self.declared.get(name)
        if declared is None:
            raise self._unknown(name, entry.where)
        if declared.kind is None:
            self.declarations()
        try:
            return declared.read(entry.value, is_text=entry.is_text)
        except ValueError as error:
            raise InvalidSetting(name, _shown(declared, entry.value), str(error), where=entry.where) from None

    def _unknown(self, name: str, where: str = "") -> UnknownSetting:
        return UnknownSetting(name, self.declared, where=where, instead=self._successor(name))

    def _variable_like(self, name: str) -> str | None:
        found = self._successor(name)
        return layers.PREFIX + found.upper() if found else None

    def _successor(self, name: str) -> str | None:
        """Find the setting that `name` probably means: today's name of an old one, or the nearest."""
        for declared in self.declared.values():
            if name.upper() in declared.formerly:
                return declared.name
        lowered = name.lower()
        bare = lowered.removeprefix("celery_").removeprefix("celeryd_")
        for candidate in (lowered, bare, f"task_{bare}", f"worker_{bare}"):
            if candidate in self.declared:
                return candidate
        return nearest(bare, self.declared)


def _shown(declared: Setting, value: Any) -> Any:
    if declared.secret:
        return mask(value)
    return value


def _place_in_code() -> str:
    """Name the line outside this package that is being run."""
    frame = sys._getframe(2)
    while str(frame.f_globals.get("__name__", "")).partition(".")[0] == "faena":
        if frame.f_back is None:
            return "code"
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
