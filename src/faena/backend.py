"""The contract of a backend: it keeps what came out of tasks, and carries control, presence and revocations.

What every adapter promises; `faena.testing.conformance` checks it.

- The first terminal state of a task wins: a later record changes nothing and is answered with False.
- A terminal state is never replaced by one that is not.
- Waiting for results is pushed: `Watch.changed` wakes without polling when a watched result changes.
- What has an expiry is removed by `expire`, which any worker calls now and then. A store that removes it by itself (Redis)
  does so when its time is over; `expire` then counts only what it had to remove.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from faena.model.control import Command, Reply, Revocation, WorkerInfo
from faena.model.delivery import Settlement
from faena.model.message import Message
from faena.model.result import ResultRecord


class Watch(Protocol):
    """A subscription to results. One user at a time; it costs others nothing while it watches nothing."""

    async def add(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        """Watch these as well; return what is recorded of them now, so that no change can fall between.

        Those already terminal are not watched.
        """
        ...

    async def changed(self, timeout_s: float | None) -> Sequence[str]:
        """Wait for a change of a watched result; return the ids that changed, or may have; empty after the time.

        An id whose record has become terminal is watched no more after it was returned.
        """
        ...

    async def remove(self, ids: Sequence[str]) -> None: ...

    async def close(self) -> None: ...


class Mailbox(Protocol):
    """Commands to workers and their answers, and who is there."""

    async def send(self, command: Command) -> None: ...

    async def receive(self, worker: str, wait_s: float) -> Sequence[Command]:
        """Return the commands for `worker` (or for all) that it has not seen yet and that have not expired.

        A worker sees what was sent after its first `announce`. Waits up to `wait_s` for the first; `interrupt` ends it.
        """
        ...

    def interrupt(self) -> None:
        """Make a waiting `receive` return at once. Any thread may call it."""
        ...

    async def reply(self, reply: Reply, ttl_s: float) -> None: ...

    async def replies(self, command_id: str, expected: int, wait_s: float) -> Sequence[Reply]:
        """Return the answers to a command, as soon as `expected` are there or the time is up."""
        ...

    async def announce(self, info: WorkerInfo, ttl_s: float) -> None:
        """Make `info.name` known for `ttl_s` seconds; repeat it to stay known."""
        ...

    async def withdraw(self, worker: str) -> None: ...

    async def workers(self) -> Sequence[WorkerInfo]:
        """Return the workers known now, by name."""
        ...


class Revocations(Protocol):
    """Tasks that must not run. Durable: a worker started later obeys, too."""

    async def add(self, revocations: Sequence[Revocation]) -> None: ...

    async def remove(self, ids: Sequence[str]) -> int: ...

    async def since(self, mark: int) -> tuple[int, Sequence[Revocation]]:
        """Return those added after `mark` (0: all that stand) and the next mark."""
        ...


class Completion(Struct, frozen=True, gc=False):
    """All that has to happen at the end of an attempt: let go of the delivery, keep the result, send what follows."""

    settlement: Settlement
    result: ResultRecord | None = None
    publish: tuple[Message, ...] = ()


class JointSettler(Protocol):
    """A broker and a backend on one technology, that complete in one atomic step (law 7)."""

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        """Carry out each completion whose delivery is still ours, wholly; say for each whether it was."""
        ...


class Backend(Protocol):
    """One connection (or pool) to a backend. Made by a class method `connect(url, *, io, options)`."""

    @property
    def mailbox(self) -> Mailbox: ...
    @property
    def revocations(self) -> Revocations: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def record(self, records: Sequence[ResultRecord]) -> Sequence[bool]:
        """Keep the records; say for each whether it was kept (see the first promise above)."""
        ...

    async def read(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]: ...

    async def latest(self, limit: int, state: str | None = None) -> Sequence[ResultRecord]:
        """Return the records that changed last, the newest first."""
        ...

    async def forget(self, ids: Sequence[str]) -> int: ...

    def watch(self) -> Watch: ...

    async def expire(self, limit: int) -> int:
        """Remove up to `limit` things whose time is over; return how many went."""
        ...

    def joint(self, broker: object, holder: str) -> JointSettler | None:
        """Return what completes together with `broker` for `holder` in one step, or None: then it takes four (law 7)."""
        ...
