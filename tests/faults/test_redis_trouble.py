"""Redis in trouble: what a client sees, what is kept, and that everything goes on by itself afterwards."""

import asyncio
import os
import random
import signal
import threading
import time

import pytest
from msgspec.structs import replace

from faena import Faena
from faena._lib.drive import run
from faena.backend import Completion
from faena.backends.redis import RedisBackend
from faena.brokers.redis import RedisBroker
from faena.errors import BrokerUnavailable, LeaseLost, ServerRefused, ServerUnavailable
from faena.model.delivery import Ack, Place, Release
from faena.model.message import Message
from faena.model.result import ResultRecord
from faena.testing.conformance.sketch import Sketch, chain, ending, result_of


def message(task_id, **fields):
    return Message(id=task_id, task="t", queue="default", body=b"[[], {}]", **fields)


def record(task_id, state="SUCCESS"):
    return ResultRecord(task_id, "t", state, b"1", expires_at_s=time.time() + 600)


class Set:
    """A blocking broker and backend with a consumer, through `url`."""

    def __init__(self, url, holder=None, **options):
        self.broker = RedisBroker.connect(url, io="blocking", options=options)
        self.backend = RedisBackend.connect(url, io="blocking", options=options)
        run(self.broker.open())
        run(self.backend.open())
        self.holder = holder or run(self.broker.leases.open_holder("test", 600))
        self.consumer = self.broker.consumer(self.holder, ["default"])

    def publish(self, *ids, **fields):
        run(self.broker.publish([message(each, **fields) for each in ids]))

    def take(self, limit=10, wait_s=0.0):
        return run(self.consumer.receive(limit, wait_s))

    def complete(self, *completions):
        return list(run(self.backend.joint(self.broker, self.holder).complete(completions)))

    def locate(self, *ids):
        return list(run(self.broker.locate(ids)))

    def close(self):
        run(self.consumer.close())
        run(self.backend.close())
        run(self.broker.close())


@pytest.fixture
def set_of():
    sets = []

    def make(url, **options):
        sets.append(Set(url, **options))
        return sets[-1]

    yield make
    for each in sets:
        each.close()


def ids(batch):
    return [each.message.id for each in batch]


# -- restarts ----------------------------------------------------------------------------------------------


def test_a_restart_with_its_data_loses_nothing(redis_of, set_of):
    server = redis_of("--appendonly", "yes", "--appendfsync", "always")
    ours = set_of(server.url)
    ours.publish("1", "2", "3")
    ours.publish("later", due_at_s=time.time() + 600)
    (held,) = ours.take(1)
    server.restart(signal.SIGKILL)
    assert ours.locate("1", "2", "later") == [Place.HELD, Place.WAITING, Place.DELAYED]
    assert ours.complete(Completion(Ack(held), record("1"))) == [True]
    again = set_of(server.url, holder=ours.holder)
    assert ids(again.take()) == ["2", "3"]


def test_a_restart_without_data_is_said_to_who_holds_something_and_work_goes_on(redis_of, set_of):
    server = redis_of()
    ours = set_of(server.url)
    ours.publish("lost")
    (held,) = ours.take(1)
    server.restart()
    assert ours.complete(Completion(Ack(held), record("lost"))) == [False]
    with pytest.raises((LeaseLost, ServerUnavailable)):
        ours.take()
    with pytest.raises(LeaseLost):
        ours.take()
    fresh = set_of(server.url)
    fresh.publish("next")
    assert ids(fresh.take()) == ["next"]


def test_scripts_that_the_server_has_forgotten_are_sent_again(redis_of, set_of):
    ours = set_of(redis_of().url)
    for number in range(3):
        run(ours.broker.driver.command("SCRIPT", "FLUSH"))
        ours.publish(str(number))
        run(ours.broker.driver.command("SCRIPT", "FLUSH"))
        (delivery,) = ours.take(1)
        run(ours.broker.driver.command("SCRIPT", "FLUSH"))
        assert ours.complete(Completion(Ack(delivery), record(str(number)))) == [True]
        assert not ours.take(1)
        timer = threading.Timer(0.1, ours.publish, args=(f"waited-{number}",))
        run(ours.broker.driver.command("SCRIPT", "FLUSH"))
        timer.start()
        (delivery,) = ours.take(1, 5.0)
        timer.join()
        assert delivery.message.id == f"waited-{number}"


# -- replies that never come -------------------------------------------------------------------------------


def test_a_publish_whose_reply_was_lost_takes_the_message_once(redis_of, set_of, proxy_to):
    server = redis_of()
    proxy = proxy_to(server.port)
    ours, direct = set_of(proxy.url, timeout_s=0.5), set_of(server.url)
    direct.publish("first")  # so that the server knows the script
    proxy.swallows = True
    with pytest.raises(BrokerUnavailable):
        ours.publish("once")
    assert direct.locate("once") == [Place.WAITING]
    proxy.swallows = False
    proxy.cut()
    ours.publish("once")
    assert ids(direct.take()) == ["first", "once"]


def test_a_completion_whose_reply_was_lost_is_carried_out_once(redis_of, set_of, proxy_to):
    server = redis_of()
    proxy = proxy_to(server.port)
    ours, direct = set_of(proxy.url, timeout_s=0.5), set_of(server.url)
    ours.publish("1", "2")
    first, second = ours.take()
    assert direct.complete(Completion(Release(first))) == [False]  # so that the server knows the script
    completions = [
        Completion(Ack(first), record("1"), (message("next"),)),
        Completion(Release(second, replace(second.message, retries=1)), record("2", "RETRY")),
    ]
    proxy.swallows = True
    with pytest.raises(ServerUnavailable):
        ours.complete(*completions)
    proxy.swallows = False
    proxy.cut()
    assert ours.complete(*completions) == [False, False]  # it was carried out, and is not again
    assert [each.state for each in run(direct.backend.read(["1", "2"]))] == ["SUCCESS", "RETRY"]
    assert sorted(ids(direct.take())) == ["2", "next"]


def test_what_a_fetch_took_whose_reply_was_lost_is_put_back_by_the_next_connection(redis_of, set_of, proxy_to):
    server = redis_of()
    proxy = proxy_to(server.port)
    ours = set_of(proxy.url, timeout_s=0.5)
    assert not ours.take()
    ours.publish("1", "2")
    proxy.swallows = True
    with pytest.raises(ServerUnavailable):
        ours.take()
    assert set_of(server.url).locate("1", "2") == [Place.HELD, Place.HELD]
    proxy.swallows = False
    proxy.cut()
    again = set_of(proxy.url, holder=ours.holder)
    batch = again.take()
    assert (ids(batch), [each.deliveries for each in batch]) == (["1", "2"], [1, 1])


def test_a_wait_that_only_the_server_believes_in_takes_nothing(redis_of, set_of, proxy_to):
    """The cable is pulled while the worker is parked: the server would hand the next message to nobody."""
    server = redis_of()
    proxy = proxy_to(server.port)
    ours, direct = set_of(proxy.url, timeout_s=0.5), set_of(server.url)
    assert not ours.take()
    timer = threading.Timer(0.1, setattr, args=(proxy, "stalls", True))
    timer.start()
    with pytest.raises(ServerUnavailable):
        ours.take(1, 0.6)
    timer.join()
    proxy.stalls = False  # new connections work; the old one stays as dead as it was
    again = set_of(server.url, holder=ours.holder)
    assert not again.take()  # the old one is closed by this
    direct.publish("1")
    assert ids(again.take(1, 5.0)) == ["1"]


@pytest.mark.parametrize("io", ["blocking", "asyncio"])
def test_connections_cut_at_any_byte_lose_nothing_and_double_nothing(redis_of, set_of, proxy_to, io):
    server = redis_of()
    proxy = proxy_to(server.port)
    seeded = random.Random(7)
    direct = set_of(server.url)
    holder = run(direct.broker.leases.open_holder("cut", 600))
    names = [str(number) for number in range(120)]

    async def work():
        options = {"timeout_s": 2.0}
        kept = []

        async def persist(step):
            while True:
                try:
                    return await step()
                except ServerUnavailable:
                    await asyncio.sleep(0) if io == "asyncio" else None

        broker = RedisBroker.connect(proxy.url, io=io, options=options)
        backend = RedisBackend.connect(proxy.url, io=io, options=options)
        await persist(broker.open)
        await persist(backend.open)
        consumer = broker.consumer(holder, ["default"])
        settler = backend.joint(broker, holder)
        for name in names:
            if seeded.random() < 0.5:
                proxy.cut_after = seeded.randrange(400)
            await persist(lambda name=name: broker.publish([message(name)]))
            batch = await persist(lambda: consumer.receive(3, 0.05))
            done = [Completion(Ack(each), record(each.message.id)) for each in batch]
            if done:
                await persist(lambda done=done: settler.complete(done))
            kept += [each.message.id for each in batch]
        while batch := await persist(lambda: consumer.receive(10, 0.2)):
            await persist(
                lambda batch=batch: settler.complete([Completion(Ack(each), record(each.message.id)) for each in batch])
            )
            kept += [each.message.id for each in batch]
        await consumer.close()
        await backend.close()
        await broker.close()
        return kept

    kept = run(work()) if io == "blocking" else asyncio.run(work())
    assert sorted(kept) == sorted(names)
    assert None not in run(direct.backend.read(names))
    assert direct.locate(*names) == [None] * len(names)


# -- servers that refuse -----------------------------------------------------------------------------------


def test_a_server_without_memory_refuses_new_messages_and_lets_go_of_old_ones(redis_of, set_of):
    ours = set_of(redis_of("--maxmemory-policy", "noeviction").url)
    ours.publish("1", "2")
    (delivery,) = ours.take(1)
    run(ours.broker.driver.command("CONFIG", "SET", "maxmemory", "1"))
    with pytest.raises(ServerUnavailable, match="out of memory: maxmemory is reached"):
        ours.publish("more")
    assert ours.locate("more") == [None]
    assert ours.complete(Completion(Ack(delivery), record("1"))) == [True]  # so that work can make room
    (delivery,) = ours.take(1)
    assert run(ours.broker.leases.renew([ours.holder], 600)) == [ours.holder]
    assert run(ours.broker.leases.recover(ours.holder, {})) == 1
    run(ours.broker.driver.command("CONFIG", "SET", "maxmemory", "0"))
    ours.publish("more")
    assert ours.locate("2", "more") == [Place.WAITING, Place.WAITING]


def test_a_server_without_memory_takes_the_steps_of_workflows(redis_of, set_of):
    ours = set_of(redis_of("--maxmemory-policy", "noeviction").url)
    sketch = Sketch()
    new = sketch.new(sketch.task(sketch.join(sketch.task(), sketch.task())))
    run(ours.backend.workflows.start(new, ours.broker))
    members = ours.take()
    run(ours.broker.driver.command("CONFIG", "SET", "maxmemory", "1"))
    with pytest.raises(ServerUnavailable, match="out of memory"):
        run(ours.backend.workflows.start(chain(1), ours.broker))
    for each in members:
        event = ending(new, each.message.member.node, b"1")
        assert ours.complete(Completion(Ack(each), result_of(event), (), event)) == [True]
    assert [each.message.member.node for each in ours.take()] == [3]


def test_a_step_whose_reply_was_lost_is_taken_once(redis_of, set_of, proxy_to):
    server = redis_of()
    proxy = proxy_to(server.port)
    ours, direct = set_of(proxy.url, timeout_s=0.5), set_of(server.url)
    flows = [chain(3), chain(2)]
    run(direct.backend.workflows.start(flows[0], direct.broker))
    (first,) = ours.take()
    assert direct.complete(Completion(Release(first))) == [False]  # so that the server knows the script
    event = ending(flows[0], 0, b"1")
    proxy.swallows = True
    with pytest.raises(ServerUnavailable):
        ours.complete(Completion(Ack(first), result_of(event), (), event))
    proxy.swallows = False
    proxy.cut()
    assert ours.complete(Completion(Ack(first), result_of(event), (), event)) == [False]
    proxy.swallows = True
    with pytest.raises(ServerUnavailable):
        run(ours.backend.workflows.start(flows[1], ours.broker))
    proxy.swallows = False
    proxy.cut()
    assert list(run(ours.backend.workflows.start(flows[1], ours.broker))) == []
    assert [each.message.id for each in direct.take()] == [f"{flows[0].workflow.id}.1", f"{flows[1].workflow.id}.0"]


def test_a_replica_refuses_and_changes_nothing(redis_of, set_of):
    server = redis_of()
    ours = set_of(server.url)
    ours.publish("1")
    (delivery,) = ours.take(1)
    ours.publish("2")
    other = redis_of()
    run(ours.broker.driver.command("REPLICAOF", "127.0.0.1", str(other.port)))
    for step in (lambda: ours.publish("3"), lambda: ours.complete(Completion(Ack(delivery)))):
        with pytest.raises(ServerUnavailable, match=r"a replica|still loading|lost its master"):
            step()


def test_a_server_that_does_not_answer_is_given_up_after_the_deadline(redis_of, set_of):
    server = redis_of()
    ours = set_of(server.url, timeout_s=0.3)
    with server.suspended():
        begun = time.monotonic()
        with pytest.raises(ServerUnavailable, match="did not answer in time"):
            ours.publish("1")
        assert 0.3 <= time.monotonic() - begun < 1.2
    ours.publish("1")
    assert ids(ours.take()) == ["1"]


def test_a_client_waits_no_longer_than_its_one_deadline(redis_of):
    server = redis_of()
    app = Faena("client", broker=server.url, set_as_current=False, task_publish_timeout=0.6)
    app.send_task("t")
    with server.suspended():
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            app.send_task("t")
        assert 0.5 < time.monotonic() - begun < 1.5

        async def send():
            with pytest.raises(BrokerUnavailable):
                await app.asend_task("t")
            await app.aclose()

        begun = time.monotonic()
        asyncio.run(send())
        assert 0.5 < time.monotonic() - begun < 1.5
    server.stop()
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        app.send_task("t")
    assert time.monotonic() - begun < 1.5
    app.close()


def test_a_jump_of_the_clock_of_a_client_moves_nothing(redis_of, set_of, monkeypatch):
    """Delays travel as distances and everything else is told by the server's clock."""
    ours = set_of(redis_of().url)
    real = time.time
    monkeypatch.setattr("faena.drivers.redis.messages.time.time", lambda: real() + 86_400)
    ours.publish("late", due_at_s=time.time() + 600)
    monkeypatch.setattr("faena.drivers.redis.messages.time.time", real)
    assert ours.locate("late") == [Place.DELAYED]
    assert run(ours.broker.leases.reap()) == 0
    (status,) = run(ours.broker.queues.status())
    assert (status.waiting, status.delayed) == (0, 1)


def restart_slowly(server):
    """Let it load its data for so long that it is seen: half a millisecond for each key."""
    server.options = (*server.options, "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
    try:
        server.restart(loaded=False)
    except RuntimeError:
        pytest.skip("this server cannot be made to load slowly")


def test_a_result_is_waited_for_while_a_server_loads_its_data(redis_of, set_of):
    server = redis_of("--save", "900 1")
    ours = set_of(server.url)
    run(ours.backend.record([record(str(number)) for number in range(3000)]))
    watch = ours.backend.watch()
    assert run(watch.add(["late"])) == [None]
    restart_slowly(server)
    began_s = time.monotonic()
    assert run(watch.changed(0.0)) == ()  # it is in the middle of it, and has nothing to tell
    with pytest.raises(ServerUnavailable, match="still loading"):
        run(ours.backend.record([record("late")]))
    assert run(watch.changed(4.0)) == ()
    assert time.monotonic() - began_s >= 4.0
    run(ours.backend.record([record("late")]))
    assert run(watch.changed(5.0)) == ["late"]
    run(watch.close())


def test_a_server_that_loads_its_data_is_waited_for(redis_of, set_of):
    server = redis_of("--save", "900 1")
    ours = set_of(server.url)
    ours.publish("1")
    run(ours.backend.record([record(str(number)) for number in range(3000)]))
    restart_slowly(server)
    begun, seen = time.monotonic(), set()
    while time.monotonic() - begun < 30.0:
        try:
            ours.publish("after")
            break
        except ServerUnavailable as error:
            seen.add(str(error))
    assert any("it is still loading its data" in text for text in seen)
    assert ours.locate("1", "after") == [Place.WAITING, Place.WAITING]


def test_threads_send_and_wait_each_on_connections_of_their_own(redis_of):
    server = redis_of()
    app = Faena("client", broker=server.url, set_as_current=False)
    worker = Set(server.url)
    sent, failed = [], []

    def client(number):
        try:
            results = [app.send_task("t", queue="default") for _ in range(25)]
            sent.extend(result.id for result in results)
            for result in results:
                result.get(timeout=20)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    done = []
    while len(done) < 200:
        batch = worker.take(32, 5.0)
        assert batch or not failed, failed
        assert all(
            worker.complete(*[Completion(Ack(each), replace(record(each.message.id), value=b"1")) for each in batch])
        )
        done += ids(batch)
    for thread in threads:
        thread.join(20)
    assert failed == []
    assert sorted(done) == sorted(sent)
    worker.close()
    app.close()


def test_a_forked_process_makes_connections_of_its_own(redis_of):
    server = redis_of()
    app = Faena("client", broker=server.url, set_as_current=False)
    ids_sent = [app.send_task("t", queue="default").id]
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for _ in range(20):
                os.write(write_end, app.send_task("t", queue="default").id.encode() + b"\n")
        finally:
            os._exit(0)
    ids_sent += [app.send_task("t", queue="default").id for _ in range(20)]
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        ids_sent += pipe.read().split()
    os.waitpid(pid, 0)
    worker = Set(server.url)
    assert sorted(ids(worker.take(100))) == sorted(ids_sent)
    assert len(ids_sent) == 41
    worker.close()
    app.close()


@pytest.mark.parametrize("io", ["blocking", "asyncio"])
def test_watches_of_those_who_have_gone_are_swept_and_those_who_wait_are_kept(redis_of, set_of, proxy_to, io):
    server = redis_of()
    proxy = proxy_to(server.port)
    ours = set_of(server.url)

    async def play():
        gone = RedisBackend.connect(proxy.url, io=io)
        here = RedisBackend.connect(server.url, io=io)
        watch = here.watch()
        await gone.watch().add(["1", "2"])
        await watch.add(["2", "3"])
        proxy.refuses = True
        proxy.cut()  # as when its process is killed
        left = -1
        for _ in range(200):
            await here.expire(100)
            left = await here.driver.command("HLEN", "{faena}:watch")
            if left == 2:
                break
        assert left == 2
        await here.record([record("2"), record("3")])
        changed = set(await watch.changed(5.0))
        assert changed | set(await watch.changed(5.0)) == {"2", "3"}
        await watch.close()
        await here.close()
        await gone.close()

    run(play()) if io == "blocking" else asyncio.run(play())
    assert run(ours.broker.driver.command("EXISTS", "{faena}:watch")) == 0


class _BrokenOff(BaseException):
    """As a time limit breaks off a task."""


def test_a_call_that_is_broken_off_in_the_middle_does_not_answer_the_next(redis_of, set_of):
    server = redis_of()
    ours = set_of(server.url)
    ours.publish("1")
    assert not ours.take(0)
    watch = ours.backend.watch()
    run(watch.add(["2"]))

    def break_off(*_):
        raise _BrokenOff

    before = signal.signal(signal.SIGALRM, break_off)
    try:
        for step in (lambda: ours.locate("1"), lambda: ours.take(1), lambda: run(watch.changed(20))):
            with server.suspended():
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(_BrokenOff):
                    step()
            assert run(ours.broker.driver.command("ECHO", "mine")) == b"mine"
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ids(ours.take(1, 1.0)) == ["1"]  # what the fetch took that was broken off was put back
    run(ours.backend.record([record("2")]))
    assert list(run(watch.changed(5.0))) == ["2"]
    run(watch.close())


# -- who may come in ---------------------------------------------------------------------------------------


def test_a_wrong_password_is_said_without_it(redis_of):
    server = redis_of("--requirepass", "right-one")
    for credentials in ("", ":wr0ng-secret@"):
        url = server.url.replace("//", f"//{credentials}")
        with pytest.raises(ServerRefused) as caught:
            run(RedisBroker.connect(url, io="blocking").open())
        assert "wr0ng-secret" not in str(caught.value)
        assert "password" in str(caught.value)
    broker = RedisBroker.connect(server.url.replace("//", "//:right-one@"), io="blocking")
    run(broker.open())
    run(broker.close())
