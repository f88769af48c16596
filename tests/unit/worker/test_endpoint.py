"""The few lines of HTTP that a worker speaks: nobody who is slow, many, or talks nonsense holds it up."""

import asyncio
import logging

import pytest

from faena.worker import endpoint
from faena.worker.endpoint import Endpoint, Page

LARGE = 40_000_000  # more than the kernel takes for one who does not read


async def page(path, headers):
    if path == b"/broken":
        raise KeyError("broken")
    if path == b"/large":
        return Page("200 OK", "text/plain", b"x" * LARGE)
    return Page("200 OK", "text/plain", path + b" " + headers.get(b"accept", b"-"))


async def talk(port, said):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def serving(scenario, asked=page):
    """Run `scenario(port, task of the endpoint)`."""

    async def whole():
        port = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(Endpoint("127.0.0.1", 0, asked).serve_forever(port.set_result))
        try:
            return await scenario(await port, task)
        finally:
            task.cancel()

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n", b"/a text/plain"),
        (b"GET / HTTP/1.0\r\n\r\n", b"/ -"),
        (b"HEAD /a HTTP/1.1\r\n\r\n", b""),
        (b"GET /large HTTP/1.1\r\n\r\n", b"x" * LARGE),
    ],
)
def test_a_request_is_answered_whole(said, answer):
    async def scenario(port, _):
        return await talk(port, said)

    head, _, body = serving(scenario).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == answer


@pytest.mark.parametrize(
    ("said", "status"),
    [(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy", b"405"), (b"GET /broken HTTP/1.1\r\n\r\n", b"500")],
)
def test_what_cannot_be_answered_is_refused_with_its_status(said, status, caplog):
    async def scenario(port, _):
        return await talk(port, said)

    with caplog.at_level(logging.CRITICAL):
        assert serving(scenario).split(b" ")[1] == status


@pytest.mark.parametrize(
    "said",
    [b"\x16\x03\x01\x02\r\n\r\n", b"\r\n\r\n", b"GET /\r\n\r\n", b"GET / SPDY\r\n\r\n", b"x" * 100_000 + b"\r\n\r\n"],
)
def test_nonsense_gets_no_answer_and_the_next_one_does(said):
    async def scenario(port, _):
        return await talk(port, said), await talk(port, b"GET /next HTTP/1.1\r\n\r\n")

    nothing, answer = serving(scenario)
    assert nothing == b""
    assert answer.endswith(b"/next -")


def test_who_says_nothing_or_takes_nothing_is_left_alone(monkeypatch):
    monkeypatch.setattr(endpoint, "_SLOWEST_S", 0.1)

    async def scenario(port, _):
        greedy, greedy_writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        greedy_writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        taken = len(await greedy.read(1))  # from here on it is being waited for, and takes no more
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(silent.read(), 10) == b""
        try:
            while part := await asyncio.wait_for(greedy.read(1_000_000), 10):
                taken += len(part)
        except ConnectionError:
            pass
        greedy_writer.close()
        silent_writer.close()
        return taken

    assert 0 < serving(scenario) < LARGE


def test_no_more_than_some_are_served_at_once(monkeypatch):
    monkeypatch.setattr(endpoint, "_MOST_AT_ONCE", 2)

    async def scenario(port, _):
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        answer = await talk(port, b"GET / HTTP/1.1\r\n\r\n")
        for each in slow:
            each[1].close()
        return answer

    assert serving(scenario) == b""


def test_the_end_does_not_wait_for_a_page_that_is_being_made():
    begun = asyncio.Event()

    async def never(path, headers):
        begun.set()
        await asyncio.Event().wait()

    async def scenario(port, task):
        talking = asyncio.create_task(talk(port, b"GET / HTTP/1.1\r\n\r\n"))
        await begun.wait()
        task.cancel()
        assert await asyncio.wait_for(talking, 5) == b""
        with pytest.raises(asyncio.CancelledError):
            await task

    serving(scenario, never)
