"""One who watches a worker of faena while it is measured: listens to its events, and scrapes its metrics each second.

`python -m benchmarks.redis.observer PORT` says a line when it listens, and another at the end, as JSON: what it has heard.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.request
from collections import Counter
from operator import attrgetter
from urllib.error import URLError

from benchmarks.redis.faena_app import app

_EVERY_S = 1.0
kind_of = attrgetter("kind")


def main(port: int) -> None:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    scrapes: list[float] = []
    thread = threading.Thread(target=scrape, args=(port, ended, scrapes))
    heard: Counter[str] = Counter()
    with app.events() as stream:
        print("listening", flush=True)
        thread.start()
        while not ended.is_set():
            heard.update(map(kind_of, stream.receive(0.1)))
        heard.update(map(kind_of, stream.receive(0.1)))
        print(json.dumps({"heard": heard, "missed": stream.missed, "scrapes": len(scrapes), "slowest_s": max(scrapes)}))
    thread.join()


def scrape(port: int, ended: threading.Event, took_s: list[float]) -> None:
    while not ended.wait(_EVERY_S if took_s else 0.02):
        began_s = time.perf_counter()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                answer.read()
        except (URLError, ConnectionError):
            continue  # it has not begun yet, or has ended
        took_s.append(time.perf_counter() - began_s)


if __name__ == "__main__":
    main(int(sys.argv[1]))
