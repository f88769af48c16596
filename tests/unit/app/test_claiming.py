"""Sending unique calls where things are not as usual: a broker that knows little, and one that is not there."""

import threading

import pytest

from faena import Faena, Unique
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.broker import Capabilities
from faena.brokers.memory import MemoryBroker
from faena.errors import BrokerUnavailable, MessageTooLarge, NotSupported, PublishedInPart
from faena.model.result import ResultRecord, State
from faena.testing.worker import InProcessWorker


@pytest.fixture
def app():
    """Broker and backend are two stores."""
    app = Faena("shop", broker=f"memory://{new_id()}", backend=f"memory://{new_id()}", set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def knows_little(monkeypatch):
    """As RabbitMQ or SQS: nobody can ask the broker where a message is, nor take one out."""
    little = Capabilities(durable=False, lease="holder", locates=False, cancels=False)
    monkeypatch.setattr(MemoryBroker, "capabilities", property(lambda _: little))


def test_a_broker_that_cannot_be_asked_leaves_it_to_the_releases(app, knows_little):
    began, go = threading.Event(), threading.Event()

    @app.task
    def waits(n):
        began.set()
        assert go.wait(10)

    first = waits.apply_async((1,), unique=True)
    assert waits.apply_async((1,), unique=True).id == first.id
    with InProcessWorker(app):
        assert began.wait(10)
        assert waits.apply_async((1,), unique=True).is_duplicate
        go.set()
        first.get(timeout=10)
    assert not waits.apply_async((1,), unique=True).is_duplicate


def test_a_broker_that_cannot_be_asked_has_the_key_released_when_the_task_begins(app, knows_little):
    began, go = threading.Event(), threading.Event()

    @app.task
    def waits(n):
        began.set()
        assert go.wait(10)

    waits.apply_async((1,), unique="start")
    assert waits.apply_async((1,), unique="start").is_duplicate
    with InProcessWorker(app):
        assert began.wait(10)
        assert not waits.apply_async((1,), unique="start").is_duplicate
        go.set()


def test_what_a_broker_cannot_do_is_refused_at_the_call(app, knows_little):
    @app.task(name="mail", debounce=5)
    def mail():
        pass

    with pytest.raises(NotSupported, match=r"debounce= of task 'mail'.*no waiting message can be taken out of it"):
        mail.delay()


def test_a_claim_that_a_crash_has_left_is_over_with_the_result_of_its_task(app, knows_little):
    @app.task
    def work(n):
        pass

    first = work.apply_async((1,), unique=True)
    run(app.connection().backend.record([ResultRecord(first.id, "work", State.STARTED)]))
    assert work.apply_async((1,), unique=True).is_duplicate
    run(app.connection().backend.record([ResultRecord(first.id, "work", State.SUCCESS)]))
    assert not work.apply_async((1,), unique=True).is_duplicate


@pytest.mark.parametrize("error", [BrokerUnavailable("nobody is there"), MessageTooLarge(10, 5, "the broker")])
def test_a_call_that_could_not_be_sent_has_no_key(app, monkeypatch, error):
    @app.task(unique=True)
    def work(n):
        pass

    async def fails(self, messages):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(MemoryBroker, "publish", fails)
        with pytest.raises(type(error)):
            work.apply_async((1,), retry=False)
    assert not work.delay(1).is_duplicate


def test_of_many_calls_those_that_were_not_sent_have_no_key(app, monkeypatch):
    @app.task(unique=True)
    def work(n):
        pass

    publish = MemoryBroker.publish

    async def sends_one(self, messages):
        await publish(self, messages[:1])
        raise PublishedInPart([messages[0].id], len(messages))

    with monkeypatch.context() as broken:
        broken.setattr(MemoryBroker, "publish", sends_one)
        with pytest.raises(PublishedInPart):
            app.send_many([work.s(1), work.s(2)])
    assert [work.delay(n).is_duplicate for n in (1, 2)] == [True, False]


def test_children_are_those_that_the_calls_have_come_to(app):
    @app.task(unique=True)
    def child(n):
        pass

    @app.task(bind=True)
    def parent(self):
        child.delay(1)
        child.apply_async((1,), unique=Unique(on_conflict="replace"))
        return list(self.request.children)

    sent = child.apply_async((1,), countdown=600)
    handle = parent.delay()
    with InProcessWorker(app):
        assert handle.get(timeout=10) == [sent.id] * 2
