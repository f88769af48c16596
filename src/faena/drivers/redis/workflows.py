"""The workflow part of a Redis backend: each step is one script."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from secrets import token_hex
from typing import Any

from faena._lib.deadline import deadline
from faena.backend import NewWorkflow
from faena.drivers.redis.driver import Driver
from faena.drivers.redis.messages import Words, decode, encode
from faena.drivers.redis.nodes import (
    STATES,
    VIRTUAL,
    Beginning,
    Outcome,
    ending_words,
    returned_in,
    standing_bytes,
    status_of,
    view_of,
)
from faena.drivers.redis.records import record_words
from faena.errors import WorkflowError
from faena.model.inputs import Encoded, Gathering, Input, Value
from faena.model.message import Member, Message
from faena.model.rerun import plan_rerun
from faena.model.result import ResultRecord
from faena.model.workflow import Ending, NodeStates, NodeView, WorkflowState, WorkflowStatus

AT_ONCE = 500  # events in one script: nobody else is served meanwhile
_NODES_AT_ONCE = 1000
_READ_AT_ONCE = 5000  # standings alone
_FEW = 16  # nodes: fewer are read with everything that is known of them
_TRIES = 10  # to plan a further run while the workflow goes on


class RedisWorkflows:
    """See `faena.backend.Workflows`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def start(self, new: NewWorkflow, broker: object) -> Sequence[Message]:
        if is_large(new):
            with deadline(inf):  # of each script, no more: it is on its way, however long the whole takes
                return await self._start(new, broker)
        return await self._start(new, broker)

    async def _start(self, new: NewWorkflow, broker: object) -> Sequence[Message]:
        publishes = shares_server(self._driver, broker)
        words = await beginning_words(self._driver, new)
        _, bodies, numbers = await self._run("start", int(publishes and not is_large(new)), *words)
        if not publishes:
            return await self._messages(new.workflow.id, bodies, numbers)
        if is_large(new):
            await send_ready(self._driver, new.workflow.id)
        return ()

    async def advance(
        self, records: Sequence[ResultRecord], endings: Sequence[Ending], starts: Sequence[NewWorkflow] = ()
    ) -> Sequence[Message]:
        largest_bytes = self._driver.location.largest_message_bytes
        items = [ending_words(each, largest_bytes) for each in endings]
        for new in starts:
            words = await beginning_words(self._driver, new)
            items.append(["s", len(words), *words])
        found: dict[str, dict[str, Message]] = {}
        for at in range(0, max(len(items), len(records)), AT_ONCE):
            words = []
            for record in (some := records[at : at + AT_ONCE]):
                words += (record.id, *record_words(record))
            for item in items[at : at + AT_ONCE]:
                words += item
            for workflow, bodies, numbers in await self._run("advance", len(some), *words):
                messages = await self._messages(workflow.decode(), bodies, numbers)
                found.setdefault(workflow.decode(), {}).update({each.id: each for each in messages})
        return [message for messages in found.values() for message in messages.values()]

    async def published(self, members: Sequence[Member]) -> None:
        for at in range(0, len(members), _NODES_AT_ONCE):
            words: Words = []
            for member in members[at : at + _NODES_AT_ONCE]:
                words += (member.workflow, member.node, member.run)
            await self._run("published", *words)

    async def unpublished(self, before_s: float, limit: int) -> Sequence[Message]:
        if not await self._driver.command("EXISTS", f"{self._driver.prefix}wfu"):  # nearly always, and asked all the time
            return ()
        return [decode(body) for body in await self._run("unpublished", f"{before_s * 1000:.3f}", limit)]

    async def statuses(self, ids: Sequence[str]) -> Sequence[WorkflowStatus | None]:
        found: list[WorkflowStatus | None] = []
        for at in range(0, len(ids), _NODES_AT_ONCE):
            found += map(status_of, await self._run("statuses", *ids[at : at + _NODES_AT_ONCE]))
        return found

    async def latest(self, limit: int, state: WorkflowState | None = None, offset: int = 0) -> Sequence[WorkflowStatus]:
        found: list[WorkflowStatus] = []
        for at in range(offset, offset + limit, _NODES_AT_ONCE):
            most = min(_NODES_AT_ONCE, offset + limit - at)
            ids = await self._run("latest", "" if state is None else state, at, most)
            found += [each for each in await self.statuses([name.decode() for name in ids]) if each is not None]
            if len(ids) < most:
                break
        return found

    async def nodes(self, workflow: str, numbers: Sequence[int] | None = None) -> Sequence[NodeView]:
        wanted = range(await self._size(workflow)) if numbers is None else sorted(set(numbers))
        return (await self._look({workflow: wanted}))[workflow]

    async def states(self, workflow: str) -> NodeStates | None:
        size = await self._size(workflow)
        if not size:
            return None
        standings: list[bytes] = []
        for at in range(0, size, _READ_AT_ONCE):
            numbers = range(at, min(size, at + _READ_AT_ONCE))
            standings += await self._driver.command("HMGET", f"{self._driver.prefix}ws:{workflow}", *numbers)
        return NodeStates(
            tuple([STATES[each[0]] for each in standings]),
            frozenset([number for number, each in enumerate(standings) if each[1] & VIRTUAL]),
        )

    async def inputs(self, members: Sequence[Member]) -> Sequence[Input]:
        of_workflows: dict[str, list[int]] = {}
        for member in members:
            of_workflows.setdefault(member.workflow, []).append(member.node)
        gathered = {workflow: Gathering(inputs=nodes) for workflow, nodes in of_workflows.items()}
        await self._gather(gathered)
        return [gathered[member.workflow].input_of(member.node, member.run) for member in members]

    async def value(self, workflow: str, node: int) -> Value:
        gathering = Gathering(values=[node])
        await self._gather({workflow: gathering})
        return gathering.value_of(node)

    async def cancel(self, workflow: str) -> Sequence[str]:
        """In a large workflow from its end: what a step lets begin meanwhile has its turn later."""
        sent: list[str] = []
        size = await self._size(workflow)
        done = size  # from here on there was nothing yet
        end = size
        while True:
            first = max(0, end - _NODES_AT_ONCE)
            found, now = await self._run("cancel", workflow, first, end - 1)
            if now < 0:
                raise _unknown(workflow)
            sent += [each.decode() for each in found]
            if now > done:  # it has grown
                end, done = now, now
            elif first == 0:
                return sent
            else:
                end = first

    async def rerun(self, workflow: str, begun_at: Sequence[int] | None, broker: object) -> Sequence[Message]:
        publishes, now_s = shares_server(self._driver, broker), time.time()
        for _ in range(_TRIES):
            turn = await self._driver.command("HGET", f"{self._driver.prefix}wf:{workflow}", "turn")
            if turn is None:
                raise _unknown(workflow)
            nodes = {view.number: view for view in await self.nodes(workflow)}
            again = plan_rerun(workflow, nodes, begun_at)
            (status,) = await self.statuses([workflow])
            if status is None:
                raise _unknown(workflow)
            in_parts = publishes and len(again) > _NODES_AT_ONCE  # then it is published after
            words: Words = [workflow, turn, int(publishes and not in_parts), int(status.workflow.output in again)]
            for number, standing in again.items():
                view = nodes[number]
                body = standing_bytes(standing, is_virtual=view.links.is_virtual, now_s=now_s)
                words += (number, body, view.id, encode(Outcome(content=view.content)))
            done, bodies, numbers = await self._run("anew", *words)
            if done and in_parts:
                await send_ready(self._driver, workflow)
            if done:
                return () if publishes else await self._messages(workflow, bodies, numbers)
        raise WorkflowError(workflow, "it goes on too fast to be run again; cancel it first")

    async def forget(self, ids: Sequence[str]) -> int:
        gone = 0
        for at in range(0, len(ids), _NODES_AT_ONCE):
            gone += await self._run("forget", *ids[at : at + _NODES_AT_ONCE])
        return gone

    # -- within --------------------------------------------------------------------------------------------

    async def _run(self, verb: str, *words: Any) -> Any:
        return await self._driver.run("workflow", verb, *words)

    async def _size(self, workflow: str) -> int:
        return int(await self._driver.command("HGET", f"{self._driver.prefix}wf:{workflow}", "size") or 0)

    async def _messages(self, workflow: str, bodies: Sequence[bytes], numbers: Sequence[bytes]) -> list[Message]:
        """Return the messages; `numbers`: of nodes that are too many for one script."""
        found = [decode(body) for body in bodies]
        in_order = sorted(map(int, numbers))
        for at in range(0, len(in_order), _NODES_AT_ONCE):
            some = in_order[at : at + _NODES_AT_ONCE]
            found += [decode(body) for body in await self._run("messages", workflow, *some)]
        return found

    async def _look(self, wanted: Mapping[str, Iterable[int]], *, follows: bool = False) -> dict[str, list[NodeView]]:
        """Return these nodes; with `follows`, those that say what they are given, too."""
        found: dict[str, list[NodeView]] = {workflow: [] for workflow in wanted}
        words: Words = []
        names: list[str] = []
        count = 0
        for workflow, all_numbers in wanted.items():
            numbers = list(all_numbers)
            for at in range(0, len(numbers), _NODES_AT_ONCE):
                some = numbers[at : at + _NODES_AT_ONCE]
                if count + len(some) > _NODES_AT_ONCE:
                    await self._look_at(names, words, found, follows=follows)
                    words, names, count = [], [], 0
                words += (workflow, len(some), *some)
                names.append(workflow)
                count += len(some)
        await self._look_at(names, words, found, follows=follows)
        return found

    async def _look_at(
        self, names: Sequence[str], words: Words, found: dict[str, list[NodeView]], *, follows: bool
    ) -> None:
        if names:
            of_each = await self._driver.run("look", int(follows), *words)
            for workflow, rows in zip(names, of_each, strict=True):
                found[workflow] += [view_of(workflow, row) for row in rows]

    async def _gather(self, gathered: Mapping[str, Gathering]) -> None:
        """Read what they want to know, for all workflows at once."""
        while missing := {workflow: numbers for workflow, each in gathered.items() if (numbers := each.missing())}:
            for workflow, numbers in missing.items():
                if len(numbers) > _FEW:
                    gathering = gathered[workflow]
                    alone = sorted([number for number in numbers if not gathering.is_asked(number)])
                    returned = await self._returned(workflow, alone)
                    gathering.add_returned(returned.items())
                    missing[workflow] = [number for number in numbers if number not in returned]
            views = await self._look(missing, follows=True)
            for workflow in missing:
                gathered[workflow].add(views[workflow])

    async def _returned(self, workflow: str, numbers: Sequence[int]) -> dict[int, Encoded]:
        """Read the values of those among many nodes that succeeded themselves."""
        found: dict[int, Encoded] = {}
        key = f"{self._driver.prefix}ws:{workflow}"
        for at in range(0, len(numbers), _READ_AT_ONCE):
            some = numbers[at : at + _READ_AT_ONCE]
            fields = [field for number in some for field in (number, f"v{number}")]
            rows = await self._driver.command("HMGET", key, *fields)
            for number, standing, outcome in zip(some, rows[::2], rows[1::2], strict=True):
                returned = returned_in(standing, outcome)
                if returned is not None:
                    found[number] = Encoded(returned.value, returned.content)
        return found


def shares_server(driver: Driver, broker: object) -> bool:
    """Whether a broker keeps its messages under the same keys."""
    other = getattr(broker, "driver", None)
    return isinstance(other, Driver) and (other.location.addresses, other.location.path, other.location.service,
        other.location.database, other.prefix) == (driver.location.addresses, driver.location.path,
        driver.location.service, driver.location.database, driver.prefix)  # fmt: skip


def is_large(new: NewWorkflow) -> bool:
    """Whether a workflow begins in more than one script."""
    return len(new.graph.nodes) > _NODES_AT_ONCE


async def beginning_words(driver: Driver, new: NewWorkflow) -> Words:
    """Return the words with which a workflow begins; a large one is built before, under names that nobody knows."""
    beginning = Beginning(new, driver.location.largest_message_bytes)
    token = token_hex(8) if is_large(new) else ""
    for at in range(0, len(beginning) if token else 0, _NODES_AT_ONCE):
        words: Words = []
        for number in range(at, min(len(beginning), at + _NODES_AT_ONCE)):
            words += (number, *beginning.node_words(number))
        await driver.run("workflow", "build", token, *words)
    words = beginning.head(token)
    for record in beginning.records():
        words += (record.id, *record_words(record))
    for number in range(0 if token else len(beginning)):
        words += beginning.node_words(number)
    return words


async def send_ready(driver: Driver, workflow: str) -> None:
    """Publish what is ready of a large workflow. Should this end half way, the scheduler finds what is left."""
    while await driver.run("workflow", "send", workflow, _NODES_AT_ONCE):
        pass


def _unknown(workflow: str) -> WorkflowError:
    return WorkflowError(workflow, "it is not known here, or it was forgotten since")
