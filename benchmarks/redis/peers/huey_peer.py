"""huey on Redis: worker processes that wait at the server, and threads for the sleeps."""

import signal
import time

from huey import RedisExpireHuey

from benchmarks.redis import bodies
from benchmarks.redis.bodies import THREADS
from benchmarks.redis.side import PORT, TTL_S, BlockingSide

huey = RedisExpireHuey("bench", host="127.0.0.1", port=PORT, expire_time=TTL_S)

echo = huey.task()(bodies.echo)
sleep = huey.task()(bodies.sleep)


class Side(BlockingSide):
    stop_signal = signal.SIGINT  # its graceful stop

    def send(self, numbers):
        return [echo(number) for number in numbers]

    def send_sleeps(self, kind, count):
        return [sleep() for _ in range(count)]

    def result(self, handle):
        while (value := handle.get(preserve=True)) is None:  # its own blocking get sleeps 0.1 s first
            time.sleep(0.0005)
        return value

    def read(self, handles):
        return [handle.get(preserve=True) for handle in handles]

    def commands(self, kind, processes):
        workers = ("thread", processes * THREADS) if kind == "threads" else ("process", processes)
        return [
            self.command(kind, "huey_consumer", "benchmarks.redis.peers.huey_peer.huey", "-k", workers[0],
                         "-w", str(workers[1]), "--no-periodic", "-q")
        ]  # fmt: skip
