"""Workers that are named alike."""

from __future__ import annotations

import os
import signal

import pytest

from .conftest import present

APP = """
@app.task
def nothing():
    pass
"""
WARNING = "another worker is named one@here, too"


def test_a_worker_whose_name_another_has_says_so_and_not_where_the_other_was_killed(site, until):
    site.app(APP)
    first = present(site, until, "-c", "1", "-n", "one@here")
    os.kill(first.pid, signal.SIGKILL)
    first.until_ended()
    second = site.worker("-c", "1", "-n", "one@here")
    until(lambda: [each.pid for each in site.client.control.workers()] == [second.pid])
    third = site.worker("-c", "1", "-n", "one@here")
    third.until_logged(rf"{WARNING} \(pid {second.pid} on ")
    assert WARNING not in second.text()


@pytest.mark.slow
def test_two_that_start_at_one_moment_find_out(site):
    site.app(APP)
    both = [site.worker("-c", "1", "-n", "one@here", ready=False) for _ in range(2)]
    for worker in both:
        worker.until_logged(WARNING)
