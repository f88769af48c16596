"""One run of a function for many deliveries, each of which ends in its own way.

bundle ──begin──▶ attempts ──▶ one whole attempt, whose function is given all calls ──outcomes──▶ an outcome for each
              └─▶ what needs no run: revoked, expired, malformed
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from faena.engine.attempt import Attempt, Ended, Runner
from faena.engine.outcome import Failed, Outcome, Retried, Succeeded
from faena.errors import InvalidArguments, MaxRetriesExceededError
from faena.model.delivery import Delivery
from faena.tasks.batch import BatchCall
from faena.tasks.call import due_at_s


class Bundle:
    """Deliveries of one task that are to run together."""

    __slots__ = ("deliveries",)

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries = tuple(deliveries)


def flat(held: Sequence[Delivery | Bundle]) -> list[Delivery]:
    """Return all deliveries, those in bundles included."""
    found: list[Delivery] = []
    for each in held:
        found += each.deliveries if isinstance(each, Bundle) else (each,)
    return found


class BatchRun:
    """The attempts of a bundle, and the one that runs for them all."""

    def __init__(self, runner: Runner, begun: Sequence[Attempt | Ended]) -> None:
        self.ended = [each for each in begun if isinstance(each, Ended)]
        self.members = [each for each in begun if isinstance(each, Attempt)]
        self._runner = runner
        self._calls = [BatchCall(each.args, each.kwargs, runner.start(each)) for each in self.members]
        self.whole: Attempt | None = None  # None: nothing of it is to run
        if self.members:
            first = self.members[0]
            self.whole = Attempt(first.delivery, first.task, (self._calls,), {})
            self.whole.calls = self._calls

    def outcomes(self, outcome: Outcome | None) -> Iterator[tuple[Attempt | Ended, Outcome]]:
        """Give how each has ended, once the whole has ended so."""
        for ended in self.ended:
            yield ended, ended.outcome
        if outcome is None:
            return
        values: Sequence[Any] = ()
        if isinstance(outcome, Succeeded):
            values, outcome = self._values(outcome.value)
        for at, (member, call) in enumerate(zip(self.members, self._calls, strict=True)):
            yield member, self._outcome(member, call, outcome, values[at] if values else None)

    def outcome_of_one(self, outcome: Outcome) -> Outcome:
        """Return how the one call has ended that this consists of."""
        ((_, own),) = self.outcomes(outcome)
        return own

    def _values(self, value: Any) -> tuple[Sequence[Any], Outcome]:
        if value is None:
            return (), Succeeded(None)
        if isinstance(value, list | tuple) and len(value) == len(self._calls):
            return value, Succeeded(None)
        given = f"{len(value)} of them" if isinstance(value, list | tuple) else f"a {type(value).__qualname__}"
        task = self.members[0].task.name
        reason = f"for a batch of {len(self._calls)} calls it returns None or a list of as many results, not {given}"
        return (), Failed(InvalidArguments(task, reason))

    def _outcome(self, member: Attempt, call: BatchCall, whole: Outcome, value: Any) -> Outcome:
        if call.asked is not None:
            return self._retried(member, call)
        if call.error is not None:
            return self._runner.outcome_of(member, call.error)
        if isinstance(whole, Failed):
            return self._runner.outcome_of(member, whole.error)
        return self._runner.outcome_of(member, value) if isinstance(value, BaseException) else Succeeded(value)

    def _retried(self, member: Attempt, call: BatchCall) -> Outcome:
        asked, task = call.asked, member.task
        assert asked is not None
        limit = task.max_retries if asked.max_retries is None else asked.max_retries
        if limit is not None and call.retries >= limit:
            used_up = MaxRetriesExceededError(f"task '{task.name}' has used up its {limit} retries")
            return Failed(asked.error or used_up)
        countdown = asked.countdown
        if countdown is None and asked.eta is None:
            countdown = task.default_retry_delay
        try:
            due = due_at_s(task.name, {"eta": asked.eta, "countdown": countdown}, self._runner.clock(), task.app.zone)
        except InvalidArguments as error:
            return Failed(error)
        return Retried(asked.error, due)
