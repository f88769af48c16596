"""examples/cleanup, on a database of sessions that expire."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

DEADLINE_S = 30


def make_sessions(path: Path, *, expired: int, alive: int) -> None:
    now_s = time.time()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS sessions (id INTEGER PRIMARY KEY, expires_at_s REAL NOT NULL)")
        moments = [now_s - 10] * expired + [now_s + 3600] * alive
        connection.executemany("INSERT INTO sessions (expires_at_s) VALUES (?)", [(moment,) for moment in moments])


def sessions_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])


def test_the_plain_call_cleans_up_here_and_now(project: Any) -> None:
    database = project.folder / "app.db"
    make_sessions(database, expired=1234, alive=5)
    done = project.run("python", "cleanup.py", "once", "app.db")
    assert done.stdout == "1234 expired sessions removed\n"
    assert sessions_in(database) == 5


def test_it_cleans_up_again_and_again(project: Any) -> None:
    database = project.folder / "app.db"
    make_sessions(database, expired=1200, alive=5)
    project.start_worker("-A", "cleanup", "-c", "1")
    done = project.run("python", "cleanup.py", "start", str(database), "--every", "1")
    removed, run_id = wait_for_run(project, done.stdout.split()[-1])
    assert (removed, sessions_in(database)) == (1200, 5)
    make_sessions(database, expired=3, alive=0)
    while removed < 1203:
        more, run_id = wait_for_run(project, run_id)
        removed += more
    assert sessions_in(database) == 5


def wait_for_run(project: Any, task_id: str) -> tuple[int, str]:
    """Return how many sessions a run removed, and the id of the one that it sent."""
    done = project.run("faena", "-A", "cleanup", "result", task_id, "--wait", "--timeout", str(DEADLINE_S), "--json")
    answer = json.loads(done.stdout)
    (following,) = answer["children"]
    return int(answer["result"]), following


def test_starting_twice_starts_once(project: Any) -> None:
    said = [project.run("python", "cleanup.py", "start", "app.db", "--every", "3600").stdout for _ in range(2)]
    assert said[0] == said[1]
    done = project.run("faena", "-A", "cleanup", "purge", "-Q", "cleanup", "--force", "--json")
    assert sum(json.loads(done.stdout).values()) == 1
