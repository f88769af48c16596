"""The contract of a backend: it keeps what came out of tasks, and carries control, presence and revocations.

What every adapter promises; `faena.testing.conformance` checks it.

- The first terminal state of a task wins: a later record changes nothing and is answered with False.
- A terminal state is never replaced by one that is not.
- Waiting for results is pushed: `Watch.changed` wakes without polling when a watched result changes.
- What has an expiry is removed by `expire`, which any worker calls now and then. A store that removes it by itself (Redis)
  does so when its time is over; `expire` then counts only what it had to remove.
- Workflows follow the law of `faena.model.workflow`, a step of which is atomic, together with the record of the result that
  causes it. Nodes that became ready are published by the backend itself where it is one store with the broker; elsewhere
  it hands them to the caller, who publishes them and says so with `published`. Until then they stand as `unpublished`, for
  whoever repairs what a crash has left half done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from faena.errors import NotSupported
from faena.model.claim import Claimant
from faena.model.control import Command, Order, Reply, Revocation, WorkerInfo
from faena.model.delivery import Settlement
from faena.model.event import Event
from faena.model.inputs import Input, Value
from faena.model.journal import Entry, Parked
from faena.model.message import Member, Message
from faena.model.result import ResultRecord
from faena.model.workflow import Ending, Graph, NodeStates, NodeView, Workflow, WorkflowState, WorkflowStatus

if TYPE_CHECKING:
    from faena.model.schedule import Change, Manifest, Standing


class Watch(Protocol):
    """A subscription to results. One user at a time; it costs others nothing while it watches nothing."""

    async def add(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]:
        """Watch these as well; return what is recorded of them now, so that no change can fall between.

        Those already terminal are not watched.
        """
        ...

    async def changed(self, timeout_s: float | None) -> Sequence[str]:
        """Wait for a change of a watched result; return the ids that changed, or may have; empty after the time.

        An id whose record has become terminal is watched no more after it was returned.
        """
        ...

    async def remove(self, ids: Sequence[str]) -> None: ...

    async def close(self) -> None: ...


class Expecting(Watch, Protocol):
    """What a watch has that may be told what nobody has asked it for. Of backends that were opened with io="blocking"."""

    def soon(self, task_id: str, timeout_s: float) -> ResultRecord | None:
        """Return the terminal record of this one, where its news come without asking, and within the time.

        None: as if nothing had been asked.
        """
        ...


class Mailbox(Protocol):
    """Commands to workers and their answers, and who is there."""

    async def send(self, command: Command) -> None: ...

    async def receive(self, worker: str, wait_s: float) -> Sequence[Command]:
        """Return the commands for `worker` (or for all) that it has not seen yet and that have not expired.

        A worker sees what was sent after its first `announce`. Waits up to `wait_s` for the first; `interrupt` ends it.
        """
        ...

    def interrupt(self) -> None:
        """Make a waiting `receive` return at once. Any thread may call it."""
        ...

    async def reply(self, reply: Reply, ttl_s: float) -> None: ...

    async def replies(self, command_id: str, expected: int, wait_s: float) -> Sequence[Reply]:
        """Return the answers to a command, as soon as `expected` are there or the time is up."""
        ...

    async def announce(self, info: WorkerInfo, ttl_s: float) -> WorkerInfo | None:
        """Make `info.name` known for `ttl_s` seconds; repeat it to stay known. Return what was known by that name."""
        ...

    async def withdraw(self, worker: str) -> None: ...

    async def workers(self) -> Sequence[WorkerInfo]:
        """Return the workers known now, by name."""
        ...


class Revocations(Protocol):
    """Tasks that must not run. Durable: a worker started later obeys, too."""

    async def add(self, revocations: Sequence[Revocation]) -> None: ...

    async def remove(self, ids: Sequence[str]) -> int: ...

    async def since(self, mark: int) -> tuple[int, Sequence[Revocation]]:
        """Return those added after `mark` (0: all that stand) and the next mark."""
        ...


class Orders(Protocol):
    """What was ordered of all workers, and stands. There are few of them: who gives them sees to that."""

    async def give(self, orders: Sequence[Order]) -> None:
        """Keep these, each in the place of the one of its kind and name."""
        ...

    async def withdraw(self, kind: str, names: Sequence[str]) -> int:
        """Let orders stand no more; return how many went."""
        ...

    async def standing(self) -> Sequence[Order]:
        """Return what stands now, by kind and name."""
        ...


class JournalEnd(StrEnum):
    """What is not needed any more of a task that has remembered steps, or waited."""

    RESUMED = "resumed"  # it has come back from where it was parked
    FORGOTTEN = "forgotten"  # it has succeeded: its steps will not be asked for again


class NewWorkflow(Struct, frozen=True):
    """A workflow to begin. `graph` is numbered from 0."""

    workflow: Workflow
    graph: Graph


class Completion(Struct, frozen=True, gc=False):
    """All that has to happen at the end of an attempt: let go of the delivery, keep the result, send what follows.

    `ending` is the event for the workflow that the task belongs to; it is taken whether or not `result` is kept, and once.
    `start` is a workflow that goes on in the place of a task that belonged to none. `park` goes with an Ack: the message
    lies in the backend then, unless the event has happened meanwhile; in that case it is released instead.
    """

    settlement: Settlement
    result: ResultRecord | None = None
    publish: tuple[Message, ...] = ()
    ending: Ending | None = None
    start: NewWorkflow | None = None
    park: Parked | None = None
    journal: JournalEnd | None = None


class Workflows(Protocol):
    """Graphs and how far they are. `broker` arguments: where to publish, if it is one store with this backend.

    What is returned as messages is for the caller to publish, and then to name to `published`.
    """

    async def start(self, new: NewWorkflow, broker: object) -> Sequence[Message]:
        """Keep the graph and let it begin. One that is known already is left as it is."""
        ...

    async def advance(
        self, records: Sequence[ResultRecord], endings: Sequence[Ending], starts: Sequence[NewWorkflow] = ()
    ) -> Sequence[Message]:
        """Keep results and take events, in one atomic step; return the messages of what has become ready by them.

        Of a workflow where something was no news, because a crash has let it come again, all that stands unpublished is
        returned: whoever was to publish it may be gone. Of others it is not: whoever made it ready is about to publish it.
        For a store that is not one with the broker, and for what is settled already.
        """
        ...

    async def published(self, members: Sequence[Member]) -> None:
        """Note that the messages of these nodes are with the broker."""
        ...

    async def unpublished(self, before_s: float, limit: int) -> Sequence[Message]:
        """Return messages of nodes that became ready before that moment and that nobody has published."""
        ...

    async def statuses(self, ids: Sequence[str]) -> Sequence[WorkflowStatus | None]: ...

    async def latest(self, limit: int, state: WorkflowState | None = None, offset: int = 0) -> Sequence[WorkflowStatus]:
        """Return workflows, the latest first."""
        ...

    async def nodes(self, workflow: str, numbers: Sequence[int] | None = None) -> Sequence[NodeView]:
        """Return these nodes, or all, by number; those that do not exist are left out."""
        ...

    async def states(self, workflow: str) -> NodeStates | None:
        """Return the states alone, for those who follow a large workflow; None: it is not known."""
        ...

    async def inputs(self, members: Sequence[Member]) -> Sequence[Input]:
        """Return what each node is given of those before it; Outdated: it does not want this run (any more)."""
        ...

    async def value(self, workflow: str, node: int) -> Value:
        """Return the value of a node that is done, as a REFERENCE in a record names it."""
        ...

    async def cancel(self, workflow: str) -> Sequence[str]:
        """End every node that has not ended as REVOKED, and so the workflow; return the ids of those that were sent."""
        ...

    async def rerun(self, workflow: str, begun_at: Sequence[int] | None, broker: object) -> Sequence[Message]:
        """Let nodes begin anew, with all that comes after them; None: those that have failed or were revoked.

        What had succeeded elsewhere is kept. Results of the nodes that run again are forgotten.
        Raises WorkflowError: it is not known, or cannot be run again so (see `faena.model.rerun`).
        """
        ...

    async def forget(self, ids: Sequence[str]) -> int:
        """Remove workflows at rest; return how many went."""
        ...


class Journal(Protocol):
    """What tasks remember of their finished steps, events that have happened, and tasks that wait for one.

    What is returned as messages is for the caller to publish: those of tasks to wake, where `broker` is another store.
    Where that broker does not look for ids that it has, they are then to be named to `published`. Where it does, they are
    not: it drops what is sent while a worker has still to let go of what it has parked, and then it has to be sent anew.
    """

    async def read(self, task_id: str) -> Sequence[Entry]: ...

    async def write(self, task_id: str, entry: Entry, expires_at_s: float) -> Entry:
        """Keep an entry of a task unless there is one of its name; return the one that stands.

        `expires_at_s` is the moment when all entries of the task may go.
        """
        ...

    async def event(self, name: str) -> Entry | None:
        """Return an event that has happened."""
        ...

    async def signal(self, event: Entry, expires_at_s: float, broker: object) -> Sequence[Message]:
        """Let an event happen, once: one of that name stays as it is. Wake every task that waits for it."""
        ...

    async def published(self, ids: Sequence[str]) -> None:
        """Note that the messages of these, which were handed out, are with the broker: they are kept here no more.

        One that has come by another wait since is left as it is."""
        ...

    async def park(self, parked: Sequence[Parked]) -> Sequence[bool]:
        """Keep the messages of tasks that wait; False: nothing was kept, since nothing would wake it.

        The event has happened already, the task is revoked, or its workflow does not want this run any more."""
        ...

    async def parked(self, ids: Sequence[str]) -> Sequence[bool]:
        """Say of each task whether its message is kept here: it waits, or was handed out and is not with the broker yet."""
        ...

    async def due(self, grace_s: float, limit: int, broker: object) -> Sequence[Message]:
        """Wake tasks whose time has come; and, once more, those that were handed out longer than `grace_s` ago and that
        nobody has published: whoever was to do it may have died."""
        ...

    async def unpark(self, ids: Sequence[str]) -> Sequence[Message]:
        """Take out what waits, without waking it; return what was there."""
        ...

    async def postpone(self, ids: Sequence[str], due_at_s: float) -> None:
        """Let those of these that wait run at that moment in any case, and not when it was said before."""
        ...

    async def waiting(self, ids: Sequence[str] | None, limit: int) -> Sequence[Parked]:
        """Return tasks that wait: those of these ids, or (None) any, up to so many."""
        ...

    async def end(self, ends: Mapping[str, JournalEnd]) -> None:
        """Forget what is not needed any more, by task."""
        ...


class Claims(Protocol):
    """Which task has which key (see `faena.model.claim`). Every message that is handed in has a `claim`.

    Where `broker` is one store with this backend, what is claimed is published in the same step, and the message of the
    task that has a key is looked at in it. Elsewhere claims are answered as they stand: the caller asks the broker, takes
    over what is over, publishes what he has claimed, and says so with `published`.
    Completions (`JointSettler`) release the claim of a task that they end; others do that with `release`.
    """

    async def take(self, messages: Sequence[Message], broker: object) -> Sequence[Claimant | None]:
        """Let each task have its key unless another one has it; None: it has it (or had it already), else who has it."""
        ...

    async def take_over(self, message: Message, present: str) -> bool:
        """Let a task have its key in the place of `present`, which is over.

        False: that one has it no more, or is parked (see `Journal`): then it is not over.
        """
        ...

    async def replace(self, message: Message, broker: object) -> bool:
        """Publish a message in the place of the waiting one of the same id, which has the key; False: it waits no more.

        For a broker that is one store with this backend.
        """
        ...

    async def published(self, messages: Sequence[Message]) -> None:
        """Note that these are with the broker."""
        ...

    async def release(self, messages: Sequence[Message]) -> None:
        """Let go of the keys of these, as far as they still have them."""
        ...


class Vigil(Protocol):
    """Waits for changes of schedules that somebody else makes. One user; a change before the wait ends it at once."""

    async def wait(self, timeout_s: float) -> bool:
        """Return True as soon as a schedule has changed, or may have; False when the time is up. May be cancelled."""
        ...

    async def close(self) -> None: ...


class Schedules(Protocol):
    """What is to be sent again and again, and how far it is (see `faena.model.schedule`).

    Who changes a schedule says at which revision they have seen it: of two who see the same one, the first one changes it.
    What follows from a change is published in the same step where `broker` is one store with this backend. Elsewhere it
    is kept with the change: the caller publishes it and says so with `published`; until then it is `unpublished`.
    """

    async def get(self, names: Sequence[str]) -> Sequence[Standing | None]: ...

    async def every(self) -> Sequence[Standing]:
        """Return all schedules, by name."""
        ...

    async def due(self, now_s: float, limit: int) -> Sequence[Standing]:
        """Return those that have to be looked at up to a moment, the longest due first. The others are not touched."""
        ...

    async def next_due_s(self) -> float | None:
        """Return the earliest moment at which one has to be looked at."""
        ...

    async def change(self, changes: Sequence[Change], broker: object, *, tells: bool = True) -> Sequence[bool]:
        """Make each change whose schedule is as it was seen, wholly; say for each whether it was made.

        `tells`: whoever keeps vigil is woken. Raises MessageTooLarge: nothing was changed.
        """
        ...

    async def unpublished(self, before_s: float, limit: int) -> Sequence[Message]:
        """Return what was kept before that moment and that nobody has published."""
        ...

    async def published(self, ids: Sequence[str]) -> None:
        """Note that these messages are with the broker."""
        ...

    async def declare(self, manifest: Manifest, ttl_s: float) -> None:
        """Make known what running code declares; repeat it to stay known."""
        ...

    async def manifests(self, app: str) -> Sequence[Manifest]:
        """Return what running code of an app declares now."""
        ...

    def vigil(self) -> Vigil: ...


class EventFeed(Protocol):
    """What is told from when it was opened on. One user; who is slow misses some, and holds up nobody."""

    @property
    def missed(self) -> int:
        """How often some may have been missed so far: it was slow, or its connection was made anew."""
        ...

    async def receive(self, timeout_s: float) -> Sequence[Event]:
        """Return what was told since, in the order of each who told; empty when the time is up. May be cancelled."""
        ...

    async def close(self) -> None: ...


class Events(Protocol):
    """What happens, told to whoever listens now. Nothing is kept for those who come later, and nothing hangs on it."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Tell a batch. Where nobody listens it costs next to nothing."""
        ...

    async def listen(self) -> EventFeed:
        """Return a feed of what is published from now on."""
        ...


class JointSettler(Protocol):
    """A broker and a backend on one technology, that complete in one atomic step (law 7)."""

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        """Carry out each completion whose delivery is still ours, wholly; say for each whether it was."""
        ...


WITHOUT_BACKEND = (
    "no result_backend is set, and the broker keeps no results: they are dropped, and what needs a backend is refused "
    "(.get(), workflows, revoking, remote control, pauses, unique tasks, schedules)"
)


def has_backend(backend: Backend) -> bool:
    """Say whether there is one: the place of one that is not there is taken by what refuses."""
    return not hasattr(backend, "refuse")


def need_backend(backend: Backend, what: str) -> None:
    """Raise NoBackend where there is none."""
    refuse = getattr(backend, "refuse", None)
    if refuse is not None:
        refuse(what)


def carries_events(backend: Backend) -> bool:
    """Say whether events can be told through it: it is there, and can."""
    return has_backend(backend) and getattr(backend, "events", None) is not None


def events_of(backend: Backend, shown: str) -> Events:
    """Return what carries events. Raises NoBackend, NotSupported: there is none, or it carries none; `shown` names it."""
    need_backend(backend, "events of tasks and workers")
    found: Events | None = getattr(backend, "events", None)
    if found is None:
        raise NotSupported("events", shown, "it carries none", "set result_backend to SQLite or Redis")
    return found


def lone_settler_of(settler: object) -> Callable[[Completion], bool] | None:
    """Return what completes one attempt as `complete` does, without a coroutine; None: this settler has no such way.

    It returns False where that is not done, or nobody knows: `complete` is to be asked.
    """
    return getattr(settler, "complete_lone", None)


class Backend(Protocol):
    """One connection (or pool) to a backend. Made by a class method `connect(url, *, io, options)`."""

    @property
    def mailbox(self) -> Mailbox: ...
    @property
    def revocations(self) -> Revocations: ...
    @property
    def orders(self) -> Orders: ...
    @property
    def workflows(self) -> Workflows: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def claims(self) -> Claims: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def events(self) -> Events | None:
        """What tells events to those who listen; None: it cannot."""
        ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def record(self, records: Sequence[ResultRecord]) -> Sequence[bool]:
        """Keep the records; say for each whether it was kept (see the first promise above)."""
        ...

    async def read(self, ids: Sequence[str]) -> Sequence[ResultRecord | None]: ...

    async def latest(self, limit: int, state: str | None = None) -> Sequence[ResultRecord]:
        """Return the records that changed last, the newest first."""
        ...

    async def forget(self, ids: Sequence[str]) -> int: ...

    def watch(self) -> Watch: ...

    async def expire(self, limit: int) -> int:
        """Remove up to `limit` things whose time is over; return how many went."""
        ...

    async def lead(self, role: str, owner: str, lease_s: float) -> bool:
        """Take or renew the lease of a role for `owner`; False: somebody else holds it."""
        ...

    async def may_have_duties(self) -> bool:
        """Whether tasks may wait in it, or anything that it keeps may have to be published; False: certainly not."""
        ...

    def joint(self, broker: object, holder: str) -> JointSettler | None:
        """Return what completes together with `broker` for `holder` in one step, or None: then it takes four (law 7)."""
        ...
