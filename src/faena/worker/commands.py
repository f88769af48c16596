"""The worker's side of remote control: takes commands from the backend's mailbox and answers them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from faena.app.links import Link
from faena.errors import BackendError, FaenaError, StorageError, did_you_mean
from faena.model.control import Command, Reply
from faena.worker.handle import ProcessHandle, ProcessState

log = logging.getLogger("faena.worker")

_WAIT_S = 30.0
_PROCESS_ANSWERS_WITHIN_S = 0.8
_REPLIES_KEPT_S = 60.0
_LISTS = ("active", "reserved")  # of each process; put together
_SAME = ("registered", "conf")  # the same in all processes; one is asked
KNOWN = ("ping", "shutdown", "restart", "revoke", "unrevoke", "stats", "scheduled", *_LISTS, *_SAME)


class Commanded(Protocol):
    """What a command may do: the supervisor."""

    name: str
    processes: list[ProcessHandle]

    @property
    def link(self) -> Link: ...
    def stats(self) -> dict[str, Any]: ...
    def shutdown(self) -> None: ...
    def restart_processes(self) -> None: ...
    def revoke(self, ids: Sequence[str], terminate: bool, signal_name: str, remember: bool) -> None: ...
    def unrevoke(self, ids: Sequence[str]) -> None: ...


class CommandServer:
    """Serves the commands that are sent to one worker."""

    def __init__(self, worker: Commanded) -> None:
        self._worker = worker

    async def serve_forever(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    commands = await self._worker.link.backend.mailbox.receive(self._worker.name, _WAIT_S)
                except (BackendError, StorageError, OSError) as error:
                    log.warning("waiting for commands: %s", error)
                    await asyncio.sleep(1.0)
                    continue
                for command in commands:
                    group.create_task(self._serve(command))

    async def _serve(self, command: Command) -> None:
        reply = Reply(command.id, self._worker.name)
        try:
            reply = Reply(command.id, self._worker.name, await self._obey(command.name, command.arguments))
        except FaenaError as error:
            reply = Reply(command.id, self._worker.name, None, str(error))
        except Exception as error:  # a stranger's arguments; a command never stops a worker
            log.exception("command '%s' failed", command.name)
            reply = Reply(command.id, self._worker.name, None, f"{type(error).__name__}: {error}")
        try:
            await self._worker.link.backend.mailbox.reply(reply, _REPLIES_KEPT_S)
        except (BackendError, StorageError, OSError) as error:
            log.warning("answering command '%s': %s", command.name, error)

    async def _obey(self, name: str, arguments: dict[str, Any]) -> Any:
        worker = self._worker
        match name:
            case "ping":
                return {"ok": "pong"}
            case "shutdown":
                asyncio.get_running_loop().call_later(0.1, worker.shutdown)  # the answer goes out first
                return {"ok": "shutting down"}
            case "restart":
                worker.restart_processes()
                return {"ok": "restarting"}
            case "revoke":
                ids = [str(task_id) for task_id in arguments.get("ids", ())]
                remember = bool(arguments.get("remember", True))
                worker.revoke(ids, bool(arguments.get("terminate")), str(arguments.get("signal") or ""), remember)
                return {"ok": f"{len(ids)} tasks revoked"}
            case "unrevoke":
                ids = [str(task_id) for task_id in arguments.get("ids", ())]
                worker.unrevoke(ids)
                return {"ok": f"{len(ids)} tasks may run again"}
            case "scheduled":
                return []  # a delayed task waits in the broker, never in a worker
            case "stats":
                return {**worker.stats(), "of_processes": await self._ask_all("stats", arguments)}
            case _ if name in _LISTS:
                return [item for answer in await self._ask_all(name, arguments) for item in answer]
            case _ if name in _SAME:
                answers = await self._ask_all(name, arguments)
                return answers[0] if answers else None
        raise FaenaError(f"unknown command '{name}'{did_you_mean(name, KNOWN)}")

    async def _ask_all(self, name: str, arguments: dict[str, Any]) -> list[Any]:
        asked = [each for each in self._worker.processes if each.state is not ProcessState.STARTING]
        answers = await asyncio.gather(*(each.ask(name, arguments, _PROCESS_ANSWERS_WITHIN_S) for each in asked))
        return [answer.value for answer in answers if answer is not None and answer.error is None]
