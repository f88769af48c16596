"""Tasks that must not run twice (`acks_late=False`): the broker is told that they begin before they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from faena.engine.notes import handed_back
from faena.model.delivery import Delivery, Release
from faena.worker.lanes import Finished

if TYPE_CHECKING:
    from faena.worker.joined import Joined


class Begun:
    """Those of which the broker knows."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    async def note(self, connection: Joined, deliveries: Sequence[Delivery]) -> set[str]:
        """Tell the broker; return the ids of those that must not run: they are not ours any more."""
        noted = await connection.begin(deliveries)
        self._ids.update(delivery.message.id for delivery, ours in zip(deliveries, noted, strict=True) if ours)
        return {delivery.message.id for delivery, ours in zip(deliveries, noted, strict=True) if not ours}

    def undone(self, finished: list[Finished]) -> list[Finished]:
        """Let what is handed back be run by others, although it was noted that it has begun."""
        return [self._undone(item) for item in finished] if self._ids else finished

    def _undone(self, item: Finished) -> Finished:
        completion, event, delivery = item
        if delivery.message.id not in self._ids:
            return item
        self._ids.remove(delivery.message.id)
        settlement = completion.settlement
        if isinstance(settlement, Release) and settlement.message is None:
            completion = replace(completion, settlement=Release(delivery, handed_back(delivery.message)))
        return completion, event, delivery
