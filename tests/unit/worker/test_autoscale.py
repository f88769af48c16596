"""How many processes the work asks for."""

from __future__ import annotations

import pytest

from faena.errors import ConfigurationError
from faena.worker.autoscale import Autoscale, Bounds, Load, bounds_from, look

BOUNDS = Bounds(most=8, least=2, target_age_s=1.0, cool_down_s=30.0)


def load(processes=2, *, starting=0, busy=0.0, waiting=0, age_s=0.0, pace=0.0):
    return Load(processes, starting, busy, waiting, age_s, pace)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (load(), 2),  # nothing to do
        (load(busy=2, waiting=3, age_s=0.5), 2),  # nobody waits for long
        (load(busy=2, waiting=3, age_s=1.5), 4),  # late: twice as many
        (load(busy=2, waiting=1, age_s=1.5), 3),  # no more than there is work for
        (load(5, busy=5, waiting=90, age_s=9.0), 8),  # never more than the most
        (load(busy=2, waiting=50, pace=10.0), 4),  # the last of them would wait for 5 s
        (load(busy=2, waiting=50, pace=100.0), 2),  # they will be done in half a second
        (load(busy=1, waiting=50, pace=1.0), 2),  # there is room: they have only just come
        (load(4, starting=2, busy=2, waiting=50, age_s=9.0), 4),  # what was started is waited for
        (load(1), 2),  # below the least
        (load(9), 8),  # above the most
    ],
)
def test_the_first_look_grows_with_what_is_late(found, wanted):
    assert look(Autoscale(), found, BOUNDS, 0.0)[1] == wanted


def test_what_was_not_needed_for_the_cool_down_goes_at_once_and_no_more_than_that():
    state = Autoscale()
    moments = [(0.0, 8), (5.0, 3), (20.0, 1), (30.5, 1), (35.5, 1), (51.0, 1)]
    found, processes = [], 8
    for at_s, busy in moments:
        state, processes = look(state, load(processes, busy=busy), BOUNDS, at_s)
        found.append(processes)
    assert found == [8, 8, 8, 3, 2, 2]


def test_bounds_are_read_as_celery_writes_them():
    assert [bounds_from(text) for text in ("10,2", "10", " 4, 4 ")] == [(10, 2), (10, 1), (4, 4)]
    for wrong in ("2,10", "0", "a,b", "", "4,0"):
        with pytest.raises(ValueError, match="MOST,LEAST, such as 10,2"):
            bounds_from(wrong)
    with pytest.raises(ConfigurationError, match="1 or more, not 5 and 4"):
        Bounds(4, 5)
