"""RabbitMQ in trouble: what a client sees and when, and that everything goes on by itself afterwards."""

import asyncio
import os
import re
import threading
import time

import pytest
from msgspec.structs import replace

from faena import Faena
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.brokers.rabbitmq import RabbitmqBroker
from faena.drivers.rabbitmq import frames
from faena.drivers.rabbitmq.location import locate
from faena.drivers.rabbitmq.session import open_session
from faena.errors import BrokerUnavailable, ServerUnavailable
from faena.model.delivery import Ack
from faena.model.message import Message
from faena.testing.redis_server import free_port

IS_FULL = os.environ.get("FAENA_TEST_CHAOS") == "full"
TIMEOUT_S = 1.0  # of one call
LATE_S = 2.0  # so much later than its deadline may a call end here, where processes wait for processors

APP = """
@app.task
def work(n):
    mark(f"ran {n}")
    return n

@app.task(acks_late=False)
def once(n):
    mark(f"once {n}")
    return n

@app.task
def waits(n, seconds):
    mark(f"began {n}")
    time.sleep(seconds)
    mark(f"ended {n}")
    return n
"""


@pytest.fixture
def prefix():
    return f"{new_id()[-8:]}."


@pytest.fixture
def broker_of(prefix):
    """Make a blocking broker at a URL, whose calls take a second at most."""
    made = []

    def make(url, **options):
        made.append(
            RabbitmqBroker.connect(url, io="blocking", options={"prefix": prefix, "timeout_s": TIMEOUT_S, **options})
        )
        return made[-1]

    yield make
    for each in made:
        run(each.close())


@pytest.fixture
def site_on(site, prefix):
    """A site on a node, with its results in a file."""

    def make(url, options=""):
        site.prefix = prefix
        site.url, site.backend = f"{url}?prefix={prefix}{options}", f"sqlite:///{site.folder}/results.db"
        site.app(APP)
        return site

    return make


def publish(broker, *ids):
    run(broker.publish([Message(id=each, task="t", queue="default", body=b"[[], {}]") for each in ids]))


def ids(batch):
    return [each.message.id for each in batch]


def ended_in_time(work, error):
    """Return the error that a call ends with within its deadline."""
    began_s = time.monotonic()
    with pytest.raises(error) as raised:
        work()
    assert time.monotonic() - began_s < TIMEOUT_S + LATE_S
    return raised.value


# -- calls that get no answer ------------------------------------------------------------------------------


def test_while_an_alarm_stands_sending_ends_in_time_and_says_why_and_what_is_held_is_settled(rabbit, broker_of, until):
    broker = broker_of(rabbit.url)
    publish(broker, "held")
    consumer = broker.consumer("h", ["default"])
    (held,) = run(consumer.receive(1, 5.0))
    for set_alarm in (rabbit.set_memory_alarm, rabbit.set_disk_alarm):
        set_alarm(True)
        until(lambda: rabbit.alarms() != "[]")
        try:
            error = ended_in_time(lambda: publish(broker, "refused"), ServerUnavailable)
            assert "memory or disk alarm" in str(error)
        finally:
            set_alarm(False)
            until(lambda: rabbit.alarms() == "[]")
    assert list(run(consumer.settle([Ack(held)]))) == [True]
    publish(broker, "afterwards")
    until(lambda: "afterwards" in ids(run(consumer.receive(10, 1.0))))
    run(consumer.close())


def test_a_connection_that_answers_no_more_is_replaced_by_the_next_call(rabbit, broker_of, proxy_to):
    proxy = proxy_to(rabbit.port)
    broker = broker_of(f"amqp://127.0.0.1:{proxy.port}/")
    publish(broker, "before")
    proxy.forsake()  # what is open is dead, and nobody says so
    ended_in_time(lambda: publish(broker, "during"), ServerUnavailable)
    publish(broker, "after")
    consumer = broker.consumer("h", ["default"])
    assert {"before", "after"} <= set(ids(run(consumer.receive(10, 5.0))))
    run(consumer.close())


def test_a_connection_that_answers_no_more_is_cut_when_it_takes_its_leave(rabbit):
    """What the socket has not taken would be sent after all, long after it was told that it could not be."""
    location = locate(rabbit.url, {"timeout_s": TIMEOUT_S})

    async def main():
        session = await open_session(location, "test")
        socket = session.wire._transport_now.get_extra_info("socket")
        with rabbit.suspended():
            session.wire.write(frames.HEARTBEAT * (64 << 17))
            with pytest.raises(ServerUnavailable):
                await session.channel()
            await session.close()
            async with asyncio.timeout(10):
                while socket.fileno() >= 0:
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_heartbeat_finds_a_connection_that_answers_no_more(rabbit, broker_of, proxy_to, until):
    proxy = proxy_to(rabbit.port)
    broker = broker_of(f"amqp://127.0.0.1:{proxy.port}/", heartbeat_s=1)
    publish(broker, "first")
    consumer = broker.consumer("h", ["default"])
    assert ids(run(consumer.receive(1, 5.0))) == ["first"]
    proxy.forsake()

    def is_noticed():
        try:
            run(consumer.receive(1, 1.0))
        except ServerUnavailable:
            return True
        return False

    until(is_noticed, 20)
    run(consumer.close())


def test_what_waits_for_an_answer_when_the_connection_goes_is_told_so_and_not_cancelled(rabbit, broker_of, proxy_to, until):
    proxy = proxy_to(rabbit.port)
    broker = broker_of(f"amqp://127.0.0.1:{proxy.port}/", timeout_s=20.0)
    publish(broker, "first")
    told = []

    def look():
        try:
            run(broker.queues.status())
        except BaseException as error:
            told.append(error)

    proxy.swallows = True
    waiting = threading.Thread(target=look)
    waiting.start()
    assert proxy.swallowed.wait(10)
    proxy.cut()
    waiting.join(10)
    assert [type(error) for error in told] == [ServerUnavailable]
    proxy.swallows = False
    publish(broker, "second")


def test_a_message_whose_confirm_is_lost_is_sent_again_and_there_twice_at_most(rabbit, prefix, broker_of, proxy_to, until):
    proxy = proxy_to(rabbit.port)
    client = Faena("c", broker=f"amqp://127.0.0.1:{proxy.port}/?prefix={prefix}", set_as_current=False)
    client.send_task("app.work", (0,))
    proxy.cut_in("replies", 0)
    result = client.send_task("app.work", (1,))
    assert proxy.cuts == 1
    client.close()
    consumer = broker_of(rabbit.url).consumer("h", ["default"])
    found = []
    until(lambda: found.extend(ids(run(consumer.receive(10, 0.5)))) or len(found) >= 2)
    found += ids(run(consumer.receive(10, 0.5)))
    assert found.count(result.id) in (1, 2)
    run(consumer.close())


# -- nodes that are not there ------------------------------------------------------------------------------


def test_the_first_node_that_answers_is_taken(rabbit, broker_of):
    broker = broker_of(f"amqp://127.0.0.1:{free_port()}/;{rabbit.url}")
    publish(broker, "1")
    consumer = broker.consumer("h", ["default"])
    assert ids(run(consumer.receive(1, 5.0))) == ["1"]
    run(consumer.close())


def test_a_node_that_is_stopped_is_one_that_does_not_answer(rabbit, broker_of):
    broker = broker_of(rabbit.url)
    publish(broker, "1")
    with rabbit.suspended():
        ended_in_time(lambda: publish(broker, "2"), ServerUnavailable)
        ended_in_time(lambda: publish(broker_of(rabbit.url), "3"), ServerUnavailable)
    publish(broker, "4")


def test_sending_to_a_node_that_is_down_ends_with_the_time_that_was_given(site):
    url = f"amqp://127.0.0.1:{free_port()}/"
    client = Faena("c", broker=url, task_publish_timeout=TIMEOUT_S, set_as_current=False)
    error = ended_in_time(lambda: client.send_task("app.work", (1,)), BrokerUnavailable)
    assert url in str(error)
    site.url, site.backend = url, f"sqlite:///{site.folder}/results.db"
    site.app(APP)
    worker = site.worker(ready=False)
    assert worker.until_ended(30) != 0
    assert "cannot be reached" in worker.text()


# -- workers -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_goes_on_when_its_queue_was_deleted_and_when_its_channel_was_closed(rabbit, site_on, prefix, until):
    site = site_on(rabbit.url)
    worker = site.worker("-c", "1")
    assert site.send("work", 1).get(timeout=20) == 1
    rabbit.delete_queue(f"{prefix}default")
    until(lambda: rabbit.queues(prefix).get(f"{prefix}default", -1) >= 0)  # the worker was told, and has made it again
    assert site.send("work", 2).get(timeout=20) == 2
    rabbit.eval(  # as where a client has broken the protocol
        "[exit(P, {amqp_error, precondition_failed, \"unknown delivery tag\", 'basic.ack'}) || P <- rabbit_channel:list(),"
        " rabbit_channel:info(P, [consumer_count]) =/= [{consumer_count, 0}]]"
    )
    assert site.send("work", 3).get(timeout=20) == 3
    until(lambda: set(rabbit.queues(prefix).values()) == {0})
    assert site.marks() == {"ran 1": 1, "ran 2": 1, "ran 3": 1}
    assert worker.stop() == 0


@pytest.mark.slow
@pytest.mark.skipif(not IS_FULL, reason="takes three quarters of a minute: FAENA_TEST_CHAOS=full")
def test_a_worker_goes_on_when_its_queue_was_deleted_and_a_client_has_made_it_again_at_once(rabbit, site_on, prefix):
    site = site_on(rabbit.url)
    site.worker("-c", "1")
    assert site.send("work", 1).get(timeout=20) == 1
    rabbit.delete_queue(f"{prefix}default")
    assert site.send("work", 2).get(timeout=60) == 2


@pytest.mark.slow
def test_what_is_to_run_once_at_most_and_was_sent_twice_runs_once_and_again_when_its_letter_is_requeued(
    rabbit, site_on, until
):
    site = site_on(rabbit.url)
    client = site.client
    one = Message(id=new_id(), task="app.once", queue="default", body=b"[[1], {}]", sent_at_s=time.time())
    broken = replace(one, id=new_id(), body=b"[[], {}]")
    for _ in range(2):
        run(client.connection().broker.publish([one, broken]))
    site.worker("-c", "2")
    assert client.AsyncResult(one.id).get(timeout=20) == 1
    until(lambda: len(site.dead()) == 1)
    until(
        lambda: (
            {name: count for name, count in rabbit.queues(site.prefix).items() if count}
            == {f"{site.prefix}default.dead": 1}
        )
    )
    client.dead_letters.requeue()
    until(lambda: client.AsyncResult(broken.id).state == "FAILURE" and len(site.dead()) == 1)
    assert site.marks() == {"once 1": 1}


@pytest.fixture
def impatient(rabbit):
    """The node takes back what is not acknowledged within so many seconds."""
    timeout_s = 15 if IS_FULL else 2
    rabbit.eval("application:set_env(rabbit, channel_tick_interval, 500)")  # so often it looks
    rabbit.eval(f"application:set_env(rabbit, consumer_timeout, {timeout_s * 1000})")
    yield timeout_s
    rabbit.eval("application:set_env(rabbit, channel_tick_interval, 60000)")
    rabbit.eval("application:set_env(rabbit, consumer_timeout, 1800000)")


@pytest.mark.slow
def test_a_task_longer_than_the_time_of_the_server_for_consumers_runs_once(rabbit, impatient, site_on, prefix, until):
    site = site_on(rabbit.url, f"&consumer_timeout_s={impatient}")
    worker = site.worker("-c", "2", FAENA_WORKER_LEASE="1")
    task_s = 60 if IS_FULL else 5
    results = [site.send("waits", number, task_s) for number in range(2)]
    assert [each.get(timeout=task_s + 30) for each in results] == [0, 1]
    until(lambda: not any(rabbit.queues(prefix).values()))
    assert site.marks() == {f"{what} {number}": 1 for what in ("began", "ended") for number in range(2)}
    assert not re.search("connection was lost|lost: in", worker.text())
    assert worker.stop() == 0


@pytest.mark.slow
def test_without_a_backend_it_is_said_before_the_server_takes_a_long_task_back(rabbit, impatient, site_on):
    site = site_on(rabbit.url, f"&consumer_timeout_s={impatient}")
    site.backend = None
    site.app(APP)
    worker = site.worker("-c", "1")
    site.send("waits", 1, 600)
    worker.until_logged("its broker will give it to others; a result backend would keep it")
    assert site.marks() == {"began 1": 1}
