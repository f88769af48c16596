"""Who is measured: where each comes from, how much work it gets, what it guarantees, and how it was set up."""

from __future__ import annotations

from dataclasses import dataclass

_LATE = "Results kept 1 h. Acknowledged after the run"


@dataclass(frozen=True)
class Contender:
    """One side. The counts make a measurement last about a second; no `packages`: it runs in the project's environment."""

    name: str
    module: str
    packages: tuple[str, ...]
    guarantees: str
    settings: str
    rate: int  # tasks per second expected of two processes: what the counts are made of
    sends: int  # calls per second expected of its client, one by one
    bulk: int = 0  # tasks per second expected of its call for many; 0: it has none
    sleeps: tuple[str, ...] = ("coroutines", "threads")
    python: tuple[int, int] = (3, 11)
    is_peer: bool = True


def _floor(kind: str, packages: tuple[str, ...], how: str, rate: int, sends: int, bulk: int) -> Contender:
    return Contender(
        f"floor, {kind}",
        f"benchmarks.redis.floor_{kind}",
        packages,
        f"{_LATE}, in one step with the result. kill -9 loses nothing: the supervisor puts back what a dead "
        "process held. No "
        "retries, priorities, limits, routing, revocation, log or leases.",
        f"Hand-written: batches of 128, {how}.",
        rate=rate,
        sends=sends,
        bulk=bulk,
        sleeps=(),
        is_peer=False,
    )


FAENA = Contender(
    "faena",
    "benchmarks.redis.faena_side",
    (),
    f"{_LATE}, in one step with the result, fenced. kill -9 loses nothing: what a dead process held goes back at "
    "once, what a "
    "dead machine held when its lease ends. The first result wins.",
    "As installed: `faena worker -c 2`. Plain functions run in the main thread, one after another.",
    rate=70_000,
    sends=12_000,
    bulk=80_000,
    is_peer=False,
)

CONTENDERS = (
    FAENA,
    _floor("raw", ("hiredis", "msgspec"), "a plain socket, hiredis, one write a cycle", 180_000, 12_000, 250_000),
    _floor(
        "pipelined",
        ("redis", "hiredis", "msgspec"),
        "redis-py with hiredis, one pipeline a cycle",
        160_000,
        12_000,
        250_000,
    ),
    Contender(
        "celery",
        "benchmarks.redis.peers.celery_peer",
        ("celery[redis]", "hiredis"),
        f"{_LATE}, in several steps. A killed process's tasks go back (`task_reject_on_worker_lost`); those of a "
        "killed worker "
        "after the visibility timeout, an hour.",
        "Prefork; `task_acks_late`, `task_reject_on_worker_lost`, prefetch multiplier 64, no gossip, no mingle. "
        "Threads: its "
        "thread pool. It has no coroutines, and no call for many.",
        rate=900,
        sends=1_500,
        sleeps=("threads",),
    ),
    Contender(
        "dramatiq",
        "benchmarks.redis.peers.dramatiq_peer",
        ("dramatiq[redis]", "hiredis"),
        f"{_LATE}, in two steps. A dead worker's messages go back when its heartbeat is 60 s old.",
        "Two processes of eight threads, its default; results by its Redis backend. Coroutines by its AsyncIO middleware.",
        rate=1_800,
        sends=3_000,
    ),
    Contender(
        "taskiq, list",
        "benchmarks.redis.peers.taskiq_list_peer",
        ("taskiq", "taskiq-redis", "hiredis", "uvloop"),
        "Results kept 1 h. Taken off the list BEFORE the run: kill -9 loses what is running and what was taken in advance.",
        "ListQueueBroker, its Redis result backend, uvloop, two processes.",
        rate=1_800,
        sends=2_500,
    ),
    Contender(
        "taskiq, stream",
        "benchmarks.redis.peers.taskiq_stream_peer",
        ("taskiq", "taskiq-redis", "hiredis", "uvloop"),
        f"{_LATE}, when the result is saved, in two steps. A dead process's messages are claimed by others after "
        "10 minutes. "
        "The stream keeps what is done.",
        "RedisStreamBroker, `--ack-type when_saved`, its Redis result backend, uvloop, two processes.",
        rate=1_500,
        sends=2_500,
    ),
    Contender(
        "saq",
        "benchmarks.redis.peers.saq_peer",
        ("saq[redis,hiredis]", "typing_extensions", "uvloop"),
        "Results kept 1 h, in one step with the end of the run. A lost job is found by a sweep once it is over "
        "its time limit "
        "(10 s), and run again where it may be retried (it may, here).",
        "Coroutines, ten at once in each of two processes, its default. Its first sweep is held off: it aborts "
        "jobs that were "
        "taken in that moment.",
        rate=1_500,
        sends=2_000,
        sleeps=("coroutines",),
    ),
    Contender(
        "arq",
        "benchmarks.redis.peers.arq_peer",
        ("arq", "hiredis"),
        f"{_LATE}, in one step. A dead process's jobs are run again when their mark ends, after the job's time limit.",
        "Coroutines, ten at once, its default; two commands, for it runs one process each. Its results are polled for.",
        rate=190,  # its worker looks for jobs every half second
        sends=1_000,
        sleeps=("coroutines",),
    ),
    Contender(
        "rq",
        "benchmarks.redis.peers.rq_peer",
        ("rq", "hiredis"),
        "Results kept 1 h. A job of a dead worker is found in its registry and counts as failed.",
        "`rq worker-pool -n 2`, which forks for each job, its default.",
        rate=60,
        sends=1_000,
        bulk=4_000,
        sleeps=(),
    ),
    Contender(
        "huey",
        "benchmarks.redis.peers.huey_peer",
        ("huey", "redis", "hiredis"),
        "Results kept 1 h. Taken off the list BEFORE the run: kill -9 loses what is running.",
        "RedisExpireHuey, two worker processes that wait at the server, its default. Threads: its thread workers.",
        rate=3_000,
        sends=4_000,
        sleeps=("threads",),
    ),
    Contender(
        "streaq",
        "benchmarks.redis.peers.streaq_peer",
        ("streaq",),
        f"{_LATE}, in one step. A dead process's tasks are claimed by others after 60 s.",
        "Coroutines, sixteen at once in each of two processes, its default.",
        rate=2_500,
        sends=1_500,
        bulk=10_000,
    ),
    Contender(
        "ardiq",
        "benchmarks.redis.peers.ardiq_peer",
        ("ardiq",),
        f"{_LATE}. A dead process's tasks are claimed by others when they were idle for its `idle_timeout_ms`.",
        "Its core is written in Rust. Coroutines, its default concurrency, two processes (`-w 2`). Python 3.12, "
        "which it needs.",
        rate=8_000,
        sends=4_000,
        bulk=50_000,
        python=(3, 12),
    ),
    Contender(
        "repid",
        "benchmarks.redis.peers.repid_peer",
        ("repid[redis]", "typing_extensions", "hiredis"),
        "Acknowledged after the run. It keeps no results: the task keeps its own for 1 h, with one SET. A dead process's "
        "messages are claimed by others after 60 s. The stream keeps what is done.",
        "Coroutines, a thousand at once, its default; `claim_interval` 30 s (off by default), batches of 100; "
        "two commands, "
        "for it runs one process each. Its results are polled for.",
        rate=2_500,
        sends=2_500,
        sleeps=("coroutines",),
    ),
)
