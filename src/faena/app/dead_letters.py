"""Dead letters of an app: look at them, change them, put them back, throw them away; singly, or all that fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from msgspec import Struct
from msgspec.structs import replace

from faena._lib.drive import run
from faena.app.links import Link
from faena.app.publishing import apublish, publish
from faena.broker import DeadLetters
from faena.errors import FaenaError, InvalidArguments, NotSupported, WorkflowError
from faena.model.dead import Group, Sorted, Wanted, grouped, sort
from faena.model.delivery import DeadLetter, DeadReason
from faena.model.message import HIGHEST_PRIORITY, LOWEST_PRIORITY, Message
from faena.model.workflow import NodeView
from faena.tasks.options import seconds

if TYPE_CHECKING:
    from faena.app.app import Faena

_PAGE = 500


class Which(TypedDict, total=False):
    """Which letters are meant: those that all of this is true of."""

    ids: Iterable[str] | None
    queue: str | None
    task: str | None  # a name, or a glob such as "mail.*"
    reason: DeadReason | str | None
    fingerprint: str | None  # or how it begins
    older_than: float | timedelta | None  # buried so long ago, at least


class Edit(Struct, frozen=True):
    """What is to be changed in a letter; None: nothing."""

    args: Sequence[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    queue: str | None = None
    priority: int | None = None


class Requeued(Struct, frozen=True):
    """What became of the letters that were to be put back."""

    count: int  # that run again
    workflows: Mapping[str, Sequence[str]] = {}  # run again from these tasks on, by workflow
    stale: Sequence[str] = ()  # their workflow has run them again since: thrown away
    lost: Sequence[tuple[str, str]] = ()  # id and workflow: it was forgotten, so they cannot run
    refused: Sequence[WorkflowError] = ()  # workflows that cannot run again now


class AppDeadLetters:
    """What `app.dead_letters` is. Each verb has an `a...` for event loops."""

    def __init__(self, app: Faena) -> None:
        self._app = app

    def list(self, limit: int = 50, offset: int = 0, **which: Unpack[Which]) -> Sequence[DeadLetter]:
        """Return letters, the latest first."""
        return run(self._list(self._app.links.blocking(), self._wanted(which), limit, offset))

    async def alist(self, limit: int = 50, offset: int = 0, **which: Unpack[Which]) -> Sequence[DeadLetter]:
        return await self._list(await self._app.links.asyncio(), self._wanted(which), limit, offset)

    def find(self, task_id: str) -> DeadLetter | None:
        return run(_letters(self._app.links.blocking()).find(task_id))

    async def afind(self, task_id: str) -> DeadLetter | None:
        return await _letters(await self._app.links.asyncio()).find(task_id)

    def groups(self, **which: Unpack[Which]) -> Sequence[Group]:
        """Return what the letters have died of, the most frequent first."""
        return grouped(run(self._all(self._app.links.blocking(), self._wanted(which))))

    async def agroups(self, **which: Unpack[Which]) -> Sequence[Group]:
        return grouped(await self._all(await self._app.links.asyncio(), self._wanted(which)))

    def edit(
        self,
        task_id: str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> DeadLetter:
        """Change what a letter will do when it is put back; return it. Raises FaenaError: there is no such letter."""
        return run(self._edit(self._app.links.blocking(), task_id, Edit(args, kwargs, queue, priority)))

    async def aedit(
        self,
        task_id: str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> DeadLetter:
        return await self._edit(await self._app.links.asyncio(), task_id, Edit(args, kwargs, queue, priority))

    def requeue(self, **which: Unpack[Which]) -> Requeued:
        """Put letters back into their queues with fresh counters, and forget the failures that were recorded of them.

        A task that belongs to a workflow is not run by itself: its workflow runs again from there.
        """
        app, link = self._app, self._app.links.blocking()
        found = run(self._sorted(link, self._wanted(which)))
        refused: list[WorkflowError] = []
        for workflow, nodes in found.again.items():
            try:
                ready = run(app.workflows.begin_again(link, workflow, sorted(nodes)))
            except WorkflowError as error:
                refused.append(error)
                continue
            if ready:
                publish(app.links, app.conf, ready, {})
                run(link.backend.workflows.published(_members(ready)))
        return run(self._requeue_plain(link, found, refused))

    async def arequeue(self, **which: Unpack[Which]) -> Requeued:
        app, link = self._app, await self._app.links.asyncio()
        found = await self._sorted(link, self._wanted(which))
        refused: list[WorkflowError] = []
        for workflow, nodes in found.again.items():
            try:
                ready = await app.workflows.begin_again(link, workflow, sorted(nodes))
            except WorkflowError as error:
                refused.append(error)
                continue
            if ready:
                await apublish(app.links, app.conf, ready, {})
                await link.backend.workflows.published(_members(ready))
        return await self._requeue_plain(link, found, refused)

    def purge(self, **which: Unpack[Which]) -> int:
        """Throw letters away for good; return how many went."""
        return run(self._purge(self._app.links.blocking(), self._wanted(which)))

    async def apurge(self, **which: Unpack[Which]) -> int:
        return await self._purge(await self._app.links.asyncio(), self._wanted(which))

    # -- internals -----------------------------------------------------------------------------------------

    def _wanted(self, which: Which) -> Wanted:
        given, reason = which.get("ids"), which.get("reason")
        older_s = seconds(which.get("older_than"))
        try:
            wanted_reason = None if reason is None else DeadReason(reason)
        except ValueError:
            known = ", ".join(DeadReason)
            raise InvalidArguments("dead_letters", f"there is no reason '{reason}'; there are: {known}") from None
        return Wanted(
            None if given is None else frozenset([given] if isinstance(given, str) else given),
            which.get("queue"),
            which.get("task"),
            wanted_reason,
            which.get("fingerprint"),
            None if older_s is None else self._app.clock() - older_s,
        )

    async def _list(self, link: Link, wanted: Wanted, limit: int, offset: int) -> Sequence[DeadLetter]:
        if wanted == Wanted(queue=wanted.queue):
            return await _letters(link).list(wanted.queue, limit, offset)
        return (await self._all(link, wanted))[offset : offset + limit]

    async def _all(self, link: Link, wanted: Wanted) -> Sequence[DeadLetter]:
        letters = _letters(link)
        if wanted.ids is not None:
            found = [letter for task_id in sorted(wanted.ids) if (letter := await letters.find(task_id)) is not None]
            return [letter for letter in found if wanted.fits(letter)]
        fitting: list[DeadLetter] = []
        offset = 0
        while page := await letters.list(wanted.queue, _PAGE, offset):
            fitting += [letter for letter in page if wanted.fits(letter)]
            offset += len(page)
        return fitting

    async def _edit(self, link: Link, task_id: str, edit: Edit) -> DeadLetter:
        letters = _letters(link)
        letter = await letters.find(task_id)
        if letter is None:
            raise FaenaError(f"no dead letter of task {task_id}; list them with: faena dead list")
        if letter.message is None:
            raise FaenaError(f"the dead letter of task {task_id} is no message: there is nothing that could be changed")
        if not await letters.replace(task_id, self._edited(letter.message, edit)):
            raise FaenaError(f"the dead letter of task {task_id} was put back or thrown away meanwhile")
        changed = await letters.find(task_id)
        return changed if changed is not None else letter

    def _edited(self, message: Message, edit: Edit) -> Message:
        if edit.priority is not None and not LOWEST_PRIORITY <= edit.priority <= HIGHEST_PRIORITY:
            raise InvalidArguments(message.task, f"a priority is a number from 0 to 9, not {edit.priority}")
        body = message.body
        if edit.args is not None or edit.kwargs is not None:
            args, kwargs = self._app.codecs.decode(message.content, body)
            args = list(edit.args) if edit.args is not None else args
            kwargs = dict(edit.kwargs) if edit.kwargs is not None else kwargs
            task = self._app.tasks.get(message.task)
            if task is not None:
                task.arguments.check(args, kwargs)
            body = self._app.codecs.encode(message.content, [args, kwargs])
        return replace(
            message,
            body=body,
            queue=edit.queue or message.queue,
            priority=message.priority if edit.priority is None else edit.priority,
        )

    async def _sorted(self, link: Link, wanted: Wanted) -> Sorted:
        letters = await self._all(link, wanted)
        of_workflows: dict[str, set[int]] = {}
        for letter in letters:
            if letter.message is not None and letter.message.member is not None:
                of_workflows.setdefault(letter.message.member.workflow, set()).add(letter.message.member.node)
        nodes: dict[tuple[str, int], NodeView] = {}
        for workflow, numbers in of_workflows.items():
            for node in await link.backend.workflows.nodes(workflow, sorted(numbers)):
                nodes[workflow, node.number] = node
        return sort(letters, nodes)

    async def _requeue_plain(self, link: Link, found: Sorted, refused: Sequence[WorkflowError]) -> Requeued:
        letters = _letters(link)
        if found.stale:
            await letters.purge(None, found.stale)
        count = 0
        if found.plain:
            # the first end that is recorded stands, and that would be that of the failure
            await link.backend.forget(found.plain)
            count = await letters.requeue(None, found.plain)
        stopped = {error.workflow for error in refused}
        again = {
            workflow: [nodes[number] for number in sorted(nodes)]
            for workflow, nodes in found.again.items()
            if workflow not in stopped
        }
        count += sum(len(ids) for ids in again.values())
        return Requeued(count, again, tuple(found.stale), tuple(found.lost), tuple(refused))

    async def _purge(self, link: Link, wanted: Wanted) -> int:
        letters = _letters(link)
        if wanted == Wanted(ids=wanted.ids, queue=wanted.queue, before_s=wanted.before_s):
            ids = None if wanted.ids is None else sorted(wanted.ids)
            return await letters.purge(wanted.queue, ids, wanted.before_s)
        ids = [letter.message.id for letter in await self._all(link, wanted) if letter.message is not None]
        return await letters.purge(None, ids) if ids else 0


def _letters(link: Link) -> DeadLetters:
    if not link.broker.capabilities.dead_letters:
        raise NotSupported("dead letters", "this broker", "it keeps none")
    return link.broker.dead_letters


def _members(messages: Sequence[Message]) -> Sequence[Any]:
    return [message.member for message in messages if message.member is not None]
