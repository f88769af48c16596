"""The huey instance that its consumer and the client of the benchmark share. BENCH_HUEY_FSYNC says how it was tuned."""

import os

from huey import SqliteHuey

# None: as huey is installed (synchronous=FULL). False: synchronous=OFF, less than faena and the floor keep (NORMAL).
FSYNC = {"default": None, "off": False}[os.environ["BENCH_HUEY_FSYNC"]]

huey = SqliteHuey("bench", filename="huey.db", fsync=FSYNC)


@huey.task()
def echo(number):
    return number
