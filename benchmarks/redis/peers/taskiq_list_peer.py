"""Taskiq over a Redis list: it takes a message off the list before the run."""

from taskiq_redis import ListQueueBroker

from benchmarks.redis.peers.taskiq_peer import TaskiqSide, kept, register
from benchmarks.redis.side import URL

broker = ListQueueBroker(URL).with_result_backend(kept())
register(broker)


class Side(TaskiqSide):
    def __init__(self):
        super().__init__("benchmarks.redis.peers.taskiq_list_peer", broker)
