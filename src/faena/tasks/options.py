"""The options of a call and of a task, each declared once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from faena.errors import InvalidArguments, InvalidTask, did_you_mean

if TYPE_CHECKING:
    from faena.model.queue import WhenFull
    from faena.tasks.breaker import CircuitBreaker
    from faena.tasks.canvas import Canvas
    from faena.tasks.task import Task


class SendOptions(TypedDict, total=False):
    """The options of `apply_async`, with Celery's names. Durations are seconds or timedeltas."""

    task_id: str | None
    countdown: float | timedelta | None  # run no earlier than after this time; no upper bound
    eta: datetime | None  # run no earlier than at this moment; naive means `timezone`
    expires: float | timedelta | datetime | None  # do not begin after this
    queue: str | None
    when_full: WhenFull | None  # what becomes of it if its queue has a max_length and is full; default: as that says
    priority: int | None  # 0 to 9, higher first
    headers: Mapping[str, Any] | None  # travel with the call; `self.request.headers`
    link: Canvas[Any] | Iterable[Canvas[Any]] | None  # sent when the task succeeded, with its result
    link_error: Canvas[Any] | Iterable[Canvas[Any]] | None  # sent when the task failed for good, with its id
    time_limit: float | None
    soft_time_limit: float | None
    ignore_result: bool | None
    serializer: str | None
    result_expires: float | timedelta | None
    retry: bool | None  # try again when the broker cannot be reached; default: task_publish_retry
    retry_policy: Mapping[str, float] | None  # {"timeout": seconds in all}; default: task_publish_timeout
    unique: Any  # True, "end", "start", a time, or a Unique; False: not, whatever the task says
    debounce: Any  # a time, or a Debounce
    throttle: Any  # a time, "1/10s", or a Throttle
    root_id: str | None
    parent_id: str | None


SEND_OPTIONS = frozenset(SendOptions.__annotations__)


class TaskOptions(TypedDict, total=False):
    """The options of `@app.task`, with Celery's names; each stands as an attribute of the task, too."""

    name: str
    base: type
    queue: str | None
    priority: int | None
    serializer: str | None
    expires: float | timedelta | None
    max_retries: int | None
    default_retry_delay: float
    autoretry_for: tuple[type[BaseException], ...]
    dont_autoretry_for: tuple[type[BaseException], ...]
    retry_kwargs: dict[str, Any]
    retry_backoff: bool | float
    retry_backoff_max: float
    retry_jitter: bool | float
    time_limit: float | None
    soft_time_limit: float | None
    acks_late: bool | None
    track_started: bool | None
    ignore_result: bool | None
    store_errors_even_if_ignored: bool | None
    result_expires: float | timedelta | None
    dead_letter: bool | None
    rate_limit: str | float | None  # "100/m"; of the task, or of each key
    concurrency: int | None  # so many run at once over all workers; of the task, or of each key
    limit_key: str | Callable[..., Any] | None  # an argument's name, or a function of the arguments
    fair_key: str | Callable[..., Any] | None  # likewise: those with other keys take turns with them
    limits: Sequence[Any]  # further ones, of faena.Limit
    circuit_breaker: CircuitBreaker | bool | None  # holds it back while too much of it fails
    throws: tuple[type[BaseException], ...]
    typing: bool
    returns_signature: bool  # a signature that it returns runs in its place
    aliases: tuple[str, ...]
    unique: Any  # no two calls with the same arguments at a time; see faena.tasks.unique
    debounce: Any  # only the last of several calls runs
    throttle: Any  # only the first call within a time runs


CLAIM_OPTIONS = frozenset({"unique", "debounce", "throttle"})
TASK_OPTIONS = frozenset({*TaskOptions.__annotations__, "batch"})  # which decides what calls take: see the overloads


_OF_EXCHANGES = "; a message reaches a queue by its name: say queue=, or name the exchange in task_routes"


def check_send_options(task: str, options: Mapping[str, Any]) -> None:
    """Raise InvalidArguments for an option that a call does not have."""
    if not SEND_OPTIONS.issuperset(options):
        name = next(name for name in options if name not in SEND_OPTIONS)
        hint = _OF_EXCHANGES if name in ("routing_key", "exchange") else did_you_mean(name, SEND_OPTIONS)
        raise InvalidArguments(task, f"unknown option '{name}' of a call{hint}")


def check_task_options(task: str, options: Mapping[str, Any]) -> None:
    """Raise InvalidTask for an option that a task does not have."""
    if not TASK_OPTIONS.issuperset(options):
        name = next(name for name in options if name not in TASK_OPTIONS)
        raise InvalidTask(f"task '{task}': unknown option '{name}'{did_you_mean(name, TASK_OPTIONS)}")


def refuse_unique(name: str, task: Task[..., Any] | None, options: Mapping[str, Any]) -> None:
    """Raise InvalidArguments for a task that may be no call of its own, where it has to be one."""
    said = [each for each in CLAIM_OPTIONS if each in options]
    rules = [each for each in said if options[each]] if said or task is None or task.rule is None else ["unique"]
    if rules:
        raise InvalidArguments(
            name,
            f"a step of a workflow, or a linked task, has to run: it cannot be {rules[0]}=, which may send nothing; "
            "let this one run in any case with .set(unique=False)",
        )


def seconds(value: float | timedelta | None) -> float | None:
    """Return a duration in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value
