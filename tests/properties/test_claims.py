"""A key has one task at a time, and never none for longer than its last task is there: against a naive oracle."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from faena import Faena, Unique
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backend import Completion
from faena.drivers.memory.state import forget
from faena.engine.completion import FourSteps
from faena.errors import DuplicateCall
from faena.model.delivery import Ack, Bury, DeadReason, Release
from faena.model.result import ResultRecord, State
from faena.testing import Clock

KEYS = 3
WINDOW_S = 100.0

actions = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, KEYS - 1), st.sampled_from(["return", "replace", "error"])),
        st.tuples(st.just("receive")),
        st.tuples(st.sampled_from(["succeed", "bury", "retry", "give back"]), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 3)),
        st.tuples(st.just("purge")),
        st.tuples(st.just("crash")),
        st.tuples(st.just("advance"), st.sampled_from([1.0, 60.0])),
    ),
    max_size=40,
)


@dataclass
class Oracle:
    """What is there: where each task is, and who has each key. It knows nothing of claims that are over."""

    until: str
    waiting: dict[str, int] = field(default_factory=dict)  # task -> key
    held: dict[str, int] = field(default_factory=dict)
    windows: dict[int, tuple[str, float]] = field(default_factory=dict)
    now_s: float = 0.0
    owners: dict[int, str] = field(default_factory=dict)  # key -> the task that had it last

    def owner(self, key):
        task_id = self.owners.get(key)
        if self.until == "start":
            return task_id if task_id in self.waiting else None
        if self.until == "end":
            return task_id if task_id in self.waiting or task_id in self.held else None
        found, until_s = self.windows.get(key, (None, 0.0))
        return found if until_s > self.now_s else None

    def send(self, key, task_id):
        self.waiting[task_id], self.owners[key] = key, task_id
        self.windows[key] = task_id, self.now_s + WINDOW_S


class Play:
    """The same actions on an app, by hand where a worker would be."""

    def __init__(self, until, *, joint):
        self.clock, self.names = Clock(), [f"memory://{new_id()}", f"memory://{new_id()}"]
        options = {"clock": self.clock}
        self.app = Faena(
            "shop", broker=self.names[0], backend=self.names[0 if joint else 1], set_as_current=False,
            broker_transport_options=options, result_backend_transport_options=options,
        )  # fmt: skip
        self.app.clock = self.clock
        self.until = WINDOW_S if until == "window" else until
        self.oracle = Oracle(until, now_s=self.clock())
        self.task = self.app.task(name="t")(lambda key: None)
        self.link = self.app.connection()
        self._open()
        self.deliveries = []

    def _open(self):
        self.holder = run(self.link.broker.leases.open_holder("test", 1e9))
        self.consumer = self.link.broker.consumer(self.holder, ["default"])
        joint = self.link.backend.joint(self.link.broker, self.holder)
        self.settler = joint or FourSteps(self.link.broker, self.consumer, self.link.backend)

    def act(self, name, *arguments):
        getattr(self, f"do_{name.replace(' ', '_')}")(*arguments)

    def do_call(self, key, how):
        owner = self.oracle.owner(key)
        send = self.task.apply_async
        rule = Unique(self.until, on_conflict=how)
        if owner is not None and (how == "error" or (how == "replace" and owner not in self.oracle.waiting)):
            try:
                send((key,), unique=rule)
            except DuplicateCall as error:
                assert error.task_id == owner
                return
            raise AssertionError("a duplicate was sent")
        handle = send((key,), unique=rule)
        if owner is None:
            assert not handle.is_duplicate
            assert handle.id not in self.oracle.waiting
            self.oracle.send(key, handle.id)
        else:
            assert handle.id == owner
            assert handle.is_duplicate == (how == "return")

    def do_receive(self):
        batch = run(self.consumer.receive(1, 0.0))
        assert bool(batch) == bool(self.oracle.waiting)
        for delivery in batch:
            self.oracle.held[delivery.message.id] = self.oracle.waiting.pop(delivery.message.id)
            self.deliveries.append(delivery)

    def _settle(self, at, make, state):
        if not self.deliveries:
            return None
        delivery = self.deliveries.pop(at % len(self.deliveries))
        result = ResultRecord(delivery.message.id, "t", state) if state else None
        assert list(run(self.settler.complete([Completion(make(delivery), result)]))) == [True]
        return delivery.message.id, self.oracle.held.pop(delivery.message.id)

    def do_succeed(self, at):
        self._settle(at, Ack, State.SUCCESS)

    def do_bury(self, at):
        self._settle(at, lambda delivery: Bury(delivery, DeadReason.FAILED, "boom"), State.FAILURE)

    def do_retry(self, at):
        back = self._settle(at, lambda delivery: Release(delivery, delivery.message), State.RETRY)
        self._goes_back(back)

    def do_give_back(self, at):
        self._goes_back(self._settle(at, Release, None))

    def _goes_back(self, back):
        if back is not None:
            self.oracle.waiting[back[0]] = back[1]

    def do_cancel(self, at):
        waiting = sorted(self.oracle.waiting)
        if waiting:
            task_id = waiting[at % len(waiting)]
            assert len(run(self.link.broker.cancel([task_id]))) == 1
            del self.oracle.waiting[task_id]

    def do_purge(self):
        run(self.link.broker.queues.purge("default"))
        self.oracle.waiting.clear()

    def do_crash(self):
        run(self.link.broker.leases.recover(self.holder, {}))
        self.oracle.waiting |= self.oracle.held
        self.oracle.held.clear()
        self.deliveries.clear()
        self._open()

    def do_advance(self, by_s):
        self.clock.advance(by_s)
        self.oracle.now_s = self.clock()
        run(self.link.backend.expire(100))

    def check(self):
        if self.oracle.until == "end":
            there = [*self.oracle.waiting.values(), *self.oracle.held.values()]
            assert len(there) == len(set(there)), "two tasks of a key at a time"
        places = run(self.link.broker.queues.status())
        assert sum(each.waiting + each.delayed for each in places) == len(self.oracle.waiting)

    def close(self):
        self.app.close()
        for name in self.names:
            forget(name)


@settings(max_examples=80, deadline=None)
@given(until=st.sampled_from(["start", "end", "window"]), joint=st.booleans(), steps=actions)
def test_a_call_is_a_duplicate_if_and_only_if_the_oracle_says_so(until, joint, steps):
    play = Play(until, joint=joint)
    try:
        for step in steps:
            play.act(*step)
            play.check()
    finally:
        play.close()
