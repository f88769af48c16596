"""Signals that end a run: raised in the main thread, but not while a command is being started.

A signal between a command's start and the moment it is known would leave it running for ever, so it waits until then.
The one object of this module is the state of the process's signal handlers, of which there is one set, too.
"""

from __future__ import annotations

from _thread import get_ident

# A wait of the main thread that a signal should end looks up once in this time: a signal that comes after Python looked
# and before the system call sleeps wakes nobody (CPython, `signal.set_wakeup_fd`).
TICK_S = 1.0


class Ending:
    """Turns SIGINT into KeyboardInterrupt, SIGTERM and SIGHUP into SystemExit; `with ENDING:` puts them off."""

    def __init__(self) -> None:
        self._depth = 0
        self._pending: BaseException | None = None
        self._main_thread = 0

    def install(self) -> None:
        """Take the signals over, those that are not ignored; to be called in the main thread."""
        # the C module: `signal` wraps it in enumerations, for milliseconds
        import _signal  # type: ignore[import-not-found]  # it has no stubs

        self._main_thread = get_ident()
        for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
            if _signal.getsignal(number) in (_signal.SIG_DFL, _signal.default_int_handler):
                _signal.signal(number, self._handle)  # nohup has SIGHUP ignored, and it stays so

    def _handle(self, number: int, _: object) -> None:
        error: BaseException = KeyboardInterrupt() if number == 2 else SystemExit(128 + number)
        if self._depth:
            self._pending = error
        else:
            raise error

    def __enter__(self) -> None:
        if get_ident() == self._main_thread:
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        if get_ident() != self._main_thread:
            return
        self._depth -= 1
        if self._depth == 0 and self._pending is not None:
            error, self._pending = self._pending, None
            raise error


ENDING = Ending()
