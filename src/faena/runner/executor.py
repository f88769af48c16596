"""Invoke's `Executor`: run tasks of a collection from Python, with all they depend on."""

from __future__ import annotations

from faena.errors import UnknownCommand
from faena.runner.execute import Runner
from faena.runner.plan import make_plan
from faena.runner.settings import RunSettings
from faena.runner.task import Call, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from faena.runner.collection import Collection
    from faena.runner.config import Config


class Asked(tuple):  # type: ignore[type-arg]  # of a text and a mapping
    """A task as a command line asks for it: (name, keyword arguments), with the attributes of Invoke's contexts."""

    name: str
    as_kwargs: dict[str, Any]
    words: tuple[Any, ...]

    def __new__(cls, name: str, words: tuple[Any, ...], kwargs: dict[str, Any]) -> Self:
        found = super().__new__(cls, (name, kwargs))
        found.name, found.words, found.as_kwargs = name, words, kwargs
        return found


class Executor:
    """`Executor(collection, config).execute("build", ("deploy", {"to": "production"}))`."""

    settings: RunSettings | None = None  # what the line says of the run, where there is a line

    def __init__(self, collection: Collection, config: Config | None = None, core: Any = None) -> None:
        self.collection = collection
        self.config = config
        self.core = core

    def execute(self, *tasks: Any) -> dict[Task[..., Any], Any]:
        """Run tasks, each a name or (name, arguments), with what they need; return their values.

        What a task raises goes through; of several calls of one task the last value stays.
        """
        dedupe = True if self.config is None else bool(self.config.tasks.dedupe)
        steps = make_plan([self._call(each) for each in tasks], self._resolve, dedupe=dedupe)
        config = self.config
        runner = Runner(self.collection, self.settings or RunSettings(), (lambda: config) if config is not None else None)
        values: dict[Task[..., Any], Any] = {}
        for outcome in runner.run(steps):
            if outcome.error is not None:
                raise outcome.error
            values[outcome.step.task] = outcome.value
        return values

    def _resolve(self, name: str) -> tuple[str, Task[..., Any]]:
        found = self.collection.find(name)
        if found is None:
            raise UnknownCommand(name, self.collection.task_names)
        return found

    def _call(self, wanted: Any) -> Call:
        if isinstance(wanted, Call):
            return wanted
        name, kwargs = (wanted, {}) if isinstance(wanted, str) else wanted
        full, task = self._resolve(name)
        return Call(task, full, getattr(wanted, "words", ()), kwargs)
