"""Calls of a block are sent in batches, each once, in order; and whoever causes an attempt hears what has become of it."""

import asyncio
import random
import threading

import pytest

from faena import Faena
from faena.broker import Capabilities
from faena.errors import BrokerUnavailable, ConfigurationError, EncodeError, NotAllSent, PublishedInPart

DOWN = BrokerUnavailable("down")


class Moody:
    """A broker that answers as it is told: a number takes that many, an error none; then it takes all."""

    homes = None  # it is the only one
    capabilities = Capabilities(durable=True, lease="holder", largest_message_bytes=1000, deduplicates=False)

    def __init__(self, *moods):
        self.moods, self.batches, self.attempts = list(moods), [], 0

    async def publish(self, messages):
        self.attempts += 1
        mood = self.moods.pop(0) if self.moods else None
        if isinstance(mood, BaseException):
            raise mood
        part = messages[:mood]
        self.batches.append([message.id for message in part])
        if mood is not None:
            raise PublishedInPart([message.id for message in part], len(messages))

    @property
    def taken(self):
        return [each for batch in self.batches for each in batch]

    def blocking(self):
        return self

    async def asyncio(self):
        return self

    @property
    def broker(self):
        return self


def app_on(broker):
    app = Faena("shop", set_as_current=False, task_publish_retry=False)
    app.links = broker

    @app.task(name="add")
    def add(x, y=0):
        return x + y

    return app, add


def ids(handles):
    return [handle.id for handle in handles]


def test_calls_are_sent_when_the_buffer_is_full_when_asked_and_at_the_end():
    broker = Moody()
    app, add = app_on(broker)
    with app.buffered(max_pending=3) as calls:
        handles = [add.delay(n) for n in range(5)]
        assert [len(batch) for batch in broker.batches] == [3]
        assert calls.pending == tuple(ids(handles[3:]))
        calls.flush()
        assert [len(batch) for batch in broker.batches] == [3, 2]
        calls.flush()
        handles += [add.apply_async((n,), priority=9) for n in range(2)] + [app.send_task("add", (1, 2))]
        handles.append(calls.send(add.s(7)))
    assert [len(batch) for batch in broker.batches] == [3, 2, 3, 1]
    assert broker.taken == ids(handles)
    outside = add.delay(1)
    assert broker.batches[-1] == [outside.id]


def test_the_same_holds_where_one_awaits():
    broker = Moody()
    app, add = app_on(broker)

    async def main():
        async with app.buffered(max_pending=10) as calls:
            handles = await asyncio.gather(*(add.adelay(n) for n in range(25)))
            assert len(calls.pending) == 5
            await calls.aflush()
            assert calls.pending == ()
            return [*handles, add.delay(1), await calls.asend(add.s(2))]

    handles = asyncio.run(main())
    assert [len(batch) for batch in broker.batches] == [10, 10, 5, 2]
    assert sorted(broker.taken) == sorted(ids(handles))


def test_what_is_sent_is_what_was_said_and_what_cannot_be_sent_is_an_error_on_the_spot():
    broker = Moody()
    app, add = app_on(broker)
    with app.buffered() as calls:
        with pytest.raises(TypeError, match="add"):
            add.delay()
        with pytest.raises(EncodeError):
            add.delay(object())
        assert calls.pending == ()
        value = [1]
        add.delay(value)
        value.append(2)
        (message,) = calls._pending.values()
    assert app.codecs.decode(message.content, message.body) == [[[1]], {}]


def test_a_call_that_finds_no_room_is_none_and_the_others_wait():
    broker = Moody(DOWN, DOWN)
    app, add = app_on(broker)
    with app.buffered(max_pending=2) as calls:
        handles = [add.delay(1), add.delay(2)]
        for _ in range(2):
            with pytest.raises(NotAllSent, match=r"2 calls are not sent yet: .* \(down\)") as caught:
                add.delay(3)
            assert caught.value.pending == calls.pending == tuple(ids(handles))
            assert isinstance(caught.value.__cause__, BrokerUnavailable)
        handles.append(add.delay(4))
    assert broker.taken == ids(handles)


def test_the_end_of_a_block_says_what_was_not_sent_and_it_can_be_sent_later():
    broker = Moody(2, DOWN)
    app, add = app_on(broker)
    calls, handles = app.buffered(), []
    with pytest.raises(NotAllSent) as caught, calls:
        handles += [add.delay(n) for n in range(5)]
    assert caught.value.accepted == set(ids(handles[:2]))
    assert caught.value.pending == tuple(ids(handles[2:]))
    with pytest.raises(NotAllSent):
        calls.flush()
    calls.flush()
    assert broker.taken == ids(handles)
    assert calls.pending == ()


def test_what_a_broker_never_takes_does_not_hold_up_the_others():
    broker = Moody()
    app, add = app_on(broker)
    with pytest.raises(NotAllSent, match="1 were refused and will never be sent") as caught, app.buffered() as calls:
        handles = [add.delay(1), add.delay("x" * 2000), add.delay(2)]
    assert caught.value.refused == (handles[1].id,)
    assert (caught.value.pending, calls.pending) == ((), ())
    assert broker.taken == [handles[0].id, handles[2].id]


def test_an_exception_in_the_block_passes_and_what_was_called_before_is_sent():
    broker = Moody()
    app, add = app_on(broker)
    with pytest.raises(KeyError), app.buffered():
        handle = add.delay(1)
        raise KeyError("mine")
    assert broker.taken == [handle.id]

    app, add = app_on(Moody(DOWN))
    with pytest.raises(NotAllSent) as caught, app.buffered():
        add.delay(1)
        raise KeyError("mine")
    context = caught.value.__context__
    while context is not None and not isinstance(context, KeyError):
        context = context.__context__
    assert context is not None, "the user's own exception is shown with it"


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_who_is_interrupted_does_not_wait_for_a_broker_that_is_away(interrupt):
    broker = Moody(DOWN)
    app, add = app_on(broker)
    app.conf.task_publish_retry = True
    with pytest.raises(NotAllSent), app.buffered():
        add.delay(1)
        raise interrupt
    assert broker.attempts == 1


def test_what_is_interrupted_while_it_is_sent_is_still_pending():
    broker = Moody(KeyboardInterrupt())
    app, add = app_on(broker)
    with app.buffered() as calls:
        handle = add.delay(1)
        with pytest.raises(KeyboardInterrupt):
            calls.flush()
        assert calls.pending == (handle.id,)
    assert broker.taken == [handle.id]


def test_a_block_is_not_for_other_threads_but_they_may_use_it():
    broker = Moody()
    app, add = app_on(broker)
    with app.buffered(max_pending=7) as calls:
        directly, given = [], []
        here = add.delay(0)
        thread = threading.Thread(target=lambda: directly.append(add.delay(1)))
        thread.start()
        thread.join()
        assert broker.batches == [ids(directly)]
        threads = [threading.Thread(target=lambda: given.extend(calls.send(add.s(n)) for n in range(50))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(map(len, broker.batches)) <= 7
    assert sorted(broker.taken) == sorted(ids([here, *directly, *given]))
    assert len(set(broker.taken)) == len(broker.taken) == 202
    after = calls.send(add.s(1))
    assert broker.batches[-1] == [after.id], "the block has ended: it is sent at once"


def test_blocks_stand_in_one_another_and_belong_to_their_app():
    one, other = Moody(), Moody()
    (first, add), (second, plus) = app_on(one), app_on(other)
    with first.buffered() as outer:
        with second.buffered() as inner:
            add.delay(1)
            plus.delay(1)
            assert (len(outer.pending), len(inner.pending)) == (1, 1)
            with first.buffered() as innermost:
                add.delay(2)
                assert (len(outer.pending), len(innermost.pending)) == (1, 1)
        assert (len(one.taken), len(other.taken)) == (1, 1)
        plus.delay(2)
        assert len(other.batches) == 2
    assert len(one.taken) == 2
    with pytest.raises(ConfigurationError, match="open already"), outer, outer:
        pass


def test_a_block_has_room_for_one_call_at_least():
    app, _ = app_on(Moody())
    with pytest.raises(ConfigurationError, match="max_pending=0"):
        app.buffered(max_pending=0)


def test_what_says_how_it_is_to_be_sent_goes_after_what_was_called_before():
    broker = Moody()
    app, add = app_on(broker)
    with app.buffered():
        first = add.delay(1)
        alone = add.apply_async((2,), retry=False)
        assert broker.batches == [[first.id], [alone.id]]
        last = add.delay(3)
        many = app.send_many([add.s(4), add.s(5)])
        assert broker.batches[2:] == [[last.id], ids(many)]


def test_an_eager_app_collects_nothing():
    app, add = app_on(Moody())
    app.conf.task_always_eager = True
    with app.buffered():
        assert add.delay(1, 2).get() == 3


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_broker_does_nothing_is_lost_and_nothing_sent_twice(seed):
    draw = random.Random(seed)
    moods = [draw.choice([None, DOWN, draw.randrange(4), None]) for _ in range(40)]
    broker = Moody(*moods)
    app, add = app_on(broker)
    calls, handles = app.buffered(max_pending=draw.randrange(1, 9)), []
    try:
        with calls:
            for n in range(draw.randrange(100)):
                try:
                    handles.append(add.delay("x" * draw.choice([1, 1, 1, 1500]) if seed % 2 else n))
                except NotAllSent:
                    continue
    except NotAllSent:
        pass
    short = [each.id for each in handles]
    refused = set(short) - set(broker.taken) - set(calls.pending)
    assert not refused or seed % 2
    assert [each for each in short if each not in refused] == [*broker.taken, *calls.pending]
