"""The state behind a name, found by every thread and loop of the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from faena.drivers.memory.bell import Bells
from faena.drivers.memory.journal import Journals
from faena.drivers.memory.messages import Messages
from faena.drivers.memory.results import Results
from faena.drivers.memory.timetable import Timetable
from faena.drivers.memory.workflows import Workflows
from faena.errors import InvalidSetting
from faena.model.claim import Claimant
from faena.model.event import Event
from faena.model.limit import Declared

_SCHEME = "memory://"


class Ear(Protocol):
    """One who listens to events."""

    def take(self, events: Sequence[Event]) -> None: ...


class MemoryState:
    """Broker and backend of one name. `lock` is held for every look and every change; nothing waits with it held."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name, self.clock = name, clock
        self.lock = threading.RLock()
        self.bells = Bells()
        self.messages = Messages()
        self.limits = Declared()
        self.results = Results()
        self.workflows = Workflows()
        self.journals = Journals()
        self.timetable = Timetable()
        self.keys: dict[str, tuple[Claimant, float]] = {}  # key -> the task that has claimed it, until when
        self.feeds: list[Ear] = []  # of those who listen to events
        self.leaders: dict[str, tuple[str, float]] = {}  # role -> who, until when

    def time_moved(self) -> None:
        """Let everybody who waits look at the clock again: for clocks that are set by hand."""
        with self.lock:
            self.bells.ring_all()


# Adapters that are made apart find one another here: the name is all they have in common.
_states: dict[str, MemoryState] = {}
_finding = threading.Lock()


def state_for(url: str, options: Mapping[str, object]) -> MemoryState:
    """Return the state that `memory://name` stands for; it lives as long as the process, or until `forget`.

    Option `clock`: what tells the time (unix seconds) to a state that begins now.
    """
    if not url.startswith(_SCHEME):
        raise InvalidSetting("url", url, f"it does not begin with {_SCHEME}")
    name = url.removeprefix(_SCHEME)
    clock: Any = options.get("clock", time.time)
    if not callable(clock):
        raise InvalidSetting("clock", clock, "it is a function that returns unix seconds")
    for option in options:
        if option != "clock":
            raise InvalidSetting(option, options[option], "the memory adapters have no such option")
    with _finding:
        state = _states.get(name)
        if state is None:
            state = _states[name] = MemoryState(name, cast("Callable[[], float]", clock))
        return state


def forget(url: str) -> None:
    """Let the next `connect` to this name begin anew; adapters that are connected keep what they have."""
    with _finding:
        _states.pop(url.removeprefix(_SCHEME), None)
