"""Whenever schedulers come to look, and whatever dies meanwhile: ticks are sent in order, once, and as the rules say."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from faena.model.message import Message
from faena.model.schedule import MOST_AT_ONCE, ON_TIME_S, Schedule, Standing, begun, next_ticks, take_turn
from faena.model.timing import Every

START = 1_700_000_000.0

LOOKS = st.lists(st.tuples(st.floats(0.0, 40.0), st.booleans()), min_size=1, max_size=40)
"""Pauses between two looks, and whether the task before still runs then."""


def play(schedule: Schedule, looks: list[tuple[float, bool]]) -> tuple[list[float], Standing, float]:
    """Return the ticks that are sent, how the schedule stands then, and when that is."""
    standing, now_s, sent = begun(schedule, START, ZoneInfo), START, []
    for pause_s, is_running in looks:
        now_s += pause_s
        turn = take_turn(standing, now_s, ZoneInfo, is_running=is_running and standing.last_id != "")
        assert list(turn.ticks) == sorted(turn.ticks)
        assert len(turn.ticks) <= MOST_AT_ONCE
        assert turn.standing.sent == standing.sent + len(turn.ticks)
        sent += turn.ticks
        standing = turn.standing
    return sent, standing, now_s


def schedule(every_s: float, **rules: object) -> Schedule:
    message = Message("", "app.tick", "default", b"[[],{}]")
    return Schedule(name="s", timing=Every(round(every_s * 1000)), message=message, **rules)  # type: ignore[arg-type]


def all_ticks(standing: Standing, until_s: float) -> list[float]:
    return [tick for tick in next_ticks(standing.schedule, START, 2000, ZoneInfo) if tick <= until_s]


@given(every_s=st.floats(0.5, 30.0), looks=LOOKS)
def test_with_catch_up_of_all_every_tick_is_sent_once(every_s, looks):
    sent, standing, now_s = play(schedule(every_s, catch_up="all"), looks)
    assert sent == all_ticks(standing, now_s)
    assert standing.left_out == 0


@given(
    every_s=st.floats(0.5, 30.0), looks=LOOKS, catch_up=st.sampled_from(["last", "all", "none"]),
    overlap=st.sampled_from(["allow", "skip", "queue", "cancel"]), window_s=st.none() | st.floats(0.0, 60.0),
    end_s=st.none() | st.floats(1.0, 300.0),
)  # fmt: skip
def test_whatever_the_rules_ticks_are_sent_in_order_and_once(every_s, looks, catch_up, overlap, window_s, end_s):
    ends_at_s = None if end_s is None else START + end_s
    rules = {"catch_up": catch_up, "overlap": overlap, "window_s": window_s, "ends_at_s": ends_at_s}
    sent, standing, now_s = play(schedule(every_s, **rules), looks)
    assert sent == sorted(set(sent))
    assert set(sent) <= set(all_ticks(standing, now_s))
    assert standing.next_s is None or standing.next_s > now_s
    assert (standing.last_s or 0.0) == (sent[-1] if sent else 0.0)


@given(
    every_s=st.floats(0.5, 30.0),
    looks=st.lists(st.tuples(st.floats(0.0, ON_TIME_S), st.just(False)), min_size=1, max_size=40),
    catch_up=st.sampled_from(["last", "all", "none"]),
)
def test_who_comes_within_the_time_to_take_over_misses_nothing(every_s, looks, catch_up):
    sent, standing, now_s = play(schedule(every_s, catch_up=catch_up), looks)
    assert sent == all_ticks(standing, now_s)


@given(every_s=st.floats(0.5, 30.0), gap_s=st.floats(20.0, 900.0))
def test_after_a_long_time_one_tick_is_sent_for_all_that_were_missed(every_s, gap_s):
    sent, standing, now_s = play(schedule(every_s), [(gap_s, False)])
    on_time = [tick for tick in all_ticks(standing, now_s) if tick >= now_s - ON_TIME_S]
    missed = [tick for tick in all_ticks(standing, now_s) if tick < now_s - ON_TIME_S]
    assert sent == (on_time or missed[-1:])
