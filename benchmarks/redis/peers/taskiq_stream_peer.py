"""Taskiq over a Redis stream, acknowledged when the result is saved."""

from taskiq_redis import RedisStreamBroker

from benchmarks.redis.peers.taskiq_peer import TaskiqSide, kept, register
from benchmarks.redis.side import URL

broker = RedisStreamBroker(URL).with_result_backend(kept())
register(broker)


class Side(TaskiqSide):
    def __init__(self):
        super().__init__("benchmarks.redis.peers.taskiq_stream_peer", broker)
