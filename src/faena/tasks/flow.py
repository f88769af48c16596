"""Limits and fair share, as tasks declare them: which lane a call waits in, and on what terms.

@app.task(rate_limit="100/m")                               of the task
@app.task(concurrency=3, limit_key="user_id")               of each user, an argument's value
@app.task(rate_limit="100/s", fair_key="tenant")            of the task; tenants take turns
@app.task(limits=[Limit("crm", rate="10/s"), Limit(concurrency=2, key="user_id")])   several, one shared with others
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from faena.errors import InvalidTask, did_you_mean
from faena.model.breaker import family_of_breaker
from faena.model.limit import Lane, Terms, fair_of, family_of, key_text, lane_of, limit_name, limits_of, parse_rate, plain
from faena.model.queue import Queue, is_limited

if TYPE_CHECKING:
    from faena.tasks.task import Task

Key: TypeAlias = "str | Callable[..., Any]"
"""The name of an argument, or what makes a key of the arguments of a call."""

TASK, QUEUE, SHARED = "task:", "queue:", "limit:"


class Limit(Struct, frozen=True):
    """A limit of rate and concurrency; `name` makes it one for all tasks that name it, `key` one for each key."""

    name: str = ""
    rate: str | float | None = None
    concurrency: int | None = None
    key: Key | None = None


class _Part(Struct, frozen=True):
    family: str
    terms: Terms
    key: Key | None


class _NotGiven(Exception):
    """An argument that makes a key is not there yet."""


class TaskFlow:
    """What one task declares. Raises InvalidTask."""

    def __init__(self, task: Task[..., Any], default_rate: str | float | None = None) -> None:
        self._task = task
        self.fair_key: Key | None = task.fair_key
        rate = task.rate_limit if task.rate_limit is not None else default_rate
        own = Limit("", rate, task.concurrency, task.limit_key)
        parts = [own] if rate or task.concurrency is not None else []
        if not parts and task.limit_key is not None:
            raise InvalidTask(f"task '{task.name}': limit_key says whose limit it is: give rate_limit or concurrency, too")
        limits = [self._part(each, number) for number, each in enumerate([*parts, *task.limits])]
        if task.breaker is not None:
            limits.append(_Part(family_of_breaker(task.name), Terms(), None))  # it allows all, until the breaker opens
        self.parts = tuple(limits)
        families = [part.family for part in self.parts]
        for family in families:
            if families.count(family) > 1:
                raise InvalidTask(f"task '{task.name}': two of its limits are named '{family}'; give each a name")
        self.is_keyed = self.fair_key is not None or any(part.key is not None for part in self.parts)
        for key in (self.fair_key, *(part.key for part in self.parts)):
            self._check_key(key)

    def names(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Return the key of fair share and the names of the limits of a call.

        Raises _NotGiven; and what a function that makes keys raises.
        """
        fair = "" if self.fair_key is None else key_text(self._key(self.fair_key, args, kwargs))
        return fair, [
            part.family if part.key is None else limit_name(part.family, self._key(part.key, args, kwargs))
            for part in self.parts
        ]

    def _part(self, limit: Limit, number: int) -> _Part:
        name = self._task.name
        if not isinstance(limit, Limit):
            raise InvalidTask(f"task '{name}': limits consist of Limit(...), not of {limit!r}")
        try:
            rate_per_s = parse_rate(limit.rate)
        except ValueError as error:
            raise InvalidTask(f"task '{name}': {error}") from None
        concurrency = limit.concurrency
        if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
            raise InvalidTask(f"task '{name}': concurrency is a number from 1, not {concurrency!r}; to stop it, pause it")
        if limit.name and not limit.name.isprintable():
            raise InvalidTask(f"task '{name}': a limit is named by a printable text, not {limit.name!r}")
        own = f"{TASK}{plain(name)}" if number == 0 else f"{TASK}{plain(name)}#{number}"
        return _Part(f"{SHARED}{limit.name}" if limit.name else own, Terms(rate_per_s, concurrency), limit.key)

    def _check_key(self, key: Key | None) -> None:
        task = self._task
        if isinstance(key, str):
            known = task.arguments.names()
            if known is not None and key not in known:
                raise InvalidTask(f"task '{task.name}' has no argument '{key}' to make a key of{did_you_mean(key, known)}")
        elif key is not None and not callable(key):
            raise InvalidTask(f"task '{task.name}': a key is the name of an argument or a function of them, not {key!r}")

    def _key(self, key: Key, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if not isinstance(key, str):
            return key(*args, **kwargs)
        try:
            return self._task.arguments.value_of(key, args, kwargs)
        except LookupError:
            raise _NotGiven from None


def flow_of(tasks: Mapping[str, Task[..., Any]], default_rate: str | float | None, queues: Mapping[str, Queue]) -> Flow:
    """Return the limits of an app."""
    terms = {
        name: Terms(parse_rate(each.rate_limit), each.concurrency) for name, each in queues.items() if is_limited(each)
    }
    return Flow(tasks, default_rate, {name: each for name, each in terms.items() if each != Terms()})


class Flow:
    """The limits of all tasks and queues of an app."""

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        default_rate: str | float | None = None,
        queues: Mapping[str, Terms] = {},
        at_run_time: Iterable[str] = (),
    ) -> None:
        self._tasks, self._default_rate, self._queues = tasks, default_rate, queues
        self._at_run_time = frozenset(at_run_time)  # families that nothing declares, and that were set since
        self._of_tasks: dict[str, TaskFlow | None] = {}

    def of_task(self, name: str) -> TaskFlow | None:
        """Return what a task declares; None: nothing."""
        try:
            return self._of_tasks[name]
        except KeyError:
            task = self._tasks.get(name)
            found = None
            if task is not None and (task.has_flow or self._default_rate) and not name.startswith("faena."):
                flow = TaskFlow(task, self._default_rate)
                found = flow if flow.parts or flow.fair_key is not None else None
            self._of_tasks[name] = found
            return found

    def is_keyed(self, name: str) -> bool:
        """Whether it takes the arguments to say where a call waits."""
        flow = self.of_task(name)
        return flow is not None and flow.is_keyed

    def lane_of(self, name: str, queue: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Lane | None:
        """Return where a call waits; None: nowhere, or it is not known before its arguments are complete."""
        flow = self.of_task(name)
        if flow is None and queue not in self._queues and not self._at_run_time:
            return None
        try:
            fair, names = flow.names(args, kwargs) if flow is not None else ("", [])
        except _NotGiven:
            return None
        self._add(names, name, queue)
        return lane_of(names, fair) if names or fair else None

    def lacks(self, name: str, queue: str, lane: Lane | None) -> bool:
        """Whether a message waited without all that it is under: who sent it did not know."""
        flow = self.of_task(name)
        wanted = [part.family for part in flow.parts] if flow is not None else []
        self._add(wanted, name, queue)
        if lane is None:
            return bool(wanted) or (flow is not None and flow.fair_key is not None)
        return not {family_of(limit) for limit in limits_of(lane)}.issuperset(wanted)

    def completed(self, name: str, queue: str, lane: Lane | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Lane:
        """Return the lane of a message with all that it is under: what it had, and what it lacks."""
        flow = self.of_task(name)
        try:
            fair, names = flow.names(args, kwargs) if flow is not None else ("", [])
        except Exception:  # noqa: BLE001 - a user's function on arguments of anybody: then the limits have no key
            fair, names = "", [part.family for part in flow.parts] if flow is not None else []
        self._add(names, name, queue)
        if lane is not None:
            present = {family_of(limit) for limit in limits_of(lane)}
            fair = fair or fair_of(lane)
            names = [*limits_of(lane), *(limit for limit in names if family_of(limit) not in present)]
        return lane_of(names, fair)

    def declared(self) -> dict[str, Terms | None]:
        """Return what is declared of each family of limits; None for those of tasks that declare none."""
        families = [family for name in self._tasks for family in (f"{TASK}{plain(name)}", family_of_breaker(name))]
        found: dict[str, Terms | None] = dict.fromkeys(families)
        for name in self._tasks:
            flow = self.of_task(name)
            found.update({part.family: part.terms for part in flow.parts} if flow is not None else {})
        return found | {f"{QUEUE}{plain(queue)}": terms for queue, terms in self._queues.items()}

    def with_run_time(self, families: Iterable[str]) -> Flow:
        """Return the same, with families that were set at run time and that no code declares."""
        declared = self.declared()
        others = [family for family in families if declared.get(family) is None]
        return Flow(self._tasks, self._default_rate, self._queues, others)

    def _add(self, names: list[str], task: str, queue: str) -> None:
        """Add the limits of the queue, and those set at run time."""
        if queue in self._queues:
            names.append(f"{QUEUE}{plain(queue)}")
        if self._at_run_time:
            for family in (f"{TASK}{plain(task)}", f"{QUEUE}{plain(queue)}"):
                if family in self._at_run_time and family not in names:
                    names.append(family)
