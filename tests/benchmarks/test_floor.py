"""The floor of the benchmark must keep the guarantee that it claims, or its figures say nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = """
from benchmarks.embedded.floor import FloorSide
side = FloorSide()
handles = side.send_bulk(range({count}), 500)
print("sent", flush=True)
input()
print(side.read(handles) == list(range({count})))
"""


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_a_killed_floor_worker_loses_nothing(tmp_path, environment):
    count = 30_000
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT.format(count=count)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout.readline() == "sent\n"

    argv = [sys.executable, "-m", "benchmarks.embedded.floor", "worker"]
    kills = 0
    while kills < 3:
        victim = subprocess.Popen(argv, cwd=tmp_path, env=environment)
        wait_until(lambda: held(tmp_path) or waiting(tmp_path) == 0)
        assert waiting(tmp_path), "everything was done before the kills: send more"
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        kills += 1
    worker = subprocess.Popen(argv, cwd=tmp_path, env=environment)
    wait_until(lambda: rows(tmp_path, "SELECT count(*) FROM tasks") == 0)
    worker.terminate()
    assert worker.wait(10) == 0

    answer, _ = client.communicate("\n", timeout=30)
    assert answer == "True\n"
    assert rows(tmp_path, "SELECT count(*) FROM results") == count


def rows(folder, query):

    connection = sqlite3.connect(folder / "floor.db", timeout=10)
    try:
        return connection.execute(query).fetchone()[0]
    finally:
        connection.close()


def waiting(folder):
    return rows(folder, "SELECT count(*) FROM tasks WHERE holder IS NULL")


def held(folder):
    return rows(folder, "SELECT count(*) FROM tasks WHERE holder IS NOT NULL")


def wait_until(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)
