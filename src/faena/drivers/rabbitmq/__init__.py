"""What the broker on RabbitMQ is made of; see docs/internals/rabbitmq.md."""
