"""`app.schedules`: look at the schedules in the backend, and change them while everything runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from msgspec.structs import replace

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app.declared import named_timing, runs_of, schedule_of
from faena.app.links import Link
from faena.app.scheduled import Manually
from faena.app.zones import zone_of
from faena.errors import InvalidSchedule, ScheduleNotFound
from faena.model.schedule import (
    Change,
    Schedule,
    Standing,
    begun,
    next_tick,
    next_ticks,
    ticks_between,
)
from faena.model.timing import Every
from faena.tasks.canvas import Canvas
from faena.tasks.group_result import GroupResult
from faena.tasks.result import AsyncResult
from faena.tasks.scheduling import ScheduleOptions, When, check_options, moment_s, rules_of

if TYPE_CHECKING:
    from faena.app.app import Faena

T = TypeVar("T")

_TRIES = 20  # while others change the same schedule: the scheduler does at each tick
MOST_BACKFILLED = 10_000
_RULES = frozenset({"catch_up", "catch_up_window", "overlap", "jitter", "start", "end"})
_OF_CALL = frozenset({"args", "kwargs", "options"})


class AppSchedules:
    """The schedules of an app's backend. Each method that waits has a twin with an `a` before its name, to be awaited."""

    def __init__(self, app: Faena) -> None:
        self._app = app
        self._manually = Manually(app)

    def list(self) -> Sequence[Standing]:
        """Return all schedules, by name: of every app that uses the backend."""
        return self._run(lambda link: link.backend.schedules.every())

    async def alist(self) -> Sequence[Standing]:
        return await self._arun(lambda link: link.backend.schedules.every())

    def get(self, name: str) -> Standing:
        """Return one. Raises ScheduleNotFound."""
        return self._run(lambda link: _found(link, name))

    async def aget(self, name: str) -> Standing:
        return await self._arun(lambda link: _found(link, name))

    def add(self, name: str, task: Any, schedule: When, **options: Unpack[ScheduleOptions]) -> Standing:
        """Make a schedule of a task (or of its name), a signature or a canvas. See `ScheduleOptions`.

        Raises InvalidSchedule: the name is taken.
        """
        return self._run(lambda link: self._add(link, name, task, schedule, options))

    async def aadd(self, name: str, task: Any, schedule: When, **options: Unpack[ScheduleOptions]) -> Standing:
        return await self._arun(lambda link: self._add(link, name, task, schedule, options))

    def edit(self, name: str, *, task: Any = None, schedule: When | None = None, **options: Any) -> Standing:
        """Change what is said, and leave the rest; None takes an option back. What code declares comes back only when
        that declaration changes. Raises ScheduleNotFound, InvalidSchedule.
        """
        return self._run(lambda link: self._edit(link, name, task, schedule, options))

    async def aedit(self, name: str, *, task: Any = None, schedule: When | None = None, **options: Any) -> Standing:
        return await self._arun(lambda link: self._edit(link, name, task, schedule, options))

    def pause(self, name: str) -> Standing:
        """Let it tick no more until `resume`."""
        return self._run(lambda link: self._pause(link, name, True))

    async def apause(self, name: str) -> Standing:
        return await self._arun(lambda link: self._pause(link, name, True))

    def resume(self, name: str) -> Standing:
        """Let it tick again, from now on: what came while it was paused does not run."""
        return self._run(lambda link: self._pause(link, name, False))

    async def aresume(self, name: str) -> Standing:
        return await self._arun(lambda link: self._pause(link, name, False))

    def remove(self, name: str) -> None:
        """Remove it. One that code declares comes back when that declaration changes, or another worker starts."""
        self._run(lambda link: self._change(link, name, lambda _: None))

    async def aremove(self, name: str) -> None:
        await self._arun(lambda link: self._change(link, name, lambda _: None))

    def run(self, name: str) -> AsyncResult[Any] | GroupResult[Any]:
        """Run its task, or its workflow, now, besides its ticks; a unique one that is there already is not sent again.

        Raises QueueFull, where its queue has a bound; DuplicateCall, where its task says so.
        """
        return self._manually.once(self.get(name).schedule)

    async def arun(self, name: str) -> AsyncResult[Any] | GroupResult[Any]:
        return await self._manually.aonce((await self.aget(name)).schedule)

    def backfill(self, name: str, start: datetime, end: datetime) -> Sequence[AsyncResult[Any] | GroupResult[Any]]:
        """Run its task, or its workflow, for every tick from `start` to `end`, both included, whether or not it has run.

        Each is sent, also of a unique task. Raises InvalidSchedule: that would be more than 10,000.
        """
        schedule = self.get(name).schedule
        return self._manually.each(schedule, self._missed(schedule, start, end))

    async def abackfill(self, name: str, start: datetime, end: datetime) -> Sequence[AsyncResult[Any] | GroupResult[Any]]:
        schedule = (await self.aget(name)).schedule
        return await self._manually.aeach(schedule, self._missed(schedule, start, end))

    def ticks(self, name: str, start: datetime, end: datetime) -> Sequence[datetime]:
        """Return the moments of the ticks from `start` to `end`, which `backfill` would run."""
        return [datetime.fromtimestamp(tick_s, UTC) for tick_s in self._missed(self.get(name).schedule, start, end)]

    def next_runs(self, schedule: Standing | str, count: int = 10) -> Sequence[datetime]:
        """Return the moments of the next ticks, in the schedule's time zone; none of one that is paused or has ended."""
        standing = self.get(schedule) if isinstance(schedule, str) else schedule
        return self.runs_after(standing, self._app.clock(), count)

    def runs_after(self, standing: Standing, after_s: float, count: int) -> Sequence[datetime]:
        """Return the moments of the ticks after one; those that are overdue come first."""
        if standing.is_paused or standing.next_s is None:
            return ()
        since_s = min(after_s, standing.next_s - 0.001)
        zone = zone_of(getattr(standing.schedule.timing, "zone", "") or self._app.conf.timezone)
        ticks = next_ticks(standing.schedule, since_s, count, zone_of)
        return [datetime.fromtimestamp(tick_s, UTC).astimezone(zone) for tick_s in ticks]

    # -- one step each -------------------------------------------------------------------------------------

    async def _add(self, link: Link, name: str, task: Any, when: When, options: ScheduleOptions) -> Standing:
        schedule = schedule_of(self._app, name, runs_of(task), when, options)
        standing = replace(begun(schedule, self._app.clock(), zone_of), revision=new_id())
        if standing.next_s is None:
            raise InvalidSchedule(f"schedule '{name}' would never be due: all of its moments have passed")
        change = Change(name, "", standing, standing.wakes_at_s)
        if not (await link.backend.schedules.change([change], link.broker))[0]:
            raise InvalidSchedule(f"there is a schedule '{name}' already; change it with: faena schedule edit {name}")
        return standing

    async def _edit(
        self, link: Link, name: str, task: Any, when: When | None, options: Mapping[str, Any]
    ) -> Standing:  # fmt: skip
        check_options(name, options)

        def edited(standing: Standing) -> Standing:
            now_s = self._app.clock()
            schedule = self._edited(standing.schedule, task, when, options)
            anew = begun(schedule, now_s, zone_of)
            is_same = (schedule.timing, schedule.starts_at_s, schedule.ends_at_s) == (
                standing.schedule.timing, standing.schedule.starts_at_s, standing.schedule.ends_at_s,
            )  # fmt: skip
            return replace(
                standing,
                schedule=anew.schedule,
                next_s=standing.next_s if is_same else anew.next_s,
                is_edited=bool(standing.app),
            )

        found = await self._change(link, name, edited)
        assert found is not None
        return found

    def _edited(self, schedule: Schedule, task: Any, when: When | None, options: Mapping[str, Any]) -> Schedule:
        app, name = self._app, schedule.name
        timing = schedule.timing
        if when is None and options.get("tz") and hasattr(timing, "zone"):
            timing = replace(timing, zone=options["tz"])
        call = cast(
            "ScheduleOptions", {key: value for key, value in options.items() if key in _OF_CALL | {"tz", "relative"}}
        )
        due = timing if when is None else when
        if task is None and schedule.workflow is not None:
            if not _OF_CALL.isdisjoint(call):
                raise InvalidSchedule(
                    f"schedule '{name}' runs a workflow, whose canvas says arguments and options: give another, as task="
                )
            made = replace(schedule, timing=named_timing(app, name, due, call))
        else:
            runs = schedule.message.task if task is None else runs_of(task)
            before = None if schedule.workflow is not None or isinstance(runs, Canvas) else schedule
            made = schedule_of(app, name, runs, due, call, before=before)
        if isinstance(made.timing, Every) and isinstance(timing, Every) and made.timing.every_ms == timing.every_ms:
            made = replace(made, timing=timing)  # counted from where it was
        own = {key: value for key, value in options.items() if key in _RULES}
        zone = zone_of(options.get("tz") or getattr(timing, "zone", "") or app.conf.timezone)
        rules = rules_of(name, {**_rules_said_by(schedule), **own}, zone)  # type: ignore[typeddict-item]
        sending = options.get("options") or {}
        return replace(
            made,
            delay_s=made.delay_s if "countdown" in sending or made.workflow is not None else schedule.delay_s,
            expires_s=made.expires_s if "expires" in sending or made.workflow is not None else schedule.expires_s,
            catch_up=rules.catch_up,
            window_s=rules.window_s,
            overlap=rules.overlap,
            jitter_s=rules.jitter_s,
            starts_at_s=rules.starts_at_s,
            ends_at_s=rules.ends_at_s,
        )

    async def _pause(self, link: Link, name: str, is_paused: bool) -> Standing:
        def changed(standing: Standing) -> Standing:
            if standing.is_paused == is_paused:
                return standing
            if is_paused:
                return replace(standing, is_paused=True, held_s=None)
            next_s = next_tick(standing.schedule, self._app.clock(), zone_of)
            return replace(standing, is_paused=False, next_s=next_s)

        found = await self._change(link, name, changed)
        assert found is not None
        return found

    async def _change(self, link: Link, name: str, work: Callable[[Standing], Standing | None]) -> Standing | None:
        """Change one as `work` says, again and again while others change it meanwhile."""
        for _ in range(_TRIES):
            before = await _found(link, name)
            after = work(before)
            if after is not None:
                if after == before:
                    return before
                after = replace(after, revision=new_id())
            change = Change(name, before.revision, after, None if after is None else after.wakes_at_s)
            if (await link.backend.schedules.change([change], link.broker))[0]:
                return after
        raise InvalidSchedule(f"schedule '{name}' is being changed all the time; try again")

    # -- ticks ---------------------------------------------------------------------------------------------

    def _missed(self, schedule: Schedule, start: datetime, end: datetime) -> Sequence[float]:
        app = self._app
        zone = zone_of(getattr(schedule.timing, "zone", "") or app.conf.timezone)
        start_s, end_s = moment_s(start, zone), moment_s(end, zone)
        if end_s < start_s:
            raise InvalidSchedule(
                f"a time ends after its beginning: {start.isoformat()} to {end.isoformat()} holds no tick"
            )
        ticks = ticks_between(schedule, start_s, end_s, MOST_BACKFILLED + 1, zone_of)
        if len(ticks) > MOST_BACKFILLED:
            raise InvalidSchedule(
                f"schedule '{schedule.name}' has more than {MOST_BACKFILLED:,} ticks in that time; take a part of it"
            )
        return ticks

    def _run(self, call: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        return run(call(self._app.links.blocking()))

    async def _arun(self, call: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        return await call(await self._app.links.asyncio())


async def _found(link: Link, name: str) -> Standing:
    (standing,) = await link.backend.schedules.get([name])
    if standing is None:
        raise ScheduleNotFound(name, [each.schedule.name for each in await link.backend.schedules.every()])
    return standing


def _rules_said_by(schedule: Schedule) -> dict[str, Any]:
    def moment(at_s: float | None) -> datetime | None:
        return None if at_s is None else datetime.fromtimestamp(at_s, UTC)

    return {
        "catch_up": schedule.catch_up,
        "catch_up_window": schedule.window_s,
        "overlap": schedule.overlap,
        "jitter": schedule.jitter_s,
        "start": moment(schedule.starts_at_s),
        "end": moment(schedule.ends_at_s),
    }
