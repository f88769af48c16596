"""What a broker and a backend on one file share: the connection, the thread that uses it, and the wake-ups.

io="blocking": transactions run on the calling thread. io="asyncio": they run, one after another, on one thread of the
driver, so that the event loop waits for neither the disk nor the lock of another process.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from faena.drivers.signals import Signals
from faena.drivers.sqlite.database import Database, Work
from faena.drivers.sqlite.location import Location, locate
from faena.errors import StorageUnavailable
from faena.types import Io

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Driver:
    """Shared by the adapters that `connect` to one file with the same options; closed with the last of them."""

    def __init__(self, location: Location, io: Io) -> None:
        self.location, self.io = location, io
        self.database = Database(location)
        self.signals = Signals(f"{location.path}-signals", lambda: self.database.marks)
        self.outstanding: dict[int, int] = {}  # claim -> deliveries that this process has not settled yet
        self._hands = _Hands() if io == "asyncio" else None
        self._users = 0

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function`, which may wait for the disk, where that may be done."""
        if self._hands is None:
            return function(*arguments)
        result: T = await self._hands.call(function, arguments)
        return result

    async def write(self, work: Work[T]) -> T:
        return await self.call(lambda: self.database.write(work))

    async def read(self, work: Work[T]) -> T:
        return await self.call(lambda: self.database.read(work))

    async def open(self) -> None:
        await self.call(self.database.open)
        self._users += 1

    async def close(self, *, was_open: bool) -> None:
        """Close the connection with the last of those who opened it; who uses it again opens it again."""
        self._users -= was_open
        if self._users == 0:
            await self.call(self.database.close)
            if self._hands is not None:
                self._hands.stop()


class _Hands:
    """One thread that does what event loops ask for, in their order. Started at need."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._owner_pid = 0  # a thread does not survive a fork
        self._mutex = threading.Lock()

    async def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if self._owner_pid != os.getpid():
            self._start()
        from asyncio import get_running_loop  # 30 ms that synchronous programs do not pay

        loop = get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._orders.put((function, arguments, loop, future))
        return await future

    def _start(self) -> None:
        with self._mutex:
            if self._owner_pid != os.getpid():
                self._orders = SimpleQueue()
                self._owner_pid = os.getpid()
                threading.Thread(target=_work, args=(self._orders,), name="faena-sqlite", daemon=True).start()

    def stop(self) -> None:
        with self._mutex:
            self._orders.put(None)
            self._owner_pid = 0


_Order: TypeAlias = "tuple[Callable[..., Any], tuple[Any, ...], asyncio.AbstractEventLoop, asyncio.Future[Any]]"


def _work(orders: SimpleQueue[_Order | None]) -> None:
    while (order := orders.get()) is not None:
        function, arguments, loop, future = order
        result, error = None, None
        try:
            result = function(*arguments)
        except BaseException as raised:  # noqa: BLE001 - it is raised again where it was asked for
            error = raised
        try:
            loop.call_soon_threadsafe(_hand_over, future, result, error)
        except RuntimeError:
            pass  # the loop was closed meanwhile: nobody waits any more
        del order, function, arguments, loop, future, result, error  # keep nothing alive while waiting


def _hand_over(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # cancelled
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


# Adapters that are made apart find one another here, or they could not settle in one step.
_drivers: weakref.WeakValueDictionary[tuple[Location, Io], Driver] = weakref.WeakValueDictionary()
_finding = threading.Lock()


def driver_for(url: str, io: Io, options: Mapping[str, object]) -> Driver:
    """Return the driver of this process for the file; nothing is opened yet."""
    try:
        key = locate(url, options), io
    except OSError as error:
        raise StorageUnavailable(url, f"the operating system refused: {error}") from error
    with _finding:
        driver = _drivers.get(key)
        if driver is None:
            driver = _drivers[key] = Driver(*key)
        return driver
