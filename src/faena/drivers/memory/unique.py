"""Which task has which key, in a memory backend: each verb is one step, taken with the lock held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from faena.drivers.memory.messages import Row, row_of
from faena.drivers.memory.state import MemoryState
from faena.model.claim import Claim, Claimant, Until, counts
from faena.model.delivery import Place
from faena.model.message import Message


class MemoryClaims:
    """See `faena.backend.Claims`."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def take(self, messages: Sequence[Message], broker: object) -> Sequence[Claimant | None]:
        is_joint = getattr(broker, "state", None) is self._state
        rows = [row_of(message) for message in messages]
        with self._state.lock:
            now_s = self._state.clock()
            return [self._take(*each, is_joint, now_s) for each in zip(messages, rows, strict=True)]

    async def take_over(self, message: Message, present: str) -> bool:
        claim = _claim_of(message)
        with self._state.lock:
            claimant, _ = self._state.keys.get(claim.key, (None, 0.0))
            if claimant is None or claimant.task_id not in (present, message.id):
                return False
            if self._state.journals.is_parked(claimant.task_id):
                return False
            self._keep(message, self._state.clock(), is_published=False)
            return True

    async def replace(self, message: Message, broker: object) -> bool:  # noqa: ARG002 - it is ours
        state, claim, row = self._state, _claim_of(message), row_of(message)
        with state.lock:
            now_s = state.clock()
            claimant, _ = state.keys.get(claim.key, (None, 0.0))
            if claimant is None or claimant.task_id != message.id or not state.messages.cancel([message.id]):
                return False
            self._keep(message, now_s, is_published=True, since_s=claimant.since_s)
            self._publish(row, now_s)
            return True

    async def published(self, messages: Sequence[Message]) -> None:
        with self._state.lock:
            for message in messages:
                claimant, until_s = self._state.keys.get(_claim_of(message).key, (None, 0.0))
                if claimant is not None and claimant.task_id == message.id:
                    self._state.keys[_claim_of(message).key] = replace(claimant, is_published=True), until_s

    async def release(self, messages: Sequence[Message]) -> None:
        with self._state.lock:
            release(self._state, messages)

    # -- internals -----------------------------------------------------------------------------------------

    def _take(self, message: Message, row: Row, is_joint: bool, now_s: float) -> Claimant | None:
        claimant = self._present(_claim_of(message), is_joint, now_s)
        if claimant is not None and claimant.task_id != message.id:
            return claimant
        if claimant is None:
            self._keep(message, now_s, is_published=is_joint)
        if is_joint:
            self._publish(row, now_s)
        return None

    def _present(self, claim: Claim, is_joint: bool, now_s: float) -> Claimant | None:
        """Return who has a key."""
        state = self._state
        claimant, until_s = state.keys.get(claim.key, (None, 0.0))
        if claimant is None:
            return None
        is_parked = state.journals.is_parked(claimant.task_id)
        if not is_joint:
            stands = until_s > now_s or (is_parked and claimant.until is not Until.WINDOW)
            return replace(claimant, is_parked=is_parked) if stands else None
        place = state.messages.place(claimant.task_id, now_s)
        is_here, is_held = place is not None and place is not Place.DEAD, place is Place.HELD
        if not counts(claimant, until_s, now_s, is_here=is_here, is_held=is_held, is_parked=is_parked):
            return None
        return replace(claimant, is_waiting=is_here and not is_held, is_parked=is_parked)

    def _keep(self, message: Message, now_s: float, *, is_published: bool, since_s: float | None = None) -> None:
        claim = _claim_of(message)
        claimant = Claimant(message.id, claim.until, now_s if since_s is None else since_s, now_s, is_published)
        self._state.keys[claim.key] = claimant, claim.expires_at_s

    def _publish(self, row: Row, now_s: float) -> None:
        self._state.messages.add(row, now_s)
        self._state.bells.ring([("queue", row[1])])


def release(state: MemoryState, messages: Iterable[Message]) -> None:
    """Let go of the keys of these. The lock is held."""
    for message in messages:
        claim = _claim_of(message)
        claimant, _ = state.keys.get(claim.key, (None, 0.0))
        if claimant is not None and claimant.task_id == message.id:
            del state.keys[claim.key]


def expire(state: MemoryState, limit: int, now_s: float) -> int:
    """Remove claims whose time is over and whose task is not there; return how many went. The lock is held."""
    over = []
    for key, (claimant, until_s) in state.keys.items():
        is_here = claimant.until is not Until.WINDOW and (
            state.messages.place(claimant.task_id, now_s) not in (None, Place.DEAD)
            or state.journals.is_parked(claimant.task_id)
        )
        if until_s <= now_s and not is_here:
            over.append(key)
    for key in over[:limit]:
        del state.keys[key]
    return len(over[:limit])


def _claim_of(message: Message) -> Claim:
    assert message.claim is not None
    return message.claim
