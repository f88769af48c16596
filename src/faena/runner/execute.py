"""Run the steps of a plan, one at a time; `parallel` runs several.

    step ─▶ wanted here? ─▶ confirmed? ─▶ up to date? ─▶ body ─▶ join started commands ─▶ record
              │ no             │ no          │ yes         └ fails: retries, on_failure; the run ends: undo, backwards
              └ skipped        └ Exit        └ skipped, recorded output replayed

The extras (conditions, retries, fingerprints) cost nothing to a task that has none: they live in modules of their own
that are loaded by the first task that does.
"""

from __future__ import annotations

import time

from faena.errors import Exit
from faena.runner.context import Context
from faena.runner.outcome import Outcome
from faena.runner.scope import CURRENT, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

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

    # -- configuration ---------------------------------------------------------------------------------

    def config_for(self, name: str) -> Config:
        """The configuration, with the layer of the collection that the task `name` stands in."""
        config = self._config
        if config is None:
            config = self._config = self._new_config()
        path = name.rpartition(".")[0]
        if path != self._collection_path and self.root.has_configuration:
            config.set_layer("collection", self.root.configuration(name), "the task file")
        self._collection_path = path
        return config

    def _new_config(self) -> Config:
        from faena.runner.config import Config

        config = self._make_config() if self._make_config is not None else Config(lazy=True)
        if self.root.has_configuration:
            config.set_layer("collection", self.root.configuration(), "the task file")
        config.load_shell_env()
        if self.settings.overrides:
            config.load_overrides(self.settings.overrides)
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
                    self.outcomes.append(Outcome(step, "cancelled", reason="what it needs failed"))
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

    def run_step(self, step: Step, *, has_keyboard: bool = True) -> Outcome:
        """Run one step; an error of the task is in the outcome."""
        if step.task.options.extras is not None:
            from faena.runner.extras import run_with_extras

            return run_with_extras(self, step, has_keyboard=has_keyboard)
        began_s = time.monotonic()
        try:
            value = self.call_body(step, has_keyboard=has_keyboard)
        except Exit as error:
            return Outcome(step, "failed", error=error, duration_s=time.monotonic() - began_s)
        except Exception as error:  # noqa: BLE001  around user code
            return Outcome(step, "failed", error=error, duration_s=time.monotonic() - began_s)
        return Outcome(step, "done", value=value, duration_s=time.monotonic() - began_s)

    def call_body(self, step: Step, *, has_keyboard: bool = True, timeout_s: float | None = None) -> Any:
        """Call the task's function in a scope of its own, and join what it started."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        scope = Scope(step.name, lambda: self.config_for(step.name), has_keyboard=has_keyboard, deadline_s=deadline_s)
        context = Context(
            remainder=" ".join(self.settings.remainder),
            remainder_args=self.settings.remainder,
            make_config=scope.config,
        )
        token = CURRENT.set(scope)
        task = step.task
        try:
            task.times_called += 1
            value = task.body(context, *step.args, **step.kwargs)
            if scope.promises:
                _join(scope)
        except BaseException:
            for promise in scope.promises:
                promise.stop()
            raise
        finally:
            CURRENT.reset(token)
        if task.options.autoprint and step.is_asked:
            print(value)
        return value

    def undo(self) -> None:
        """Undo what was done, the last first, by the tasks that know how."""
        done = [each for each in self.outcomes if each.status == "done" and each.step.task.options.extras is not None]
        if done:
            from faena.runner.extras import undo_step

            for outcome in reversed(done):
                undo_step(self, outcome.step)


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
