"""Schedules and how far they are. Plain data: the caller holds the lock."""

from __future__ import annotations

from faena.model.message import Message
from faena.model.schedule import Change, Manifest, Standing


class Timetable:
    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.wakes: dict[str, float] = {}  # name -> when it has to be looked at
        self.outbox: dict[str, tuple[float, Message]] = {}  # task -> since when somebody else is to publish it
        self.manifests: dict[tuple[str, str], tuple[float, Manifest]] = {}

    def due(self, now_s: float, limit: int) -> list[Standing]:
        found = sorted((at_s, name) for name, at_s in self.wakes.items() if at_s <= now_s)
        return [self.standings[name] for _, name in found[:limit]]

    def change(self, change: Change) -> bool:
        present = self.standings.get(change.name)
        if ("" if present is None else present.revision) != change.seen:
            return False
        self.wakes.pop(change.name, None)
        if change.standing is None:
            self.standings.pop(change.name, None)
            return True
        self.standings[change.name] = change.standing
        if change.wakes_at_s is not None:
            self.wakes[change.name] = change.wakes_at_s
        return True

    def unpublished(self, before_s: float, limit: int) -> list[Message]:
        return [message for since_s, message in self.outbox.values() if since_s <= before_s][:limit]

    def manifests_of(self, app: str, now_s: float) -> list[Manifest]:
        for key in [key for key, (until_s, _) in self.manifests.items() if until_s <= now_s]:
            del self.manifests[key]
        return [manifest for (of_app, _), (_, manifest) in self.manifests.items() if of_app == app]
