"""examples/cleanup, on a database of sessions that expire."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

DEADLINE_S = 30


def make_sessions(path: Path, *, expired: int, alive: int, soon: int = 0) -> None:
    now_s = time.time()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS sessions (id INTEGER PRIMARY KEY, expires_at_s REAL NOT NULL)")
        moments = [now_s - 10] * expired + [now_s + 3600] * alive + [now_s + 2] * soon
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
    make_sessions(database, expired=1200, alive=5, soon=3)
    project.start_worker("-A", "cleanup", "-c", "1")
    done = project.run("python", "cleanup.py", "start", str(database), "--every", "1")
    run_id = done.stdout.split()[-1]
    removed = []
    while sum(removed) < 1203:  # the last three expire while this goes on
        wait = ("result", run_id, "--wait", "--timeout", str(DEADLINE_S), "--json")
        answer = json.loads(project.run("faena", "-A", "cleanup", *wait).stdout)
        removed.append(answer["result"])
        (run_id,) = answer["children"]
    assert removed[0] == 1200
    assert sessions_in(database) == 5


def test_starting_twice_starts_once(project: Any) -> None:
    said = [project.run("python", "cleanup.py", "start", "app.db", "--every", "3600").stdout for _ in range(2)]
    assert said[0] == said[1]
    done = project.run("faena", "-A", "cleanup", "purge", "-Q", "cleanup", "--force", "--json")
    assert sum(json.loads(done.stdout).values()) == 1
