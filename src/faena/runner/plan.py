"""Plan a run: from the calls asked for to steps in order. Pure: nothing is run, read or printed.

Depth first: what a task needs and its `pre` tasks, the task, its `post` tasks; each distinct call once, at its first
place. Every call is visited once, however many paths lead to it.

Edges, for parallel runs: a step waits for what it needs, for its `pre` tasks (which wait for one another, as their
order may matter: `pre=[clean, build]`), and a `post` task waits for its owner. All edges point backwards in the
order of the steps, so there can be no cycle but one that tasks declare, which is reported as a path.
"""

from __future__ import annotations

from faena._lib.arguments.spec import MISSING
from faena.errors import TaskCycle
from faena.runner.task import Call, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from typing import Any


class Step:
    """One call in its place. `waits_for` holds indexes of earlier steps; `is_asked` says it was named on the line."""

    __slots__ = ("args", "index", "is_asked", "kwargs", "name", "task", "waits_for")

    def __init__(
        self, index: int, name: str, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], is_asked: bool
    ) -> None:
        self.index = index
        self.name = name
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.is_asked = is_asked
        self.waits_for: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"<Step {self.index} {self.name} after {self.waits_for}>"

    @property
    def title(self) -> str:
        """The name, with the arguments where there are any."""
        words = [str(each) for each in self.args]
        words += [f"{key}={value}" for key, value in self.kwargs.items()]
        return f"{self.name}({', '.join(words)})" if words else self.name

    @property
    def values(self) -> dict[str, Any]:
        """Every parameter of the task with its value here, or its default."""
        parameters = self.task.command(self.name).parameters
        values = {each.name: each.default for each in parameters if each.default is not MISSING}
        for index, each in enumerate(parameters[: len(self.args)]):
            values[each.name] = self.args[index:] if each.shape == "rest" else self.args[index]
        return values | self.kwargs


class _Frame:
    """A call whose neighbours are being visited."""

    __slots__ = ("afters", "befores", "call", "first_index", "key", "needs", "own_index", "position", "previous_pre")

    def __init__(self, call: Call, key: Hashable, befores: list[tuple[Any, bool]], first_index: int) -> None:
        self.call = call
        self.key = key
        self.befores = befores
        self.afters: list[Any] | None = None
        self.position = 0
        self.needs: list[int] = []
        self.previous_pre: int | None = None
        self.first_index = first_index
        self.own_index = -1


def make_plan(
    calls: Sequence[Call],
    resolve: Callable[[str], tuple[str, Task[..., Any]]],
    *,
    name_of: Callable[[Task[..., Any]], str] | None = None,
    dedupe: bool = True,
) -> list[Step]:
    """Expand calls to steps in the order of a run of one at a time.

    `resolve` finds a task by name and raises when there is none; `name_of` says how a task is shown.
    Raises TaskCycle.
    """
    return _Planner(resolve, name_of, dedupe).plan(calls)


class _Planner:
    def __init__(
        self,
        resolve: Callable[[str], tuple[str, Task[..., Any]]],
        name_of: Callable[[Task[..., Any]], str] | None,
        dedupe: bool,
    ) -> None:
        self._resolve = resolve
        self._name_of = name_of
        self._dedupe = dedupe
        self._steps: list[Step] = []
        self._places: dict[Hashable, int] = {}  # -1: what it needs is being visited
        self._frames: list[_Frame] = []

    def plan(self, calls: Sequence[Call]) -> list[Step]:
        for call in calls:
            self._enter(call, is_asked=True)
            while self._frames:
                self._advance()
        return self._steps

    def _call_of(self, wanted: Any) -> Call:
        if isinstance(wanted, Call):
            found = wanted
        elif isinstance(wanted, Task):
            found = Call(wanted)
        elif isinstance(wanted, str):
            found = Call(wanted, called_as=wanted)
        else:
            raise TypeError(f"no task, call or name of a task: {wanted!r}")
        if isinstance(found.task, str):
            name, task = self._resolve(found.task)
            found = Call(task, name, found.args, found.kwargs)
        elif found.called_as is None:
            name = self._name_of(found.task) if self._name_of is not None else found.name
            found = Call(found.task, name, found.args, found.kwargs)
        return found

    def _enter(self, wanted: Any, *, is_asked: bool = False) -> int | None:
        """Begin with a call; return its place at once if it has one."""
        if self._dedupe and not is_asked and isinstance(wanted, Task):  # the common case, and most edges lead back
            known = self._places.get(wanted, -1)
            if known >= 0:
                return known
        call = self._call_of(wanted)
        key = _key(call)
        place = self._places.get(key)
        if place == -1:
            names = [frame.call.name for frame in self._frames]
            start = next(index for index, frame in enumerate(self._frames) if frame.key == key)
            raise TaskCycle([*names[start:], call.name])
        if place is not None and self._dedupe:
            if is_asked:
                self._steps[place].is_asked = True
            return place
        task: Any = call.task
        befores = [(each, False) for each in task.needs] if task.needs else []
        befores += [(each, True) for each in task.pre]
        if not befores and not task.post:
            return self._emit(call, key, (), is_asked)
        self._places[key] = -1
        frame = _Frame(call, key, befores, len(self._steps))
        frame.own_index = -2 if is_asked else -1
        self._frames.append(frame)
        return None

    def _emit(self, call: Call, key: Hashable, waits_for: tuple[int, ...], is_asked: bool) -> int:
        task: Any = call.task
        step = Step(len(self._steps), call.name, task, call.args, call.kwargs, is_asked)
        step.waits_for = waits_for
        self._steps.append(step)
        self._places[key] = step.index
        return step.index

    def _advance(self) -> None:
        frame = self._frames[-1]
        if frame.afters is None:
            if frame.position < len(frame.befores):
                wanted, _ = frame.befores[frame.position]
                frame.first_index = len(self._steps)
                place = self._enter(wanted)
                if place is not None:
                    self._arrive(frame, place)
                return
            is_asked = frame.own_index == -2
            frame.own_index = self._emit(frame.call, frame.key, tuple(dict.fromkeys(frame.needs)), is_asked)
            task: Any = frame.call.task
            frame.afters, frame.position = list(task.post), 0
            return
        if frame.position < len(frame.afters):
            frame.first_index = len(self._steps)
            place = self._enter(frame.afters[frame.position])
            if place is not None:
                self._arrive(frame, place)
            return
        self._frames.pop()
        if self._frames:
            self._arrive(self._frames[-1], frame.own_index)

    def _arrive(self, frame: _Frame, place: int) -> None:
        """A neighbour of `frame` has its place: draw the edges and go on to the next neighbour."""
        if frame.afters is not None:
            previous = frame.own_index
        else:
            frame.needs.append(place)
            is_ordered = frame.befores[frame.position][1]
            previous = frame.previous_pre if is_ordered and frame.previous_pre is not None else -1
            if is_ordered:
                frame.previous_pre = place
        if previous >= 0:
            first = max(frame.first_index, previous + 1)
            for step in self._steps[first:]:
                if previous not in step.waits_for and not any(each >= first for each in step.waits_for):
                    step.waits_for = (*step.waits_for, previous)
        frame.position += 1


def _key(call: Call) -> Hashable:
    if not call.args and not call.kwargs:
        return call.task
    key = (call.task, call.args, tuple(sorted(call.kwargs.items())))
    try:
        hash(key)
    except TypeError:
        return (call.task, repr(key))
    return key
