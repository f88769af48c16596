"""What stands where no backend is: the broker keeps no results, and nobody named a place that does.

Tasks run, and their results are dropped. Whatever needs a backend says so when it is asked for. Workers run without what
rides on it: presence, remote control, revocations, schedules, the repair of workflows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from faena.backend import JournalEnd
from faena.config.secrets import mask_text
from faena.errors import NoBackend
from faena.model.control import Command, Order, Revocation, WorkerInfo
from faena.model.journal import Entry
from faena.model.message import Message
from faena.model.result import ResultRecord
from faena.types import Io

_RESULTS = "results of tasks"
_PARTS = {"workflows": "workflows", "schedules": "schedules", "events": "events of tasks and workers"}


class AbsentBackend:
    """See `faena.backend.Backend`."""

    def __init__(self, url: str) -> None:
        self._shown = mask_text(url).partition("?")[0]
        self.mailbox, self.revocations, self.orders = _Mailbox(self), _Revocations(self), _Orders(self)
        self.journal, self.claims = _Journal(self), _Claims(self)

    @classmethod
    def connect(cls, url: str, *, io: Io, options: Mapping[str, object] = {}) -> AbsentBackend:  # noqa: ARG003
        return cls(url)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Refusing(self, _PARTS.get(name, _RESULTS))

    def refuse(self, what: str) -> NoReturn:
        raise NoBackend(what, self._shown)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def record(self, records: Sequence[ResultRecord]) -> Sequence[bool]:
        """Drop them: what is kept nowhere is not kept, and the task has run all the same."""
        return [True] * len(records)

    async def expire(self, limit: int) -> int:  # noqa: ARG002
        return 0

    async def lead(self, role: str, owner: str, lease_s: float) -> bool:  # noqa: ARG002
        """Let nobody lead: there is nothing to repair."""
        return False

    async def may_have_duties(self) -> bool:
        return False

    def watch(self) -> NoReturn:
        self.refuse(_RESULTS)

    def joint(self, broker: object, holder: str) -> None:  # noqa: ARG002
        return None


class _Refusing:
    """A part that is not there: each of its methods says so."""

    def __init__(self, backend: AbsentBackend, what: str) -> None:
        self._backend, self._what = backend, what

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__call__

    async def __call__(self, *_: Any, **__: Any) -> NoReturn:
        self._backend.refuse(self._what)


class _Mailbox(_Refusing):
    """No command comes, and nobody is known to be there."""

    def __init__(self, backend: AbsentBackend) -> None:
        super().__init__(backend, "remote control")

    async def receive(self, worker: str, wait_s: float) -> Sequence[Command]:  # noqa: ARG002
        await asyncio.sleep(wait_s)
        return ()

    def interrupt(self) -> None: ...

    async def announce(self, info: WorkerInfo, ttl_s: float) -> WorkerInfo | None:  # noqa: ARG002
        return None  # nobody is known

    async def withdraw(self, worker: str) -> None: ...

    async def workers(self) -> Sequence[WorkerInfo]:
        return ()


class _Revocations(_Refusing):
    def __init__(self, backend: AbsentBackend) -> None:
        super().__init__(backend, "revoking tasks")

    async def since(self, mark: int) -> tuple[int, Sequence[Revocation]]:
        return mark, ()


class _Orders(_Refusing):
    def __init__(self, backend: AbsentBackend) -> None:
        super().__init__(backend, "orders that stand for every worker")

    async def standing(self) -> Sequence[Order]:
        return ()


class _Claims(_Refusing):
    """Nothing can be claimed: a unique task is refused when it is called."""

    def __init__(self, backend: AbsentBackend) -> None:
        super().__init__(backend, "unique tasks")

    async def release(self, messages: Sequence[Message]) -> None: ...


class _Journal(_Refusing):
    def __init__(self, backend: AbsentBackend) -> None:
        super().__init__(backend, "events that tasks wait for, and steps that they remember")

    async def read(self, task_id: str) -> Sequence[Entry]:  # noqa: ARG002
        return ()

    async def end(self, ends: Mapping[str, JournalEnd]) -> None: ...
