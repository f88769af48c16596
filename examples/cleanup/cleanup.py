"""Periodic clean-up of a database: expired sessions go, in small steps, every so often.

    python cleanup.py start app.db --every 3600
    faena worker -A cleanup

There is no schedule yet in faena that would do the "every": this task sends its own next run, as a delayed message that
waits in the broker and not in a worker.
"""

import argparse
import math
import sqlite3
import time
from contextlib import closing

from faena import Faena

BATCH = 500

app = Faena("cleanup")


@app.task(queue="cleanup", autoretry_for=(sqlite3.OperationalError,), retry_backoff=1, max_retries=5, soft_time_limit=300)
def clean_up(database: str, every_s: float, tick: int) -> int:
    """Remove expired sessions and return how many went. `tick` numbers the runs: tick x every_s is the moment of one."""
    send_tick(database, every_s, after=tick)  # first, so that a clean-up that fails does not end all clean-ups
    return remove_expired(database, time.time())


def send_tick(database: str, every_s: float, after: int) -> str:
    """Send the next run and return its id. The id comes from the moment of the run: it cannot be sent twice."""
    tick = max(after + 1, math.ceil(time.time() / every_s))  # after a night switched off: one run, not a hundred
    sent = clean_up.apply_async(
        (database, every_s, tick),
        countdown=tick * every_s - time.time(),
        task_id=f"cleanup-{database}-{every_s:g}-{tick}",
    )
    return sent.id


def remove_expired(database: str, now_s: float) -> int:
    """Delete in batches: a short transaction each, so that the application never waits long."""
    removed = 0
    with closing(sqlite3.connect(database, timeout=5)) as connection:
        while True:
            with connection:
                batch = connection.execute(
                    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at_s <= ? LIMIT ?)",
                    (now_s, BATCH),
                ).rowcount
            removed += batch
            if batch < BATCH:
                return removed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Periodic clean-up of a database.")
    parser.add_argument("command", choices=["start", "once"])
    parser.add_argument("database")
    parser.add_argument("--every", type=float, default=3600.0, metavar="SECONDS")
    given = parser.parse_args()
    if given.command == "once":
        print(f"{remove_expired(given.database, time.time())} expired sessions removed")
    else:
        print(f"every {given.every:g} s, first as {send_tick(given.database, given.every, after=0)}")
