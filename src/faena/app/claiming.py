"""Sending calls that may be sent already: unique, debounced and throttled ones.

Where broker and backend are one store, claiming a key and publishing are one step. Elsewhere they are several, in the order
that loses nothing:

    new        claim ─▶ publish ─▶ note that it is published
    over       claim ─▶ look for its task: nowhere, twice ─▶ take it over ─▶ publish ─▶ note
    replace    park the new message in the backend ─▶ cancel the old one ─▶ publish ─▶ unpark

A crash in between leaves a claim that is not noted as published, which counts until `task_publish_timeout` is surely over;
or a parked message, which the scheduler publishes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct
from msgspec.structs import replace

from faena._lib.drive import run
from faena.app.links import Link
from faena.app.publishing import apatiently, patiently
from faena.app.sent_events import atell_sent, tell_sent
from faena.broker import home_of
from faena.errors import BrokerError, DuplicateCall, DuplicateCalls, InvalidArguments, NotSupported, PublishedInPart
from faena.model.claim import Claimant, OnConflict, Rule, Until
from faena.model.delivery import Place
from faena.model.journal import Parked
from faena.model.message import Message
from faena.tasks.call import Call
from faena.tasks.context import current_request
from faena.tasks.options import CLAIM_OPTIONS
from faena.tasks.unique import key_of, rule_of

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.tasks.result import AsyncResult

_TRIES = 20  # each was lost to somebody who was faster
_REPLACES_IN_S = 10.0  # what is parked is published in any case after this time


class Wanted(Struct, frozen=True):
    """A message that claims its key, and the rule by which it does."""

    message: Message
    rule: Rule


class Sent(Struct, frozen=True):
    """Which task a call has come to, or why it was not sent."""

    task_id: str
    is_duplicate: bool
    refusal: DuplicateCall | None = None


def send(app: Faena, call: Call, message: Message) -> AsyncResult[Any]:
    """Send a call for which there may be a rule."""
    return send_all(app, [call], [message])[0]


async def asend(app: Faena, call: Call, message: Message) -> AsyncResult[Any]:
    return (await asend_all(app, [call], [message]))[0]


def send_all(app: Faena, calls: Sequence[Call], messages: Sequence[Message]) -> list[AsyncResult[Any]]:
    """Send calls for some of which there may be a rule; those are claimed first, the others follow.

    Raises DuplicateCall, of one call; DuplicateCalls, of several: the others were sent.
    """
    options: Any = calls[0].options if len(calls) == 1 else {}
    wanted, plain = _sorted(app, calls, messages)
    sent: Sequence[Sent] = ()
    if wanted:
        sender = _Sender(app, options)
        sent = patiently(app.conf, options, lambda: run(sender.send(app.links.blocking(), wanted)))
        if app.conf.task_send_sent_event:
            tell_sent(app, _really_sent(wanted, sent))
    if plain:
        app.publish(plain, options)
    return _handles(app, messages, wanted, sent)


async def asend_all(app: Faena, calls: Sequence[Call], messages: Sequence[Message]) -> list[AsyncResult[Any]]:
    options: Any = calls[0].options if len(calls) == 1 else {}
    wanted, plain = _sorted(app, calls, messages)
    sent: Sequence[Sent] = ()
    if wanted:
        sender = _Sender(app, options)

        async def work() -> Sequence[Sent]:
            return await sender.send(await app.links.asyncio(), wanted)

        sent = await apatiently(app.conf, options, work)
        if app.conf.task_send_sent_event:
            await atell_sent(app, _really_sent(wanted, sent))
    if plain:
        await app.apublish(plain, options)
    return _handles(app, messages, wanted, sent)


def _really_sent(wanted: Sequence[Wanted], sent: Sequence[Sent]) -> list[Message]:
    ends = zip(wanted, sent, strict=True)
    return [each.message for each, came in ends if not came.is_duplicate and came.refusal is None]


def send_claimed(app: Faena, message: Message, rule: Rule) -> AsyncResult[Any]:
    """Send a message that has its claim already."""
    sender, wanted = _Sender(app, {}), [Wanted(message, rule)]
    sent = patiently(app.conf, {}, lambda: run(sender.send(app.links.blocking(), wanted)))
    return _handles(app, [message], wanted, sent)[0]


async def asend_claimed(app: Faena, message: Message, rule: Rule) -> AsyncResult[Any]:
    async def work() -> Sequence[Sent]:
        return await _Sender(app, {}).send(await app.links.asyncio(), wanted)

    wanted = [Wanted(message, rule)]
    return _handles(app, [message], wanted, await apatiently(app.conf, {}, work))[0]


async def send_through(app: Faena, link: Link, message: Message, rule: Rule) -> Sent:
    """Send a message that has its claim already, through an open link. Raises DuplicateCall, NotSupported."""
    (sent,) = await _Sender(app, {}).send(link, [Wanted(message, rule)])
    if sent.refusal is not None:
        raise sent.refusal
    return sent


def rule_and_key(app: Faena, call: Call) -> Rule | None:
    """Return the rule of a call, with the key that is made of its arguments; None: it may be sent at any time."""
    rule = _rule_of(app, call)
    return None if rule is None else replace(rule, key=_key(app, call, rule))


# -- what is wanted ----------------------------------------------------------------------------------------


def _sorted(app: Faena, calls: Sequence[Call], messages: Sequence[Message]) -> tuple[list[Wanted], list[Message]]:
    wanted: list[Wanted] = []
    plain: list[Message] = []
    for call, message in zip(calls, messages, strict=True):
        rule = _rule_of(app, call)
        if rule is None:
            plain.append(message)
        else:
            wanted.append(_wanted(app, call, message, rule))
    return wanted, plain


def _rule_of(app: Faena, call: Call) -> Rule | None:
    if not CLAIM_OPTIONS.isdisjoint(call.options):
        return rule_of(call.task, call.options)
    task = app.tasks.get(call.task)
    return task.rule if task is not None else None


def _wanted(app: Faena, call: Call, message: Message, rule: Rule) -> Wanted:
    key, now_s = _key(app, call, rule), app.clock()
    if rule.wait_s is not None:
        if message.due_at_s is not None:
            raise InvalidArguments(call.task, "debounce= says when it runs: give no countdown or eta with it")
        message = replace(message, due_at_s=now_s + rule.wait_s)
    return Wanted(replace(message, claim=rule.claim(key, now_s, message.due_at_s)), rule)


def _key(app: Faena, call: Call, rule: Rule) -> str:
    task = app.tasks.get(call.task)
    spec = task.arguments if task is not None and task.batch is None else None
    return key_of(call.task, rule, spec, call.args, call.kwargs, lambda value: app.codecs.encode("json", value))


def _handles(
    app: Faena, messages: Sequence[Message], wanted: Sequence[Wanted], sent: Sequence[Sent]
) -> list[AsyncResult[Any]]:
    found = {each.message.id: each_sent for each, each_sent in zip(wanted, sent, strict=True)}
    request = current_request.get()
    handles: list[AsyncResult[Any] | None] = []
    refused: dict[int, DuplicateCall] = {}
    for message in messages:
        come_to = found.get(message.id)
        if come_to is None or come_to.task_id == message.id:
            handles.append(app.handle_of(message))
            continue
        if come_to.refusal is not None:
            refused[len(handles)] = come_to.refusal
            handles.append(None)
            continue
        if request is not None and message.id in request.children:
            request.children[request.children.index(message.id)] = come_to.task_id
        handle = app.handle_of(replace(message, id=come_to.task_id))
        handle.is_duplicate = come_to.is_duplicate
        handles.append(handle)
    if refused and len(handles) == 1:
        raise refused[0]
    if refused:
        raise DuplicateCalls(refused, handles)
    return cast("list[AsyncResult[Any]]", handles)


# -- sending -----------------------------------------------------------------------------------------------


class _Sender:
    """The steps of sending; all of it may be repeated."""

    def __init__(self, app: Faena, options: Any) -> None:
        self._clock = app.clock
        timeout_s = float((options.get("retry_policy") or {}).get("timeout", app.conf.task_publish_timeout))
        self._publishing_s = 2 * timeout_s + 1.0  # who has not said within this time that it is published is gone

    async def send(self, link: Link, wanted: Sequence[Wanted]) -> list[Sent]:
        _check_able(link, wanted)
        present = await link.backend.claims.take([each.message for each in wanted], link.broker)
        new = [each.message for each, claimant in zip(wanted, present, strict=True) if claimant is None]
        await self._publish(link, new)
        return [
            Sent(each.message.id, is_duplicate=False) if claimant is None else await self._settled(link, each, claimant)
            for each, claimant in zip(wanted, present, strict=True)
        ]

    async def _publish(self, link: Link, messages: Sequence[Message]) -> None:
        """Publish what has been claimed, where that was not done in the same step."""
        if not messages or _is_joint(link):
            return
        try:
            await link.broker.publish(messages)
        except PublishedInPart as error:
            taken = [message for message in messages if message.id in error.accepted]
            await link.backend.claims.published(taken)
            await link.backend.claims.release([message for message in messages if message.id not in error.accepted])
            raise
        except BrokerError:
            await link.backend.claims.release(messages)
            raise
        await link.backend.claims.published(messages)

    async def _settled(self, link: Link, wanted: Wanted, claimant: Claimant) -> Sent:
        try:
            for message in _with_other_keys(wanted):
                if (await link.backend.claims.take([message], link.broker))[0] is None:
                    await self._publish(link, [message])
                    return Sent(message.id, is_duplicate=False)
            return await self._conflict(link, wanted, claimant)
        except DuplicateCall as error:
            return Sent("", is_duplicate=False, refusal=error)

    async def _conflict(self, link: Link, wanted: Wanted, claimant: Claimant | None) -> Sent:
        message, rule = wanted.message, wanted.rule
        for _ in range(_TRIES):
            if claimant is not None:
                is_waiting, is_over = claimant.is_waiting, False
                if is_waiting is None:
                    is_waiting, is_over = await self._look(link, claimant)
                if is_over:
                    if await link.backend.claims.take_over(message, claimant.task_id):
                        await self._publish(link, [message])
                        return Sent(message.id, is_duplicate=False)
                elif rule.on_conflict is not OnConflict.REPLACE:
                    return _duplicate(message, rule, claimant)
                elif not is_waiting:
                    raise DuplicateCall(message.task, claimant.task_id, "has begun, so that it cannot be replaced")
                elif await self._replace(link, self._replacement(wanted, claimant)):
                    return Sent(claimant.task_id, is_duplicate=False)
            (claimant,) = await link.backend.claims.take([message], link.broker)
            if claimant is None:
                await self._publish(link, [message])
                return Sent(message.id, is_duplicate=False)
        task_id = claimant.task_id if claimant is not None else ""
        raise DuplicateCall(message.task, task_id, f"others were faster to take or replace it {_TRIES} times")

    def _replacement(self, wanted: Wanted, claimant: Claimant) -> Message:
        """Return the message that takes the place of the present one: under its id, so that all its handles go on."""
        message, rule = wanted.message, wanted.rule
        if rule.max_wait_s is not None and message.due_at_s is not None:
            message = replace(message, due_at_s=min(message.due_at_s, claimant.since_s + rule.max_wait_s))
        claim = message.claim
        assert claim is not None
        if rule.window_s is not None:  # it counts from the first of them
            claim = replace(claim, expires_at_s=claimant.since_s + rule.window_s)
        return replace(message, id=claimant.task_id, claim=claim)

    # -- where broker and backend are two ------------------------------------------------------------------

    async def _look(self, link: Link, claimant: Claimant) -> tuple[bool, bool]:
        """Return whether the task that has a key is waiting, and whether it is over."""
        if claimant.is_parked:
            return False, False
        can = link.broker.capabilities
        place = (await link.broker.locate([claimant.task_id]))[0] if can.locates else None
        if place is None and not (can.locates and can.finds_all):
            # only what is kept of its end can tell that its claim was not released
            (record,) = await link.backend.read([claimant.task_id])
            is_over = claimant.until is Until.END and record is not None and record.is_terminal
            return can.cancels and not can.locates, is_over
        if place not in (None, Place.DEAD, Place.HELD):
            return True, False
        if claimant.until is Until.WINDOW or (place is Place.HELD and claimant.until is Until.END):
            return False, False
        is_new = not claimant.is_published and self._clock() - claimant.taken_at_s < self._publishing_s
        return False, not is_new  # if it has been parked meanwhile, it cannot be taken over

    async def _replace(self, link: Link, message: Message) -> bool:
        if _is_joint(link):
            return await link.backend.claims.replace(message, link.broker)
        journal, name = link.backend.journal, f"faena.replace/{message.id}"
        if not (await journal.park([Parked(message, name, time.time() + _REPLACES_IN_S)]))[0]:
            raise DuplicateCall(message.task, message.id, "has been revoked")
        home = home_of(link.broker, message.queue)
        was_waiting = home.capabilities.cancels and bool(await link.broker.cancel([message.id]))
        if was_waiting:
            await link.broker.publish([message])
        await journal.unpark([message.id])
        return was_waiting


def _with_other_keys(wanted: Wanted) -> Iterator[Message]:
    """Return the message with each other key by which a call may run, where several may."""
    claim = wanted.message.claim
    assert claim is not None
    for number in range(1, wanted.rule.count):
        yield replace(wanted.message, claim=replace(claim, key=f"{claim.key}/{number}"))


def _check_able(link: Link, wanted: Sequence[Wanted]) -> None:
    if _is_joint(link):
        return
    for each in wanted:
        can = home_of(link.broker, each.message.queue).capabilities
        if each.rule.on_conflict is OnConflict.REPLACE and not can.cancels:
            what = "debounce=" if each.rule.wait_s is not None else 'on_conflict="replace"'
            raise NotSupported(
                f"{what} of task '{each.message.task}'", "this broker", "no waiting message can be taken out of it"
            )


def _duplicate(message: Message, rule: Rule, claimant: Claimant) -> Sent:
    if rule.on_conflict is OnConflict.ERROR:
        raise DuplicateCall(message.task, claimant.task_id, "it was called before")
    return Sent(claimant.task_id, is_duplicate=True)


def _is_joint(link: Link) -> bool:
    return link.backend.joint(link.broker, "") is not None
