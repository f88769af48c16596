"""An app with several brokers, as those who send see it."""

import asyncio
import subprocess
import sys

import pytest

from faena import Faena, Queue, chain, chord
from faena._lib.drive import run
from faena.app.homes import homes_in
from faena.brokers.several import SeveralBrokers
from faena.errors import (
    BrokerUnavailable,
    ConfigurationError,
    InvalidSetting,
    MessageTooLarge,
    NotSupported,
    PublishedInPart,
)
from faena.model.delivery import Place
from faena.testing import in_memory, run_pending

BROKERS = {"main": "memory://one", "bulk": "memory://two"}


def app_with(**settings):
    settings = {"brokers": BROKERS, "task_queues": ["default", Queue("images", broker="bulk")], **settings}
    app = Faena("shop", set_as_current=False, **settings)

    @app.task(name="add")
    def add(a, b):
        return a + b

    @app.task(name="shrink", queue="images")
    def shrink(number):
        return number * 10

    @app.task(name="total")
    def total(numbers):
        return sum(numbers)

    return app


def counts(app):
    """Return how many messages wait, by broker and queue."""
    return {(each.broker, each.name): each.waiting for each in run(app.connection().broker.queues.status()) if each.waiting}


@pytest.fixture
def app():
    with in_memory(app_with()) as found:
        yield found


def test_calls_go_to_the_broker_that_their_queue_lives_on(app):
    app.tasks["add"].delay(1, 2)
    app.tasks["shrink"].delay(1)
    asyncio.run(_send_one(app))
    app.send_task("add", (1, 2), queue="images")
    app.send_task("shrink", (1,), queue=Queue("images", broker="bulk"))
    assert counts(app) == {("main", "default"): 1, ("bulk", "images"): 4}


async def _send_one(app):
    await app.tasks["shrink"].adelay(2)
    await app.aclose()


def test_many_calls_are_split(app):
    sent = app.send_many([app.tasks["shrink"].s(n) if n % 2 else app.tasks["add"].s(n, n) for n in range(10)])
    assert counts(app) == {("main", "default"): 5, ("bulk", "images"): 5}
    run_pending(app)
    assert [each.get() for each in sent] == [n * 10 if n % 2 else 2 * n for n in range(10)]


class Away:
    """Stands before a broker: nothing can be sent to it."""

    def __init__(self, broker):
        self._broker, self.asked = broker, 0

    def __getattr__(self, name):
        return getattr(self._broker, name)

    async def publish(self, messages):
        self.asked += 1
        raise BrokerUnavailable("it is away")


def test_where_one_is_away_the_other_takes_its_share_and_is_never_kept_waiting(app):
    brokers = app.connection().broker
    part = brokers.parts.by_name["bulk"]
    part.broker = away = Away(part.broker)
    add, shrink = app.tasks["add"], app.tasks["shrink"]
    with app.conf.overridden({"task_publish_retry": False}):
        with pytest.raises(PublishedInPart) as caught:
            app.send_many([add.s(1, 1), shrink.s(1), add.s(2, 2)])
        assert (len(caught.value.accepted), caught.value.total) == (2, 3)
        with pytest.raises(BrokerUnavailable, match="it is away"):
            shrink.delay(1)
    asked = away.asked
    add.delay(3, 3)
    assert away.asked == asked, "it has nothing to do with that"
    assert counts(app) == {("main", "default"): 3}


def test_a_workflow_goes_over_both(app):
    add, shrink, total = app.tasks["add"], app.tasks["shrink"], app.tasks["total"]
    result = chain(add.s(1, 2), shrink.s(), chord([add.s(1), shrink.s(), add.s(2)], total.s())).delay()
    run_pending(app)
    assert result.get() == (30 + 1) + 300 + (30 + 2)


def test_links_and_error_links_go_over_both(app):
    add, shrink = app.tasks["add"], app.tasks["shrink"]
    add.apply_async((1, 2), link=shrink.s())
    events = run_pending(app)
    assert [(each.task, each.queue) for each in events] == [("add", "default"), ("shrink", "images")]


def test_a_retry_stays_where_it_was_unless_it_names_another_queue(app):
    @app.task(name="stubborn", bind=True, queue="images")
    def stubborn(self, moves):
        if not self.request.retries:
            raise self.retry(countdown=0, queue="default" if moves else None)
        return self.request.retries

    stays, moves = stubborn.delay(False), stubborn.delay(True)
    events = run_pending(app)
    assert [stays.get(), moves.get()] == [1, 1]
    assert sorted((each.task_id == moves.id, each.queue) for each in events) == [
        (False, "images"), (False, "images"), (True, "default"), (True, "images")
    ]  # fmt: skip


def test_unique_calls_are_so_on_each(app):
    first = app.tasks["shrink"].apply_async((1,), unique=True)
    again = app.tasks["shrink"].apply_async((1,), unique=True)
    assert (again.id, again.is_duplicate) == (first.id, True)
    run_pending(app)
    assert not app.tasks["shrink"].apply_async((1,), unique=True).is_duplicate


def test_what_was_sent_is_found_explained_and_revoked_wherever_it_is(app):
    here, there = app.tasks["add"].delay(1, 2), app.tasks["shrink"].delay(1)
    broker = app.connection().broker
    assert list(run(broker.locate([here.id, there.id, "nobody"]))) == [Place.WAITING, Place.WAITING, None]
    assert "faena worker -Q images" in app.explain(there.id).text()
    there.revoke()
    here.revoke()
    assert (there.state, here.state, counts(app)) == ("REVOKED", "REVOKED", {})


def test_broadcasts_and_their_copies_live_on_one():
    app = app_with(task_queues=[Queue("all", broadcast=True, broker="bulk")])
    with in_memory(app):
        app.send_task("add", (1, 2), queue="all")
        assert counts(app) == {("bulk", "all"): 1}
        events = run_pending(app, queues=["all"])
        assert [each.queue for each in events] == ["all", "all/test"]


def test_a_route_says_where_a_queue_lives():
    routes = {"total": {"queue": "films", "broker": "bulk"}, "add": Queue("x", broker="bulk")}
    app = app_with(task_queues=None, task_routes=routes)
    with in_memory(app):
        app.send_task("total", ([1],))
        app.send_task("add", (1, 1))
        assert counts(app) == {("bulk", "films"): 1, ("bulk", "x"): 1}


def test_a_route_that_is_a_function_cannot_move_a_queue():
    app = app_with(task_routes=lambda *_: {"queue": "default", "broker": "bulk"})
    with (
        in_memory(app),
        pytest.raises(ConfigurationError, match="'default' lives on broker 'bulk', and it lives on 'main'"),
    ):
        app.send_task("add", (1, 1))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"task_queues": [Queue("x", broker="bluk")]}, "did you mean 'bulk'?"),
        ({"task_routes": {"add": {"queue": "default", "broker": "bulk"}}}, "a queue lives on one broker"),
        ({"task_routes": {"add": {"broker": "bulk"}}}, "a queue lives on a broker: name the queue beside it"),
        ({"broker_url": "memory://x"}, "broker_url is set, too"),
        ({"brokers": None, "broker_url": "memory://x"}, "queue 'images' names broker 'bulk', and the app has one broker"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reason(settings, text):
    with pytest.raises(ConfigurationError) as caught:
        app_with(**settings).send_task("add", (1, 2))
    assert text in str(caught.value)


def test_brokers_are_settings_whose_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv(
        "FAENA_BROKERS", '{"a": "amqp://me:geheim@x", "default": {"url": "redis://:geheim@y", "options": {}}}'
    )
    app = Faena("shop", set_as_current=False)
    assert homes_in(app.conf).default == "default"
    assert app.links.urls() == ("redis://:geheim@y", "redis://:geheim@y")
    assert "geheim" not in repr(app.conf) and "redis://:***@y" in repr(app.conf)
    with pytest.raises(InvalidSetting, match="of broker 'a' a URL is expected") as caught:
        app.conf.brokers = {"a": {"options": {"password": "geheim"}}}
    assert "geheim" not in str(caught.value)


def test_a_list_of_redis_servers_is_refused_with_the_reason():
    app = Faena("shop", broker="redis://a;redis://b", set_as_current=False)
    with pytest.raises(InvalidSetting, match=r"redis\+sentinel://a,b/mymaster"):
        app.connection()


def test_a_call_under_limits_goes_to_no_broker_without():
    app = app_with(brokers={"main": "memory://x", "bulk": "amqp://nowhere.invalid"})

    @app.task(name="limited", rate_limit="1/s")
    def limited(): ...

    with pytest.raises(NotSupported, match="broker 'bulk', on which queue 'images' lives, does not"):
        limited.apply_async(queue="images")
    with pytest.raises(NotSupported, match="the limit 'queue:images'"):
        run(app.links.connect("blocking").broker.limits.change("queue:images", None))


def test_a_large_message_is_refused_before_anything_is_sent(app):
    brokers = app.connection().broker
    part = brokers.parts.by_name["bulk"]
    part.broker = Away(part.broker)
    part.broker.capabilities = type(brokers.capabilities)(durable=True, lease="holder", largest_message_bytes=20)
    with pytest.raises(MessageTooLarge):
        app.send_many([app.tasks["add"].s(1, 1), app.tasks["shrink"].s("x" * 100)])
    assert counts(app) == {}


def test_an_app_with_one_broker_loads_nothing_of_it():
    code = (
        "import sys\nfrom faena import Faena\napp = Faena('x', broker='memory://x')\n"
        "@app.task\ndef f(): ...\nf.delay()\n"
        "print([name for name in sys.modules if 'several' in name or 'homes' in name])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout.strip() == "[]"


def test_one_broker_with_a_name_is_an_app_with_one(app):
    single = Faena("shop", brokers={"only": "memory://only"}, set_as_current=False)
    assert single.links.homes is None and not isinstance(single.connection().broker, SeveralBrokers)
