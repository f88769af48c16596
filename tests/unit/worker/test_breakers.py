"""What a process does for circuit breakers: what it counts, and when it acts."""

import asyncio
from types import SimpleNamespace

from faena import CircuitBreaker, Faena
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app.breakers import set_breaker
from faena.drivers.memory import state as memory
from faena.engine.attempt import Attempt, Ended
from faena.engine.outcome import Failed, Ignored, Interrupted, Rejected, Replaced, Retried, Revoked, Succeeded, Suspended
from faena.errors import InvalidArguments, TimeLimitExceeded, WorkerLostError
from faena.model.breaker import Phase, opened
from faena.tasks.breaker import breaker_of
from faena.worker.breakers import Breakers


class Stage:
    """An app with one task that has a breaker, one attempt of it, and the breakers of two processes."""

    def __init__(self, **options):
        self.url = f"memory://{new_id()}"
        self.app = Faena("app", broker=self.url, set_as_current=False)

        @self.app.task(name="pay", throws=(FileNotFoundError,), circuit_breaker=CircuitBreaker(errors=OSError, **options))
        def pay():
            pass

        @self.app.task(name="other")
        def other():
            pass

        for each in (pay, other):
            each.delay()
        self.link = self.app.links.blocking()
        holder = run(self.link.broker.leases.open_holder("a", 100))
        found = run(self.link.broker.consumer(holder, ["default"]).receive(2, 0))
        self.delivery, self.plain = sorted(found, key=lambda each: each.message.task, reverse=True)
        self.one, self.two = (Breakers(self.app.tasks, self.app.clock) for _ in range(2))

    def attempt(self, began_s=0.0):
        attempt = Attempt(self.delivery, self.app.tasks["pay"], (), {})
        attempt.started_at_s = began_s or self.app.clock()
        return attempt

    def standing(self):
        return self.app.breakers.list().get("pay")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.app.close()
        memory.forget(self.url)


AWAY = Failed(ConnectionError("away"))


def test_what_counts_as_an_error_and_what_does_not_count():
    with Stage(least=2, error_rate=1) as stage:
        breakers, task = stage.one, stage.app.tasks["pay"]

        def is_second_error(begun, outcome):
            """Whether it counts, as an error, after one error."""
            breakers._kept["pay"].tally.clear()
            breakers.note(stage.attempt(), AWAY)
            assert not breakers.has_news
            breakers.note(begun, outcome)
            found, breakers.has_news = breakers.has_news, False
            return found

        assert is_second_error(stage.attempt(), AWAY)
        assert is_second_error(stage.attempt(), Retried(OSError("away"), None))
        assert is_second_error(stage.attempt(), AWAY)
        for outcome in (
            Succeeded(1), Replaced(None), Failed(ValueError()), Failed(FileNotFoundError()), Retried(None, None),
            Suspended(None), Ignored(), Rejected("", False), Revoked(""), Interrupted(),
        ):  # fmt: skip
            assert not is_second_error(stage.attempt(), outcome)
        ended = Ended(stage.delivery, AWAY, task)
        assert not is_second_error(ended, Failed(InvalidArguments("pay", "no")))
        assert not is_second_error(ended, Failed(ConnectionError("while it was read")))
        assert not is_second_error(Attempt(stage.plain, stage.app.tasks["other"], (), {}), AWAY)
        assert not is_second_error(Ended(stage.delivery, AWAY, None), AWAY)

    with Stage(least=1) as stage:
        stage.one._kept["pay"].breaker = breaker_of(CircuitBreaker(least=1))
        for error in (TimeLimitExceeded("x"), WorkerLostError("x")):
            stage.one.has_news = False
            stage.one.note(Ended(stage.delivery, Failed(error), stage.app.tasks["pay"]), Failed(error))
            assert stage.one.has_news


def CircuitBreakerOf(kind):
    from faena.tasks.breaker import breaker_of

    return breaker_of(CircuitBreaker(least=1, errors=kind))


def test_of_two_processes_the_second_finds_it_open_and_a_try_of_any_closes_it():
    with Stage(least=2) as stage:
        given_back = []
        stage.two._give_back = lambda: given_back.append("two")
        for breakers in (stage.one, stage.two):
            breakers.note(stage.attempt(), AWAY)
            breakers.note(stage.attempt(), AWAY)
        run(stage.one.act(stage.link))
        standing = stage.standing()
        run(stage.two.act(stage.link))
        assert stage.standing() == standing
        assert given_back == ["two"]  # what it has not begun

        half = standing.half_opened(stage.app.clock())
        run(set_breaker(stage.link, "pay", half))
        stage.two.note(stage.attempt(half.since_s - 1), Succeeded(None))  # began before it was opened
        run(stage.two.act(stage.link))
        assert stage.standing() == half
        stage.one.note(stage.attempt(), Succeeded(None))  # it was not told, and believes that it is open
        run(stage.one.act(stage.link))
        assert stage.standing() is None
        stage.one.note(stage.attempt(), AWAY)  # what was before it was closed does not count any more
        assert not stage.one.has_news


def test_who_was_not_told_looks_by_itself():
    with Stage(least=2) as stage:
        run(set_breaker(stage.link, "pay", opened(30, stage.app.clock()).half_opened(stage.app.clock())))
        stage.one.note(stage.attempt(), Succeeded(None))
        assert not stage.one.has_news
        stage.one._kept["pay"].look_at_s = 0.0
        stage.one.note(stage.attempt(), Succeeded(None))
        assert stage.one.has_news
        run(stage.one.act(stage.link))
        assert (stage.standing(), stage.one.has_news) == (None, False)


class SlowOrders:
    """Orders that are given when they may be."""

    def __init__(self, orders):
        self._orders, self.has_begun, self.may_go_on = orders, asyncio.Event(), asyncio.Event()

    async def standing(self):
        return await self._orders.standing()

    async def give(self, orders):
        self.has_begun.set()
        await self.may_go_on.wait()
        await self._orders.give(orders)


def test_who_settles_waits_for_what_another_has_begun_to_do():
    async def main(stage):
        link = await stage.app.links.asyncio()
        orders = SlowOrders(link.backend.orders)
        slow = SimpleNamespace(broker=link.broker, backend=SimpleNamespace(orders=orders, mailbox=link.backend.mailbox))
        stage.one.note(stage.attempt(), AWAY)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(stage.one.act(slow))
            await orders.has_begun.wait()
            assert stage.one.has_news
            second = group.create_task(stage.one.act(slow))
            done, _ = await asyncio.wait([first, second], timeout=0.05)
            assert not done
            orders.may_go_on.set()
        assert not stage.one.has_news

    with Stage(least=1) as stage:
        asyncio.run(main(stage))
        assert stage.standing().phase is Phase.OPEN
