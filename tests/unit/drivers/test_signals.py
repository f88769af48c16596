"""Named pipes: tokens, records, alarms."""

import os
import stat
import tempfile
import threading

import pytest

from faena.drivers.signals import OVERFLOW_BYTES, Alarm, Marks, Signals, name_of

Q = name_of("q", "default")


@pytest.fixture(params=["marked", "unmarked"])
def signals(request, tmp_path):
    if request.param == "unmarked":
        return Signals(str(tmp_path / "signals"))
    with tempfile.TemporaryFile() as file:
        file.truncate(Marks.SIZE_BYTES)
        marks = Marks(file.fileno())
    return Signals(str(tmp_path / "signals"), lambda: marks)


def test_a_token_ends_one_wait(signals):
    listener = signals.listen([Q])
    signals.notify([Q])
    assert (listener.wait(5), listener.wait(0)) == (True, False)
    listener.close()


def test_one_token_wakes_one_of_two_who_listen(signals):
    first, second = signals.listen([Q]), signals.listen([Q])
    signals.notify([Q])
    assert sorted([first.wait(0), second.wait(0)]) == [False, True]
    first.close()
    second.close()


def test_what_nobody_listens_to_is_not_made(signals, tmp_path):
    signals.notify([Q])
    assert list(tmp_path.iterdir()) == []
    listener = signals.listen([Q])
    listener.close()
    signals.notify([Q])
    listener = signals.listen([Q])
    assert listener.wait(0) is False
    assert stat.S_IMODE(os.stat(tmp_path / "signals").st_mode) == 0o700
    listener.close()


def test_a_full_pipe_takes_tokens_without_blocking(signals):
    listener = signals.listen([Q])
    for _ in range(70_000):
        signals.notify([Q])
    assert listener.wait(0) is True
    listener.close()


def test_records_are_left_for_draining_and_what_overflows_shows(signals):
    listener = signals.listen_for_records("w")
    signals.send("w", b"12345678", 8)
    assert listener.wait(5) is True
    assert listener.drain() == b"12345678"
    signals.send("w", b"12345678" * 20_000, 8)
    data = listener.drain()
    assert OVERFLOW_BYTES <= len(data) < 160_000
    assert data == b"12345678" * (len(data) // 8)
    listener.close()


def test_an_alarm_ends_the_wait_and_is_kept_for_it(signals):
    listener, alarm = signals.listen([Q]), Alarm()
    alarm.ring()
    assert listener.wait(30, alarm) is False
    assert (alarm.take(), alarm.take()) == (True, False)
    timer = threading.Timer(0.05, alarm.ring)
    timer.start()
    assert listener.wait(30, alarm) is False
    timer.join()
    assert alarm.take() is True
    assert listener.wait(0, alarm) is False
    assert alarm.is_raised is False
    alarm.close()
    alarm.ring()
    listener.close()


def test_a_name_is_marked_while_somebody_listens_and_cleared_by_who_finds_nobody(tmp_path):
    with tempfile.TemporaryFile() as file:
        file.truncate(Marks.SIZE_BYTES)
        marks = Marks(file.fileno())
    signals = Signals(str(tmp_path / "signals"), lambda: marks)
    assert marks.may_listen(Q) is False
    listener = signals.listen([Q])
    signals.notify([Q])
    assert (marks.may_listen(Q), listener.wait(0)) == (True, True)
    listener.close()
    assert marks.may_listen(Q) is True
    signals.notify([Q])
    assert marks.may_listen(Q) is False


def test_two_names_that_share_a_mark_keep_it(tmp_path):
    with tempfile.TemporaryFile() as file:
        file.truncate(Marks.SIZE_BYTES)
        marks = Marks(file.fileno())
    one, other = "q-00001abc", "q-00002abc"
    marks.set(one)
    marks.set(other)
    marks.clear(one)
    marks.clear(other)
    assert marks.may_listen(one) is True


def test_where_no_pipe_can_be_made_nothing_is_pushed(tmp_path):
    (tmp_path / "signals").touch()
    signals = Signals(str(tmp_path / "signals"))
    listener = signals.listen([Q])
    signals.notify([Q])
    assert (listener.is_pushed, listener.wait(0)) == (False, False)
    assert signals.clean(0.0) == 0


def test_old_pipes_that_nobody_reads_are_removed(signals, tmp_path):
    other = name_of("q", "gone")
    kept, gone = signals.listen([Q]), signals.listen([other])
    gone.close()
    now_s = os.stat(tmp_path / "signals" / other).st_ctime
    assert signals.clean(now_s + 1) == 0
    assert signals.clean(now_s + 120) == 1
    assert [each.name for each in (tmp_path / "signals").iterdir()] == [Q]
    kept.close()


def test_any_text_makes_a_short_plain_name():
    names = [name_of("q", text) for text in ("default", "a/b", "é" * 1000, "", "\ud800")]
    assert len(set(names)) == 5
    assert all(len(name) == 26 and name.replace("-", "").isalnum() for name in names)
