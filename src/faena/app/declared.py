"""The schedules that the code of an app declares: in `beat_schedule`, with `@app.periodic`, with `add_periodic_task`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec
from msgspec.structs import asdict, replace

from faena.app.scheduled_workflow import blueprint_of, name_of_app
from faena.app.zones import zone_of
from faena.errors import InvalidSchedule
from faena.model.claim import Rule
from faena.model.message import Message
from faena.model.schedule import Manifest, Schedule
from faena.model.timing import Timing
from faena.tasks.call import Call, build_message
from faena.tasks.canvas import Canvas
from faena.tasks.compile import canvas_of, needs_workflow
from faena.tasks.options import CLAIM_OPTIONS, SendOptions, seconds
from faena.tasks.scheduling import (
    Rules,
    ScheduleOptions,
    When,
    call_options,
    check_entry,
    check_options,
    rules_of,
    timing_of,
)
from faena.tasks.signature import Signature

if TYPE_CHECKING:
    from faena.app.app import Faena

Runs: TypeAlias = str | Canvas[Any]
"""What a schedule runs: a task by its name, or a canvas."""

_LONGEST_NAME = 200
_SINCE = frozenset({"workflow", "claims"})  # what a schedule can say since there were schedules without it
_encode = msgspec.msgpack.Encoder(order="sorted").encode


class DeclaredSchedules:
    """What is declared, read anew whenever it is asked for: `app.conf` may have changed."""

    def __init__(self, app: Faena) -> None:
        self._app = app
        self._entries: dict[str, tuple[Runs, When, ScheduleOptions]] = {}
        self._hooks: list[Callable[..., Any]] = []

    @property
    def is_empty(self) -> bool:
        return not self._entries and not self._hooks and not self._app.conf.beat_schedule

    def connect(self, function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        """Call a function with the app before schedules are looked at, when every module has been loaded."""
        self._hooks.append(function)
        return function

    def add(self, name: str, runs: Runs, when: When, options: ScheduleOptions) -> None:
        """Declare a schedule. Raises InvalidSchedule: it makes no sense, or another one has the name."""
        schedule_of(self._app, name, runs, when, options)
        present = self._entries.get(name)
        if present is not None and present[0] != runs:
            raise InvalidSchedule(
                f"two schedules are named '{name}': one runs {present[0]}, and one {runs}; give one of them a name="
            )
        self._entries[name] = (runs, when, options)

    def schedules(self) -> list[Schedule]:
        """Return all that are declared. Raises InvalidSchedule."""
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook(sender=self._app)
        found = dict(self._entries)
        for name, entry in (self._app.conf.beat_schedule or {}).items():
            check_entry(name, entry)
            options = {key: value for key, value in entry.items() if key not in ("task", "schedule")}
            found[name] = (runs_of(entry["task"]), entry["schedule"], cast("ScheduleOptions", options))
        return [schedule_of(self._app, name, *each) for name, each in found.items()]

    def manifest(self, schedules: Iterable[Schedule]) -> Manifest:
        return Manifest(name_of_app(self._app), {each.name: digest_of(each) for each in schedules})


def runs_of(task: Any) -> Runs:
    """Return what a schedule is to run: the name of a task (that was given by name, or itself), or a canvas.

    Raises InvalidSchedule.
    """
    found = task if isinstance(task, str | Canvas) else getattr(task, "name", None)
    if isinstance(found, Canvas) or (isinstance(found, str) and found):
        return found
    raise InvalidSchedule(
        f"a schedule runs a task, its name, a signature such as task.s(), a chain, a group or a chord, not {task!r}"
    )


def digest_of(schedule: Schedule) -> str:
    """Return what differs when a declaration does: that of one task has stayed the same since there are workflows."""
    said = {name: value for name, value in asdict(schedule).items() if name not in _SINCE or value is not None}
    return hashlib.blake2b(_encode(said), digest_size=12).hexdigest()


def schedule_of(
    app: Faena,
    name: str,
    runs: Runs,
    when: When,
    options: ScheduleOptions | None = None,
    *,
    before: Schedule | None = None,
) -> Schedule:
    """Return a schedule as it is kept. `before` gives what the options of the call do not say (again).

    Raises InvalidSchedule, InvalidArguments (the task's signature refuses the arguments), WorkflowError, EncodeError.
    """
    given = options or {}
    check_options(name, given)
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise InvalidSchedule(f"a schedule is named by a printable text of 1 to {_LONGEST_NAME} characters, not {name!r}")
    zone = zone_of(given.get("tz") or app.conf.timezone)
    timing = named_timing(app, name, when, given)
    rules = rules_of(name, given, zone)
    if isinstance(runs, Signature) and not needs_workflow(runs, {}):
        given = _with_call_of(runs, given)
        runs = runs.task
    if isinstance(runs, Canvas):
        message, blueprint = blueprint_of(app, name, runs, given)
        return _ruled(Schedule(name=name, timing=timing, message=message, workflow=blueprint), rules)
    template, sending, call = _template(app, name, runs, given, None if before is None else before.message)
    schedule = Schedule(
        name=name,
        timing=timing,
        message=replace(template, expires_at_s=None),
        delay_s=seconds(sending.get("countdown")) or 0.0,
        expires_s=template.expires_at_s,
        claims=_claims(app, call, given, before),
    )
    if schedule.claims is not None and schedule.claims.wait_s is not None and (schedule.delay_s or rules.jitter_s):
        raise InvalidSchedule(
            f"schedule '{name}': debounce= of task '{runs}' says when it runs: give no countdown or jitter with it"
        )
    return _ruled(schedule, rules)


def named_timing(app: Faena, name: str, when: When, given: ScheduleOptions) -> Timing:
    """Return when a schedule is due. Raises InvalidSchedule."""
    zone_name = given.get("tz") or app.conf.timezone
    timing = timing_of(name, when, zone_name, zone_of(zone_name), relative=bool(given.get("relative")))
    if (named := getattr(timing, "zone", "")) != zone_name:
        zone_of(named)  # there is such a zone
    return timing


def _ruled(schedule: Schedule, rules: Rules) -> Schedule:
    return replace(
        schedule,
        catch_up=rules.catch_up,
        window_s=rules.window_s,
        overlap=rules.overlap,
        jitter_s=rules.jitter_s,
        starts_at_s=rules.starts_at_s,
        ends_at_s=rules.ends_at_s,
    )


def _with_call_of(signature: Signature[Any], given: ScheduleOptions) -> ScheduleOptions:
    """Return the options of a schedule with the call that a signature is; what they say themselves goes before it."""
    options = {**signature.options, **(given.get("options") or {})}
    return {"args": signature.args, "kwargs": signature.kwargs, **given, "options": options}


def _claims(app: Faena, call: Call, given: ScheduleOptions, before: Schedule | None) -> Rule | None:
    """Return what ticks of a call claim; one that is edited goes on as it was, as far as nothing else is said."""
    if before is not None and before.message.task == call.task and CLAIM_OPTIONS.isdisjoint(given.get("options") or {}):
        is_same_call = given.get("args") is None and given.get("kwargs") is None
        if before.claims is None or is_same_call:
            return before.claims
    from faena.app.claiming import rule_and_key  # brings what only those who have unique tasks need

    return rule_and_key(app, call)


def _template(
    app: Faena, name: str, task: str, given: ScheduleOptions, before: Message | None
) -> tuple[Message, Mapping[str, Any], Call]:
    """Return what is sent, as if it were sent at 0, the options of the call, and the call."""
    args, kwargs = given.get("args"), given.get("kwargs")
    if before is not None and (args is None or kwargs is None):
        old_args, old_kwargs = app.codecs.decode(before.content, before.body)
        args, kwargs = (old_args if args is None else args), (old_kwargs if kwargs is None else kwargs)
    sending = call_options(name, given.get("options") or {})
    registered = app.tasks.get(task)
    defaults = {} if registered is None else registered._defaults
    options = {**defaults, **({} if before is None else _said_by(before)), **sending}
    lasting = {key: value for key, value in options.items() if key != "countdown"}
    call = Call(task, tuple(args or ()), dict(kwargs or {}), cast("SendOptions", lasting))
    if registered is not None and registered.typing:
        registered.arguments.check(call.args, call.kwargs)
    if canvas_of(call, app) is not None:
        raise InvalidSchedule(
            f"schedule '{name}': its links take a workflow to send; give the signature that has them instead of the task: "
            f"app.signature('{task}', ...).on_error(...)"
        )
    message = build_message(call, app.sender, now_s=0.0, new_id="", parent=None)
    if before is not None and "link" not in sending and "link_error" not in sending:
        message = replace(message, on_success=before.on_success, on_failure=before.on_failure)
    if message.ignore_result is None:  # known to whoever sends the ticks, too
        of_task = None if registered is None else registered.ignore_result
        if app.conf.task_ignore_result if of_task is None else of_task:
            message = replace(message, ignore_result=True)
    return replace(message, origin=name_of_app(app)), options, call


def _said_by(message: Message) -> dict[str, Any]:
    said = {
        "queue": message.queue,
        "priority": message.priority,
        "serializer": message.content,
        "time_limit": message.time_limit_s,
        "soft_time_limit": message.soft_time_limit_s,
        "ignore_result": message.ignore_result,
        "headers": message.headers,
        "result_expires": message.result_expires_s,
    }
    return {key: value for key, value in said.items() if value is not None}
