"""What is known of attempts that their process did not settle, where broker and backend are two stores.

How they ended is recorded, if they came so far. Verdicts that the broker cannot keep (`keeps_verdicts`) lie in the journal
of the backend, beside what the task itself remembers: one entry for each verdict, named by the holder that it is about, so
that writing it again changes nothing. Both are read only for what was handed out before.
"""

from __future__ import annotations

import time
from asyncio import gather
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.backend import Backend, Journal
from faena.errors import NotSupported
from faena.model.delivery import BEGUN, Delivery, Malformed, Verdict, VerdictKind
from faena.model.journal import Entry
from faena.model.message import Message
from faena.model.result import ResultRecord, State

_VERDICT, _BEGUN, _HANDED_OUT = "\0verdict/", "\0begun", "\0handed-out/"  # no step of a task is called so
_KEPT_S = 7 * 86400.0
_AT_ONCE = 100

_HANDED_BACK = "faena-handed-back"
RETURNED = "faena-returned"
"""The header of a message that was not the broker's for a while (`faena.worker.custody`), and has run before."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Verdict).decode


async def note_verdicts(journal: Journal, holder: str, verdicts: Mapping[str, Verdict]) -> None:
    """Keep the supervisor's verdicts on what a process was running; without a backend they are lost."""
    now_s = time.time()
    for task_id, verdict in verdicts.items():
        try:
            await journal.write(task_id, _entry(_VERDICT + holder, verdict, now_s), now_s + _KEPT_S)
        except NotSupported:
            return


async def note_begun(journal: Journal, deliveries: Sequence[Delivery]) -> Sequence[bool]:
    """Note that these must not run twice. Raises NotSupported: there is no backend.

    False: it has been noted before, of a copy that was sent once more because nobody knew whether the first had arrived.
    """
    now_s = time.time()
    are_first: list[bool] = []
    for delivery in deliveries:
        entry = _entry(_begun_name(delivery.message), Verdict(VerdictKind.BEGUN, new_id()), now_s)
        stands = await journal.write(delivery.message.id, entry, now_s + _KEPT_S)
        are_first.append(stands.value == entry.value)
    return are_first


def handed_back(message: Message) -> Message:
    """Return the message of a task that was noted as begun, and has not run: as another one than that."""
    headers = message.headers or {}
    return replace(message, headers={**headers, _HANDED_BACK: headers.get(_HANDED_BACK, 0) + 1})


async def with_what_is_known(
    backend: Backend, batch: Sequence[Delivery | Malformed], *, keeps_verdicts: bool
) -> Sequence[Delivery | Malformed]:
    """Add to those that were handed out before how they ended, if that is recorded, else the verdict on them.

    How a step of a workflow has ended its workflow tells.
    """
    again = {at: item for at, item in enumerate(batch) if isinstance(item, Delivery) and was_handed_out(item)}
    if not again:
        return batch
    told = list(batch)
    plain = [(at, item) for at, item in again.items() if item.message.member is None]
    try:
        records = await backend.read([item.message.id for _, item in plain]) if plain else ()
        ends = {
            at: record
            for (at, item), record in zip(plain, records, strict=True)
            if record is not None and is_end_of(record, item.message)
        }
        for at, record in ends.items():
            told[at] = replace(again[at], ended=record)
        unknown = [at for at in again if at not in ends and not keeps_verdicts]
        for start in range(0, len(unknown), _AT_ONCE):  # together: one after the other, each is a round trip
            some = unknown[start : start + _AT_ONCE]
            for at, item in zip(some, await gather(*(_told(backend.journal, again[at]) for at in some)), strict=True):
                told[at] = item
    except NotSupported:  # there is no backend
        return batch
    return told


def was_handed_out(item: Delivery) -> bool:
    return item.redelivered_at_s is not None or (item.message.headers is not None and RETURNED in item.message.headers)


def is_end_of(record: ResultRecord, message: Message) -> bool:
    """Whether a record says how this call ended; what had failed may have been sent again under its id since."""
    if record.state == State.SUCCESS:
        return True
    return record.is_terminal and (record.finished_at_s or 0.0) >= message.sent_at_s


async def _told(journal: Journal, item: Delivery) -> Delivery:
    entries = {entry.name: entry for entry in await journal.read(item.message.id) if entry.name.startswith("\0")}
    verdicts = sorted((entry for name, entry in entries.items() if name.startswith(_VERDICT)), key=lambda entry: entry.at_s)
    crashes = sum(_decode(entry.value or b"").kind is VerdictKind.CRASHED for entry in verdicts)
    verdict = None
    if verdicts:
        holder = verdicts[-1].name.removeprefix(_VERDICT)
        if _HANDED_OUT + holder not in entries:  # one that was acted upon says nothing of the attempts after it
            verdict = _decode(verdicts[-1].value or b"")
            if verdict.kind is not VerdictKind.CRASHED:
                now_s = time.time()
                await journal.write(item.message.id, Entry(_HANDED_OUT + holder, at_s=now_s), now_s + _KEPT_S)
    if verdict is None and _begun_name(item.message) in entries:
        verdict = BEGUN
    return replace(item, crashes=crashes, verdict=verdict)


def _begun_name(message: Message) -> str:
    """Return the same for all copies of one sending: not for a retry, nor for what was requeued after it had failed."""
    times = (message.headers or {}).get(_HANDED_BACK, 0)
    failed_at_s = message.history[-1].at_s if message.history else 0.0
    return f"{_BEGUN}/{message.retries}/{times}/{message.sent_at_s!r}/{failed_at_s!r}"


def _entry(name: str, verdict: Verdict, now_s: float) -> Entry:
    return Entry(name, _encode(verdict), "msgpack", now_s)
