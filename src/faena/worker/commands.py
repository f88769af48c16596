"""The worker's side of remote control: takes commands from the backend's mailbox and answers them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from faena.app.links import Link
from faena.errors import BackendError, FaenaError, StorageError
from faena.model.control import QUESTIONS, Command, Order, OrderKind, Reply
from faena.worker.handle import ProcessHandle, ProcessState
from faena.worker.scaling import Scaler
from faena.worker.wire import Answer

log = logging.getLogger("faena.worker")

_WAIT_S = 30.0
_PROCESS_ANSWERS_WITHIN_S = 0.8
_ANSWER_TRAVELS_S = 0.2
_REPLIES_KEPT_S = 60.0
_LONGEST_COMMAND_S = 600.0


class Commanded(Protocol):
    """What a command may do: the supervisor."""

    name: str
    processes: list[ProcessHandle]
    scaler: Scaler

    @property
    def link(self) -> Link: ...
    @property
    def queues(self) -> tuple[str, ...]: ...
    def stats(self) -> dict[str, Any]: ...
    def shutdown(self) -> None: ...
    def restart_processes(self) -> None: ...
    def revoke(self, ids: Sequence[str], terminate: bool, signal_name: str, remember: bool) -> None: ...
    def unrevoke(self, ids: Sequence[str]) -> None: ...
    def wanted_processes(self) -> int: ...
    def resize(self, count: int) -> int: ...
    def tell_events(self, on: bool) -> bool: ...
    def take_from(self, queues: Sequence[str]) -> None: ...


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
            left_s = command.expires_at_s - time.time() - _ANSWER_TRAVELS_S
            within_s = max(_PROCESS_ANSWERS_WITHIN_S, min(left_s, _LONGEST_COMMAND_S))
            reply = Reply(command.id, self._worker.name, await self._obey(command.name, command.arguments, within_s))
        except FaenaError as error:
            reply = Reply(command.id, self._worker.name, None, str(error))
        except Exception as error:  # a stranger's arguments; a command never stops a worker
            log.exception("command '%s' failed", command.name)
            reply = Reply(command.id, self._worker.name, None, f"{type(error).__name__}: {error}")
        try:
            await self._worker.link.backend.mailbox.reply(reply, _REPLIES_KEPT_S)
        except (BackendError, StorageError, OSError) as error:
            log.warning("answering command '%s': %s", command.name, error)

    async def _obey(self, name: str, arguments: dict[str, Any], within_s: float) -> Any:
        if name in QUESTIONS:
            return await self._answer(name, arguments)
        worker = self._worker
        match name:
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
            case "order":
                return await self._order(msgspec.convert(arguments.get("order"), Order))
            case "withdraw":
                await self._ask_all("withdraw", arguments)
                return {"ok": "withdrawn"}
            case "enable_events" | "disable_events":
                return await self._tell_events(name == "enable_events")
            case "autoscale":
                return self._autoscale(arguments)
            case "limits":
                await self._ask_all("limits", arguments)
                return {"ok": "new limits set"}
            case "pool_grow":
                return self._resize(_number(arguments, "n"))
            case "pool_shrink":
                return self._resize(-_number(arguments, "n"))
            case "add_consumer":
                return await self._add_consumer(_text(arguments, "queue"))
            case "cancel_consumer":
                return await self._cancel_consumer(_text(arguments, "queue"))
        return await self._own(name, arguments, within_s)

    # -- questions -----------------------------------------------------------------------------------------

    async def _answer(self, name: str, arguments: dict[str, Any]) -> Any:
        worker = self._worker
        match name:
            case "ping":
                return {"ok": "pong"}
            case "scheduled":
                return []  # a delayed task waits in the broker, never in a worker
            case "active_queues":
                return [{"name": queue} for queue in worker.queues]
            case "stats":
                return {**worker.stats(), **self._pool(), "of_processes": await self._ask_all("stats", arguments)}
            case "active":
                return await self._active()
            case "explain":
                return await self._explain(str(arguments.get("id", "")), str(arguments.get("task", "")))
            case "query_task":
                return await self._query({str(task_id) for task_id in arguments.get("ids", ())})
            case "reserved":
                return [item for answer in await self._ask_all(name, arguments) for item in answer]
        answers = await self._ask_all(name, arguments)  # the same in all processes; the first will do
        return answers[0] if answers else None

    def _pool(self) -> dict[str, Any]:
        """Return, in Celery's words, what there is of processes."""
        worker, bounds = self._worker, self._worker.scaler.bounds
        pids = [each.pid for each in worker.processes]
        return {
            "pid": os.getpid(),
            "pool": {"max-concurrency": worker.wanted_processes(), "processes": pids},
            "autoscale": None if bounds is None else {"max": bounds.most, "min": bounds.least},
        }

    async def _active(self) -> list[dict[str, Any]]:
        """Return what runs; of a process that does not answer, what its memory says."""
        asked = self._asked()
        found: list[dict[str, Any]] = []
        for handle, answer in zip(asked, await self._ask_each(asked, "active", {}), strict=True):
            if answer is not None and answer.error is None:
                found += answer.value
                continue
            now_s, now_at_s = time.monotonic(), time.time()
            for task in handle.running():
                runtime_s = round(now_s - task.started_s, 3)
                found.append(
                    {"id": task.task_id, "name": "", "queue": "", "retries": 0, "worker_pid": handle.pid,
                     "started_at": now_at_s - runtime_s, "time_start": now_at_s - runtime_s, "runtime_s": runtime_s}
                )  # fmt: skip
        return found

    async def _query(self, wanted: set[str]) -> dict[str, Any]:
        reserved = [item for answer in await self._ask_all("reserved", {}) for item in answer]
        found = {item["id"]: ["reserved", item] for item in reserved if item["id"] in wanted}
        return found | {item["id"]: ["active", item] for item in await self._active() if item["id"] in wanted}

    async def _explain(self, task_id: str, task: str) -> dict[str, Any]:
        """Return the facts of this worker, for one who asks why a task is not running."""
        worker = self._worker
        knows, found = await asyncio.gather(self._ask_all("knows", {"task": task}), self._query({task_id}))
        state, info = found.get(task_id, ("", {}))
        working = [each for each in worker.processes if each.state is ProcessState.WORKING]
        return {
            "queues": list(worker.queues),
            "knows": any(knows) if task and knows else None,
            "holds": state,
            "runtime_s": info.get("runtime_s"),
            "processes": len(working),
            "busy": sum(bool(each.running()) for each in working),
        }

    async def _ask_all(self, name: str, arguments: dict[str, Any]) -> list[Any]:
        answers = await self._ask_each(self._asked(), name, arguments)
        return [answer.value for answer in answers if answer is not None and answer.error is None]

    async def _ask_each(
        self, asked: Sequence[ProcessHandle], name: str, arguments: dict[str, Any]
    ) -> Sequence[Answer | None]:
        return await asyncio.gather(*(each.ask(name, arguments, _PROCESS_ANSWERS_WITHIN_S) for each in asked))

    def _asked(self) -> list[ProcessHandle]:
        return [each for each in self._worker.processes if each.state is not ProcessState.STARTING]

    async def _own(self, name: str, arguments: dict[str, Any], within_s: float) -> Any:
        """Let a process run a command that the app declares; or each, and give a list, where the command says so."""
        asked = sorted(self._asked(), key=lambda handle: (handle.state is not ProcessState.WORKING, handle.index))
        if not asked:
            raise FaenaError("no process of this worker has begun yet")
        (known,) = await self._ask_each(asked[:1], "commands", {})
        listed = known.value if known is not None and known.error is None else []
        if any(each["name"] == name and each["everywhere"] for each in listed):
            answers = await asyncio.gather(*(each.ask(name, arguments, within_s, own=True) for each in asked))
            return [{"pid": handle.pid, **_as_dict(answer)} for handle, answer in zip(asked, answers, strict=True)]
        answer = await asked[0].ask(name, arguments, within_s, own=True)
        if answer is None:
            raise FaenaError(f"its process {asked[0].pid} gave no answer within {within_s:.1f} s")
        if answer.error is not None:
            raise FaenaError(answer.error)
        return answer.value

    # -- changes -------------------------------------------------------------------------------------------

    async def _order(self, order: Order) -> dict[str, str]:
        """Hand an order on to every process; end what runs where it says so."""
        answers = await self._ask_all("order", {"order": msgspec.to_builtins(order)})
        running = [task_id for answer in answers for task_id in answer]
        if order.kind == OrderKind.REVOKE and order.value.get("terminate"):
            self._worker.revoke(running, True, str(order.value.get("signal") or ""), False)
            return {"ok": f"{len(running)} running tasks are ended"}
        return {"ok": "it stands"}

    async def _tell_events(self, on: bool) -> dict[str, str]:
        was_on = self._worker.tell_events(on)
        await self._ask_all("events", {"on": on})
        word = "enabled" if on else "disabled"
        return {"ok": f"task events are {word} already" if was_on == on else f"task events are {word}"}

    def _autoscale(self, arguments: dict[str, Any]) -> dict[str, str]:
        scaler = self._worker.scaler
        most, least = arguments.get("max"), arguments.get("min")
        if most == 0:
            scaler.stop()
            return {"ok": f"scales no more; {_processes(self._worker.wanted_processes())}"}
        before = scaler.bounds
        new_most = _number(arguments, "max") if most is not None else before.most if before else 0
        new_least = _number(arguments, "min") if least is not None else before.least if before else 1
        if not 1 <= new_least <= new_most:
            raise FaenaError(f"the fewest are 1 or more, and the most no fewer than that, not {new_least} and {new_most}")
        scaler.keep_between(new_least, new_most)
        return {"ok": f"scales between {new_least} and {new_most} processes"}

    def _resize(self, by: int) -> dict[str, str]:
        bounds = self._worker.scaler.bounds
        if bounds is not None:  # what decides goes on deciding, between bounds that are moved
            least, most = max(1, bounds.least + by), max(1, bounds.most + by)
            self._worker.scaler.keep_between(least, most)
            return {"ok": f"scales between {least} and {most} processes instead of {bounds.least} and {bounds.most}"}
        wanted = self._worker.wanted_processes()
        count = self._worker.resize(wanted + by)
        said = _processes(count)
        return {"ok": f"{said}, as before" if count == wanted else f"{said} instead of {wanted}"}

    async def _add_consumer(self, queue: str) -> dict[str, str]:
        queues = self._worker.queues
        if queue in queues:
            return {"ok": f"takes from queue '{queue}' already"}
        await self._take_from([*queues, queue])
        return {"ok": f"takes from queue '{queue}', too"}

    async def _cancel_consumer(self, queue: str) -> dict[str, str]:
        queues = self._worker.queues
        if queue not in queues:
            return {"ok": f"takes nothing from queue '{queue}'; it takes from {', '.join(queues)}"}
        if len(queues) == 1:
            raise FaenaError(
                f"queue '{queue}' is the only one that this worker takes from; "
                f"pause it (faena queues pause {queue}), or shut the worker down"
            )
        await self._take_from([each for each in queues if each != queue])
        return {"ok": f"takes nothing more from queue '{queue}'"}

    async def _take_from(self, queues: list[str]) -> None:
        self._worker.take_from(queues)
        if self._worker.link.broker.capabilities.lease == "holder":
            await self._ask_all("consume", {"queues": queues})
        else:  # what a process holds belongs to its connection: another process takes from the new ones
            self._worker.restart_processes()


def _as_dict(answer: Answer | None) -> dict[str, Any]:
    if answer is None:
        return {"error": "no answer in time"}
    return {"error": answer.error} if answer.error is not None else {"value": answer.value}


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _number(arguments: dict[str, Any], name: str) -> int:
    value = arguments.get(name, 1)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise FaenaError(f"'{name}' is a number from 1 on, not {value!r}")
    return value


def _text(arguments: dict[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise FaenaError(f"'{name}' is a text, and has to be given")
    return value
