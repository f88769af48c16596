"""A broker and a backend on one server of Redis, and somebody who holds messages there."""

from __future__ import annotations

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backends.redis import RedisBackend
from faena.brokers.redis import RedisBroker


class RedisPlace:
    """Keys of its own on the server; `consumer` and `settler` are those of one holder."""

    def __init__(self, url):
        options = {"prefix": f"place-{new_id()}"}
        self.broker = RedisBroker.connect(url, io="blocking", options=options)
        self.backend = RedisBackend.connect(url, io="blocking", options=options)
        run(self.broker.open())
        run(self.backend.open())
        self.head = self.broker.driver.prefix
        self.holder = run(self.broker.leases.open_holder("w", 60.0))
        self.consumer = self.broker.consumer(self.holder, ["default"])
        self.settler = self.backend.joint(self.broker, self.holder)

    def ask(self, *words):
        return run(self.broker.driver.command(*words))

    def close(self):
        run(self.consumer.close())
        run(self.backend.close())
        run(self.broker.close())
