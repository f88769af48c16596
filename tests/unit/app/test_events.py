"""Programs that listen: what fits comes, the wait ends, and where nothing carries events that is said."""

import asyncio

import msgspec
import pytest

from faena import Faena, Unique
from faena.backend import carries_events, events_of
from faena.backends.absent import AbsentBackend
from faena.drivers.memory import state as memory
from faena.errors import BackendUnavailable, DuplicateCall, FaenaError, NoBackend, NotSupported
from faena.model.event import Event, EventKind, packed, unpacked


@pytest.fixture
def app():
    app = Faena("shop", broker="memory://events", task_send_sent_event=True, set_as_current=False)

    @app.task
    def add(x, y=1):
        return x + y

    @app.task(unique=True)
    def once(x):
        return x

    yield app
    app.close()
    memory.forget("memory://events")


def tell(app, *events):
    backend = app.links.blocking().backend
    asyncio.run(backend.events.publish(events))


def ended(kind=EventKind.TASK_FAILED, task="shop.add", queue="mail", worker="w@h"):
    return Event(kind, 1.0, worker, "id", task, queue)


def test_what_fits_comes_and_nothing_else(app):
    asked = [
        ({}, 4), ({"kinds": "failed"}, 3), ({"kinds": ["task-failed", "succeeded"]}, 4), ({"task": "shop.*"}, 3),
        ({"queue": "mail"}, 3), ({"worker": "w@*"}, 3), ({"task": "shop.*", "queue": "mail", "kinds": "failed"}, 1),
    ]  # fmt: skip
    streams = [app.events(timeout=0.01, **said) for said, _ in asked]
    tell(
        app, ended(), ended(EventKind.TASK_SUCCEEDED, worker="v@h"), ended(task="other"), ended(queue="x"),
    )  # fmt: skip
    for stream, (said, count) in zip(streams, asked, strict=True):
        with stream:
            assert len(list(stream)) == count, said


def name_of(app, ending):
    return next(name for name in app.tasks if name.endswith(ending))


def test_calls_that_were_sent_are_told_of_with_nothing_that_they_carry(app):
    add = app.tasks[name_of(app, "add")]
    with app.events("task-sent", timeout=5) as stream:
        result = add.delay("secret", y="also")
        event = next(stream)
    assert (event.task_id, event.task, event.queue) == (result.id, add.name, "default")
    assert event.worker == app.sender.origin
    assert b"secret" not in packed([event])


def test_many_calls_and_those_of_coroutines_are_told_of_too_and_a_duplicate_is_not(app):
    add, once = app.tasks[name_of(app, "add")], app.tasks[name_of(app, "once")]

    async def send():
        result = await add.adelay(3)
        await app.aclose()
        return result.id

    with app.events("task-sent", timeout=0.2) as stream:
        ids = [each.id for each in app.send_many([add.s(1), add.s(2)])]
        ids.append(asyncio.run(send()))
        ids.append(once.delay(7).id)
        once.delay(7)  # returns the one that is there
        with pytest.raises(DuplicateCall):
            once.apply_async((7,), unique=Unique(on_conflict="error"))
        with app.buffered():
            ids.append(add.delay(4).id)
        assert [each.task_id for each in stream] == ids


def test_a_call_is_sent_also_where_nobody_can_be_told(app, monkeypatch, caplog):
    backend = app.links.blocking().backend
    calls = []

    async def publish(events):
        calls.append(events)
        raise BackendUnavailable("memory://", "away")

    monkeypatch.setattr(backend.events, "publish", publish)
    monkeypatch.setattr("faena.app.sent_events._again_at_s", 0.0)
    add = app.tasks[name_of(app, "add")]
    assert add.delay(1).id != add.delay(2).id
    assert len(calls) == 1  # it is left alone for a while
    assert "nobody could be told" in caplog.text


def test_events_come_to_coroutines(app):
    async def scenario():
        async with app.aevents("failed", timeout=5) as stream:
            link = await app.links.asyncio()
            await link.backend.events.publish([ended(EventKind.TASK_SUCCEEDED), ended()])
            found = [await anext(stream)]
        found += [event async for event in stream]  # closed: there is nothing more
        late = app.aevents(timeout=0.01)
        assert [event async for event in late] == []
        await late.aclose()
        await app.aclose()
        return found

    assert asyncio.run(scenario()) == [ended()]


def test_a_kind_that_there_is_not_is_refused_with_what_there_is(app):
    with pytest.raises(FaenaError, match=r"'task-failled'.*did you mean 'task-failed'.*worker-heartbeat"):
        app.events("task-failled")


def test_where_nothing_carries_events_that_is_said():
    absent = AbsentBackend.connect("amqp://guest:secret@host", io="blocking")
    assert not carries_events(absent)
    with pytest.raises(NoBackend, match="events of tasks and workers") as caught:
        events_of(absent, "amqp://host")
    assert "secret" not in str(caught.value)

    class Old:
        """A backend of a time before events."""

    assert not carries_events(Old())
    with pytest.raises(NotSupported, match="old://"):
        events_of(Old(), "old://")


def test_a_batch_of_a_newer_version_is_understood_as_far_as_it_goes():
    batch = msgspec.msgpack.encode(
        [["task-dreamt", 1.0], ["task-failed", 2.0, "w", "id", "add", "q", 0, None, "", "", None]]
    )
    assert unpacked(batch) == [Event(EventKind.TASK_FAILED, 2.0, "w", "id", "add", "q")]
    assert unpacked(b"\xc1nonsense") == []
    assert unpacked(packed([ended()])) == [ended()]
