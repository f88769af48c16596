"""`faena purge`: throw waiting messages away."""

from __future__ import annotations

from faena._lib.drive import run
from faena.cli.confirm import confirm
from faena.cli.options import Force, Json, Queues
from faena.cli.session import Session
from faena.errors import UsageError


def purge(session: Session, *, queues: Queues = (), force: Force = False, json: Json = False) -> int:
    """Throw away the waiting messages of queues.

    The delayed ones go, too, and none comes back. What a worker holds already stays and will run. Dead letters stay, too:
    see `faena dead purge`.
    """
    if not queues:
        raise UsageError("name the queues with -Q; `faena queues` lists them")
    broker = session.link.broker
    counts = {each.name: each.waiting + each.limited + (each.delayed or 0) for each in run(broker.queues.status())}
    total = sum(counts.get(name, 0) for name in queues)
    listed = ", ".join(f"{name} ({counts.get(name, 0)})" for name in queues)
    confirm(session.out, f"Throw away {total} messages: {listed}?", force=force)
    purged = {name: run(broker.queues.purge(name)) for name in queues}
    if json:
        session.out.json(purged)
    else:
        for name, count in purged.items():
            session.out.line(f"{count} messages thrown away from queue '{name}'")
    return 0


COMMAND = purge
