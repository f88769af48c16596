"""Queues whose messages every worker runs: `Queue("reload", broadcast=True)`.

    sender ──▶ reload ──any worker──▶ a group of copies ──▶ reload/faena@a ──▶ worker faena@a
                                                        └─▶ reload/faena@b ──▶ worker faena@b

A message waits in its queue like any other. The worker that takes it lets it be replaced, in one step, by a group with one
copy for each worker that is there and takes from the queue; each copy waits in a queue of that worker's own. So everything
that holds for tasks holds for a broadcast: it can be delayed, scheduled, be a step of a workflow, is repeated after a crash
with the same ids; its result is the list of the copies' results, in the order of the workers' names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from faena.app.links import Link
from faena.backend import Completion
from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.completion import Completer
from faena.engine.outcome import Replaced
from faena.model.delivery import Delivery, Malformed
from faena.model.event import Event
from faena.model.inputs import Outdated
from faena.model.queue import broadcasts_in, copies_of
from faena.tasks.canvas import Group
from faena.tasks.signature import Signature

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.tasks.options import SendOptions
    from faena.worker.joined import Joined

log = logging.getLogger("faena.worker")


class Broadcasts:
    """The broadcast queues of one process. False where there are none."""

    def __init__(
        self,
        app: Faena,
        worker: str,
        runner: Runner,
        completer: Completer,
        refused: Callable[[Delivery], Ended | None] = lambda _: None,
    ) -> None:
        self._app, self._worker, self._runner, self._completer, self._refused = app, worker, runner, completer, refused
        self._queues = broadcasts_in(app.queues)

    def __bool__(self) -> bool:
        return bool(self._queues)

    def with_copies(self, queues: Sequence[str]) -> tuple[str, ...]:
        """Return the queues to take from: beside each broadcast queue that of our copies."""
        if not self._queues:
            return tuple(queues)
        found = [(each, copies_of(each, self._worker)) if each in self._queues else (each,) for each in queues]
        return tuple(dict.fromkeys(name for names in found for name in names))

    async def spread(
        self, batch: Sequence[Delivery | Malformed], connection: Joined, tell: Callable[[list[Event]], None]
    ) -> Sequence[Delivery | Malformed]:
        """Let copies take the place of broadcasts; return what is left to be run here."""
        if not self._queues or not (ours := [item for item in batch if self.concerns(item)]):
            return batch
        workers = await self._workers(await connection.link())
        spread = [(item, made) for item in ours if (made := self.copied(item, workers)) is not None]
        await connection.complete([completion for _, (completion, _) in spread])
        tell([event for _, (_, event) in spread])
        gone = {id(item) for item, _ in spread}
        return [item for item in batch if id(item) not in gone]

    def concerns(self, item: Delivery | Malformed) -> bool:
        return isinstance(item, Delivery) and item.message.queue in self._queues and type(item.input) is not Outdated

    def copied(
        self, item: Delivery | Malformed, workers: Sequence[tuple[str, Sequence[str]]]
    ) -> tuple[Completion, Event] | None:
        """Return by what a broadcast ends; None: it ends without a copy, as any message that is not to be run."""
        assert isinstance(item, Delivery)
        begun = self._runner.begin(item)
        if not isinstance(begun, Attempt) or self._refused(item) is not None:
            return None
        takers = {name for name, queues in workers if item.message.queue in queues} | {self._worker}
        copies = [self._copy(begun, worker) for worker in sorted(takers)]
        return self._completer.complete(begun, Replaced(Group(copies, app=self._app)))

    def _copy(self, attempt: Attempt, worker: str) -> Signature[Any]:
        message = attempt.delivery.message
        args, kwargs = attempt.args, attempt.kwargs
        if message.member is None:  # as they travelled: what became of them here need not be able to travel
            args, kwargs = self._app.codecs.decode(message.content, message.body)
        options: dict[str, Any] = {
            "queue": copies_of(message.queue, worker),
            "priority": message.priority,
            "serializer": message.content,
            "ignore_result": message.ignore_result,
            "time_limit": message.time_limit_s,
            "soft_time_limit": message.soft_time_limit_s,
            "headers": message.headers,
            "result_expires": message.result_expires_s,
        }
        if message.expires_at_s is not None:
            options["expires"] = message.expires_at_s - self._app.clock()
        given = cast("SendOptions", {name: value for name, value in options.items() if value is not None})
        return Signature(message.task, args, kwargs, given, immutable=True, dispatcher=self._app)

    async def _workers(self, link: Link) -> Sequence[tuple[str, Sequence[str]]]:
        return [(info.name, info.queues) for info in await link.backend.mailbox.workers()]
