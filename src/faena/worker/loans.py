"""While there is little to do, the main thread fetches, runs and settles by itself.

    I/O thread ──lend──▶ main thread: receive one ─▶ run it ─▶ settle it ─▶ receive one ...
               ◀─return─ with a message that is not for it, with an error, or because there is much to do

A message that comes alone would change threads twice, which takes longer than all the rest that a worker does to it. What
a process may do does not change with who fetches: the holder, its lease and the steps of settling are the same, the I/O
thread goes on watching limits, revocations and the wish to stop, and one of the two fetches at a time, never both. It takes
the fetching back when the function takes long: there may be coroutines to run beside it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from faena._lib.drive import run
from faena.broker import Consumer
from faena.engine.attempt import Runner
from faena.engine.completion import FourSteps
from faena.errors import LeaseLost
from faena.model.delivery import Delivery, Malformed
from faena.model.message import Until
from faena.model.queue import broadcasts_in
from faena.worker.connection import BROKEN, UNWRITABLE, Opened
from faena.worker.lanes import Finished, Lane, Lanes
from faena.worker.limits import Limiter

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.worker.options import CoreOptions

_WAIT_S = 8.0  # of one fetch
_AT_ONCE_S = 0.001  # a message that took no longer to come was there before it was asked for
_SWIFT_S = 0.01  # a function that takes longer gains nothing from being fetched with others
_MANY = 8  # that were there and swift, one after the other: there is more than one at a time to do
_AGAIN_AFTER_S = 0.1  # much to do: then batches go on for so long at least
_LIVELY_S = 1.0  # after the last message the I/O thread goes on looking for so long

Batch = Sequence[Delivery | Malformed]


class Loan:
    """The right to fetch, from its lending until it was returned."""

    def __init__(self, call: Callable[..., None]) -> None:
        self.returned: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self._call = call
        self._mutex = threading.Lock()
        self._is_recalled = False
        self._receiving: Consumer | None = None

    def recall(self) -> None:
        """Take it back: at once where nobody receives, else as soon as that has ended. In the I/O thread."""
        with self._mutex:
            self._is_recalled = True
            if self._receiving is not None:
                self._receiving.interrupt()
                return
        self._settle((), None)

    def receive(self, consumer: Consumer) -> tuple[Batch, bool]:
        """Receive one message; say whether the loan goes on, or was recalled before that had ended. In the main thread."""
        with self._mutex:
            if self._is_recalled:
                return (), False
            self._receiving = consumer
        batch: Batch = ()
        try:
            batch = run(consumer.receive(1, _WAIT_S))
        finally:
            with self._mutex:
                self._receiving = None
                goes_on = not self._is_recalled
        return batch, goes_on

    def give_back(self, batch: Batch, error: BaseException | None) -> None:
        """Return it, with what the I/O thread has to deal with. In the main thread."""
        self._call(self._settle, batch, error)

    def _settle(self, batch: Batch, error: BaseException | None) -> None:
        if self.returned.done():
            return
        if error is None:
            self.returned.set_result(batch)
        else:
            self.returned.set_exception(error)


class Loans:
    """Lends the fetching of one process to its main thread. `look` is called when that begins something unwatched."""

    def __init__(
        self,
        app: Faena,
        options: CoreOptions,
        runner: Runner,
        lanes: Lanes,
        limiter: Limiter,
        *,
        has_main: bool,
        call: Callable[..., None],
        look: Callable[[], None],
    ) -> None:
        self._app, self._lanes, self._call, self._look = app, lanes, call, look
        self._limiter = limiter
        self._runner, self._holder, self._taking = runner, options.holder, options.taking
        self._queues: Sequence[str] = options.queues
        self.settled: deque[tuple[Finished, bool]] = deque()  # by the main thread, and not told yet
        self.is_watched = False  # the I/O thread looks every now and then, and need not be woken
        is_possible = has_main and options.threads == 1 and options.prefetch is None and options.max_tasks is None
        is_possible = is_possible and not broadcasts_in(app.queues)  # what is sent there is not run, but copied
        self._not_before_s = -inf if is_possible else inf
        self._is_quiet = True  # messages come one by one, if at all
        self._last_s = -inf
        self._loan: Loan | None = None
        self._opened: Opened | None = None

    # -- in the I/O thread ---------------------------------------------------------------------------------

    async def lend(self) -> Batch:
        """Let the main thread fetch until it is recalled or gives it back; return what it has for the I/O thread.

        Raises LeaseLost, and what connections that have failed raise.
        """
        loan = self._loan = Loan(self._call)
        self._lanes.lend(lambda lane: self._work(loan, lane))
        try:
            return await loan.returned
        finally:
            self._loan = None

    def recall(self) -> None:
        if self._loan is not None:
            self._loan.recall()

    def may_lend(self) -> bool:
        """Whether messages come one by one, and it is some time since there was much to do."""
        return self._is_quiet and time.monotonic() >= self._not_before_s

    def fetched(self, limit: int, count: int) -> None:
        """Take in what a fetch of the I/O thread has brought."""
        self._is_quiet = count <= 1 and count < limit

    def watch(self) -> bool:
        """Say whether the main thread has had something to do of late; if not, it calls `look` when it has.

        Who has been told so looks at what runs once more: it may have begun before it could know.
        """
        self.is_watched = time.monotonic() < self._last_s + _LIVELY_S
        return self.is_watched

    def consume(self, queues: Sequence[str]) -> None:
        """Receive from these queues from now on."""
        self._queues = queues
        self.recall()

    # -- in the main thread --------------------------------------------------------------------------------

    def _work(self, loan: Loan, lane: Lane) -> None:
        batch: Batch = ()
        error: BaseException | None = None
        swift = 0
        try:
            while swift < _MANY:
                asked_s = time.monotonic()
                batch, goes_on = loan.receive(self._consumer())
                came_s = time.monotonic()
                if not goes_on or (batch and not self._is_simple(batch[0])):
                    break
                if batch:
                    delivery, batch = batch[0], ()
                    assert isinstance(delivery, Delivery)
                    self._run(lane, delivery, came_s)
                    is_swift = came_s - asked_s < _AT_ONCE_S and self._last_s - came_s < _SWIFT_S
                    swift = swift + 1 if is_swift else 0
            else:
                self._not_before_s = time.monotonic() + _AGAIN_AFTER_S
        except (LeaseLost, *BROKEN) as caught:
            error = caught
            self._let_go()
        loan.give_back(batch, error)

    def _run(self, lane: Lane, delivery: Delivery, now_s: float) -> None:
        lane.fetched += 1  # before the look: who stops watching looks once more after saying so
        if not self.is_watched:
            self._call(self._look)
        finished = self._lanes.run(lane, delivery, now_s)
        if self._lanes.is_copy:
            os._exit(0)
        lane.ran += 1
        self._last_s = time.monotonic()
        lane.busy_s += self._last_s - now_s
        if self._limiter.breakers.has_news:  # the I/O thread acts on that first
            self._hand_over(lane, finished)
            return
        try:
            assert self._opened is not None
            (ours,) = run(self._opened.settler.complete([finished[0]]))
        except (*BROKEN, *UNWRITABLE) as error:  # the I/O thread does it, for as long as it takes
            self._hand_over(lane, finished)
            if isinstance(error, BROKEN):
                raise
        else:
            self.settled.append((finished, ours))
            lane.finished += 1
            if self._loan is None:  # taken back while it ran
                self._lanes.wake_io(True)

    def _hand_over(self, lane: Lane, finished: Finished) -> None:
        """Leave it to the I/O thread to settle this."""
        self._lanes.done.append(finished)
        lane.finished += 1
        self._lanes.wake_io(True)

    def _is_simple(self, item: Delivery | Malformed) -> bool:
        """Whether it is a function, acknowledged after its run, above suspicion, no part of a workflow, and may run now."""
        if not isinstance(item, Delivery) or item.verdict is not None or item.message.member is not None:
            return False
        if item.redelivered_at_s is not None and self._opened is not None and isinstance(self._opened.settler, FourSteps):
            return False  # the I/O thread looks whether it has ended before
        claim = item.message.claim
        if claim is not None and claim.until is Until.START and not self._locates():
            return False  # the I/O thread releases its key first
        if self._limiter.is_any and self._limiter.lacking(item) is not None:
            return False
        task = self._app.tasks.get(item.message.task)
        return task is None or (not task.is_coroutine and task.batch is None and self._runner.acks_late(task))

    def _locates(self) -> bool:
        return self._opened is None or self._opened.link.broker.capabilities.locates

    def _consumer(self) -> Consumer:
        opened = self._opened
        if opened is None or opened.queues is not self._queues:
            self._let_go()
            link = self._app.links.connect("blocking")
            run(link.broker.open())
            run(link.backend.open())
            opened = self._opened = Opened(link, self._holder, self._queues, self._taking)
        return opened.consumer

    def _let_go(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            try:
                run(opened.consumer.close())
                run(opened.link.backend.close())
                run(opened.link.broker.close())
            except BROKEN:
                pass  # it is broken: there is nothing to close properly
