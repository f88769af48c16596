"""`faena schedule`: look at schedules, and change them while everything runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from json import loads
from typing import Annotated, Any, Literal

from faena._lib.arguments import Argument, Option
from faena._lib.arguments.convert import to_seconds
from faena.cli.confirm import confirm
from faena.cli.deed import Deed
from faena.cli.options import Force, Json, to_count
from faena.cli.output import ago, shown
from faena.cli.schedule_view import as_dict, moment_text, next_runs, timing_text
from faena.cli.session import Session
from faena.errors import NotRegistered, UsageError, did_you_mean
from faena.model.schedule import Standing

_CLEARABLE = {
    "window": "catch_up_window", "jitter": "jitter", "start": "start", "end": "end", "expires": "expires",
    "priority": "priority",
}  # fmt: skip


def _duration(text: str) -> float:
    return to_seconds(text.replace(" ", ""))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a moment such as 2030-01-31T09:00 or 2030-01-31T09:00+01:00") from None


def _place(text: str) -> tuple[str, float, float]:
    event, *numbers = [part.strip() for part in text.split(",")]
    try:
        latitude, longitude = map(float, numbers)
    except ValueError:
        raise ValueError("an event and a place, such as sunset,40.4,-3.7") from None
    return event, latitude, longitude


def _json_list(text: str) -> list[Any]:
    try:
        value = loads(text)
    except ValueError as error:
        raise ValueError(f"a JSON list such as [1, 2] ({error})") from None
    if not isinstance(value, list):
        raise ValueError("a JSON list such as [1, 2]")
    return value


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = loads(text)
    except ValueError as error:
        raise ValueError(f'a JSON object such as {{"a": 1}} ({error})') from None
    if not isinstance(value, dict):
        raise ValueError('a JSON object such as {"a": 1}')
    return value


Name = Annotated[str, Argument("Name of the schedule.", metavar="NAME")]
Names = Annotated[Sequence[str], Argument("Names of schedules.", metavar="NAME")]
Cron = Annotated[str, Option("--cron", metavar="EXPRESSION", help="Five fields, as '*/5 * * * *', or @daily.")]
EveryTime = Annotated[float | None, Option("--every", metavar="TIME", convert=_duration, help="At intervals: 90, 30s, 5m.")]
At = Annotated[Any, Option("--at", metavar="MOMENT", convert=_moment, help="Once, at this moment.")]
Sun = Annotated[Any, Option("--solar", metavar="EVENT,LAT,LON", convert=_place, help="By the sun: sunset,40.4,-3.7.")]
Zone = Annotated[str, Option("--tz", metavar="ZONE", help="Time zone of --cron and of moments; default: the app's.")]
Args = Annotated[Any, Option("-a", "--args", metavar="JSON", convert=_json_list, help="Arguments as a list.")]
Kwargs = Annotated[Any, Option("--kwargs", metavar="JSON", convert=_json_object, help="Arguments by name.")]
Queue = Annotated[str, Option("-Q", "--queue", metavar="QUEUE", help="Queue to send it to.")]
Priority = Annotated[int | None, Option("--priority", metavar="0-9", help="A higher number runs first.")]
Expires = Annotated[
    float | None, Option("--expires", metavar="TIME", convert=_duration, help="Do not begin it later than so after a tick.")
]
CatchUp = Annotated[
    Literal["last", "all", "none"] | None, Option("--catch-up", help="Which of the ticks that were missed run.")
]
Window = Annotated[
    float | None, Option("--window", metavar="TIME", convert=_duration, help="What was missed longer ago never runs.")
]
Overlap = Annotated[
    Literal["allow", "skip", "queue", "cancel"] | None, Option("--overlap", help="While the run before has not ended.")
]
Jitter = Annotated[
    float | None, Option("--jitter", metavar="TIME", convert=_duration, help="Send each tick up to so much later.")
]
Start = Annotated[Any, Option("--start", metavar="MOMENT", convert=_moment, help="No tick before.")]
End = Annotated[Any, Option("--end", metavar="MOMENT", convert=_moment, help="No tick after.")]
ByName = Annotated[bool, Option("--by-name", help="Schedule it although its code is not here.")]


def list_schedules(session: Session, *, json: Json = False) -> int:
    """List schedules: when they are due, how they stand, when they run next."""
    app = session.connected_app
    found = app.schedules.list()
    if json:
        session.out.json([as_dict(app, each) for each in found])
        return 0
    rows = []
    for each in found:
        upcoming = next_runs(app, each, 1)
        state = f"{each.state}, edited" if each.is_edited else each.state
        due, task = timing_text(each.schedule.timing, app.zone), each.schedule.message.task
        rows.append((each.schedule.name, due, task, state, moment_text(upcoming[0] if upcoming else None), each.sent))
    columns = ("name", "due", "task", "state", "next run", "sent")
    session.out.table(columns, rows, right="sent", empty="no schedules; declare them in beat_schedule, or add one")
    return 0


def show(
    session: Session,
    name: Name,
    *,
    runs: Annotated[int, Option("-n", "--runs", metavar="N", convert=to_count, help="Show so many of the next runs.")] = 10,
    json: Json = False,
) -> int:
    """Show one schedule, and its next ten runs."""
    app = session.connected_app
    standing = app.schedules.get(name)
    facts = as_dict(app, standing, max(0, runs))
    if json:
        session.out.json(facts)
        return 0
    facts.pop("next_runs")
    for fact, value in facts.items():
        if value not in (None, "", [], {}, False, 0.0):
            session.out.line(f"{session.out.styled('dim', fact.replace('_', ' ').ljust(16))} {shown(value)}")
    if runs <= 0:
        return 0
    upcoming = next_runs(app, standing, runs)
    session.out.line()
    session.out.line("next runs" if upcoming else f"no next run: it is {standing.state}")
    now = datetime.fromtimestamp(app.clock(), UTC)
    for moment in upcoming:
        left_s = (moment - now).total_seconds()
        session.out.line(f"  {moment_text(moment)}  {f'in {ago(left_s)}' if left_s > 0 else 'due'}")
    return 0


def add(
    session: Session,
    name: Name,
    task: Annotated[str, Argument("Name of the task.", metavar="TASK")],
    *,
    cron: Cron = "",
    every: EveryTime = None,
    at: At = None,
    solar: Sun = None,
    tz: Zone = "",
    relative: Annotated[bool, Option("--relative", help="Let --every count from midnight, not from now.")] = False,
    args: Args = None,
    kwargs: Kwargs = None,
    queue: Queue = "",
    priority: Priority = None,
    expires: Expires = None,
    catch_up: CatchUp = None,
    window: Window = None,
    overlap: Overlap = None,
    jitter: Jitter = None,
    start: Start = None,
    end: End = None,
    by_name: ByName = False,
    json: Json = False,
) -> int:
    """Make a schedule: it ticks from now on, with whatever worker holds the scheduler's lease.

    Say when with one of --cron, --every, --at and --solar. Times may be written 90, 30s, 5m, 1h30m.
    """
    when = _when(cron, every, at, solar, tz)
    if when is None:
        raise UsageError("say when: --cron '0 7 * * *', --every 30s, --at 2030-01-31T09:00 or --solar sunset,40.4,-3.7")
    _refuse_unknown(session, task, by_name=by_name)
    said = _said(tz, args, kwargs, catch_up, window, overlap, jitter, start, end)
    calls = _given(queue=queue, priority=priority, expires=expires)
    options: Any = {**said, **({"options": calls} if calls else {}), **({"relative": True} if relative else {})}
    return _tell(session, session.connected_app.schedules.add(name, task, when, **options), "added", json=json)


def edit(
    session: Session,
    name: Name,
    *,
    task: Annotated[str, Option("--task", metavar="TASK", help="Run this task instead.")] = "",
    cron: Cron = "",
    every: EveryTime = None,
    at: At = None,
    solar: Sun = None,
    tz: Zone = "",
    args: Args = None,
    kwargs: Kwargs = None,
    queue: Queue = "",
    priority: Priority = None,
    expires: Expires = None,
    catch_up: CatchUp = None,
    window: Window = None,
    overlap: Overlap = None,
    jitter: Jitter = None,
    start: Start = None,
    end: End = None,
    clear: Annotated[
        Sequence[str], Option("--clear", comma=True, metavar="A,B", help=f"Take back: {', '.join(_CLEARABLE)}.")
    ] = (),
    by_name: ByName = False,
    json: Json = False,
) -> int:
    """Change what is said of a schedule, and leave the rest as it is.

    One that code declares stays edited until that declaration changes.
    """
    when = _when(cron, every, at, solar, tz)
    if task:
        _refuse_unknown(session, task, by_name=by_name)
    options = _said(tz, args, kwargs, catch_up, window, overlap, jitter, start, end)
    calls = _given(queue=queue, priority=priority, expires=expires)
    for word in clear:
        if word not in _CLEARABLE:
            raise UsageError(f"--clear {word}: known are {', '.join(_CLEARABLE)}{did_you_mean(word, _CLEARABLE)}")
        (calls if word in ("expires", "priority") else options)[_CLEARABLE[word]] = None
    if calls:
        options["options"] = calls
    if not options and when is None and not task:
        raise UsageError("say what to change; what can be changed: faena schedule edit --help")
    standing = session.connected_app.schedules.edit(name, task=task or None, schedule=when, **options)
    return _tell(session, standing, "edited", json=json)


def pause(session: Session, names: Names, *, json: Json = False) -> int:
    """Let schedules tick no more until they are resumed."""
    return _each(session, names, session.connected_app.schedules.pause, "paused", json=json)


def resume(session: Session, names: Names, *, json: Json = False) -> int:
    """Let schedules tick again, from now on: what came while they were paused does not run."""
    return _each(session, names, session.connected_app.schedules.resume, "resumed", json=json)


def run(session: Session, name: Name, *, json: Json = False) -> int:
    """Run the task of a schedule now, besides its ticks; print the id of the task."""
    deed = Deed(session, "run", [name], json=json)
    task_id = session.connected_app.schedules.run(name).id
    deed.details[name] = {"task_id": task_id}
    return deed.report(task_id)


def backfill(
    session: Session,
    name: Name,
    *,
    since: Annotated[Any, Option("--from", metavar="MOMENT", convert=_moment, help="The first tick that counts.")] = None,
    until: Annotated[Any, Option("--to", metavar="MOMENT", convert=_moment, help="The last one; default: now.")] = None,
    tz: Annotated[str, Option("--tz", metavar="ZONE", help="Time zone of both moments; default: the schedule's.")] = "",
    dry_run: Annotated[bool, Option("--dry-run", help="Print the ticks, and run nothing.")] = False,
    json: Json = False,
) -> int:
    """Run the task of a schedule for every tick of a time that has passed, whether or not it has run for it.

    What a run is for stands in `self.request.headers["scheduled_for"]`. Prints the ids of the tasks.
    """
    if since is None:
        raise UsageError("say from when: --from 2030-01-31")
    app = session.connected_app
    since = _in_zone(since, tz) or since
    end = _in_zone(until, tz) or datetime.fromtimestamp(app.clock(), UTC)
    if dry_run:
        ticks = [moment.isoformat() for moment in app.schedules.ticks(name, since, end)]
        if json:
            session.out.json(ticks)
        else:
            for tick in ticks:
                session.out.line(tick)
        return 0
    ids = [result.id for result in app.schedules.backfill(name, since, end)]
    if json:
        session.out.json(ids)
        return 0
    for task_id in ids:
        session.out.line(task_id)
    session.out.remark(f"{len(ids)} tasks sent")
    return 0


def remove(session: Session, names: Names, *, force: Force = False, json: Json = False) -> int:
    """Remove schedules. One that code declares comes back with the next worker that starts: pause it instead."""
    schedules = session.connected_app.schedules
    for name in names:
        schedules.get(name)
    what = f"schedule '{names[0]}'" if len(names) == 1 else f"{len(names)} schedules"
    confirm(session.out, f"Remove {what}?", force=force)
    deed = Deed(session, "removed", names, json=json)
    for name in names:
        standing = schedules.get(name)
        schedules.remove(name)
        if standing.app:
            deed.remark(f"'{name}' is declared by app '{standing.app}': it comes back with the next worker that starts")
    return deed.report(f"{len(names)} removed")


COMMANDS = {
    "list": list_schedules,
    "show": show,
    "add": add,
    "edit": edit,
    "pause": pause,
    "resume": resume,
    "run": run,
    "backfill": backfill,
    "remove": remove,
}
DEFAULT = "list"


def _when(cron: str, every: float | None, at: datetime | None, solar: Any, tz: str) -> Any:
    """Return when it is due; None: nothing is said of it."""
    from faena.schedules import solar as by_sun

    given = [option for option, value in (("--cron", cron), ("--every", every), ("--at", at), ("--solar", solar)) if value]
    if len(given) > 1:
        raise UsageError(f"give one of {' and '.join(given)}, not both")
    if every is not None:
        return timedelta(seconds=every)
    if at is not None:
        return _in_zone(at, tz)
    return by_sun(*solar) if solar else cron or None


def _in_zone(moment: datetime | None, tz: str) -> datetime | None:
    if moment is None or moment.tzinfo is not None or not tz:
        return moment
    from faena.app.zones import zone_of

    return moment.replace(tzinfo=zone_of(tz))


def _said(
    tz: str, args: Any, kwargs: Any, catch_up: Any, window: Any, overlap: Any, jitter: Any, start: Any, end: Any
) -> dict[str, Any]:  # fmt: skip
    return _given(
        tz=tz, args=args, kwargs=kwargs, catch_up=catch_up, catch_up_window=window, overlap=overlap, jitter=jitter,
        start=_in_zone(start, tz), end=_in_zone(end, tz),
    )  # fmt: skip


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None and value != ""}


def _refuse_unknown(session: Session, task: str, *, by_name: bool) -> None:
    app = session.any_app
    if task not in app.tasks and not by_name and app.tasks:
        missing = NotRegistered(task, app.tasks, where=f"app '{app.main or 'faena'}'")
        raise UsageError(f"{missing}\nTo schedule a task whose code is not here: --by-name")


def _tell(session: Session, standing: Standing, verb: str, *, json: bool) -> int:
    app = session.connected_app
    if json:
        session.out.json(as_dict(app, standing))
        return 0
    upcoming = next_runs(app, standing, 1)
    first = f"; it runs next at {moment_text(upcoming[0])}" if upcoming else f"; it is {standing.state}"
    session.out.line(f"schedule '{standing.schedule.name}' {verb}{first}")
    return 0


def _each(session: Session, names: Sequence[str], work: Any, done: str, *, json: bool) -> int:
    for name in names:
        work(name)
    return Deed(session, done, names, json=json).report(f"{len(names)} {done}")
