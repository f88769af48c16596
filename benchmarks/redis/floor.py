"""The floors: the least code that keeps results, acknowledges after the run and loses nothing by kill -9, on Redis.

A worker's cycle is one write: settle what was done, take up to 128 more. What a process holds lies in a hash of its own;
the supervisor puts it back when that process dies, and starts another. An idle worker waits at a BLPOP, with the fetch
behind it in the same write. No retries, limits, priorities, routing, revocation, log or leases.

Two ways to speak to the server: `Raw` is a socket and hiredis, `Pipelined` is redis-py with its pipelines.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import hiredis
import msgspec

from benchmarks.redis.bodies import echo
from benchmarks.redis.side import PORT, TTL_S, WAIT_S, BlockingSide

BATCH = 128
QUEUE, WAKE, RESULT = "floor:queue", "floor:wake", "floor:result:"

ENQUEUE = """
redis.call('RPUSH', KEYS[1], unpack(ARGV))
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RPUSH', KEYS[2], '1') end"""
FETCH = """
local found = redis.call('LPOP', KEYS[1], ARGV[1])
if not found then return {} end
local held = {}
for i = 1, #found do held[2 * i - 1], held[2 * i] = string.sub(found[i], 1, 16), found[i] end
redis.call('HSET', KEYS[2], unpack(held))
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('EXISTS', KEYS[3]) == 0 then redis.call('RPUSH', KEYS[3], '1') end
return found"""
DONE = """
local ttl = ARGV[1]
for at = 2, #ARGV, 3 do
  if redis.call('HDEL', KEYS[1], ARGV[at]) == 1 then
    redis.call('SET', 'floor:result:' .. ARGV[at], ARGV[at + 1], 'EX', ttl)
    if ARGV[at + 2] ~= '' then redis.call('PUBLISH', ARGV[at + 2], ARGV[at] .. ARGV[at + 1]) end
  end
end"""
RECOVER = """
local held = redis.call('HVALS', KEYS[1])
for i = 1, #held do redis.call('LPUSH', KEYS[2], held[i]) end
redis.call('DEL', KEYS[1])
redis.call('RPUSH', KEYS[3], '1')"""


class Call(msgspec.Struct, frozen=True, array_like=True):
    task: str
    arguments: bytes
    sent_at: float
    reply: str


TASKS = {"floor.echo": echo}


class Raw:
    """A socket, hiredis to pack and to parse, and nothing in between."""

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = hiredis.Reader()
        self.hashes = {text: self.call("SCRIPT", "LOAD", text) for text in (ENQUEUE, FETCH, DONE, RECOVER)}

    def call(self, *words):
        return self.run([words])[-1]

    def script(self, text, keys, *words):
        return ("EVALSHA", self.hashes[text], len(keys), *keys, *words)

    def run(self, commands):
        self.socket.sendall(b"".join([hiredis.pack_command(words) for words in commands]))
        return [self.reply() for _ in commands]

    def reply(self):
        gets = self.reader.gets
        while (reply := gets()) is False:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the server has gone")
            self.reader.feed(data)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def subscribe(self, channel):
        self.call("SUBSCRIBE", channel)

    def news(self):
        return self.reply()[2]


class Pipelined:
    """The same with redis-py: one command by itself, several in a pipeline without a transaction."""

    def __init__(self):
        import redis

        self.client = redis.Redis(port=PORT, single_connection_client=True)
        self.hashes = {text: self.client.script_load(text) for text in (ENQUEUE, FETCH, DONE, RECOVER)}

    def call(self, *words):
        return self.client.execute_command(*words)

    script = Raw.script

    def run(self, commands):
        if len(commands) == 1:
            return [self.client.execute_command(*commands[0])]
        pipe = self.client.pipeline(transaction=False)
        for words in commands:
            pipe.execute_command(*words)
        return pipe.execute()

    def subscribe(self, channel):
        self.listener = self.client.pubsub(ignore_subscribe_messages=True)
        self.listener.subscribe(channel)
        self.listener.get_message(timeout=1)

    def news(self):
        while (message := self.listener.get_message(timeout=WAIT_S)) is None:
            continue
        return message["data"]


LINKS = {"raw": Raw, "pipelined": Pipelined}


def run_worker(link, holder):
    """Take, run and settle in batches until SIGTERM."""
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    held, decode, decode_json, encode = (
        f"floor:held:{holder}",
        msgspec.msgpack.Decoder(Call).decode,
        msgspec.json.Decoder().decode,
        msgspec.msgpack.Encoder().encode,
    )
    fetch = link.script(FETCH, (QUEUE, held, WAKE), BATCH)
    batch = []
    while not stopping:
        if batch:
            words = [TTL_S]
            for body in batch:
                call = decode(memoryview(body)[16:])
                value = TASKS[call.task](*decode_json(call.arguments))
                words += (body[:16], encode([call.task, "SUCCESS", value, time.time()]), call.reply)
            batch = link.run([link.script(DONE, (held,), *words), fetch])[-1]
        else:
            batch = link.run([("BLPOP", WAKE, 1), fetch])[-1]
    if batch:
        link.call(*link.script(RECOVER, (held, QUEUE, WAKE)))


def run_supervisor(kind, processes):
    """Start the worker processes; put back what a dead one held, and start another, until SIGTERM."""
    link, number, workers, stopping = LINKS[kind](), 0, {}, []
    signal.signal(signal.SIGTERM, lambda *_: (stopping.append(True), [each.terminate() for each in workers.values()]))
    while not stopping or workers:
        while not stopping and len(workers) < processes:
            number += 1
            holder = f"{os.getpid()}-{number}"
            argv = [sys.executable, "-m", "benchmarks.redis.floor", kind, "worker", holder]
            workers[holder] = subprocess.Popen(argv)
        try:
            pid, _ = os.waitpid(-1, 0)
        except ChildProcessError:
            return
        for holder, worker in list(workers.items()):
            if worker.pid == pid:
                del workers[holder]
                link.call(*link.script(RECOVER, (f"floor:held:{holder}", QUEUE, WAKE)))


class FloorSide(BlockingSide):
    kind = ""

    def open(self):
        self.link, self.listener = LINKS[self.kind](), LINKS[self.kind]()
        self.channel = f"floor:news:{os.getpid()}"
        self.listener.subscribe(self.channel)
        self.encode = msgspec.msgpack.Encoder().encode
        self.encode_json = msgspec.json.Encoder().encode

    def message(self, number, reply=""):
        identity = os.urandom(16)
        return identity, identity + self.encode(Call("floor.echo", self.encode_json((number,)), time.time(), reply))

    def publish(self, messages):
        self.link.run([self.link.script(ENQUEUE, (QUEUE, WAKE), *(body for _, body in messages))])
        return [identity for identity, _ in messages]

    def send(self, numbers):
        return [self.publish([self.message(number)])[0] for number in numbers]

    def send_bulk(self, numbers, chunk):
        handles = []
        for start in range(0, len(numbers), chunk):
            handles += self.publish([self.message(number) for number in numbers[start : start + chunk]])
        return handles

    def round_trip(self, number):
        (identity,) = self.publish([self.message(number, self.channel)])
        while True:
            news = self.listener.news()
            if news[:16] == identity:
                return self.value(news[16:])

    def result(self, handle):
        while (value := self.read([handle])[0]) is None:
            time.sleep(0.0005)
        return value

    def read(self, handles):
        values = []
        for start in range(0, len(handles), 1000):
            keys = [RESULT.encode() + handle for handle in handles[start : start + 1000]]
            values += [self.value(raw) for raw in self.link.call("MGET", *keys)]
        return values

    @staticmethod
    def value(raw):
        return None if raw is None else msgspec.msgpack.decode(raw)[2]

    def commands(self, kind, processes):
        return [[sys.executable, "-m", "benchmarks.redis.floor", self.kind, "supervisor", str(processes)]]


if __name__ == "__main__":
    if sys.argv[2] == "worker":
        run_worker(LINKS[sys.argv[1]](), sys.argv[3])
    else:
        run_supervisor(sys.argv[1], int(sys.argv[3]))
