"""What has ended on one of several brokers, carried out in its order, for as long as that takes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from faena.backend import Completion
from faena.worker.connection import Connection, ElsewhereAway
from faena.worker.vital import vital

log = logging.getLogger("faena.worker")

_AT_ONCE = 1000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0

Then = Callable[[Sequence[bool]], None]


class Lane:
    """Completions of one connection. `target` names the brokers that what follows goes to, where those are others."""

    def __init__(self, connection: Connection, target: str, ended: Callable[[asyncio.Task[None]], None]) -> None:
        self.connection, self._target = connection, target
        self.count = 0  # of completions that are not carried out yet
        self._todo: deque[tuple[Sequence[Completion], Then]] = deque()
        self._is_there = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._task = asyncio.get_running_loop().create_task(vital(self._carry_out_forever()))
        self._task.add_done_callback(ended)

    def put(self, completions: Sequence[Completion], then: Then) -> None:
        """Carry these out after those before them, and tell `then` for each whether it was."""
        self._todo.append((completions, then))
        self.count += len(completions)
        self._is_idle.clear()
        self._is_there.set()

    async def close(self, within_s: float) -> None:
        """Wait a little for what is left; the lease hands back the rest."""
        try:
            async with asyncio.timeout(within_s):
                await self._is_idle.wait()
        except TimeoutError:
            log.warning("%d tasks that have ended could not be settled; they run again", self.count)
        self._task.cancel()

    async def _carry_out_forever(self) -> None:
        while True:
            await self._is_there.wait()
            self._is_there.clear()
            while self._todo:
                await self._carry_out(self._next())
            self._is_idle.set()

    def _next(self) -> list[tuple[Sequence[Completion], Then]]:
        parts = [self._todo.popleft()]
        size = len(parts[0][0])
        while self._todo and size + len(self._todo[0][0]) <= _AT_ONCE:
            parts.append(self._todo.popleft())
            size += len(parts[-1][0])
        return parts

    async def _carry_out(self, parts: Sequence[tuple[Sequence[Completion], Then]]) -> None:
        completions = [completion for part, _ in parts for completion in part]
        answers = await self._answers(completions)
        self.count -= len(completions)
        at = 0
        for part, then in parts:
            then(answers[at : at + len(part)])
            at += len(part)

    async def _answers(self, completions: Sequence[Completion]) -> Sequence[bool]:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await self.connection.complete(completions)
            except ElsewhereAway as error:
                if pause_s == _FIRST_PAUSE_S:
                    log.warning(
                        "what follows from %d tasks is for broker '%s', which is away (%s): they wait, others go on",
                        len(completions), self._target, error,
                    )  # fmt: skip
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
