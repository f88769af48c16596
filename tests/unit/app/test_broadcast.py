"""Queues whose messages every worker runs, on one store and on two."""

import pytest

from faena import Faena, Queue, chain
from faena._lib.drive import run
from faena.drivers.memory.state import forget
from faena.errors import ChordError, TaskRevokedError
from faena.model.control import WorkerInfo
from faena.model.queue import copies_of
from faena.scheduler.copies import Copies
from faena.testing import InProcessWorker, run_pending


@pytest.fixture(params=["one store", "two stores"])
def shop(request, tmp_path):
    name = f"memory://broadcast-{id(request)}"
    backend = name if request.param == "one store" else f"sqlite:///{tmp_path}/results.db"
    app = Faena(
        "shop", broker=name, backend=backend, set_as_current=False,
        task_queues=["default", Queue("reload", broadcast=True)], task_routes={"reload": "reload"},
    )  # fmt: skip
    app.ran = []

    @app.task(name="reload", bind=True)
    def reload(self, *numbers):
        app.ran.append((self.request.message.queue, *numbers))
        return sum(numbers)

    @app.task(name="total")
    def total(numbers):
        app.ran.append(f"total of {numbers}")
        return sum(numbers)

    yield app
    app.close()
    forget(name)


def present(app, *workers, queues=("reload",)):
    """Let workers be known that do nothing."""
    for name in workers:
        run(app.connection().backend.mailbox.announce(WorkerInfo(name, "h", 1, 0.0, 0.0, queues), 600.0))


def run_as(app, worker):
    """Do what a worker of that name does with its copies."""
    return run_pending(app, queues=[copies_of("reload", worker)])


def test_each_worker_that_takes_from_the_queue_runs_it_once(shop):
    present(shop, "b@h", "a@h")
    present(shop, "other@h", queues=("default",))
    result = shop.tasks["reload"].delay(1, 2)
    with InProcessWorker(shop):
        pending = shop.tasks["total"].delay([1])
        pending.get(timeout=10)
        run_as(shop, "b@h")
        run_as(shop, "a@h")
        assert result.get(timeout=10) == [3, 3, 3]
    assert sorted(each for each in shop.ran if isinstance(each, tuple)) == [
        ("reload/a@h", 1, 2),
        ("reload/b@h", 1, 2),
        ("reload/test", 1, 2),
    ]


def test_a_broadcast_is_a_step_like_any_other(shop):
    result = chain(shop.tasks["total"].s([1, 2]), shop.tasks["reload"].s(4), shop.tasks["total"].s()).apply_async()
    run_pending(shop)
    assert shop.ran == ["total of [1, 2]", ("reload/test", 3, 4), "total of [7]"]
    assert result.get(timeout=1) == 7


def test_links_get_the_list_of_results(shop):
    result = shop.tasks["reload"].apply_async((2,), link=shop.tasks["total"].s())
    run_pending(shop)
    assert result.get(timeout=1) == [2]
    assert shop.ran == [("reload/test", 2), "total of [2]"]


def test_a_broadcast_can_be_delayed_and_expires(shop):
    late = shop.tasks["reload"].apply_async((1,), expires=-1)
    shop.tasks["reload"].apply_async((2,), countdown=60)
    run_pending(shop)
    assert shop.ran == []
    with pytest.raises(TaskRevokedError, match="expired before it began"):
        late.get(timeout=1)


def test_a_revoked_broadcast_is_not_spread(shop):
    result = shop.tasks["reload"].delay(1)
    result.revoke()
    run_pending(shop)
    assert shop.ran == []
    assert result.state == "REVOKED"


def test_copies_for_workers_that_are_gone_end_when_their_time_is_over(shop):
    present(shop, "gone@h", "there@h")
    result = shop.tasks["reload"].apply_async((1,), expires=100)
    with InProcessWorker(shop):
        shop.tasks["total"].delay([1]).get(timeout=10)
    run(shop.connection().backend.mailbox.withdraw("gone@h"))
    copies = Copies(shop, every_s=0.0)
    assert run(copies.sweep(shop.connection())) == 0  # it may come back
    now_s = shop.clock()
    shop.clock = lambda: now_s + 200
    assert run(copies.sweep(shop.connection())) == 1
    assert run(copies.sweep(shop.connection())) == 0
    waiting = {each.name: each.waiting for each in run(shop.connection().broker.queues.status())}
    assert (waiting["reload/gone@h"], waiting["reload/there@h"]) == (0, 1)
    run_as(shop, "there@h")
    with pytest.raises(ChordError, match="expired before it began: its worker is gone"):
        result.get(timeout=1)


def test_an_app_without_broadcasts_has_nothing_to_sweep(shop):
    shop.conf.task_queues = ["default"]
    assert run(Copies(shop, every_s=0.0).sweep(None)) == 0


def test_copies_may_be_sent_where_only_declared_queues_may_be_used(shop):
    shop.conf.task_create_missing_queues = False
    result = shop.tasks["reload"].delay(5)
    run_pending(shop)
    assert result.get(timeout=1) == [5]
