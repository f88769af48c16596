"""Dramatiq on RabbitMQ, set up as on Redis; it sends without confirms, its default."""

from benchmarks.redis.peers.dramatiq_peer import Side

__all__ = ["Side"]
