"""The number of this process, without asking the system: that takes longer than what hot paths do with the answer."""

from __future__ import annotations

import os

pid = os.getpid()


def _note() -> None:
    global pid
    pid = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)
