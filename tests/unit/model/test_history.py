"""What a message carries of its failed attempts, and what makes two failures the same."""

import sys
import traceback

from hypothesis import given
from hypothesis import strategies as st

from faena.model.history import MOST, fingerprint_of, past_attempt, with_attempt
from faena.model.message import Message
from faena.model.result import Failure


def failure(message="no", type_name="ValueError", traceback=""):
    return Failure("builtins", type_name, message, None, traceback)


def raised(function, *args):
    try:
        function(*args)
    except Exception as error:
        return Failure("builtins", type(error).__name__, str(error), None, traceback.format_exc())
    raise AssertionError


def pay(order):
    raise LookupError(f"order {order} of 'Ann' at 0x7f3a is gone")


def refund(order):
    raise LookupError(f"order {order} of 'Ann' at 0x7f3a is gone")


def test_what_varies_from_one_failure_to_the_next_does_not_count():
    assert fingerprint_of(raised(pay, 1), "shop.pay") == fingerprint_of(raised(pay, 99_999), "shop.pay")


def test_the_place_the_type_and_the_task_count():
    one = fingerprint_of(raised(pay, 1), "shop.pay")
    assert one != fingerprint_of(raised(refund, 1), "shop.pay")
    assert one != fingerprint_of(raised(pay, 1), "shop.refund")
    assert fingerprint_of(failure(), "t") != fingerprint_of(failure(type_name="TypeError"), "t")
    assert fingerprint_of(failure("no"), "t") != fingerprint_of(failure("yes"), "t")


def test_lines_move_and_do_not_count():
    before = failure(traceback='  File "/srv/shop.py", line 10, in pay\n    ...\n')
    after = failure(traceback='  File "/opt/shop.py", line 12, in pay\n    ...\n')
    assert fingerprint_of(before, "t") == fingerprint_of(after, "t")


@given(st.text(), st.text(alphabet=st.characters()), st.text())
def test_any_text_has_a_fingerprint_and_can_travel(message, lines, task):
    past = past_attempt(failure(message, traceback=lines), 1.0, "w", task, is_last=True)
    assert len(past.fingerprint) == 12
    past.error.encode()
    past.traceback.encode()


def test_a_history_keeps_the_last_attempts_and_the_traceback_of_the_last_death_alone():
    message = Message("id", "t", "q", b"")
    for number in range(MOST + 5):
        past = past_attempt(failure(str(number), traceback="T" * 9), float(number), "w", "t", is_last=number % 2 == 0)
        message = with_attempt(message, past)
    assert [each.error for each in message.history] == [f"ValueError: {number}" for number in range(5, MOST + 5)]
    assert [bool(each.traceback) for each in message.history] == [False] * (MOST - 1) + [True]


def test_long_text_is_cut_at_its_end_and_a_long_traceback_at_its_beginning():
    past = past_attempt(failure("x" * 1000, traceback="a" * 9000 + "end"), 0.0, "w", "t", is_last=True)
    assert (len(past.error), past.error[-3:]) == (300, "...")
    assert (len(past.traceback), past.traceback[:4], past.traceback[-3:]) == (8000, "...\n", "end")


def test_a_deep_recursion_has_a_fingerprint():
    def down(n):
        return down(n + 1)

    limit = sys.getrecursionlimit()
    assert fingerprint_of(raised(down, 0), "t") == fingerprint_of(raised(down, 5), "t")
    assert sys.getrecursionlimit() == limit
