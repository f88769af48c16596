"""Ctrl-C at the wrong moment."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from faena.cli.interrupts import interruptible

APP = """
import os, signal
from faena import Faena

app = Faena("shop")
try:
    os.kill(os.getpid(), signal.SIGINT)
except BaseException:  # stands for what does not bear an exception: code in C that makes a class
    pass
print("went on")
"""


def test_while_something_is_imported_the_process_ends_there_and_then(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    argv = [sys.executable, "-c", "import sys; from faena.cli.main import main; sys.exit(main(['queues']))"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\n")


def test_at_any_other_moment_it_is_a_keyboard_interrupt_and_afterwards_all_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
