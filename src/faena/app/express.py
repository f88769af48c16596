"""Calls of a task one by one, by the shortest way: what is the same for all of them is worked out with the first.

    delay ─▶ arguments as JSON ─▶ an id ─▶ courier of the broker ─▶ handle

It does what `Faena.send_call` does, which has its say with everything that is unusual: routes, limits, queues that are
declared with options, unique tasks, blocks that collect, calls within a task, the first call of a thread. And it is
`publish` that tries again, and says why not, where the courier does not know that the broker has taken the message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.app.publishing import publish, timeout_s
from faena.broker import Courier, courier_of
from faena.model.message import Message
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.context import current_request
from faena.tasks.options import SendOptions
from faena.tasks.result import AsyncResult

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.tasks.task import Task


class Way:
    """How one thread sends the calls of one task, while the settings are the same. Without a courier: the long way."""

    __slots__ = ("courier", "encode", "like", "sender")

    def __init__(self, sender: Sender, like: Message, courier: Courier | None, encode: Callable[[Any, Any], bytes]) -> None:
        self.sender, self.like, self.courier, self.encode = sender, like, courier, encode


class Express:
    """The short way of one app."""

    def __init__(self, app: Faena) -> None:
        self._app, self._conf, self._links = app, app.conf, app.links

    def send(self, task: Task[..., Any], args: Any, kwargs: Mapping[str, Any]) -> AsyncResult[Any]:
        """Send a call that says nothing but its arguments, which have been checked."""
        app, conf = self._app, self._conf
        ways = self._links.local.ways
        way = ways.get(task)
        if way is None or way.sender is not app._sender or conf.revision != app._sender_revision:
            way = self._way_of(task)
        if way is None or way.courier is None or app.buffers is not None or current_request.get() is not None:
            return app.send_call(Call(task.name, args, kwargs, cast("SendOptions", task._defaults)))
        began_s = time.monotonic()
        task_id, now_s, body = new_id(), app.clock(), way.encode(args, kwargs)
        if not way.courier.carry(task_id, body, now_s):
            ways.pop(task, None)  # a forked process makes its own; others are made anew soon enough
            publish(self._links, conf, [replace(way.like, id=task_id, body=body, sent_at_s=now_s)], {}, began_s)
        ignored = way.like.ignore_result
        if ignored is None and (ignored := task.ignore_result) is None:
            ignored = conf.task_ignore_result
        return AsyncResult(task_id, app.results, task_name=task.name, ignored=ignored)

    def _way_of(self, task: Task[..., Any]) -> Way | None:
        """Work out the way of a task; None: there is none yet, for this thread has no connection."""
        app, local = self._app, self._links.local
        if local.held is None or local.held.link.pid != os.getpid():
            return None
        sender, options = app.sender, cast("SendOptions", task._defaults)
        like = build_message(Call(task.name, (), {}, options), sender, now_s=0.0, new_id=new_id(), parent=None)
        depends = (sender.route, sender.declared, sender.flow, like.due_at_s, like.expires_at_s)
        courier = None
        if not app._has_rules and not app.conf.task_always_eager and depends == (None,) * len(depends):
            courier = courier_of(local.held.link.broker, like, timeout_s(app.conf, {}) or inf)
        way = local.ways[task] = Way(sender, like, courier, app.codecs.encoder_of_calls(like.content))
        return way
