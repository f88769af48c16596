"""The timetable of a stop: one number of seconds, and what happens when within it. Pure.

    0 ──────────────── 0.8 ───────── 0.95 ──── budget
    take nothing more,  ask those     kill those
    let finish          that run      that still run;
                        to stop       hand back, exit 0

A container's 30 seconds hold the default budget of 25 with room to spare.
"""

from __future__ import annotations

from enum import StrEnum

_ASK_AT, _KILL_AT = 0.8, 0.95


class Phase(StrEnum):
    FINISH = "finish"
    ASK = "ask"
    KILL = "kill"


def phase(elapsed_s: float, budget_s: float) -> Phase:
    """Return what the moment `elapsed_s` after the request to stop belongs to."""
    if elapsed_s >= budget_s * _KILL_AT:
        return Phase.KILL
    return Phase.ASK if elapsed_s >= budget_s * _ASK_AT else Phase.FINISH


def next_change_s(elapsed_s: float, budget_s: float) -> float:
    """Return the seconds until the phase changes; 0 in the last one."""
    for share in (_ASK_AT, _KILL_AT):
        if elapsed_s < budget_s * share:
            return budget_s * share - elapsed_s
    return 0.0
