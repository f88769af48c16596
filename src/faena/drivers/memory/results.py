"""Results, control, presence and revocations of a memory backend. The caller holds the lock and hands in the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from faena.model.control import Command, Order, Reply, Revocation, WorkerInfo
from faena.model.result import ResultRecord

_LONGEST_COMMAND_S = 3600.0  # a command without an expiry is forgotten after this time


class Results:
    def __init__(self) -> None:
        self._records: dict[str, ResultRecord] = {}  # in the order in which they changed
        self._commands: dict[int, tuple[float, Command]] = {}
        self._replies: dict[str, dict[str, tuple[float, Reply]]] = {}
        self._workers: dict[str, tuple[float, WorkerInfo]] = {}
        self._seen: dict[str, int] = {}
        self._revocations: dict[str, tuple[int, Revocation]] = {}
        self._orders: dict[tuple[str, str], Order] = {}  # by kind and name
        self._last_command = 0
        self._next_mark = count(1).__next__

    # -- records ------------------------------------------------------------------------------------------

    def record(self, record: ResultRecord) -> bool:
        """Keep it, unless the task has ended before."""
        old = self._records.get(record.id)
        if old is not None:
            if old.is_terminal:
                return False
            del self._records[record.id]
        self._records[record.id] = record
        return True

    def read(self, task_id: str) -> ResultRecord | None:
        return self._records.get(task_id)

    def latest(self, limit: int, state: str | None) -> list[ResultRecord]:
        found: list[ResultRecord] = []
        for record in reversed(self._records.values()):
            if len(found) >= limit:
                break
            if state is None or record.state == state:
                found.append(record)
        return found

    def forget(self, ids: Iterable[str]) -> int:
        return sum(self._records.pop(task_id, None) is not None for task_id in ids)

    def expire(self, limit: int, now_s: float) -> int:
        records = [
            each.id for each in self._records.values() if each.expires_at_s is not None and each.expires_at_s <= now_s
        ]
        removed = self.forget(records[:limit])
        for number in [each for each, (until_s, _) in self._commands.items() if until_s <= now_s][: limit - removed]:
            del self._commands[number]
            removed += 1
        for name in [each for each, (until_s, _) in self._workers.items() if until_s <= now_s][: limit - removed]:
            self.withdraw(name)
            removed += 1
        replies = [
            (command_id, worker)
            for command_id, of_workers in self._replies.items()
            for worker, (until_s, _) in of_workers.items()
            if until_s <= now_s
        ]
        for command_id, worker in replies[: limit - removed]:
            of_workers = self._replies[command_id]
            del of_workers[worker]
            if not of_workers:
                del self._replies[command_id]
            removed += 1
        over = [each for each, (_, revocation) in self._revocations.items() if _is_over(revocation, now_s)]
        removed += self.unrevoke(over[: limit - removed])
        past = [key for key, order in self._orders.items() if _is_over(order, now_s)][: limit - removed]
        return removed + sum(self.withdraw_order(*key) for key in past)

    # -- control ------------------------------------------------------------------------------------------

    def send(self, command: Command, now_s: float) -> list[str]:
        """Return the workers to wake."""
        self._last_command += 1
        self._commands[self._last_command] = (command.expires_at_s or now_s + _LONGEST_COMMAND_S, command)
        return list(command.to or self._workers)

    def unseen(self, worker: str, now_s: float) -> list[Command]:
        """Return the commands that `worker` has not seen yet; now it has."""
        seen = self._seen.get(worker)
        if seen is None:
            return []
        self._seen[worker] = self._last_command
        return [
            command
            for number, (until_s, command) in self._commands.items()
            if number > seen and until_s > now_s and (not command.to or worker in command.to)
        ]

    def reply(self, reply: Reply, until_s: float) -> None:
        self._replies.setdefault(reply.command_id, {})[reply.worker] = (until_s, reply)

    def replies(self, command_id: str, now_s: float) -> list[Reply]:
        of_workers = self._replies.get(command_id, {})
        return [reply for _, (until_s, reply) in sorted(of_workers.items()) if until_s > now_s]

    def announce(self, info: WorkerInfo, until_s: float, now_s: float) -> WorkerInfo | None:
        known_until_s, before = self._workers.get(info.name, (0.0, None))
        self._workers[info.name] = (until_s, info)
        self._seen.setdefault(info.name, self._last_command)
        return before if known_until_s > now_s else None

    def withdraw(self, worker: str) -> None:
        self._workers.pop(worker, None)
        self._seen.pop(worker, None)

    def workers(self, now_s: float) -> list[WorkerInfo]:
        return [info for _, (until_s, info) in sorted(self._workers.items()) if until_s > now_s]

    # -- orders -------------------------------------------------------------------------------------------

    def give_order(self, order: Order) -> None:
        self._orders[(order.kind, order.name)] = order

    def withdraw_order(self, kind: str, name: str) -> bool:
        return self._orders.pop((kind, name), None) is not None

    def orders(self, now_s: float) -> list[Order]:
        return [order for _, order in sorted(self._orders.items()) if not _is_over(order, now_s)]

    # -- revocations --------------------------------------------------------------------------------------

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        for revocation in revocations:
            self._revocations.pop(revocation.task_id, None)
            self._revocations[revocation.task_id] = (self._next_mark(), revocation)

    def unrevoke(self, ids: Iterable[str]) -> int:
        return sum(self._revocations.pop(task_id, None) is not None for task_id in ids)

    def is_revoked(self, task_id: str, now_s: float) -> bool:
        found = self._revocations.get(task_id)
        return found is not None and not _is_over(found[1], now_s)

    def revoked_since(self, mark: int, now_s: float) -> tuple[int, Sequence[Revocation]]:
        news = [(number, each) for number, each in self._revocations.values() if number > mark]
        last = news[-1][0] if news else mark
        return last, [each for _, each in news if not _is_over(each, now_s)]


def _is_over(kept: Revocation | Order, now_s: float) -> bool:
    return 0.0 < (kept.expires_at_s or 0.0) <= now_s
