"""The tasks of one app, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faena.errors import InvalidTask, NotRegistered
from faena.tasks.task import Task


class Registry(Mapping[str, Task[..., Any]]):
    """Tasks by name and alias. A name belongs to one function. Those that every app has are found, and not listed."""

    def __init__(self, app_name: str) -> None:
        self._app_name = app_name
        self._tasks: dict[str, Task[..., Any]] = {}
        self._builtin: dict[str, Task[..., Any]] = {}

    def add_builtin(self, task: Task[..., Any]) -> None:
        self._builtin[task.name] = task

    def add(self, task: Task[..., Any]) -> None:
        """Raises InvalidTask: another function has the name already."""
        for name in (task.name, *task.aliases):
            present = self._tasks.get(name)
            if present is not None and not _same_function(present, task):
                raise InvalidTask(
                    f"two tasks of app '{self._app_name}' are named '{name}': {_place(present)} and {_place(task)}; "
                    "give one of them another name="
                )
            self._tasks[name] = task

    def __getitem__(self, name: str) -> Task[..., Any]:
        found = self._tasks.get(name) or self._builtin.get(name)
        if found is None:
            raise NotRegistered(name, self._tasks, where=f"app '{self._app_name}'")
        return found

    def get(self, name: str, default: Any = None) -> Any:
        return self._tasks.get(name) or self._builtin.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._tasks or name in self._builtin

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)


def _same_function(one: Task[..., Any], other: Task[..., Any]) -> bool:
    """A module that is imported twice (as __main__, or reloaded) declares the same task twice."""
    return _place(one) == _place(other)


def _place(task: Task[..., Any]) -> str:
    code = getattr(task.function, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{task.__module__.replace('__main__', 'main')}.{getattr(task.function, '__qualname__', '?')}{where}"
