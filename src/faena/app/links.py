"""Connections of an app to its broker and backend: one for each thread that blocks, one for each event loop.

They are made on first use, belong to one process (a forked one makes its own), and are found by URL scheme: the adapters
that come along, and any that another package names under the entry points `faena.brokers` and `faena.backends`.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from faena._lib.drive import run
from faena.backend import Backend, Watch
from faena.broker import Broker
from faena.config.secrets import mask_text
from faena.config.settings import Settings
from faena.errors import ConfigurationError, InvalidSetting, did_you_mean
from faena.types import Io

if TYPE_CHECKING:
    from faena.app.express import Way
    from faena.model.homes import Homes
    from faena.tasks.task import Task

_REDIS = ("redis", "rediss", "unix", "valkey", "valkeys")
_RABBITMQ = ("amqp", "amqps")
_OWN = {
    "faena.brokers": {
        "memory": "faena.brokers.memory:MemoryBroker",
        "sqlite": "faena.brokers.sqlite:SqliteBroker",
        **dict.fromkeys(_REDIS, "faena.brokers.redis:RedisBroker"),
        **dict.fromkeys(_RABBITMQ, "faena.brokers.rabbitmq:RabbitmqBroker"),
    },
    "faena.backends": {
        "memory": "faena.backends.memory:MemoryBackend",
        "sqlite": "faena.backends.sqlite:SqliteBackend",
        **dict.fromkeys(_REDIS, "faena.backends.redis:RedisBackend"),
        **dict.fromkeys(_RABBITMQ, "faena.backends.absent:AbsentBackend"),
    },
}
EMBEDDED_FOLDER, EMBEDDED_FILE = ".faena", "faena.db"


class Link:
    """An open broker and backend. `idle_watches` are kept for the next wait."""

    __slots__ = ("backend", "broker", "idle_watches", "pid")

    def __init__(self, broker: Broker, backend: Backend) -> None:
        self.broker, self.backend, self.pid = broker, backend, os.getpid()
        self.idle_watches: list[Watch] = []


class _Held:
    """What a thread holds; goes with the thread."""

    __slots__ = ("__weakref__", "link")

    def __init__(self, link: Link) -> None:
        self.link = link


class Local(threading.local):
    """What each thread has of its own: its link, and how it sends calls of tasks (`faena.app.express`)."""

    def __init__(self) -> None:
        self.held: _Held | None = None
        self.ways: dict[Task[..., Any], Way] = {}


class Links:
    """Makes, keeps and closes the links of one app."""

    def __init__(self, conf: Settings) -> None:
        self._conf = conf
        self.local = Local()
        self._by_loop: weakref.WeakKeyDictionary[Any, Link] = weakref.WeakKeyDictionary()
        self._all: weakref.WeakSet[_Held] = weakref.WeakSet()
        self._homes: tuple[int, Homes | None] | None = None  # at which revision of the settings

    @property
    def conf(self) -> Settings:
        return self._conf

    def urls(self) -> tuple[str, str]:
        """Return the URLs of broker and backend as they are in force."""
        conf = self._conf
        if conf.brokers:
            places = self.places()
            broker, _ = next(iter(places.values())) if self.homes is None else places[self.homes.default]
        else:
            broker = conf.broker_url or self._embedded_url()
        return broker, conf.result_backend or broker

    @property
    def homes(self) -> Homes | None:
        """Say on which broker each queue lives; None where there is only one. Raises ConfigurationError."""
        conf = self._conf
        if self._homes is None or self._homes[0] != conf.revision:
            found = None
            if len(conf.brokers) > 1:
                from faena.app.homes import homes_in  # which only those who have several pay for

                found = homes_in(conf)
            self._homes = conf.revision, found
        return self._homes[1]

    def places(self) -> dict[str, tuple[str, Mapping[str, object]]]:
        """Return the URL and the options of each broker by name; that of `broker_url` has the name ''."""
        conf = self._conf
        if not conf.brokers:
            return {"": (self.urls()[0], conf.broker_transport_options)}
        if conf.broker_url:
            raise InvalidSetting(
                "brokers", sorted(conf.brokers), "broker_url is set, too "
                f"({conf.source_of('broker_url')}): name each broker in `brokers`, or the only one in broker_url"
            )  # fmt: skip
        return {
            name: (said, conf.broker_transport_options)
            if isinstance(said, str)
            else (said["url"], said.get("options", conf.broker_transport_options))
            for name, said in conf.brokers.items()
        }

    def connect(self, io: Io) -> Link:
        """Return a new link, not yet open. Raises ConfigurationError: nothing serves such a URL."""
        if self.homes is not None:
            from faena.brokers.several import SeveralBrokers

            broker: Broker = SeveralBrokers(self.homes, {name: self.broker(io, name) for name in self.homes.names}, io)
        else:
            broker = self.broker(io)
        return Link(broker, self.backend(io))

    def broker(self, io: Io, name: str | None = None) -> Broker:
        """Return a new connection to the broker of that name, or to the only one."""
        places = self.places()
        url, options = next(iter(places.values())) if name is None else places[name]
        return connected("faena.brokers", url, io, options)  # type: ignore[no-any-return]

    def backend(self, io: Io) -> Backend:
        """Return a new connection to the backend."""
        _, backend_url = self.urls()
        return connected("faena.backends", backend_url, io, self.backend_options())  # type: ignore[no-any-return]

    def backend_options(self) -> Mapping[str, object]:
        """Return the options of the backend's adapter: those of the broker, where nobody says where the backend is."""
        conf = self._conf
        own = conf.result_backend_transport_options
        if conf.result_backend or own:
            return own
        places = self.places()
        return next(iter(places.values()))[1] if self.homes is None else places[self.homes.default][1]

    def blocking(self) -> Link:
        """Return this thread's link, open."""
        held = self.local.held
        if held is None or held.link.pid != os.getpid():
            link = self.connect("blocking")
            run(link.broker.open())
            run(link.backend.open())
            held = self.local.held = _Held(link)
            self._all.add(held)
        return held.link

    async def asyncio(self) -> Link:
        """Return the running loop's link, open."""
        import asyncio  # 50 ms that synchronous programs do not pay

        loop = asyncio.get_running_loop()
        link = self._by_loop.get(loop)
        if link is None or link.pid != os.getpid():
            link = self.connect("asyncio")
            await link.broker.open()
            await link.backend.open()
            self._by_loop[loop] = link
        return link

    def close(self) -> None:
        """Close the links of all threads. Those of event loops are closed by `aclose` in their loop."""
        for held in list(self._all):
            if held.link.pid == os.getpid():
                run(held.link.backend.close())
                run(held.link.broker.close())
        self._all.clear()
        self.local = Local()

    def forget(self) -> None:
        """Make new links from here on; those that are open stay open for who uses them."""
        self._all = weakref.WeakSet()
        self.local = Local()
        self._by_loop = weakref.WeakKeyDictionary()

    async def aclose(self) -> None:
        """Close the link of the running loop."""
        import asyncio

        link = self._by_loop.pop(asyncio.get_running_loop(), None)
        if link is not None and link.pid == os.getpid():
            await link.backend.close()
            await link.broker.close()

    def _embedded_url(self) -> str:
        return "sqlite:///" + os.path.join(self._conf.project.folder, EMBEDDED_FOLDER, EMBEDDED_FILE)


def connected(group: str, url: str, io: Io, options: Mapping[str, object]) -> Any:
    """Return a new connection of the adapter for a URL, not yet open."""
    return adapter_for(group, url).connect(url, io=io, options=options)


def adapter_for(group: str, url: str) -> Any:
    """Return the adapter class for a URL, such as `SqliteBroker` for `sqlite:///x.db`."""
    scheme = url.partition("://")[0].partition("+")[0].lower()
    own: Mapping[str, str] = _OWN[group]
    place = own.get(scheme)
    if place is None:
        from importlib.metadata import entry_points  # slow, and only for adapters of others

        found = {entry.name: entry for entry in entry_points(group=group)}
        if scheme in found:
            return found[scheme].load()
        known = sorted({*own, *found})
        kind = "broker" if group == "faena.brokers" else "backend"
        raise ConfigurationError(
            f"no {kind} for the URL '{mask_text(url)}': known are {', '.join(f'{name}://' for name in known)}"
            f"{did_you_mean(scheme, known)}"
        )
    module_name, _, attribute = place.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("faena"):
            raise
        extra = module_name.rpartition(".")[2]
        raise ConfigurationError(
            f"the URL '{mask_text(url)}' needs the package {error.name}: pip install 'faena[{extra}]'"
        ) from error
    return getattr(module, attribute)
