"""The loop of a process: the memory that it does not use is not there, and comes back when it does."""

import asyncio
import mmap
import struct
import sys

import pytest

from faena.worker.event_loop import loop_factory

uvloop = pytest.importorskip("uvloop")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is given back on Linux only")


def present_pages(begin, size):
    """Return how many of the whole pages of a piece of memory are there."""
    first, end = -(-begin // mmap.PAGESIZE), (begin + size) // mmap.PAGESIZE
    with open("/proc/self/pagemap", "rb") as file:
        file.seek(first * 8)
        entries = struct.unpack(f"{end - first}Q", file.read((end - first) * 8))
    return sum(entry >> 63 for entry in entries)


@pytest.fixture
def loop():
    loop = loop_factory()()
    yield loop
    loop.close()


def test_the_buffer_of_a_loop_takes_memory_once_it_is_used(loop):
    assert isinstance(loop, uvloop.Loop)
    assert present_pages(id(loop), uvloop.Loop.__basicsize__) <= 5
    plain = uvloop.new_event_loop()
    assert present_pages(id(plain), uvloop.Loop.__basicsize__) > 50, "else there is nothing to be saved any more"
    plain.close()


def test_a_loop_reads_what_fills_its_buffer(loop):
    sent = bytes(range(256)) * 4096

    async def echo(reader, writer):
        writer.write(await reader.readexactly(len(sent)))
        writer.close()

    async def talk():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        answer = await reader.readexactly(len(sent))
        writer.close()
        server.close()
        return answer

    assert loop.run_until_complete(talk()) == sent
    assert present_pages(id(loop), uvloop.Loop.__basicsize__) > 5, "it went through the buffer"
