"""Many calls that are sent together: their messages and handles, with what is the same for all looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from faena._lib.ids import new_ids
from faena.model.message import Message
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.context import Request, current_request
from faena.tasks.result import AsyncResult

if TYPE_CHECKING:
    from faena.app.app import Faena


def messages_of(app: Faena, calls: Iterable[Call]) -> tuple[Sequence[Call], list[Message]]:
    """Return the calls with the options that their tasks have, and their messages. Raises InvalidArguments, EncodeError."""
    calls = tuple(calls)
    tasks = {name: app.tasks.get(name) for name in {call.task for call in calls}}
    defaults: dict[str, Any] = {name: task._defaults for name, task in tasks.items() if task is not None and task._defaults}
    whole = [
        Call(call.task, call.args, call.kwargs, defaults[call.task]) if not call.options and call.task in defaults else call
        for call in calls
    ]
    for call in whole:
        if call.options:
            app.check_errbacks(call)
    request = current_request.get()
    homes = app.links.homes
    messages = _built(whole, app.sender, app.clock(), request)
    if homes is not None:
        from faena.app.homes import refuse_unlimited

        for message in messages:
            if message.lane is not None:
                refuse_unlimited(app.links, homes, message)
    if request is not None:
        request.children += [message.id for message in messages]
    return whole, messages


def _built(calls: Sequence[Call], sender: Sender, now_s: float, parent: Request | None) -> list[Message]:
    """Do what `build_message` does for each; where nothing is said of a call, with what is left of that."""
    ids = new_ids(len(calls))
    is_plain = sender.route is None and sender.flow is None and sender.declared is None
    encode, content, queue, priority = (
        sender.encoder.encode,
        sender.serializer,
        sender.default_queue,
        sender.default_priority,
    )
    parent_id, root_id = (None, None) if parent is None or parent.message is None else (parent.id, parent.root_id)
    origin = sender.origin
    return [
        Message(
            new_id, call.task, queue, encode(content, [call.args, call.kwargs]), content, priority, now_s,
            root_id=root_id, parent_id=parent_id, origin=origin,
        )
        if is_plain and not call.options
        else build_message(call, sender, now_s=now_s, new_id=new_id, parent=parent)
        for call, new_id in zip(calls, ids, strict=True)
    ]  # fmt: skip


def handles_of(app: Faena, messages: Sequence[Message]) -> list[AsyncResult[Any]]:
    """Return what `handle_of` returns for each."""
    results = app.results
    ignored = {name: app.ignores(name) for name in {message.task for message in messages}}
    return [
        AsyncResult(
            each.id, results, task_name=each.task,
            ignored=ignored[each.task] if each.ignore_result is None else each.ignore_result,
        )
        for each in messages
    ]  # fmt: skip
