"""A process's connection to its broker, or to each of several."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from faena.app.links import Link, Links
from faena.worker.connection import Connection
from faena.worker.options import CoreOptions

if TYPE_CHECKING:
    from faena.worker.connections import Connections

    Joined: TypeAlias = Connection | Connections


def joined(
    links: Links,
    options: CoreOptions,
    queues: Sequence[str],
    *,
    on_open: Callable[[Link], Awaitable[None]],
    on_lost: Callable[[], None],
    on_given_away: Callable[[str], None],
) -> Joined:
    """Return what receives from these queues.

    `on_lost` is told where what was held went with a connection, and has not begun for all that is known;
    `on_given_away` which of several brokers has given to others all that was held, since a lease was lost.
    """
    if links.homes is None:
        return Connection(links, options.holder, queues, taking=options.taking, on_open=on_open, on_lost=on_lost)
    from faena.model.homes import holders_of
    from faena.worker.connections import Connections  # what those with one broker do not load

    return Connections(
        links, links.homes, holders_of(options.holder), queues, taking=options.taking, on_open=on_open, on_lost=on_lost,
        on_given_away=on_given_away,
    )  # fmt: skip
