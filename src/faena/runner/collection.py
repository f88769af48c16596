"""Collections: tasks and other collections under names, as Invoke has them."""

from __future__ import annotations

from faena._lib.arguments.signature import dashed
from faena.runner.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType
    from typing import Any

    from faena.runner.parser import ParserContext


class Collection:
    """A namespace of tasks.

    `Collection("docs", build, other_module, sub_collection, bound_name=task)`: tasks go by their own names, modules
    through `from_module`, keywords are the names to bind as.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.tasks: dict[str, Task[..., Any]] = {}
        self.collections: dict[str, Collection] = {}
        self.aliases: dict[str, str] = {}
        self.hidden_aliases: dict[str, str] = {}  # found, and not listed
        self.ignores_unknown_help = False
        self.has_foreign = False  # tasks of other tools have been looked for
        self.default: str | None = None
        self.auto_dash_names = bool(kwargs.pop("auto_dash_names", True))
        self.loaded_from: str | None = kwargs.pop("loaded_from", None)
        self.name: str | None = None
        self._configuration: dict[str, Any] = {}
        rest = list(args)
        if rest and isinstance(rest[0], str):
            self.name = self.transform(rest.pop(0))
        for each in rest:
            self._add(each, None)
        for name, each in kwargs.items():
            self._add(each, name)

    def __repr__(self) -> str:
        names = sorted(self.tasks) + sorted(f"{name}..." for name in self.collections)
        return f"<Collection {self.name!r}: {', '.join(names)}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Collection):
            return NotImplemented
        mine = (self.name, self.tasks, self.collections)
        return mine == (other.name, other.tasks, other.collections)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        return bool(self.task_names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __getitem__(self, name: str | None = None) -> Task[..., Any]:
        if not name:
            if self.default is None:
                raise ValueError("This collection has no default task.")
            return self[self.default]
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found[1]

    def _add(self, each: Any, name: str | None) -> None:
        if isinstance(each, Task):
            self.add_task(each, name=name)
        elif isinstance(each, Collection):
            self.add_collection(each, name=name)
        elif hasattr(each, "__dict__") and type(each).__name__ == "module":
            self.add_collection(Collection.from_module(each), name=name)
        else:
            raise TypeError(f"No idea how to insert {type(each)}!")

    @classmethod
    def from_module(
        cls,
        module: ModuleType,
        name: str | None = None,
        config: dict[str, Any] | None = None,
        loaded_from: str | None = None,
        auto_dash_names: bool | None = None,
    ) -> Collection:
        """Take a module's `ns` or `namespace`, or else every task among its variables."""
        module_name = module.__name__.rpartition(".")[2]
        variables = vars(module)
        own = variables.get("ns")
        if not isinstance(own, Collection):
            own = variables.get("namespace")
        dashes = True if auto_dash_names is None else auto_dash_names
        found = cls(auto_dash_names=dashes, loaded_from=loaded_from)
        if isinstance(own, Collection):
            found.name = found.transform(name) if name else own.name or found.transform(module_name)
            found.tasks = dict(own.tasks)
            found.collections = dict(own.collections)
            found.aliases, found.default = dict(own.aliases), own.default
            found._configuration = _merged(own._configuration, {})
        else:
            found.name = found.transform(name or module_name)
            for each in list(variables.values()):
                if isinstance(each, Task):
                    found.add_task(each)
        found.__doc__ = module.__doc__
        if config:
            found.configure(config)
        return found

    def transform(self, name: str) -> str:
        """The name as the command line has it."""
        if not self.auto_dash_names:
            return name
        return ".".join(dashed(part) for part in name.split("."))

    def add_task(
        self,
        task: Task[..., Any],
        name: str | None = None,
        aliases: Iterable[str] | None = None,
        default: bool | None = None,
    ) -> None:
        own = name or task.name
        if not own:
            raise ValueError("Could not obtain a name for this task!")
        own = self.transform(own)
        if own in self.collections:
            raise ValueError(f"Name conflict: this collection has a sub-collection named '{own}' already")
        self.tasks[own] = task
        for alias in (*task.aliases, *(aliases or ())):
            self.aliases[self.transform(alias)] = own
        if default is True or (default is None and task.is_default):
            self._make_default(own)

    def add_collection(
        self, collection: Collection | ModuleType, name: str | None = None, default: bool | None = None
    ) -> None:
        found = collection if isinstance(collection, Collection) else Collection.from_module(collection)
        own = name or found.name
        if not own:
            raise ValueError("Non-root collections must have a name!")
        own = self.transform(own)
        if own in self.tasks:
            raise ValueError(f"Name conflict: this collection has a task named '{own}' already")
        self.collections[own] = found
        if default:
            self._make_default(own)

    def _make_default(self, name: str) -> None:
        if self.default is not None and self.default != name:
            raise ValueError(f"'{name}' cannot be the default because '{self.default}' already is!")
        self.default = name

    # -- looking up ------------------------------------------------------------------------------------

    def find(self, name: str) -> tuple[str, Task[..., Any]] | None:
        """The full name and the task of a name, an alias or a collection with a default; either kind of dash."""
        here: Collection = self
        prefix = ""
        if name in self.tasks:  # a make target may have dots in its name
            return name, self.tasks[name]
        parts = name.split(".")
        for part in parts[:-1]:
            found = here.collections.get(part) or here.collections.get(here.transform(part))
            if found is None:
                return None
            prefix += f"{part}."
            here = found
        return here._find_here(parts[-1], prefix)

    def _find_here(self, last: str, prefix: str) -> tuple[str, Task[..., Any]] | None:
        for candidate in (last, self.transform(last), last.replace("-", "_")):
            target = self.aliases.get(candidate) or self.hidden_aliases.get(candidate, candidate)
            task = self.tasks.get(target)
            if task is not None:
                return prefix + target, task
            sub = self.collections.get(target)
            if sub is not None:
                return sub._find_here(sub.default, f"{prefix}{target}.") if sub.default else None
        return None

    def subcollection_from_path(self, path: str) -> Collection:
        """The collection at a dotted path. Raises KeyError."""
        here = self
        for part in path.split("."):
            found = here.collections.get(part) or here.collections.get(here.transform(part))
            if found is None:
                raise KeyError(part)
            here = found
        return here

    def to_contexts(self, ignore_unknown_help: bool | None = None) -> list[ParserContext]:
        """Every task as a context of Invoke's parser."""
        from faena.runner.parser import ParserContext

        return [
            ParserContext(name, aliases, self[name].get_arguments(ignore_unknown_help))
            for name, aliases in self.task_names.items()
        ]

    def task_with_config(self, name: str) -> tuple[Task[..., Any], dict[str, Any]]:
        """A task and the configuration of its path."""
        return self[name], self.configuration(name)

    def serialized(self) -> dict[str, Any]:
        """The collection as plain values, as `--list-format=json` prints them."""
        from faena.runner.listing import as_values

        return as_values(self)

    @property
    def task_names(self) -> dict[str, list[str]]:
        """Every task by its full name, with its aliases."""
        found: dict[str, list[str]] = {}
        for name in self.tasks:
            found[name] = sorted(alias for alias, target in self.aliases.items() if target == name)
        for prefix, sub in self.collections.items():
            for name, aliases in sub.task_names.items():
                full = [f"{prefix}.{alias}" for alias in aliases]
                if sub.default == name:
                    full.insert(0, prefix)
                found[f"{prefix}.{name}"] = full
        return found

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Task[..., Any]]]:
        """Every task with its full name."""
        for name, task in self.tasks.items():
            yield prefix + name, task
        for name, sub in self.collections.items():
            yield from sub.walk(f"{prefix}{name}.")

    # -- configuration ---------------------------------------------------------------------------------

    def configure(self, options: dict[str, Any]) -> None:
        """Merge values into this collection's configuration."""
        self._configuration = _merged(self._configuration, options)

    def configuration(self, taskpath: str | None = None) -> dict[str, Any]:
        """The values for a task's path: those of outer collections win over those of inner ones."""
        if taskpath is None:
            return _merged(self._configuration, {})
        chain: list[Collection] = [self]
        for part in taskpath.split("."):
            sub = chain[-1].collections.get(part)
            if sub is None:
                break
            chain.append(sub)
        found: dict[str, Any] = {}
        for each in reversed(chain):
            found = _merged(found, each._configuration)
        return found

    @property
    def has_configuration(self) -> bool:
        return bool(self._configuration) or any(sub.has_configuration for sub in self.collections.values())


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    found = {key: _merged(value, {}) if isinstance(value, dict) else value for key, value in first.items()}
    for key, value in second.items():
        old = found.get(key)
        if isinstance(value, dict):
            found[key] = _merged(old if isinstance(old, dict) else {}, value)
        else:
            found[key] = value
    return found
