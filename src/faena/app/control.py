"""Speak to workers: revoke, ask, command. Everything goes through the backend, so that it works on every broker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app.links import Link, Links
from faena.config.settings import Settings
from faena.errors import FaenaError
from faena.model.control import Command, Revocation, WorkerInfo
from faena.model.ended import revoked_failure
from faena.model.message import Message
from faena.model.result import ResultRecord, State
from faena.model.workflow import Ending, NodeState


class Control:
    """What Celery calls `app.control`."""

    def __init__(self, links: Links, conf: Settings) -> None:
        self._links, self._conf = links, conf

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

    def workers(self) -> Sequence[WorkerInfo]:
        """Return the workers that are there now."""
        return run(self._links.blocking().backend.mailbox.workers())

    async def aworkers(self) -> Sequence[WorkerInfo]:
        return await (await self._links.asyncio()).backend.mailbox.workers()

    def ping(self, destination: Sequence[str] = (), timeout: float = 1.0) -> dict[str, Any]:
        """Return the answer of each worker; None stands for one that did not answer in time."""
        return self.ask("ping", destination=destination, timeout=timeout)

    def shutdown(self, destination: Sequence[str] = ()) -> dict[str, Any]:
        """Ask workers to stop gracefully."""
        return self.ask("shutdown", destination=destination)

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

    # -- internals -----------------------------------------------------------------------------------------

    async def _ask(
        self, link: Link, name: str, arguments: dict[str, Any], to: tuple[str, ...], timeout_s: float
    ) -> dict[str, Any]:
        present = [info.name for info in await link.backend.mailbox.workers()]
        missing = [worker for worker in to if worker not in present]
        if missing:
            raise FaenaError(f"no worker named {', '.join(missing)} is there; present: {', '.join(present) or 'none'}")
        expected = to or tuple(present)
        answers: dict[str, Any] = dict.fromkeys(expected)
        if not expected:
            return answers
        command = _command(name, arguments, to, timeout_s)
        await link.backend.mailbox.send(command)
        for reply in await link.backend.mailbox.replies(command.id, len(expected), timeout_s):
            if reply.error is not None:
                raise FaenaError(f"worker {reply.worker} refused '{name}': {reply.error}")
            answers[reply.worker] = reply.value
        return answers

    async def _revoke(self, link: Link, ids: list[str], terminate: bool, signal: str) -> None:
        now_s = time.time()
        until_s = now_s + self._conf.worker_revokes_expire
        await link.backend.revocations.add([Revocation(task_id, terminate, signal, now_s, until_s) for task_id in ids])
        await self._end_revoked(link, await link.backend.journal.unpark(ids), now_s)
        if link.broker.capabilities.cancels:
            await self._end_revoked(link, await link.broker.cancel(ids), now_s)
        arguments = {"ids": ids, "terminate": terminate, "signal": signal}
        await link.backend.mailbox.send(_command("revoke", arguments, (), 60.0))

    async def _end_revoked(self, link: Link, cancelled: Sequence[Message], now_s: float) -> None:
        """Record the end of tasks that were taken out of their queue, and tell the workflows that they belong to."""
        records = [self._revoked(message, now_s) for message in cancelled]
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


def _command(name: str, arguments: dict[str, Any], to: tuple[str, ...], ttl_s: float) -> Command:
    now_s = time.time()
    return Command(new_id(), name, arguments, to, now_s, now_s + max(ttl_s, 1.0))
