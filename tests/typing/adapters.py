"""Every adapter is what its contract says: checked, not run."""

from faena.backend import Backend
from faena.backends.memory import MemoryBackend
from faena.backends.redis import RedisBackend
from faena.backends.sqlite import SqliteBackend
from faena.broker import Broker
from faena.brokers.memory import MemoryBroker
from faena.brokers.rabbitmq import RabbitmqBroker
from faena.brokers.redis import RedisBroker
from faena.brokers.sqlite import SqliteBroker


def brokers(
    memory: MemoryBroker, sqlite: SqliteBroker, redis: RedisBroker, rabbitmq: RabbitmqBroker
) -> tuple[Broker, Broker, Broker, Broker]:
    return memory, sqlite, redis, rabbitmq


def backends(memory: MemoryBackend, sqlite: SqliteBackend, redis: RedisBackend) -> tuple[Backend, Backend, Backend]:
    return memory, sqlite, redis
