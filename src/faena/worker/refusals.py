"""Which tasks a process must not begin, by id and by rules, and what else was ordered of its runs while it works."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from math import inf

import msgspec

from faena.app.links import Link
from faena.model.control import Order, OrderKind, RevokeRule, TimeLimits
from faena.model.message import Message

log = logging.getLogger("faena.worker")

_KEPT = 10_000  # ids, before those whose time is over are forgotten


class Refusals:
    """Read by every lane, changed in the I/O thread: each change puts a new value in the place of the old one."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._mark = 0
        self.ids: dict[str, float] = {}  # task id -> until when, unix seconds
        self._rules: dict[str, tuple[RevokeRule, float]] = {}  # by name, and until when
        self.time_limits: dict[str, TimeLimits] = {}  # by task
        self.paused: frozenset[str] = frozenset()  # queues, where the broker cannot pause
        self.is_any = False  # whether there is anything to look at before a task begins

    def refuses(self, message: Message) -> bool:
        """Whether the task of this message must not begin."""
        if message.id in self.ids:
            return True
        return any(rule.matches(message) and until_s > time.time() for rule, until_s in self._rules.values())

    def add(self, ids: Iterable[str]) -> None:
        if len(self.ids) > _KEPT:
            now_s = time.time()
            self.ids = {task_id: until_s for task_id, until_s in self.ids.items() if until_s > now_s}
        until_s = time.time() + self._keep_s
        self.ids.update(dict.fromkeys(ids, until_s))
        self._look()

    def remove(self, ids: Iterable[str]) -> None:
        for task_id in ids:
            self.ids.pop(task_id, None)
        self._look()

    def obey(self, order: Order) -> RevokeRule | None:
        """Take an order; return the rule that it is, if it is one."""
        try:
            if order.kind == OrderKind.REVOKE:
                rule = msgspec.convert(order.value, RevokeRule)
                self._rules = {**self._rules, order.name: (rule, order.expires_at_s or inf)}
                self._look()
                return rule
            if order.kind == OrderKind.TIME_LIMIT:
                self.time_limits = {**self.time_limits, order.name: msgspec.convert(order.value, TimeLimits)}
            if order.kind == OrderKind.PAUSE:
                self.paused |= {order.name}
        except msgspec.ValidationError as error:
            log.warning("an order '%s' of kind '%s' is not understood: %s", order.name, order.kind, error)
        return None

    def withdraw(self, kind: str, names: Sequence[str]) -> None:
        """Obey these orders no more."""
        if kind == OrderKind.REVOKE:
            self._rules = {name: each for name, each in self._rules.items() if name not in names}
            self._look()
        elif kind == OrderKind.TIME_LIMIT:
            self.time_limits = {name: each for name, each in self.time_limits.items() if name not in names}
        elif kind == OrderKind.PAUSE:
            self.paused -= {*names}

    async def load(self, link: Link) -> None:
        """Read what stands in the backend."""
        self._mark, found = await link.backend.revocations.since(self._mark)
        self.ids.update((each.task_id, each.expires_at_s or inf) for each in found)
        orders = await link.backend.orders.standing()
        self._rules, self.time_limits, self.paused = {}, {}, frozenset()
        for order in orders:
            self.obey(order)
        self._look()

    def _look(self) -> None:
        self.is_any = bool(self.ids or self._rules)
