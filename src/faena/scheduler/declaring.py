"""Keep what the code declares in the backend: every worker does, so that nobody has to think of it.

What several versions of the code say of one schedule at the same time (a roll-out, two apps) is decided so:

- A schedule belongs to the app that declares it, by the app's name. Another app's declaration of the same name is left out.
- A declaration that was not seen before replaces the one that stands, and what was edited at run time with it. One that
  stands stays as it is, with all that was edited, whoever declares it again.
- An older declaration (one that was replaced before) comes back only when no running worker declares the one that stands:
  so a worker of the old version that starts anew changes nothing, and a roll-back does.
- A schedule goes when no running worker of its app declares it any more. Those added at run time are nobody's, and stay.

Who runs what is told by manifests, which every worker repeats.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.app.links import Link
from faena.app.scheduled_workflow import name_of_app
from faena.app.zones import zone_of
from faena.errors import NotSupported
from faena.model.schedule import Change, Manifest, Schedule, Standing, begun
from faena.model.timing import Every

if TYPE_CHECKING:
    from faena.app.app import Faena

log = logging.getLogger("faena.scheduler")

REPEAT_S, KNOWN_S = 20.0, 60.0
_OUTDATED_MOST = 16


class Declarer:
    """Keeps the declarations of one app in the backend, as long as it is asked to."""

    def __init__(self, app: Faena) -> None:
        self._app = app
        self._again_at_s = 0.0
        self._others: frozenset[str] | None = None  # keys of manifests, when we looked last
        self._is_done = False
        self._declared: tuple[Sequence[Schedule], Manifest] | None = None  # ten thousand take a second to be read

    async def keep(self, link: Link, *, at_once: bool = False) -> None:
        """Repeat what the code declares where it is time to, and change what has to be changed."""
        if self._is_done or (time.monotonic() < self._again_at_s and not at_once):
            return
        schedules, manifest = self._declared or self._read()
        try:
            await self._keep(link, schedules, manifest, at_once=at_once)
        except NotSupported:  # there is no backend: said once is enough, and nothing need be said where nothing is declared
            self._is_done = True
            if schedules:
                raise

    async def _keep(self, link: Link, schedules: Sequence[Schedule], manifest: Manifest, *, at_once: bool) -> None:
        if schedules:
            await link.backend.schedules.declare(manifest, KNOWN_S)
        others = [each for each in await link.backend.schedules.manifests(manifest.app) if each.key != manifest.key]
        keys = frozenset(each.key for each in others)
        if at_once or keys != self._others:
            left = await self._change(link, schedules, manifest, others)
            self._is_done = not schedules and not left and not at_once
            self._others = keys
        self._again_at_s = time.monotonic() + REPEAT_S

    def _read(self) -> tuple[Sequence[Schedule], Manifest]:
        self._again_at_s = time.monotonic() + REPEAT_S  # where they cannot be read: that is said often enough
        schedules = self._app.declared.schedules()
        self._declared = (schedules, self._app.declared.manifest(schedules))
        self._again_at_s = 0.0
        return self._declared

    async def _change(
        self, link: Link, schedules: Sequence[Schedule], manifest: Manifest, others: Sequence[Manifest]
    ) -> bool:
        """Change what stands otherwise; return whether the app has schedules left that only others declare."""
        present = {each.schedule.name: each for each in await link.backend.schedules.every()}
        now_s = self._app.clock()
        changes = [change for each in schedules if (change := _change_of(each, manifest, others, present, now_s))]
        mine = [each for each in present.values() if each.app == manifest.app]
        owned = [each for each in mine if each.schedule.name not in manifest.digests]
        gone = [each for each in owned if not any(each.schedule.name in other.digests for other in others)]
        changes += [Change(each.schedule.name, each.revision, None) for each in gone]
        if changes:
            made = await link.backend.schedules.change(changes, link.broker)
            names = [change.name for change, is_made in zip(changes, made, strict=True) if is_made]
            removed = {each.schedule.name for each in gone}
            log.info(
                "schedules of app '%s': %d declared anew, %d no longer declared and removed",
                name_of_app(self._app), len([name for name in names if name not in removed]), len(removed & set(names)),
            )  # fmt: skip
        return len(owned) > len(gone)


def _change_of(
    schedule: Schedule, mine: Manifest, others: Sequence[Manifest], present: Mapping[str, Standing], now_s: float
) -> Change | None:
    """Return what a declaration changes, by the rules above; None: nothing."""
    name, digest = schedule.name, mine.digests[schedule.name]
    standing = present.get(name)
    if standing is None:
        anew = replace(begun(schedule, now_s, zone_of), app=mine.app, digest=digest, revision=new_id())
        return Change(name, "", anew, anew.wakes_at_s)
    if standing.app not in ("", mine.app):
        log.warning("schedule '%s' is declared by app '%s', too; name one of them otherwise", name, standing.app)
        return None
    if standing.digest == digest:
        return None
    if digest in standing.outdated and any(each.digests.get(name) == standing.digest for each in others):
        return None
    anew = _redeclared(standing, schedule, mine.app, digest, now_s)
    return Change(name, standing.revision, anew, anew.wakes_at_s)


def _redeclared(standing: Standing, schedule: Schedule, app: str, digest: str, now_s: float) -> Standing:
    before, timing = standing.schedule, schedule.timing
    is_counted_anew = not isinstance(before.timing, Every) or timing != Every(before.timing.every_ms)
    if not is_counted_anew:
        schedule = replace(schedule, timing=before.timing)
    anew = begun(schedule, now_s, zone_of)
    schedule = anew.schedule
    is_same = (schedule.timing, schedule.starts_at_s, schedule.ends_at_s) == (
        before.timing, before.starts_at_s, before.ends_at_s,
    )  # fmt: skip
    outdated = [each for each in (*standing.outdated, standing.digest) if each and each != digest]
    return replace(
        standing,
        schedule=schedule,
        next_s=standing.next_s if is_same else anew.next_s,
        held_s=standing.held_s if schedule.overlap == "queue" else None,
        app=app,
        digest=digest,
        outdated=tuple(outdated[-_OUTDATED_MOST:]),
        is_edited=False,
        revision=new_id(),
    )
