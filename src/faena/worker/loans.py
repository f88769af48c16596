"""Where there are functions and nothing else to run, the main thread fetches, runs and settles by itself.

    I/O thread ──lend──▶ main thread: receive ─▶ run ─▶ settle ─▶ receive ...
               ◀─return─ with messages that are not for it, with an error, or because the server is far away

A message that comes alone would change threads twice, which takes longer than all the rest that a worker does to it. Many
that come together would change threads as batches, which costs little, but both threads want the interpreter then: the one
that is to fetch waits for it until the other one has run out of work. What a process may do does not change with who
fetches: the holder, its lease and the steps of settling are the same, the I/O thread goes on watching limits, revocations
and the wish to stop, and one of the two fetches at a time, never both. It takes the fetching back when a function takes
long: there may be coroutines to run beside it. What has not begun by then lies where it can take it back, too.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from faena._lib.drive import run
from faena.backend import Completion, lone_settler_of
from faena.broker import Consumer, lone_receiver_of
from faena.engine.attempt import Runner
from faena.engine.completion import FourSteps
from faena.errors import LeaseLost
from faena.model.delivery import Delivery, Malformed
from faena.model.message import Until
from faena.model.queue import broadcasts_in
from faena.worker.connection import BROKEN, UNWRITABLE, Opened
from faena.worker.lanes import Finished, Lane, Lanes, drain
from faena.worker.limits import Limiter
from faena.worker.window import Window

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.worker.options import CoreOptions

_WAIT_S = 8.0  # of one fetch
_AT_ONCE_S = 0.001  # a message that took no longer to come was there before it was asked for
_SWIFT_S = 0.01  # a function that takes longer gains nothing from being fetched with others
_MANY = 8  # that were there and swift, one after the other: there is more than one at a time to do
_AGAIN_AFTER_S = 0.15  # a function runs long: then the I/O thread fetches for so long at least
_KEEP_S = 0.005  # what has ended is settled after so long, though the rest of its batch has not
_FAR_S, _FAR_AGAIN_AFTER_S = 0.01, 10.0  # a server that takes so long to answer is asked while functions run
_WEIGHT = 0.2  # of the newest answer in the average of these
_LIVELY_S = 1.0  # after the last message the I/O thread goes on looking for so long

_OURS = (True,)
Batch = Sequence[Delivery | Malformed]
LoneReceiver = Callable[[float], Batch | None]


class Loan:
    """The right to fetch, from its lending until it was returned."""

    def __init__(self, call: Callable[..., None]) -> None:
        self.returned: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self._call = call
        self._mutex = threading.Lock()
        self._is_recalled = False
        self._receiving: Consumer | None = None
        self._is_handling = False  # something was received, and it is not decided yet who runs it

    def recall(self) -> None:
        """Take it back: at once where nobody receives, else as soon as that has ended. In the I/O thread."""
        with self._mutex:
            self._is_recalled = True
            if self._receiving is not None:
                self._receiving.interrupt()
                return
            if self._is_handling:
                return
        self._settle((), None)

    @property
    def is_recalled(self) -> bool:
        return self._is_recalled

    def receive(self, consumer: Consumer, limit: int, lone: LoneReceiver | None = None) -> tuple[Batch, bool]:
        """Receive messages; say whether the loan goes on, or was recalled before that had ended. In the main thread."""
        with self._mutex:
            if self._is_recalled:
                return (), False
            self._receiving, self._is_handling = consumer, False
        batch: Batch | None = None
        try:
            if limit == 1 and lone is not None:
                batch = lone(_WAIT_S)
            if batch is None:
                batch = run(consumer.receive(limit, _WAIT_S))
        finally:
            with self._mutex:
                self._receiving, self._is_handling = None, True
                goes_on = not self._is_recalled
        return batch or (), goes_on

    def begin(self, lane: Lane, count: int) -> bool:
        """Let the main thread run what it has received; False: it was taken back meanwhile, and that goes back with it.

        It counts as held from here on: who takes the fetching back must not believe that there is nothing to wait for.
        """
        with self._mutex:
            if self._is_recalled:
                return False
            self._is_handling = False
            lane.fetched += count  # before the look: who stops watching looks once more after saying so
        return True

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
        self._simple: dict[str, bool] = {}  # whether it is a function, acknowledged after its run; by the name of the task
        self.settled: deque[tuple[Sequence[Finished], Sequence[bool]]] = deque()  # by the main thread, and not told yet
        self.is_settling = False  # the main thread has taken out what has ended, and settles it now
        self.is_watched = False  # the I/O thread looks every now and then, and need not be woken
        is_possible = has_main and options.threads == 1 and options.prefetch is None and options.max_tasks is None
        is_possible = is_possible and not broadcasts_in(app.queues)  # what is sent there is not run, but copied
        self._not_before_s = -inf if is_possible else inf
        self._fits = True  # the last messages were functions and nothing else, if any
        self._answer_s = 0.0  # that the server takes, on the average
        self._last_s = self._many_s = -inf
        self._loan: Loan | None = None
        self._opened: Opened | None = None
        self._lone_receiver: LoneReceiver | None = None
        self._lone_settler: Callable[[Completion], bool] | None = None

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

    def slowed(self) -> None:
        """Take in that a function runs for long: others may come meanwhile that can run beside it."""
        self._not_before_s = max(self._not_before_s, time.monotonic() + _AGAIN_AFTER_S)
        self.recall()

    def may_lend(self) -> bool:
        """Whether there were functions only of late, and it is some time since it did not go well."""
        return self._fits and time.monotonic() >= self._not_before_s

    def fetched(self, batch: Batch) -> None:
        """Take in what a fetch of the I/O thread has brought."""
        self._fits = self._not_before_s != inf and all(map(self._is_simple, batch))

    def watch(self) -> bool:
        """Say whether the main thread has had something to do of late; if not, it calls `look` when it has.

        Who has been told so looks at what runs once more: it may have begun before it could know.
        """
        self.is_watched = time.monotonic() < self._last_s + _LIVELY_S
        return self.is_watched

    @property
    def runs_many(self) -> bool:
        """Whether the main thread has run batches of late: then what has ended may wait for what has not."""
        return self._loan is not None and time.monotonic() < self._many_s + _LIVELY_S

    def consume(self, queues: Sequence[str]) -> None:
        """Receive from these queues from now on."""
        self._queues = queues
        self.recall()

    # -- in the main thread --------------------------------------------------------------------------------

    def _work(self, loan: Loan, lane: Lane) -> None:
        batch: Batch = ()
        error: BaseException | None = None
        swift, window = 0, Window(1)
        try:
            while True:
                asked_s = time.monotonic()
                limit = window.size if swift >= _MANY else 1
                batch, goes_on = loan.receive(self._consumer(), limit, self._lone_receiver)
                came_s = time.monotonic()
                if not goes_on:
                    break
                if not (len(batch) == 1 and self._is_plain(batch[0])) and not all(map(self._is_simple, batch)):
                    self._fits = False
                    break
                if batch and not loan.begin(lane, len(batch)):
                    break
                if batch and self._lanes.on_take is not None:
                    taken: Any = batch
                    self._lanes.on_take(taken)
                if len(batch) > 1:
                    many: Any = batch
                    batch = ()
                    self._run_many(loan, lane, many, came_s)
                    window.measured(len(many), self._last_s - came_s)
                    window.fetched(limit, len(many))
                    if len(many) == limit and self._is_far(came_s - asked_s):
                        self._not_before_s = time.monotonic() + _FAR_AGAIN_AFTER_S
                        break
                elif batch:
                    delivery: Any = batch[0]
                    batch = ()
                    self._run(lane, delivery, came_s)
                    is_swift = limit == 1 and came_s - asked_s < _AT_ONCE_S and self._last_s - came_s < _SWIFT_S
                    swift = swift + 1 if is_swift else 0
                    if swift >= _MANY:
                        window.measured(1, self._last_s - came_s)
                        window.fetched(1, 1)
        except (LeaseLost, *BROKEN) as caught:
            error = caught
            self._let_go()
        loan.give_back(batch, error)

    def _is_far(self, answer_s: float) -> bool:
        """Take in how long an answer took that was there; say whether others had better be run meanwhile."""
        self._answer_s += (answer_s - self._answer_s) * (_WEIGHT if self._answer_s else 1.0)
        return self._answer_s > _FAR_S

    def _run(self, lane: Lane, delivery: Delivery, now_s: float) -> None:
        if not self.is_watched:
            self._call(self._look)
        finished = self._lanes.run(lane, delivery, now_s)
        if self._lanes.is_copy:
            os._exit(0)
        self._last_s = time.monotonic()
        self.is_settling = True  # before it has ended: who sees nothing of it there looks at this
        lane.finished += 1
        self._settle_these((finished,))
        lane.add(1, self._last_s - now_s)

    def _run_many(self, loan: Loan, lane: Lane, batch: Sequence[Delivery], now_s: float) -> None:
        todo, lanes, done = self._lanes.todo, self._lanes, self._lanes.done
        self._many_s = now_s
        if not self.is_watched:
            self._call(self._look)
        todo.extend(batch)
        ran, kept_s = 0, now_s
        while not loan.is_recalled:
            try:
                delivery = todo.popleft()
            except IndexError:
                break
            if type(delivery) is not Delivery:  # put there by the I/O thread, which has just taken the fetching back
                todo.appendleft(delivery)
                break
            done.append(lanes.run(lane, delivery, now_s))
            lane.finished += 1
            if lanes.is_copy:
                os._exit(0)
            ran, now_s = ran + 1, time.monotonic()
            if now_s - kept_s > _KEEP_S:
                lane.add(ran, now_s - kept_s)
                self._settle()
                ran, kept_s = 0, time.monotonic()
                now_s = kept_s
        lane.add(ran, now_s - kept_s)
        self._last_s = now_s
        self._settle()

    def _settle(self) -> None:
        """Settle what has ended; leave it to the I/O thread where that acts on it first, or where it takes long."""
        self.is_settling = True  # before it is taken: the same
        self._settle_these(drain(self._lanes.done, len(self._lanes.done)))

    def _settle_these(self, finished: Sequence[Finished]) -> None:
        try:
            if self._limiter.breakers.has_news:
                self._leave(finished)
            elif finished:
                lone = self._lone_settler if len(finished) == 1 else None
                if lone is not None and lone(finished[0][0]):
                    self.settled.append((finished, _OURS))
                else:
                    assert self._opened is not None
                    ours = run(self._opened.settler.complete([item[0] for item in finished]))
                    self.settled.append((finished, ours))
        except (*BROKEN, *UNWRITABLE) as error:
            self._leave(finished)
            if isinstance(error, BROKEN):
                raise
        finally:
            self.is_settling = False
        if self._loan is None:  # taken back meanwhile
            self._lanes.wake_io(True)

    def _leave(self, finished: Sequence[Finished]) -> None:
        """Leave to the I/O thread what has ended."""
        self._lanes.done.extendleft(reversed(finished))
        self._lanes.wake_io(True)

    def _is_plain(self, item: Delivery | Malformed) -> bool:
        """Whether it is simple, by a glance at what most have nothing of."""
        if type(item) is not Delivery or item.verdict is not None or item.redelivered_at_s is not None:
            return False
        message = item.message
        is_known = self._simple.get(message.task, False)
        return is_known and message.member is None and message.claim is None and not self._limiter.is_any

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
        name = item.message.task
        return self._simple.get(name) or self._is_of_functions(name)

    def _is_of_functions(self, name: str) -> bool:
        task = self._app.tasks.get(name)
        if task is None:
            return True
        found = self._simple[name] = not task.is_coroutine and task.batch is None and self._runner.acks_late(task)
        return found

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
            self._lone_receiver, self._lone_settler = lone_receiver_of(opened.consumer), lone_settler_of(opened.settler)
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
