"""What is known of tasks that a line names, so that a command can say what it did to each."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from faena._lib.drive import run
from faena.cli.session import Session
from faena.model.delivery import Place
from faena.model.result import State

UNKNOWN = "unknown"
UNSEEN = "unseen"  # nothing is recorded of it, and this broker cannot be asked where a message is
_IN_QUEUE = (Place.WAITING, Place.DELAYED, Place.LIMITED)


class Known(Struct, frozen=True):
    """Where a task is, or else its state, in a word; UNKNOWN and UNSEEN are words, too."""

    task_id: str
    word: str
    has_ended: bool = False

    @property
    def can_be_revoked(self) -> bool:
        return not self.has_ended and self.word not in (UNKNOWN, Place.DEAD)

    def said_of_revoking(self, *, terminate: bool) -> str:
        """Say what is not as one may expect of a task that is revoked; nothing where it is."""
        if self.has_ended:
            return f"task {self.task_id} had ended already, as {self.word}"
        if self.word == UNKNOWN:
            return f"nothing is known of task {self.task_id}; should it be sent later, it does not begin"
        if self.word == UNSEEN:
            return f"nothing is recorded of task {self.task_id}; if it waits in a queue, or comes later, it does not begin"
        if self.word == Place.DEAD:
            return f"task {self.task_id} is a dead letter, and stays one"
        if self.word == Place.HELD and not terminate:
            return f"task {self.task_id} is with a worker; if it has begun, it runs to its end (stop it: --terminate)"
        return ""


def known_of(session: Session, ids: Sequence[str]) -> list[Known]:
    """Look each of them up, in the broker where it can be asked, and in the backend."""
    results, broker = session.connected_app.results, session.link.broker
    locates = broker.capabilities.locates
    places = run(broker.locate(ids)) if locates else [None] * len(ids)
    found = []
    for task_id, place, record in zip(ids, places, results.read(ids), strict=True):
        has_ended = record is not None and record.is_terminal and place not in _IN_QUEUE
        if record is not None and (has_ended or place is None):
            word: str = record.state
        elif place is not None:
            word = place
        elif not locates:
            word = UNSEEN
        else:
            word = State.PENDING if results.is_known(task_id) else UNKNOWN  # a node of a workflow, that waits for others
        found.append(Known(task_id, str(word), has_ended))
    return found
