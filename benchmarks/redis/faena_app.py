"""The app that the benchmark's worker and client share: default settings, results kept for an hour."""

from benchmarks.redis import bodies
from benchmarks.redis.side import TTL_S, URL
from faena import Faena

app = Faena("bench", broker=URL, result_backend=URL, result_expires=TTL_S)

echo = app.task(bodies.echo)
sleep = app.task(bodies.sleep)
sleep_coroutine = app.task(bodies.sleep_coroutine)
