"""Speak to workers: revoke, ask, command. Everything goes through the backend, so that it works on every broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, overload

from msgspec import to_builtins

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app import pausing
from faena.app.commands import ControlCommand
from faena.app.inspect import Answers, Inspect
from faena.app.limits import AppLimits
from faena.app.links import Link, Links
from faena.app.orders import ORDERS, end_waiting, give, order_of
from faena.backend import need_backend
from faena.config.settings import Settings
from faena.errors import FaenaError, InvalidArguments, NotSupported
from faena.model.control import Command, Order, OrderKind, Reply, Revocation, RevokeRule, TimeLimits, WorkerInfo
from faena.model.ended import revoked_failure
from faena.model.limit import Terms
from faena.model.message import Message
from faena.model.result import ResultRecord, State
from faena.model.workflow import Ending, NodeState
from faena.tasks.options import seconds


class Control:
    """What Celery calls `app.control`."""

    def __init__(self, links: Links, conf: Settings) -> None:
        self._links, self._conf = links, conf
        self.commands: dict[str, ControlCommand] = {}  # that the app declares itself, by name

    @overload
    def command(self, function: Callable[..., Any], /) -> ControlCommand: ...
    @overload
    def command(self, *, name: str = ..., everywhere: bool = ...) -> Callable[[Callable[..., Any]], ControlCommand]: ...
    def command(  # type: ignore[misc]  # the overloads say more than an implementation can
        self, function: Any = None, /, *, name: str = "", everywhere: bool = False
    ) -> Any:
        """Make a command of a function: `@app.control.command`, to be run by workers when `tell` or `faena control` asks.

        One process of each worker runs it, beside its tasks, in a thread of its own or (`async def`) in the loop;
        `everywhere`: each process does, and the answer is a list. It returns plain data.
        """
        if function is None:
            return lambda later: self._declare(later, name, everywhere)
        return self._declare(function, name, everywhere)

    def _declare(self, function: Callable[..., Any], name: str, everywhere: bool) -> ControlCommand:
        command = ControlCommand(function, name, everywhere)
        self.commands[command.name] = command
        return command

    def revoke(self, task_id: str | Sequence[str], terminate: bool = False, signal: str = "") -> None:
        """Never begin these tasks, anywhere, also where a worker starts later; `terminate` stops those that run.

        A waiting task ends as REVOKED at once. `signal` names what to kill the process of a running one with; without it
        the task is asked first (`Terminated` is raised in it) and its process is killed when it does not end.
        """
        ids = [task_id] if isinstance(task_id, str) else list(task_id)
        run(self._revoke(self._links.blocking(), ids, terminate, signal))

    async def arevoke(self, task_id: str | Sequence[str], terminate: bool = False, signal: str = "") -> None:
        """Do as `revoke`, without blocking the event loop."""
        ids = [task_id] if isinstance(task_id, str) else list(task_id)
        await self._revoke(await self._links.asyncio(), ids, terminate, signal)

    def terminate(self, task_id: str | Sequence[str], signal: str = "SIGKILL") -> None:
        """Revoke, and kill the process that runs the task."""
        self.revoke(task_id, terminate=True, signal=signal)

    def revoke_by(
        self,
        *,
        task: str = "",
        queue: str = "",
        headers: Mapping[str, Any] | None = None,
        sent_before: datetime | None = None,
        terminate: bool = False,
        signal: str = "",
        expires: float | timedelta | None = None,
    ) -> int:
        """Never begin the tasks that this is about, anywhere, also where a worker starts later; return how many waited.

        What is given has to fit together: names may hold *, ? and [...]; a header is equal, or one of a list. Those that
        wait end as REVOKED at once (of each queue the first 100,000; the others, and those sent later, when their turn
        comes).
        It stands for `expires`, or as long as a revoked task is remembered (`worker_revokes_expire`); see `withdraw`.
        Raises InvalidArguments: it is about everything.
        """
        rule = _rule(task, queue, headers, sent_before, terminate, signal)
        return run(self._revoke_by(self._links.blocking(), rule, seconds(expires)))

    async def arevoke_by(
        self,
        *,
        task: str = "",
        queue: str = "",
        headers: Mapping[str, Any] | None = None,
        sent_before: datetime | None = None,
        terminate: bool = False,
        signal: str = "",
        expires: float | timedelta | None = None,
    ) -> int:
        """Do as `revoke_by`, without blocking the event loop."""
        rule = _rule(task, queue, headers, sent_before, terminate, signal)
        return await self._revoke_by(await self._links.asyncio(), rule, seconds(expires))

    def revoke_by_header(self, headers: Mapping[str, Any], terminate: bool = False, signal: str = "") -> int:
        """Revoke every task that was, or will be, sent with these headers; see `revoke_by`."""
        return self.revoke_by(headers=headers, terminate=terminate, signal=signal)

    revoke_by_stamped_headers = revoke_by_header

    def time_limit(
        self, task: str, soft: float | timedelta | None = None, hard: float | timedelta | None = None
    ) -> Answers:
        """Change the time limits of a task's runs that begin from now on, in every worker, also one that starts later.

        0: no limit. None: as it was declared; both None: as if nothing had been said. What a call itself says goes first.
        """
        limits = TimeLimits(_limit(task, soft), _limit(task, hard))
        return run(self._time_limit(self._links.blocking(), task, limits))

    def orders(self) -> Sequence[Order]:
        """Return what was ordered of all workers and stands: rules of revocation, time limits."""
        backend = self._links.blocking().backend
        need_backend(backend, ORDERS)
        return run(backend.orders.standing())

    def withdraw(self, name: str) -> int:
        """Let a rule of revocation stand no more, named as `orders` names it; return how many went."""
        return run(self._withdraw(self._links.blocking(), OrderKind.REVOKE, name))

    def pause_queue(self, *queues: str) -> None:
        """Hand out nothing more of these queues, to any worker, until they are resumed; sending goes on.

        Raises NotSupported: the broker cannot do that, and there is no backend to keep it in mind.
        """
        run(pausing.pause(self._links.blocking(), queues))

    async def apause_queue(self, *queues: str) -> None:
        """Do as `pause_queue`, without blocking the event loop."""
        await pausing.pause(await self._links.asyncio(), queues)

    def resume_queue(self, *queues: str) -> None:
        """Hand out messages of these queues again."""
        run(pausing.resume(self._links.blocking(), queues))

    async def aresume_queue(self, *queues: str) -> None:
        """Do as `resume_queue`, without blocking the event loop."""
        await pausing.resume(await self._links.asyncio(), queues)

    def workers(self) -> Sequence[WorkerInfo]:
        """Return the workers that are there now."""
        return run(self._workers(self._links.blocking()))

    async def aworkers(self) -> Sequence[WorkerInfo]:
        return await self._workers(await self._links.asyncio())

    def ping(self, destination: Sequence[str] = (), timeout: float = 1.0) -> dict[str, Any]:
        """Return the answer of each worker; None stands for one that did not answer in time."""
        return self.ask("ping", destination=destination, timeout=timeout)

    def inspect(self, destination: str | Sequence[str] | None = None, timeout: float = 1.0) -> Inspect:
        """Return what asks workers: `app.control.inspect().active()`."""
        return Inspect(self.tell, self._links, _names(destination), timeout)

    def rate_limit(self, task_name: str, rate_limit: str | float | None, destination: Any = None) -> Terms:
        """Let another rate be in force for a task, for all workers: "10/s", "100/m"; None or 0: none. See `app.limits`.

        Raises NotSupported: for one worker alone (`destination`) there is no rate.
        """
        if destination:
            raise NotSupported("a rate of one worker", "a limit over all workers", "leave `destination` out")
        return AppLimits(self._links).set(task_name, rate=rate_limit)

    # -- telling workers; each verb gives their answers, {"ok": ...} or {"error": ...} ------------------------

    def shutdown(
        self, destination: str | Sequence[str] | None = None, *, reply: bool = True, timeout: float = 1.0
    ) -> Answers:
        """Ask workers to stop gracefully."""
        return self.tell("shutdown", destination=destination, reply=reply, timeout=timeout)

    def restart(
        self, destination: str | Sequence[str] | None = None, *, reply: bool = True, timeout: float = 1.0
    ) -> Answers:
        """Replace every process, each when its work is done; new code is loaded."""
        return self.tell("restart", destination=destination, reply=reply, timeout=timeout)

    pool_restart = restart

    def pool_grow(
        self, n: int = 1, destination: str | Sequence[str] | None = None, *, reply: bool = True, timeout: float = 1.0
    ) -> Answers:
        """Let workers have so many more processes."""
        return self.tell("pool_grow", {"n": n}, destination=destination, reply=reply, timeout=timeout)

    def pool_shrink(
        self, n: int = 1, destination: str | Sequence[str] | None = None, *, reply: bool = True, timeout: float = 1.0
    ) -> Answers:
        """Let workers have so many fewer processes, one at least; those taken away finish what they run."""
        return self.tell("pool_shrink", {"n": n}, destination=destination, reply=reply, timeout=timeout)

    def autoscale(
        self,
        max: int | None = None,  # noqa: A002 - Celery's names
        min: int | None = None,  # noqa: A002
        destination: str | Sequence[str] | None = None,
        *,
        reply: bool = True,
        timeout: float = 1.0,
    ) -> Answers:
        """Let workers scale between these numbers of processes; a `max` of 0: no more."""
        return self.tell("autoscale", {"max": max, "min": min}, destination=destination, reply=reply, timeout=timeout)

    def enable_events(
        self, destination: str | Sequence[str] | None = None, *, reply: bool = True, timeout: float = 1.0
    ) -> Answers:
        """Let workers tell events to those who listen (`app.events`), for as long as they run."""
        return self.tell("enable_events", destination=destination, reply=reply, timeout=timeout)

    def disable_events(
        self, destination: str | Sequence[str] | None = None, *, reply: bool = True, timeout: float = 1.0
    ) -> Answers:
        """Let workers tell no events any more."""
        return self.tell("disable_events", destination=destination, reply=reply, timeout=timeout)

    def add_consumer(
        self, queue: str, destination: str | Sequence[str] | None = None, *, reply: bool = True, timeout: float = 1.0
    ) -> Answers:
        """Let workers take from this queue, too, for as long as they run."""
        return self.tell("add_consumer", {"queue": queue}, destination=destination, reply=reply, timeout=timeout)

    def cancel_consumer(
        self, queue: str, destination: str | Sequence[str] | None = None, *, reply: bool = True, timeout: float = 1.0
    ) -> Answers:
        """Let workers take nothing more from this queue; what they run goes on, what has not begun goes back."""
        return self.tell("cancel_consumer", {"queue": queue}, destination=destination, reply=reply, timeout=timeout)

    def broadcast(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        destination: str | Sequence[str] | None = None,
        reply: bool = False,
        timeout: float = 1.0,
    ) -> list[dict[str, Any]] | None:
        """Send a command; with `reply` return the answers as Celery does, a list of {worker: answer}."""
        answers = self.tell(command, arguments, destination=destination, reply=reply, timeout=timeout)
        return [{worker: answer} for worker, answer in answers.items()] if reply else None

    def tell(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        destination: str | Sequence[str] | None = None,
        reply: bool = True,
        timeout: float = 1.0,
    ) -> Answers:
        """Send a command, and return the answers by worker; `missing` of them names those that gave none in time.

        A worker that refuses answers {"error": ...}. Without `reply` nothing is waited for.
        Raises FaenaError: a named worker is not there.
        """
        return run(self._tell(self._links.blocking(), name, arguments or {}, _names(destination), timeout, reply))

    async def atell(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        destination: str | Sequence[str] | None = None,
        reply: bool = True,
        timeout: float = 1.0,
    ) -> Answers:
        """Do as `tell`, without blocking the event loop."""
        return await self._tell(await self._links.asyncio(), name, arguments or {}, _names(destination), timeout, reply)

    def ask(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        destination: Sequence[str] = (),
        timeout: float = 1.0,
    ) -> dict[str, Any]:
        """Send a command and return the answers by worker; None stands for one that did not answer in time.

        Raises FaenaError: a named worker is not there, or answered with an error.
        """
        return run(self._ask(self._links.blocking(), name, arguments or {}, tuple(destination), timeout))

    async def aask(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        destination: Sequence[str] = (),
        timeout: float = 1.0,
    ) -> dict[str, Any]:
        """Do as `ask`, without blocking the event loop."""
        return await self._ask(await self._links.asyncio(), name, arguments or {}, tuple(destination), timeout)

    async def revoke_through(self, link: Link, ids: Sequence[str], *, terminate: bool) -> None:
        """Do as `revoke`, through a connection that the caller has."""
        await self._revoke(link, list(ids), terminate, "")

    async def take_back(self, link: Link, sent: Sequence[str], terminate: bool) -> None:
        """Take the messages of a workflow that was cancelled out of their queues; `terminate` stops what runs of it.

        What a worker has taken already, it drops: the node does not want it any more.
        """
        if sent:
            await link.backend.journal.unpark(sent)
            if link.broker.capabilities.cancels:
                await link.broker.cancel(sent)
        if terminate and sent:
            arguments = {"ids": list(sent), "terminate": True, "signal": "", "remember": False}
            await link.backend.mailbox.send(_command("revoke", arguments, (), 60.0))

    async def unrevoke(self, link: Link, ids: Sequence[str]) -> None:
        """Let tasks run again that were revoked."""
        if ids and await link.backend.revocations.remove(ids):
            await link.backend.mailbox.send(_command("unrevoke", {"ids": list(ids)}, (), 60.0))

    async def tell_through(self, link: Link, name: str, arguments: dict[str, Any], timeout_s: float) -> Answers:
        """Do as `tell`, through an open link."""
        return await self._tell(link, name, arguments, (), timeout_s, reply=True)

    # -- internals -----------------------------------------------------------------------------------------

    async def _workers(self, link: Link) -> Sequence[WorkerInfo]:
        need_backend(link.backend, "remote control")
        return await link.backend.mailbox.workers()

    async def _ask(
        self, link: Link, name: str, arguments: dict[str, Any], to: tuple[str, ...], timeout_s: float
    ) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for worker, reply in (await self._converse(link, name, arguments, to, timeout_s)).items():
            if reply is not None and reply.error is not None:
                raise FaenaError(f"worker {worker} refused '{name}': {reply.error}")
            answers[worker] = None if reply is None else reply.value
        return answers

    async def _tell(
        self, link: Link, name: str, arguments: dict[str, Any], to: tuple[str, ...], timeout_s: float, reply: bool
    ) -> Answers:
        replies = await self._converse(link, name, arguments, to, timeout_s, waits=reply)
        answers = Answers()
        for worker, each in replies.items():
            if each is not None:
                answers[worker] = each.value if each.error is None else {"error": each.error}
        answers.missing = tuple(worker for worker, each in replies.items() if each is None) if reply else ()
        return answers

    async def _converse(
        self, link: Link, name: str, arguments: dict[str, Any], to: tuple[str, ...], timeout_s: float, waits: bool = True
    ) -> dict[str, Reply | None]:
        """Send a command; return the reply of each worker that it was for, None for one that gave none in time."""
        present = [info.name for info in await self._workers(link)]
        missing = [worker for worker in to if worker not in present]
        if missing:
            raise FaenaError(f"no worker named {', '.join(missing)} is there; present: {', '.join(present) or 'none'}")
        expected = to or tuple(present)
        found: dict[str, Reply | None] = dict.fromkeys(expected)
        if not expected:
            return found
        command = _command(name, arguments, to, timeout_s)
        await link.backend.mailbox.send(command)
        if waits:
            for reply in await link.backend.mailbox.replies(command.id, len(expected), timeout_s):
                found[reply.worker] = reply
        return found

    async def _revoke(self, link: Link, ids: list[str], terminate: bool, signal: str) -> None:
        now_s = time.time()
        until_s = now_s + self._conf.worker_revokes_expire
        await link.backend.revocations.add([Revocation(task_id, terminate, signal, now_s, until_s) for task_id in ids])
        await self._end_revoked(link, await link.backend.journal.unpark(ids), now_s)
        if link.broker.capabilities.cancels:
            await self._end_revoked(link, await link.broker.cancel(ids), now_s)
        arguments = {"ids": ids, "terminate": terminate, "signal": signal}
        await link.backend.mailbox.send(_command("revoke", arguments, (), 60.0))

    async def _revoke_by(self, link: Link, rule: RevokeRule, keep_s: float | None) -> int:
        now_s = time.time()
        order = order_of(rule, now_s, now_s + (keep_s or self._conf.worker_revokes_expire))
        await give(link, order)
        await self._order(link, order)

        async def end(cancelled: Sequence[Message]) -> None:
            await self._end_revoked(link, cancelled, now_s)

        return await end_waiting(link, rule, end)

    async def _time_limit(self, link: Link, task: str, limits: TimeLimits) -> Answers:
        if limits == TimeLimits():
            await self._withdraw(link, OrderKind.TIME_LIMIT, task)
            return Answers()
        order = Order(OrderKind.TIME_LIMIT, task, to_builtins(limits), time.time())
        await give(link, order)
        return await self._order(link, order)

    async def _order(self, link: Link, order: Order) -> Answers:
        return await self._tell(link, "order", {"order": to_builtins(order)}, (), 1.0, reply=True)

    async def _withdraw(self, link: Link, kind: str, name: str) -> int:
        count = await link.backend.orders.withdraw(kind, [name])
        await self._tell(link, "withdraw", {"kind": kind, "names": [name]}, (), 1.0, reply=True)
        return count

    async def _end_revoked(self, link: Link, cancelled: Sequence[Message], now_s: float) -> None:
        """Record the end of tasks that were taken out of their queue, and tell the workflows that they belong to."""
        records = [self._revoked(message, now_s) for message in cancelled]
        if claimed := [message for message in cancelled if message.claim is not None]:
            await link.backend.claims.release(claimed)
        endings = [
            Ending(message.member.workflow, message.member.node, message.member.run, NodeState.REVOKED,
                   failure=record.failure, finished_at_s=now_s)
            for message, record in zip(cancelled, records, strict=True) if message.member is not None
        ]  # fmt: skip
        if endings:
            from faena.engine.completion import carry_on  # 30 ms that only who revokes in workflows pays

            await carry_on(link.broker, link.backend, await link.backend.workflows.advance(records, endings))
        elif records:
            await link.backend.record(records)

    def _revoked(self, message: Message, now_s: float) -> ResultRecord:
        keep_s = self._conf.result_expires
        return ResultRecord(
            message.id,
            message.task,
            State.REVOKED,
            failure=revoked_failure(message.id),
            retries=message.retries,
            finished_at_s=now_s,
            root_id=message.root_id,
            parent_id=message.parent_id,
            queue=message.queue,
            expires_at_s=now_s + keep_s if keep_s else None,
        )


def _rule(
    task: str, queue: str, headers: Mapping[str, Any] | None, sent_before: datetime | None, terminate: bool, signal: str
) -> RevokeRule:
    if not (task or queue or headers or sent_before):
        raise InvalidArguments("revoke_by", "say what it is about: task=, queue=, headers= or sent_before=")
    before_s = None if sent_before is None else sent_before.astimezone(UTC).timestamp()
    return RevokeRule(task, queue, dict(headers or {}), before_s, terminate or bool(signal), signal)


def _limit(task: str, value: float | timedelta | None) -> float | None:
    limit_s = seconds(value)
    if limit_s is not None and limit_s < 0:
        raise InvalidArguments(task, f"a time limit is a number of seconds from 0 (none) on, not {value!r}")
    return limit_s


def _names(destination: str | Sequence[str] | None) -> tuple[str, ...]:
    return (destination,) if isinstance(destination, str) else tuple(destination or ())


def _command(name: str, arguments: dict[str, Any], to: tuple[str, ...], ttl_s: float) -> Command:
    now_s = time.time()
    return Command(new_id(), name, arguments, to, now_s, now_s + max(ttl_s, 1.0))
