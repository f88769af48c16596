"""What the tasks of every side do. Standard library only."""

import asyncio
import time

SLEEP_S = 0.05
COROUTINES, THREADS = 100, 50  # of one worker process, where sleeps are measured


def echo(number):
    return number


async def echo_coroutine(number):
    return number


def sleep():
    """Sleep in a thread; tell when that began and ended."""
    began = time.time()
    time.sleep(SLEEP_S)
    return [began, time.time()]


async def sleep_coroutine():
    began = time.time()
    await asyncio.sleep(SLEEP_S)
    return [began, time.time()]
