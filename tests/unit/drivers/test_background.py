"""Adapters of event loops for callers that block."""

import asyncio
import os
import threading
import time

import pytest

from faena._lib.deadline import deadline, deadline_in
from faena._lib.drive import run
from faena.drivers.background import background, in_background


class Adapter:
    number = 7

    async def loop(self):
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    async def fail(self):
        raise ValueError("no")

    async def left_s(self):
        return deadline_in(100.0) - time.monotonic()

    def plain(self):
        return "plain"


def test_coroutines_run_in_the_background_and_never_suspend_the_caller():
    adapter = in_background(Adapter())
    loop = run(adapter.loop())
    assert loop is background().loop
    assert run(adapter.loop()) is loop
    assert (adapter.number, adapter.plain()) == (7, "plain")


def test_what_they_raise_is_raised_at_the_caller():
    with pytest.raises(ValueError, match=r"^no$"):
        run(in_background(Adapter()).fail())


def test_the_deadline_of_the_caller_goes_along():
    with deadline(time.monotonic() + 3.0):
        assert 1.0 < run(in_background(Adapter()).left_s()) <= 3.0
    assert run(in_background(Adapter()).left_s()) > 50.0


def test_many_threads_share_one_loop():
    loops = []
    threads = [threading.Thread(target=lambda: loops.append(run(in_background(Adapter()).loop()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert set(loops) == {background().loop}


def test_a_caller_that_is_interrupted_cancels_what_it_waits_for(monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    async def long():
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    def interrupted(self):
        begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        background().run(long)
    assert ended.wait(10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_loop_of_its_own():
    run(in_background(Adapter()).loop())
    pid = os.fork()
    if pid == 0:
        os._exit(0 if run(in_background(Adapter()).loop()) is background().loop else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_what_the_thread_that_used_it_has_left_behind_is_closed_in_the_loop():
    closed = threading.Event()
    loops = []

    class Closing(Adapter):
        async def close(self):
            loops.append(asyncio.get_running_loop())
            closed.set()
            raise ValueError("nobody is told")

    kept = threading.local()

    def use():
        kept.adapter = in_background(Closing())
        run(kept.adapter.loop())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert closed.wait(10)
    assert loops == [background().loop]


def test_what_cannot_even_begin_is_raised_and_not_waited_for_for_ever():

    def call():
        with pytest.raises(TypeError):
            run(in_background(Adapter()).loop("one too many"))
        ended.set()

    ended = threading.Event()
    threading.Thread(target=call, daemon=True).start()
    assert ended.wait(10)
