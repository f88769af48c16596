"""Celery, on Redis unless another broker is named: prefork, and threads for the sleeps.

`task_acks_late` and `task_reject_on_worker_lost`: "Optimizing" and "Tasks" in its guide, for tasks that must not be lost. A
larger prefetch: the same guide, for many short tasks. Without gossip and mingle it starts sooner.
"""

from celery import Celery

from benchmarks.redis import bodies
from benchmarks.redis.bodies import THREADS
from benchmarks.redis.side import BROKER, KIND, TTL_S, URL, WAIT_S, BlockingSide

app = Celery("bench", broker=BROKER, backend=URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1 if KIND == "threads" else 64,
    result_expires=TTL_S,
    broker_connection_retry_on_startup=True,
)

echo = app.task(bodies.echo)
sleep = app.task(bodies.sleep)


class Side(BlockingSide):
    def send(self, numbers):
        return [echo.delay(number) for number in numbers]

    def send_sleeps(self, kind, count):
        return [sleep.delay() for _ in range(count)]

    def result(self, handle):
        return handle.get(timeout=WAIT_S)

    def read(self, handles):
        found = {}
        for start in range(0, len(handles), 1000):
            keys = [app.backend.get_key_for_task(handle.id) for handle in handles[start : start + 1000]]
            for key, raw in zip(keys, app.backend.mget(keys), strict=True):
                found[key] = None if raw is None else app.backend.decode_result(raw)["result"]
        return [found[app.backend.get_key_for_task(handle.id)] for handle in handles]

    def commands(self, kind, processes):
        pool = ("threads", processes * THREADS) if kind == "threads" else ("prefork", processes)
        return [
            self.command(kind, "celery", "-A", "benchmarks.redis.peers.celery_peer", "worker", "-P", pool[0],
                         "-c", str(pool[1]), "--without-gossip", "--without-mingle", "-l", "WARNING")
        ]  # fmt: skip
