"""What a courier sends is what `publish` sends, byte by byte."""

import socket
import time

import pytest
from msgspec.structs import replace

from faena._lib.ids import new_id
from faena.brokers.redis import RedisBroker
from faena.drivers.redis.messages import encode, row_of
from faena.drivers.redis.scripts import script
from faena.drivers.redis.wire import BlockingWire, pack
from faena.model.message import Message

LIKE = Message("", "shop.mail", "default", b"", origin="7@here")
KINDS = [
    LIKE,
    replace(LIKE, queue="Bücher 100%s", task="größe%d", priority=9),
    replace(LIKE, priority=0, ignore_result=True, result_expires_s=3600.0, content="msgpack"),
    replace(LIKE, headers={"a": 1}, time_limit_s=2.0, id="of another kind"),
]


class Other:
    """The server's end of a connection: it keeps what it is sent, and answers what it is told."""

    def __init__(self, **options):
        self.broker = RedisBroker.connect("redis://nowhere", io="blocking", options=options)
        ours, self.end = socket.socketpair()
        self.end.settimeout(5.0)
        self.broker.driver.wire = BlockingWire(ours, "nowhere")

    def carried(self, courier, message, answer=b":1\r\n"):
        self.end.sendall(answer)
        is_taken = courier.carry(message.id, message.body, message.sent_at_s)
        self.broker.driver.wire.send(b"END", 0, time.monotonic() + 5)
        sent = b""
        while not sent.endswith(b"END"):
            sent += self.end.recv(1 << 20)
        return is_taken, sent[:-3]

    def close(self):
        self.end.close()
        self.broker.driver.wire.close()
        self.broker.driver.wire = None


@pytest.fixture
def other():
    made = Other(prefix=new_id())
    yield made
    made.close()


def command(driver, message, *channel):
    return pack(("EVALSHA", script("publish_one").sha, 1, driver.prefix, *row_of(message, 1 << 30), *channel))


@pytest.mark.parametrize("like", KINDS)
@pytest.mark.parametrize("size_bytes", [0, 1, 23, 24, 255, 256, 4096, 65535])
def test_it_sends_the_same_bytes(other, like, size_bytes):
    courier = other.broker.courier(like, 5.0)
    for _ in range(2):
        message = replace(like, id=new_id(), body=b"x" * size_bytes, sent_at_s=time.time())
        assert other.carried(courier, message) == (True, command(other.broker.driver, message))
        assert other.broker.driver.sent_last == message.id


class Waits:
    """Someone who has waited for what was sent last."""

    def __init__(self, channel):
        self.channel, self.told = channel, []

    def expect(self, task_id):
        self.told.append(task_id)
        return self.channel

    def expect_no_more(self, task_id):
        self.told.remove(task_id)


def test_it_says_whom_to_tell_of_the_result_once(other):
    driver, courier = other.broker.driver, other.broker.courier(LIKE, 5.0)
    first, second, third = (replace(LIKE, id=new_id(), body=b"[[], {}]", sent_at_s=1.5) for _ in range(3))
    waits = driver.expectant = Waits("c:0123456789abcdef")
    assert other.carried(courier, first) == (True, command(driver, first, "c:0123456789abcdef"))
    assert (driver.expectant, waits.told) == (None, [first.id])
    assert other.carried(courier, second) == (True, command(driver, second))
    silent = driver.expectant = Waits(None)
    assert other.carried(courier, third) == (True, command(driver, third))
    assert silent.told == [third.id]


@pytest.mark.parametrize("answer", [b":0\r\n", b"-NOSCRIPT No matching script\r\n", b"$3\r\nabc\r\n", b"*nonsense\r\n"])
def test_any_other_answer_is_one_for_publish_to_look_at(other, answer):
    courier = other.broker.courier(LIKE, 5.0)
    waits = other.broker.driver.expectant = Waits("c:0123456789abcdef")
    message = replace(LIKE, id=new_id(), body=b"[[], {}]", sent_at_s=1.5)
    other.end.sendall(answer)
    assert not courier.carry(message.id, message.body, message.sent_at_s)
    assert (waits.told, other.broker.driver.sent_last) == ([], "")


def test_an_answer_that_comes_in_pieces_is_read_to_its_end(other):
    wire = other.broker.driver.wire
    other.end.sendall(b"$600\r\n" + b"x" * 300)
    other.end.sendall(b"x" * 300 + b"\r\n")
    assert wire.exchange(b"", 5.0) == b"x" * 600
    other.end.sendall(b":1\r\n")
    assert wire.exchange(b"", 5.0) == 1


def test_what_it_does_not_know_it_leaves_to_publish(other):
    assert other.broker.courier(replace(LIKE, lane="rate"), 5.0) is None
    assert other.broker.courier(replace(LIKE, due_at_s=time.time() + 60), 5.0) is None
    courier = other.broker.courier(LIKE, 5.0)
    assert not courier.carry(new_id(), b"x" * 65536, 1.0)
    with other.broker.driver.lock:  # a signal handler sends in the middle of a call
        assert not courier.carry(new_id(), b"x", 1.0)
    other.broker.driver.pid += 1  # a forked process
    assert not courier.carry(new_id(), b"x", 1.0)
    other.end.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.end.recv(1)


def test_it_minds_the_largest_message():
    other = Other(prefix=new_id(), largest_message_bytes=1000)
    courier = other.broker.courier(LIKE, 5.0)
    message = replace(LIKE, id=new_id(), body=b"", sent_at_s=1.0)
    around_bytes = len(encode(replace(message, body=b"x" * 900))) - 900
    for size_bytes in (999 - around_bytes, 1000 - around_bytes):
        assert other.carried(courier, replace(message, body=b"x" * size_bytes))[0]
    assert not courier.carry(message.id, b"x" * (1001 - around_bytes), 1.0)
    other.close()
