"""RQ: its pool of workers, which fork for each job, as by default."""

from rq import Queue

import redis
from benchmarks.redis import bodies
from benchmarks.redis.side import PORT, TTL_S, URL, WAIT_S, BlockingSide

queue = Queue(connection=redis.Redis(port=PORT))


class Side(BlockingSide):
    def send(self, numbers):
        return [queue.enqueue(bodies.echo, number, result_ttl=TTL_S) for number in numbers]

    def send_bulk(self, numbers, chunk):
        handles = []
        for start in range(0, len(numbers), chunk):
            part = numbers[start : start + chunk]
            handles += queue.enqueue_many([Queue.prepare_data(bodies.echo, (number,), result_ttl=TTL_S) for number in part])
        return handles

    def result(self, handle):
        return handle.latest_result(timeout=WAIT_S).return_value

    def read(self, handles):
        found = [handle.latest_result() for handle in handles]
        return [None if each is None else each.return_value for each in found]

    def commands(self, kind, processes):
        return [self.command(kind, "rq", "worker-pool", "-n", str(processes), "-u", URL, "-q", "default")]
