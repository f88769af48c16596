"""faena on classic queues."""

import os

os.environ["BENCH_QUEUE_TYPE"] = "classic"  # before the app is made

from benchmarks.rabbitmq.faena_side import Side

__all__ = ["Side"]
