"""A program that calls one task again and again goes the short way, and nothing that happens meanwhile is any different."""

import asyncio
import os
import signal
import threading
import time

import pytest

from faena import Faena
from faena._lib.drive import run
from faena.errors import BrokerUnavailable, EncodeError, InvalidArguments, MessageTooLarge
from faena.model.delivery import Place
from faena.model.message import Message
from faena.tasks.context import Request, current_request


class Client:
    """A program that has called its task, and so knows the short way; and somebody who sees what the server has."""

    def __init__(self, url, direct=None, **settings):
        self.app = Faena("client", broker=url, set_as_current=False, **settings)
        self.task = self.app.task(name="t")(lambda number: number)
        self.other = Faena("other", broker=direct or url, set_as_current=False)
        self.sent = [self.task.delay(-1).id, self.task.delay(-2).id]
        assert self.is_short

    @property
    def way(self):
        return self.app.links.local.ways.get(self.task)

    @property
    def is_short(self):
        return self.way is not None and self.way.courier is not None

    def messages(self, queue="default"):
        found = run(self.other.connection().broker.queues.browse(queue, 1000))
        return [message for place, message in found if place is Place.WAITING]

    def bodies(self, queue="default"):
        return [bytes(message.body) for message in self.messages(queue)][2 if queue == "default" else 0 :]

    def command(self, *words):
        return run(self.other.connection().broker.driver.command(*words))

    def close(self):
        self.app.close()
        self.other.close()


@pytest.fixture
def client_of():
    clients = []

    def make(*arguments, **settings):
        clients.append(Client(*arguments, **settings))
        return clients[-1]

    yield make
    for each in clients:
        each.close()


def test_what_goes_the_short_way_is_what_goes_the_long_one(redis_of, client_of):
    client = client_of(redis_of().url)
    client.task.delay(1)
    client.app.send_task("t", (1,))
    first, second = client.messages()[-2:]
    differing = {name for name in Message.__struct_fields__ if getattr(first, name) != getattr(second, name)}
    assert differing == {"id", "sent_at_s"}
    assert 0 <= second.sent_at_s - first.sent_at_s < 5
    assert client.bodies() == [b"[[1],{}]"] * 2


def test_arguments_of_any_kind(redis_of, client_of):
    client = client_of(redis_of().url)
    handles = [client.task.delay(each) for each in ("ü", None, 1.5, {"a": [1]}, b"raw", "x" * 300, "x" * 70_000)]
    handles.append(client.task.delay(number=3))
    found = client.messages()[2:]
    assert [each.id for each in found] == [each.id for each in handles]
    values = [client.app.codecs.decode(each.content, each.body) for each in found]
    assert values == [
        *[[[each], {}] for each in ("ü", None, 1.5, {"a": [1]}, b"raw", "x" * 300, "x" * 70_000)],
        [[], {"number": 3}],
    ]
    with pytest.raises(InvalidArguments):
        client.task.delay(1, 2)
    with pytest.raises(EncodeError, match=r"\[0\]\[0\]"):
        client.task.delay(object())
    with pytest.raises(EncodeError):
        client.task.delay("\ud800")
    assert len(client.messages()) == 2 + len(handles)


def test_the_options_of_the_task_count(redis_of, client_of):
    client = client_of(redis_of().url)
    own = client.app.task(name="own", queue="own", priority=9, ignore_result=True, serializer="msgpack")(lambda: None)
    ended = client.app.task(name="ended", expires=60, queue="own")(lambda: None)
    handles = [own.delay() for _ in range(3)]
    assert all(each.ignored for each in handles)
    for _ in range(3):
        ended.delay()
    found = client.messages("own")
    assert [(each.task, each.priority, each.content, each.ignore_result) for each in found[:3]] == [
        ("own", 9, "msgpack", True)
    ] * 3
    assert all(50 < each.expires_at_s - time.time() <= 60 for each in found[3:])
    client.task.ignore_result = True  # what is said of a handle is asked for each
    assert client.task.delay(1).ignored


def test_settings_that_change_count_at_once(redis_of, client_of):
    client = client_of(redis_of().url)
    client.app.conf.task_default_queue = "elsewhere"
    client.task.delay(1)
    client.app.conf.task_routes = {"t": "routed"}
    client.task.delay(2)
    assert (client.bodies("elsewhere"), client.bodies("routed")) == ([b"[[1],{}]"], [b"[[2],{}]"])
    client.app.conf.task_routes = None
    client.app.conf.task_ignore_result = True
    assert client.task.delay(3).ignored
    client.app.conf.task_always_eager = True
    assert client.task.delay(4).get() == 4
    assert client.bodies("elsewhere") == [b"[[1],{}]", b"[[3],{}]"]


def test_what_is_declared_later_counts_at_once(redis_of, client_of):
    client = client_of(redis_of().url)
    client.app.task(name="limited", rate_limit="1/m", queue="limited")(lambda: None)
    client.task.delay(1)
    once = client.app.task(name="once", unique=True)(lambda: None)
    client.task.delay(2)
    first = once.delay()
    assert once.delay().id == first.id
    assert len(client.messages()) == 2 + 2 + 1


def test_a_block_collects_and_a_task_has_children(redis_of, client_of):
    client = client_of(redis_of().url)
    with client.app.buffered():
        client.task.delay(1)
        assert client.bodies() == []
    assert client.bodies() == [b"[[1],{}]"]
    request = Request(Message("parent", "p", "q", b""))
    token = current_request.set(request)
    try:
        child = client.task.delay(2)
    finally:
        current_request.reset(token)
    assert request.children == [child.id]
    assert client.messages()[-1].parent_id == "parent"


def test_within_an_event_loop_too(redis_of, client_of):
    client = client_of(redis_of().url)

    async def go():
        client.task.delay(1)
        await client.task.adelay(2)
        await client.app.aclose()

    asyncio.run(go())
    assert client.bodies() == [b"[[1],{}]", b"[[2],{}]"]


def test_a_message_too_large_is_refused(redis_of, client_of):
    client = client_of(redis_of().url, broker_transport_options={"largest_message_bytes": 2000})
    client.task.delay("x" * 1000)
    with pytest.raises(MessageTooLarge):
        client.task.delay("x" * 2000)
    client.task.delay(1)
    assert len(client.messages()) == 4


# -- trouble -----------------------------------------------------------------------------------------------


def test_a_script_that_the_server_has_forgotten_is_sent_again(redis_of, client_of):
    client = client_of(redis_of().url)
    client.command("SCRIPT", "FLUSH")
    for number in range(3):
        client.task.delay(number)
    assert client.bodies() == [b"[[%d],{}]" % number for number in range(3)]


def test_a_connection_that_has_gone_is_made_anew(redis_of, client_of):
    client = client_of(redis_of().url)
    client.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for number in range(3):
        client.task.delay(number)
    assert client.bodies() == [b"[[%d],{}]" % number for number in range(3)]
    assert client.is_short


def test_a_call_whose_reply_was_lost_takes_the_message_once(redis_of, client_of, proxy_to):
    server = redis_of()
    proxy = proxy_to(server.port)
    client = client_of(proxy.url, server.url)

    def heal():
        assert proxy.swallowed.wait(10)
        proxy.swallows = False
        proxy.cut()

    proxy.swallows = True
    healing = threading.Thread(target=heal)
    healing.start()
    handle = client.task.delay(1)
    healing.join()
    client.task.delay(2)
    assert client.bodies() == [b"[[1],{}]", b"[[2],{}]"]
    assert client.messages()[2].id == handle.id


def test_a_call_waits_no_longer_than_its_one_deadline(redis_of, client_of):
    server = redis_of()
    client = client_of(server.url, task_publish_timeout=0.6)
    with server.suspended():
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            client.task.delay(1)
        assert 0.5 < time.monotonic() - begun < 1.1
    client.task.delay(2)
    assert client.bodies()[-1] == b"[[2],{}]"
    server.stop()
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        client.task.delay(3)
    assert time.monotonic() - begun < 1.1


def test_a_server_without_memory_refuses(redis_of, client_of):
    client = client_of(redis_of().url, task_publish_retry=False)
    client.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(BrokerUnavailable):
        client.task.delay(1)
    client.command("CONFIG", "SET", "maxmemory", "0")
    client.task.delay(2)
    assert client.bodies() == [b"[[2],{}]"]


class _BrokenOff(BaseException):
    """As Ctrl-C breaks off a call."""


def test_a_call_that_is_broken_off_does_not_answer_the_next(redis_of, client_of):
    server = redis_of()
    client = client_of(server.url)

    def break_off(*_):
        raise _BrokenOff

    before = signal.signal(signal.SIGALRM, break_off)
    try:
        with server.suspended():
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(_BrokenOff):
                client.task.delay(1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert run(client.app.connection().broker.driver.command("ECHO", "mine")) == b"mine"
    client.task.delay(2)
    assert client.bodies()[-1] == b"[[2],{}]"


def test_forked_processes_and_threads_have_connections_of_their_own(redis_of, client_of):
    client = client_of(redis_of().url)
    pid = os.fork()
    if pid == 0:
        try:
            for number in range(20):
                client.task.delay(number)
            os._exit(0 if client.is_short else 1)
        finally:
            os._exit(2)

    def send(begin):
        for number in range(begin, begin + 20):
            client.task.delay(number)

    threads = [threading.Thread(target=send, args=(begin,)) for begin in (20, 40, 60)]
    for thread in threads:
        thread.start()
    send(80)
    for thread in threads:
        thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sorted(client.bodies()) == sorted(b"[[%d],{}]" % number for number in range(100))


def test_an_app_that_was_closed_connects_again(redis_of, client_of):
    client = client_of(redis_of().url)
    for number in range(3):
        client.app.close()
        assert client.way is None
        client.task.delay(number)
        client.task.delay(number)
        assert client.is_short
    assert len(client.bodies()) == 6
