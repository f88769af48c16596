"""Run the steps of a plan, one at a time; `parallel` runs several.

    step ─▶ wanted here? ─▶ confirmed? ─▶ up to date? ─▶ body ─▶ join started commands ─▶ record
              │ no             │ no          │ yes         └ fails: retries, on_failure; the run ends: undo, backwards
              └ skipped        └ Exit        └ skipped, recorded output replayed

The extras (conditions, retries, fingerprints) cost nothing to a task that has none: they live in modules of their own
that are loaded by the first task that does.
"""

from __future__ import annotations

import time
from _thread import RLock

from faena.runner.context import Context
from faena.runner.outcome import LOST, Outcome
from faena.runner.scope import CURRENT, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any

    from faena.runner.cache import Cache
    from faena.runner.collection import Collection
    from faena.runner.config import Config
    from faena.runner.plan import Step
    from faena.runner.settings import RunSettings


class Runner:
    """One run of a plan: the configuration that its tasks share, and the outcomes so far."""

    def __init__(self, root: Collection, settings: RunSettings, make_config: Callable[[], Config] | None = None) -> None:
        self.root = root
        self.settings = settings
        self.outcomes: list[Outcome] = []
        self._make_config = make_config
        self._config: Config | None = None
        self._collection_path: str | None = None
        self._configs: dict[str, Config] = {}
        self.lock = RLock()
        self.caches: list[Cache | None] = []  # the one of this run, once something asked for it
        self.scopes: set[Scope] = set()

    # -- configuration ---------------------------------------------------------------------------------

    def config_for(self, name: str) -> Config:
        """The configuration, with the layer of the collection that the task `name` stands in.

        Tasks that run one after another share what they change; with several at the same time, those of one
        collection do.
        """
        if self.settings.jobs > 1:
            return self._config_of_collection(name)
        config = self._config
        if config is None:
            config = self._config = self._new_config()
        path = name.rpartition(".")[0]
        is_other = path != self._collection_path and self.root.has_configuration
        if is_other:
            config.set_layer("collection", self.root.configuration(name), "the task file")
        config.load_shell_env(if_changed=not is_other)  # a task may have set variables for later ones
        self._collection_path = path
        return config

    def _config_of_collection(self, name: str) -> Config:
        path = name.rpartition(".")[0] if self.root.has_configuration else ""
        with self.lock:
            found = self._configs.get(path)
            if found is None:
                found = self._configs[path] = self._new_config()
                if self.root.has_configuration:
                    found.set_layer("collection", self.root.configuration(name), "the task file")
            return found

    def _new_config(self) -> Config:
        from faena.runner.config import Config

        config = self._make_config() if self._make_config is not None else Config(lazy=True)
        if self.root.has_configuration:
            config.set_layer("collection", self.root.configuration(), "the task file")
        config.load_shell_env()
        if self.settings.overrides:
            config.load_overrides(self.settings.overrides)
        if "secrets" in config:
            _hide_secrets(config)
        return config

    # -- running ---------------------------------------------------------------------------------------

    def run(self, steps: Sequence[Step]) -> list[Outcome]:
        """Run steps in order until one fails (or all that do not depend on it, with `keep_going`).

        What ends the process (`SystemExit`, `KeyboardInterrupt`) goes through, after the undoing.
        """
        lost: set[int] = set()
        try:
            for step in steps:
                if lost and not lost.isdisjoint(step.waits_for):
                    lost.add(step.index)
                    self.outcomes.append(Outcome(step, "cancelled", reason=LOST))
                    continue
                outcome = self.run_step(step)
                self.outcomes.append(outcome)
                if not outcome.is_good:
                    lost.add(step.index)
                    if not self.settings.keep_going:
                        break
        except BaseException:
            self.undo()
            raise
        if lost:
            self.undo()
        return self.outcomes

    def run_step(self, step: Step, *, has_keyboard: bool = True, sink: Any = None) -> Outcome:
        """Run one step; an error of the task is in the outcome."""
        if step.task.options.extras is not None:
            from faena.runner.extras import run_with_extras

            return run_with_extras(self, step, has_keyboard=has_keyboard, sink=sink)
        began_s = time.monotonic()
        try:
            value = self.call_body(step, has_keyboard=has_keyboard, sink=sink)
        except Exception as error:  # noqa: BLE001  around user code
            return Outcome(step, "failed", error=error, duration_s=time.monotonic() - began_s)
        return Outcome(step, "done", value=value, duration_s=time.monotonic() - began_s)

    def call_body(
        self,
        step: Step,
        *,
        has_keyboard: bool = True,
        sink: Any = None,
        timeout_s: float | None = None,
        extra_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call the task's function in a scope of its own, and join what it started."""
        with self.scope_of(step, has_keyboard=has_keyboard, timeout_s=timeout_s, sink=sink) as context:
            step.task.times_called += 1
            kwargs = step.kwargs if extra_kwargs is None else {**step.kwargs, **extra_kwargs}
            value = step.task.body(context, *step.args, **kwargs)
        if step.task.options.autoprint and step.is_asked:
            print(value)
        return value

    def scope_of(
        self, step: Step, *, has_keyboard: bool = True, timeout_s: float | None = None, sink: Any = None
    ) -> _InScope:
        """`with runner.scope_of(step) as context:` is inside the task, for its body and for its handlers."""
        scope = Scope(
            step.name,
            lambda: self.config_for(step.name),
            has_keyboard=has_keyboard,
            deadline_s=None if timeout_s is None else time.monotonic() + timeout_s,
            timeout_s=timeout_s,
            sink=sink,
        )
        return _InScope(self, scope)

    def undo(self) -> None:
        """Undo what was done, the last first, by the tasks that know how."""
        done = [each for each in self.outcomes if each.status == "done" and each.step.task.options.extras is not None]
        if done:
            from faena.runner.extras import undo_step

            for outcome in reversed(done):
                undo_step(self, outcome.step)


def _hide_secrets(config: Config) -> None:
    """Star out the values that `secrets = ["database.password", ...]` names."""
    from faena.runner.secret import hide_value

    for path in config["secrets"]:
        here: Any = config
        for key in path.split("."):
            here = here.get(key)
            if here is None:
                break
        if isinstance(here, str):
            hide_value(here)


class _InScope:
    """A task's surroundings; leaving them joins what it started, or stops it when the task failed."""

    __slots__ = ("_runner", "_scope", "_token")

    def __init__(self, runner: Runner, scope: Scope) -> None:
        self._runner, self._scope = runner, scope

    def __enter__(self) -> Context:
        self._runner.scopes.add(self._scope)
        self._token = CURRENT.set(self._scope)
        remainder = self._runner.settings.remainder
        return Context(remainder=" ".join(remainder), remainder_args=remainder, make_config=self._scope.config)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        scope = self._scope
        try:
            if scope.promises:
                if kind is None:
                    _join(scope)
                else:
                    for promise in scope.promises:
                        promise.stop()
        finally:
            CURRENT.reset(self._token)
            self._runner.scopes.discard(scope)


def _join(scope: Scope) -> None:
    """Wait for every command the task started; raise the first failure after all have ended."""
    failure: BaseException | None = None
    for promise in scope.promises:
        if not promise.is_joined:
            try:
                promise.join()
            except Exception as error:  # noqa: BLE001  around user commands: the first one is raised below
                failure = failure or error
    if failure is not None:
        raise failure
