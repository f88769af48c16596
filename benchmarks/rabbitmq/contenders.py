"""Who is measured on RabbitMQ: where each comes from, what it guarantees, and how it was set up."""

from __future__ import annotations

from benchmarks.redis.contenders import Contender

_OURS = (
    "Results kept 1 h. Acknowledged after the run and after its result, in batches. kill -9 loses nothing: the server "
    "hands out again what was not acknowledged. Sending returns when the server has confirmed."
)
_THEIRS = "Results kept 1 h in Redis. Acknowledged after the run. kill -9 loses nothing: the server hands it out again."

QUEUES = (
    "faena.default", "loops", "celery", "default", "default.DQ", "default.XQ", "taskiq", "taskiq.dead_letter"
)  # fmt: skip
"""Of all of them: deleted before each measurement."""


def _floor(name: str, kind: str, packages: tuple[str, ...]) -> Contender:
    suffix = "" if kind == "quorum" else "_classic"
    return Contender(
        f"floor, {name}{suffix.replace('_', ', ')}",
        f"benchmarks.rabbitmq.floors.{name.replace('-', '_')}{suffix}",
        packages,
        "No results. Batches of 128 are acknowledged after the run with one frame; sending waits for confirms. kill -9 "
        "loses nothing. No retries, results, limits, delays, routing, revocation or log.",
        f"Hand-written with {name}, {kind} queue as faena declares it (a classic one has ten priorities), prefetch "
        "512, 512 unconfirmed at most.",
        rate=30_000 if name == "pika" else 10_000,
        sends=800,
        bulk=8_000,
        is_peer=False,
    )


FAENA = Contender(
    "faena", "benchmarks.rabbitmq.faena_side", (), _OURS, "As installed: `faena worker -c 2`, quorum queues.",
    rate=30_000, sends=800, bulk=10_000, is_peer=False,
)  # fmt: skip
CLASSIC = Contender(
    "faena, classic", "benchmarks.rabbitmq.faena_classic_side", (), _OURS, "The same with `queue_type=classic`.",
    rate=30_000, sends=800, bulk=10_000, is_peer=False,
)  # fmt: skip

CONTENDERS = (
    FAENA,
    CLASSIC,
    _floor("pika", "quorum", ("pika", "msgspec")),
    _floor("pika", "classic", ("pika", "msgspec")),
    _floor("py-amqp", "quorum", ("amqp", "msgspec")),
    _floor("aiormq", "quorum", ("aiormq", "msgspec", "uvloop")),
    _floor("aiormq", "classic", ("aiormq", "msgspec", "uvloop")),
    _floor("aio-pika", "quorum", ("aio-pika", "msgspec", "uvloop")),
    Contender(
        "celery", "benchmarks.rabbitmq.peers.celery_amqp", ("celery[redis]", "hiredis"),
        f"{_THEIRS} It sends without waiting for a confirm.",
        "Prefork; classic queues, its default; `task_acks_late`, `task_reject_on_worker_lost`, prefetch multiplier 64, no "
        "gossip, no mingle.",
        rate=900, sends=1_500,
    ),
    Contender(
        "dramatiq", "benchmarks.rabbitmq.peers.dramatiq_amqp", ("dramatiq[rabbitmq,redis]", "hiredis"),
        f"{_THEIRS} It sends without waiting for a confirm.",
        "Two processes of eight threads, its default; classic queues; results by its middleware in Redis.",
        rate=1_500, sends=2_000,
    ),
    Contender(
        "taskiq", "benchmarks.rabbitmq.peers.taskiq_amqp",
        ("taskiq", "taskiq-aio-pika", "taskiq-redis", "hiredis", "uvloop"),
        f"{_THEIRS} Sending waits for the confirm.",
        "taskiq-aio-pika, quorum queues, its default; `--ack-type when_saved`, prefetch 128, uvloop, two processes.",
        rate=1_000, sends=600,
    ),
)  # fmt: skip
