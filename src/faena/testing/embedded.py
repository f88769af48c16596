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
    options = {"clock": clock} if clock is not None else {}
    values = {
        "broker_url": url,
        "result_backend": url,
        "broker_transport_options": options,
        "result_backend_transport_options": options,
        "task_always_eager": False,
        **(settings or {}),
    }
    own_clock = app.clock
    with app.conf.overridden(values, "faena.testing"):
        app.links.forget()
        app.clock = clock if clock is not None else own_clock
        silence = clock.listen(state_for(url, options).time_moved) if clock is not None else None
        try:
            if not app.declared.is_empty:
                run(Declarer(app).keep(app.links.blocking(), at_once=True))  # its intervals begin now
            yield app
        finally:
            if silence is not None:
                silence()
            app.clock = own_clock
            app.links.forget()
            forget(url)
