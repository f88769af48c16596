"""The connections of a process to several brokers: what comes is merged, what has ended is parted, nothing is lost."""

import asyncio
import random

import pytest

from faena import Faena, Queue
from faena._lib.ids import new_id
from faena.app.links import Links
from faena.backend import Completion
from faena.config.settings import Settings
from faena.drivers.memory.state import forget
from faena.errors import BrokerUnavailable, NotSupported
from faena.model.delivery import Ack, Place, Release
from faena.model.homes import holders_of
from faena.model.message import Message
from faena.model.result import ResultRecord, State
from faena.model.turns import USUAL
from faena.worker.connections import Connections
from faena.worker.limits import refuse_unless_limited

NAMES = ("one", "two", "three")
QUEUES = [Queue(name, broker=name) for name in NAMES]


class Place3:
    """Three brokers in memory, the first of which is one store with the backend."""

    def __init__(self):
        place = new_id()
        self.urls = {name: f"memory://{place}-{name}" for name in NAMES}
        self.links = Links(Settings({"brokers": self.urls, "task_queues": QUEUES}))
        self.lost = []

    async def __aenter__(self):
        self.link = self.links.connect("asyncio")
        await self.link.backend.open()
        self.holder = await self.link.broker.leases.open_holder("test", 600.0)
        self.connections = self.connect()
        return self

    def connect(self, queues=NAMES):
        async def on_open(link):
            pass

        return Connections(
            self.links, self.links.homes, holders_of(self.holder), queues, taking=USUAL, on_open=on_open,
            on_lost=lambda: None, on_given_away=self.lost.append,
        )  # fmt: skip

    async def __aexit__(self, *_):
        await self.connections.close()
        for url in self.urls.values():
            forget(url)

    async def send(self, *queues):
        messages = [Message(new_id(), "t", queue, b"[[], {}]") for queue in queues]
        await self.link.broker.publish(messages)
        return [message.id for message in messages]

    async def waiting(self):
        return {each.name: (each.waiting, each.held) for each in await self.link.broker.queues.status()}

    async def until(self, condition, within_s=10.0):
        async with asyncio.timeout(within_s):
            while not await condition():
                await asyncio.sleep(0.01)


def ids(batch):
    return [each.message.id for each in batch]


def done(delivery, *, follow=()):
    messages = tuple(Message(new_id(), "t", queue, b"[[], {}]") for queue in follow)
    return Completion(Ack(delivery), ResultRecord(delivery.message.id, "t", State.SUCCESS), messages)


def finished(batch, **options):
    return [(done(each, **options), None, each) for each in batch]


def break_publishing(place, name):
    """Let nothing be published there through this process; return what mends it."""
    broker = place.connections._whole.broker.parts.by_name[name].broker
    publish = broker.publish

    async def refuse(messages):
        raise BrokerUnavailable(f"{name} is away")

    broker.publish = refuse
    return lambda: setattr(broker, "publish", publish)


@pytest.mark.parametrize("seed", range(5))
def test_all_that_is_sent_is_received_once_and_never_more_than_is_asked_for(seed):
    async def play():
        chance = random.Random(seed)
        async with Place3() as place:
            sent = await place.send(*[chance.choice(NAMES) for _ in range(200)])
            received, settled = [], []

            def then(items, ours):
                assert all(ours)
                settled.extend(ids([item[2] for item in items]))

            while len(received) < len(sent):
                limit = chance.choice((1, 2, 3, 10, 50))
                batch = await place.connections.receive(limit, 5.0)
                assert len(batch) <= limit
                assert all(each.source == each.message.queue for each in batch)
                received += batch
                await place.connections.settle(finished(batch), then)
                if chance.random() < 0.1:
                    await asyncio.sleep(0.15)  # long enough for what lies there to go back
            assert sorted(ids(received)) == sorted(sent)
            await place.until(lambda: _is(len(settled) == len(sent)))
            assert sorted(settled) == sorted(sent)

    asyncio.run(play())


async def _is(truth):
    return truth


def test_what_nobody_asks_for_any_more_goes_back():
    async def play():
        async with Place3() as place:
            await place.send("one", "two", "three")
            (first,) = await place.connections.receive(1, 5.0)

            async def is_back():
                found = await place.waiting()
                return sum(held for _, held in found.values()) == 1

            await place.until(is_back)
            assert {first.message.id, *ids(await place.connections.receive(5, 5.0))}

    asyncio.run(play())


def test_what_nobody_has_foreseen_in_one_of_them_is_raised_and_does_not_end_its_part_in_silence():
    class Unforeseen(Exception):
        pass

    async def fail(*_):
        raise Unforeseen

    async def play(breaks):
        async with Place3() as place:
            await place.send("two")
            (delivery,) = await place.connections.receive(1, 5.0)
            breaks(place.connections._sources["two"].connection)
            await place.connections.settle(finished([delivery]), lambda *_: None)
            await place.send("two")
            with pytest.raises(Unforeseen):
                for _ in range(10):
                    await place.connections.receive(1, 1.0)

    asyncio.run(play(lambda connection: setattr(connection, "receive", fail)))
    asyncio.run(play(lambda connection: setattr(connection, "complete", fail)))


def test_each_has_its_turn():
    async def play():
        async with Place3() as place:
            await place.send(*["one"] * 50, *["two"] * 50, *["three"] * 50)
            seen = []
            for _ in range(60):
                batch = await place.connections.receive(2, 5.0)
                seen += [each.source for each in batch]
                await place.connections.settle(finished(batch), lambda *_: None)
            assert min(seen[:60].count(name) for name in NAMES) >= 10

    asyncio.run(play())


def test_what_stays_is_one_step_and_what_leaves_is_published_there():
    async def play():
        async with Place3() as place:
            await place.send("one", "one", "two")
            batch = []
            while len(batch) < 3:
                batch += await place.connections.receive(3, 5.0)
            told = []
            by_queue = {each.message.queue: each for each in batch}
            await place.connections.settle(finished([by_queue["one"]], follow=["one"]), lambda *_: told.append(1))
            await place.connections.settle(finished([by_queue["two"]], follow=["one", "three"]), lambda *_: told.append(1))
            await place.until(lambda: _is(len(told) == 2))
            found = await place.waiting()  # what waits may be in hand for a moment
            assert {name: sum(counts) for name, counts in found.items()} == {"one": 3, "two": 0, "three": 1}

    asyncio.run(play())


def test_what_follows_for_one_that_is_away_waits_and_others_are_settled():
    async def play():
        async with Place3() as place:
            await place.send("one", "one", "two")
            batch = []
            while len(batch) < 3:
                batch += await place.connections.receive(3, 5.0)
            mend = break_publishing(place, "three")
            told = []

            def then(items, ours):
                told.extend(zip(ids([item[2] for item in items]), ours, strict=True))

            first, *others = [each for each in batch if each.source == "one"]
            others += [each for each in batch if each.source == "two"]
            await place.connections.settle(finished([first], follow=["three"]), then)
            await place.connections.settle(finished(others), then)
            await place.until(lambda: _is(len(told) == 2))
            assert first.message.id not in dict(told)
            assert (await place.link.broker.locate([first.message.id])) == [Place.HELD]
            mend()
            await place.until(lambda: _is(len(told) == 3))
            assert all(ours for _, ours in told)
            assert sum((await place.waiting())["three"]) == 1

    asyncio.run(play())


def test_a_retry_that_names_a_queue_of_another_is_sent_there():
    async def play():
        async with Place3() as place:
            (task_id,) = await place.send("one")
            (delivery,) = await place.connections.receive(1, 5.0)
            moved = Message(task_id, "t", "two", b"[[], {}]", retries=1)
            told = []
            await place.connections.settle(
                [(Completion(Release(delivery, moved)), None, delivery)], lambda *_: told.append(1)
            )
            await place.until(lambda: _is(bool(told)))
            (again,) = await place.connections.receive(1, 5.0)
            assert (again.source, again.message) == ("two", moved)

    asyncio.run(play())


def test_a_lease_that_is_lost_concerns_its_own_broker_and_is_granted_anew():
    async def play():
        async with Place3() as place:
            await place.send("one", "two")
            batch = []
            while len(batch) < 2:
                batch += await place.connections.receive(2, 5.0)
            two = place.link.broker.parts.by_name["two"].broker
            await two.leases.recover(place.connections.holders["two"], {})
            await place.send("one", "two")
            received = []
            while len(received) < 1:
                received += await place.connections.receive(5, 5.0)
            assert {each.source for each in received} == {"one"}
            await place.until(lambda: _is(place.lost == ["two"]))
            place.connections.grant("two", await two.leases.open_holder("test", 600.0))
            while len(received) < 3:
                received += await place.connections.receive(5, 5.0)
            told = {}

            def then(items, ours):
                told.update(zip([(item[2].message.id, item[2].deliveries) for item in items], ours, strict=True))

            await place.connections.settle(finished([*batch, *received]), then)
            await place.until(lambda: _is(len(told) == 5))
            stale = next(each for each in batch if each.source == "two")
            assert [key for key, ours in told.items() if not ours] == [(stale.message.id, 1)]

    asyncio.run(play())


def test_other_queues_are_taken_from_while_it_runs():
    async def play():
        async with Place3() as place:
            place.connections.consume(["one"])
            await place.send("two", "one")
            assert [each.source for each in await place.connections.receive(5, 5.0)] == ["one"]
            assert not await place.connections.receive(5, 0.05)
            place.connections.consume(["one", "two"])
            assert [each.source for each in await place.connections.receive(5, 5.0)] == ["two"]

    asyncio.run(play())


def test_a_limit_is_refused_where_its_queue_lives_on_a_broker_without():
    brokers = {"main": "memory://x", "bulk": "amqp://nowhere.invalid"}
    app = Faena("shop", brokers=brokers, task_queues=["default", Queue("images", broker="bulk")], set_as_current=False)

    @app.task(name="here", rate_limit="1/s")
    def here(): ...

    refuse_unless_limited(app)

    @app.task(name="there", rate_limit="1/s", queue="images")
    def there(): ...

    with pytest.raises(NotSupported, match="queue 'images' lives, does not support the limit 'task:there'"):
        refuse_unless_limited(app)
