"""Batches of functions on Redis, under kills and cuts: each result is there, and was written once."""

import os
import random
import signal

from faena._lib.drive import run

from .chaos import Witness

TASKS = """
@app.task
def square(n):
    return n * n
"""
COUNT, CUTS, KILLS = 20_000, 12, 4


def test_batches_that_are_cut_off_or_killed_end_once(site, redis_of, proxy_to, until):
    server = redis_of("--notify-keyspace-events", "K$")
    proxy, draw = proxy_to(server.port), random.Random(5)
    site.url = proxy.url
    site.app(TASKS)
    site.url = server.url
    sent = site.client.send_many([site.client.signature("app.square", (n,)) for n in range(COUNT)])
    witness = Witness(server.port)
    worker = site.worker("-c", "2")
    driver = site.client.connection().broker.driver

    def left():
        return run(driver.command("HLEN", f"{driver.prefix}m"))

    for at in range(CUTS):
        until(lambda at=at: left() <= COUNT * (1 - at / CUTS), 60.0)
        proxy.cut_in(draw.choice(("requests", "replies")), draw.randrange(60_000))
        if at % (CUTS // KILLS) == 1:
            os.kill(draw.choice(until(worker.processes)), signal.SIGKILL)
    until(lambda: left() == 0, 120.0)
    assert [each.get(timeout=10.0) for each in sent] == [n * n for n in range(COUNT)]
    until(lambda: len(witness.written) == COUNT, 10.0)
    witness.close()
    assert set(witness.written.values()) == {1}
    assert witness.together > COUNT / 5  # what comes a second time ends by itself
    assert proxy.cuts >= CUTS / 2
    assert worker.stop() == 0
