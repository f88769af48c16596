"""An app in memory, with the behaviour it has in production: queues, leases, delays, retries, dead letters, results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.app.app import Faena
from faena.drivers.memory.state import forget, state_for
from faena.scheduler.declaring import Declarer
from faena.testing.clock import Clock


@contextmanager
def in_memory(app: Faena, clock: Clock | None = None, settings: Mapping[str, Any] | None = None) -> Iterator[Faena]:
    """Let `app` use a broker and backend of its own in memory, and `clock` for its time, within a `with` block.

    Whatever settings the app has stay in force but for its URLs; `settings` go before them.
    """
    url = f"memory://test-{new_id()}"
    brokers = {name: f"{url}-{name}" for name in app.conf.brokers}  # each of several has its own
    main = url if not brokers else brokers[app.links.homes.default if app.links.homes is not None else next(iter(brokers))]
    options = {"clock": clock} if clock is not None else {}
    values = {
        "broker_url": None if brokers else url,
        "brokers": brokers,
        "result_backend": main,
        "broker_transport_options": options,
        "result_backend_transport_options": options,
        "task_always_eager": False,
        **(settings or {}),
    }
    own_clock = app.clock
    with app.conf.overridden(values, "faena.testing"):
        app.links.forget()
        app.clock = clock if clock is not None else own_clock
        urls = list(brokers.values()) or [url]
        listening = [clock.listen(state_for(each, options).time_moved) for each in urls] if clock is not None else []
        try:
            if not app.declared.is_empty:
                run(Declarer(app).keep(app.links.blocking(), at_once=True))  # its intervals begin now
            yield app
        finally:
            for silence in listening:
                silence()
            app.clock = own_clock
            app.links.forget()
            for each in urls:
                forget(each)
