"""Several brokers as one: it keeps the promises of a broker, whichever of them a queue lives on."""

import os

import pytest

from faena._lib.ids import new_id
from faena.brokers.memory import MemoryBroker
from faena.brokers.several import SeveralBrokers
from faena.drivers.memory import state
from faena.errors import ConfigurationError
from faena.model.homes import Homes
from faena.model.limit import Terms, lane_of
from faena.testing.conformance import BrokerConformance
from faena.testing.conformance.stage import Stage, ids, message, new_place, staged, take

NAMES = ("one", "two")
PARTED = dict.fromkeys(("b", "second", "other", "next", "alone", "stopped"), "two")
"""Where the suites have two queues, they live apart."""


class TestTwoMemoryBrokers(BrokerConformance):
    def connect_broker(self, place, io):
        parts = {name: MemoryBroker.connect(f"memory://{place}-{name}", io=io) for name in NAMES}
        return SeveralBrokers(Homes("one", NAMES, PARTED), parts, io)

    async def corrupt(self, broker, queue, raw):
        home = broker.home_of(queue)
        with home.state.lock:
            home.state.messages.inject(queue, new_id(), raw)

    @pytest.fixture(params=["asyncio"] if os.environ.get("FAENA_TEST_CHAOS") != "full" else ["blocking", "asyncio"])
    def stage(self, request):
        """Parts keep both ways of waiting; what stands before them differs in `receive` only, which has a test below."""
        return Stage(self, new_place(), request.param)

    @pytest.fixture(autouse=True)
    def _forget(self, stage):
        yield
        for name in NAMES:
            state.forget(f"memory://{stage.place}-{name}")

    def test_who_blocks_receives_from_both_in_turn(self):
        place = new_place()

        async def play(stage):
            broker = await stage.broker()
            consumer, _ = await stage.consumer(broker, "first", "second")
            waiting = stage.beside(lambda: take(consumer, 2))
            sent = [message(queue=queue) for queue in ("second", "first")]
            for each in sent:
                await broker.publish([each])
            assert sorted(ids(await waiting.outcome())) == sorted(each.id for each in sent)
            assert not await consumer.receive(1, 0.06)

        stage = Stage(self, place, "blocking")
        stage.play(play(stage))
        for name in NAMES:
            state.forget(f"memory://{place}-{name}")

    # -- what is not as with one ---------------------------------------------------------------------------

    @staged
    async def test_a_limit_holds_over_all_queues(self, stage):
        """Each broker counts for itself."""
        broker = await stage.broker()
        await broker.limits.declare({"task:t": Terms(concurrency=1)})
        for number, queue in enumerate(("first", "first", "second", "second")):
            await broker.publish([message(id=str(number), queue=queue, lane=lane_of(("task:t",)))])
        consumer, _ = await stage.consumer(broker, "first", "second")
        assert sorted(ids(await take(consumer, 2))) == ["0", "2"]
        assert not await consumer.receive(4, 0)
        (status,) = await broker.limits.list()
        assert (status.running, status.waiting) == (2, 2)

    @staged
    async def test_a_letter_is_changed_and_put_back_as_it_is_then(self, stage):
        """It stays on its broker."""
        broker = await stage.broker()
        await self._bury(stage, broker, ("1", "a", "failed"))
        with pytest.raises(ConfigurationError, match="lies, 'one', and queue 'b' lives on 'two'"):
            await broker.dead_letters.replace("1", message(id="1", queue="b"))
        assert await broker.dead_letters.replace("1", changed := message(id="1", queue="c"))
        assert await broker.dead_letters.requeue(ids=["1"]) == 1
        consumer, _ = await stage.consumer(broker, "c")
        assert [each.message for each in await take(consumer, 1)] == [changed]
