"""The floors of the benchmark on Redis must keep the guarantee that they claim, or their figures say nothing."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from benchmarks.redis import server
from benchmarks.redis.contenders import CONTENDERS
from benchmarks.redis.environments import NotInstalled, python_of
from benchmarks.redis.rounds import ROOT

CLIENT = """
import sys
from benchmarks.redis.floor_{kind} import Side
side = Side()
side.open()
handles = side.send_bulk(range({count}), 500)
print("sent", flush=True)
for _ in sys.stdin:
    values = side.read(handles)
    print(sum(value is not None for value in values), values == list(range({count})), flush=True)
"""


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
@pytest.mark.parametrize("kind", ["raw", "pipelined"])
def test_killed_worker_processes_of_a_floor_lose_nothing(tmp_path, kind):
    contender = next(each for each in CONTENDERS if each.module.endswith(f"floor_{kind}"))
    try:
        python = python_of(contender, ROOT / ".bench", print, make=False)
    except NotInstalled as reason:
        pytest.skip(f"{contender.name}: {reason} (`./dev bench-redis` makes it)")
    count = 150_000
    with server.server() as port:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_REDIS_PORT": str(port)}
        client = subprocess.Popen(
            [python, "-c", CLIENT.format(kind=kind, count=count)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdout.readline() == "sent\n"
        argv = [python, "-m", "benchmarks.redis.floor", kind, "supervisor", "2"]
        supervisor = subprocess.Popen(argv, cwd=tmp_path, env=environment)
        try:
            kills = kill_while_it_works(supervisor.pid, port, count)
            wait_for(lambda: done(client) == count)
            client.stdin.write("\n")
            client.stdin.flush()
            assert client.stdout.readline() == f"{count} True\n"
            assert kills >= 1
        finally:
            supervisor.terminate()
            supervisor.wait(10)
            client.communicate(timeout=10)


def kill_while_it_works(supervisor, port, count, most=3):
    """Kill worker processes of it that have taken some of the work, while there is more; return how many."""
    kills = 0
    wait_for(lambda: waiting(port) < count)
    while kills < most and waiting(port) > 0:
        victims = children_of(supervisor)
        if victims:
            os.kill(victims[0], signal.SIGKILL)
            kills += 1
        time.sleep(0.05)
    return kills


def waiting(port):
    return int(server.command(port, "LLEN", "floor:queue").strip().lstrip(b":"))


def done(client):
    client.stdin.write("\n")
    client.stdin.flush()
    return int(client.stdout.readline().split()[0])


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def wait_for(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
