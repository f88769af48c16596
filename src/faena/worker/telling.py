"""Telling what happens to those who listen."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from faena.engine.completion import Completer
from faena.model.event import Event
from faena.sink import Sink

log = logging.getLogger("faena.worker")


class Telling:
    """The sinks of one process. One that fails is told nothing more."""

    def __init__(self, sinks: Iterable[Sink], completer: Completer) -> None:
        self._sinks, self._completer = list(sinks), completer

    def tell(self, events: list[Event]) -> None:
        for sink in list(self._sinks):
            try:
                sink.emit(events)
            except Exception:
                log.exception("a sink failed and is switched off: %r", sink)
                self._sinks.remove(sink)
        self._completer.describes = any(getattr(sink, "wants_text", True) for sink in self._sinks)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()
