"""Taskiq on RabbitMQ (taskiq-aio-pika, quorum queues, its default), results in Redis; acknowledged when they are saved."""

from taskiq_aio_pika import AioPikaBroker

from benchmarks.redis.peers.taskiq_peer import TaskiqSide, kept, register
from benchmarks.redis.side import BROKER

broker = AioPikaBroker(BROKER, qos=128).with_result_backend(kept())
register(broker)


class Side(TaskiqSide):
    def __init__(self):
        super().__init__("benchmarks.rabbitmq.peers.taskiq_amqp", broker)
