"""What feeds of events do when connections go and listeners die, on each store in its own way."""

import asyncio
import time

import pytest

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backends.redis import RedisBackend
from faena.backends.sqlite import SqliteBackend
from faena.drivers.sqlite import events as sqlite_events
from faena.errors import ServerUnavailable
from faena.model.event import Event, EventKind


def event(number=0):
    return Event(EventKind.TASK_SUCCEEDED, float(number))


@pytest.mark.parametrize("io", ["blocking", "asyncio"])
def test_a_feed_that_redis_has_cut_off_goes_on_and_says_so(redis_server, io):
    backend = RedisBackend.connect(f"{redis_server.url}?prefix={new_id()}", io=io)

    async def scenario():
        await backend.open()
        feed = await backend.events.listen()
        await backend.events.publish([event(1)])
        assert list(await feed.receive(5)) == [event(1)]
        await backend.driver.command("CLIENT", "KILL", "TYPE", "pubsub")
        assert list(await feed.receive(0.5)) == []
        assert feed.missed == 1
        await backend.events.publish([event(2)])
        assert list(await feed.receive(5)) == [event(2)]
        await feed.close()
        await backend.close()

    run(scenario()) if io == "blocking" else asyncio.run(scenario())


def test_prefixes_do_not_hear_one_another(redis_server):
    backends = [RedisBackend.connect(f"{redis_server.url}?prefix={new_id()}", io="blocking") for _ in range(2)]
    for each in backends:
        run(each.open())
    feed = run(backends[0].events.listen())
    run(backends[1].events.publish([event(1)]))
    run(backends[0].events.publish([event(2)]))
    assert list(run(feed.receive(5))) == [event(2)]
    run(feed.close())
    for each in backends:
        run(each.close())


def test_a_server_that_is_away_is_said_to_who_listens(tmp_path):
    backend = RedisBackend.connect(f"unix://{tmp_path}/none.sock", io="blocking", options={"timeout_s": 0.2})
    with pytest.raises(ServerUnavailable):
        run(backend.events.listen())


@pytest.fixture
def file(tmp_path):
    backend = SqliteBackend.connect(f"sqlite:///{tmp_path}/x.db", io="blocking")
    run(backend.open())
    yield backend
    run(backend.close())


def rows(backend, table):
    return backend.driver.database.read(lambda sql: sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_nothing_is_written_to_the_file_while_nobody_listens(file):
    run(file.events.publish([event()]))
    assert rows(file, "told") == 0
    feed = run(file.events.listen())
    for number in range(sqlite_events._KEPT_BATCHES + 40):
        run(file.events.publish([event(number)]))
    assert rows(file, "told") == sqlite_events._KEPT_BATCHES  # a ring, not a history
    run(feed.close())
    run(file.expire(1000))
    assert (rows(file, "told"), rows(file, "listeners")) == (0, 0)


def test_a_listener_that_has_died_is_forgotten(file, monkeypatch):
    monkeypatch.setattr(sqlite_events, "_STANDS_S", -1.0)
    run(file.events.listen())  # and is never heard of again
    run(file.events.publish([event()]))
    assert (rows(file, "told"), rows(file, "listeners")) == (0, 1)
    run(file.expire(1000))
    assert rows(file, "listeners") == 0


def test_a_listener_that_was_forgotten_comes_back_and_says_so(file, monkeypatch):
    feed = run(file.events.listen())
    monkeypatch.setattr(feed, "_renew_at_s", 0.0)
    run(feed.receive(0))  # it has been there: it stays
    assert feed.missed == 0
    file.driver.database.write(lambda sql: sql.execute("DELETE FROM listeners").rowcount)
    monkeypatch.setattr(feed, "_renew_at_s", 0.0)
    began_s = time.monotonic()
    assert list(run(feed.receive(0))) == []
    assert feed.missed == 1
    assert feed._renew_at_s > began_s
    run(file.events.publish([event(3)]))
    assert list(run(feed.receive(5))) == [event(3)]
    run(feed.close())
