"""Where calls go: routes as Celery's configurations write them, and queues that are declared."""

import re
import sys
import types

import pytest

from faena import Faena, Queue
from faena.broker import Capabilities
from faena.brokers.memory import MemoryBroker
from faena.errors import (
    ConfigurationError,
    InvalidArguments,
    InvalidQueue,
    InvalidSetting,
    NotSupported,
    UnknownQueue,
)
from faena.model.turns import Taking
from faena.testing import in_memory
from faena.worker.choice import Choice, chosen


def app_with(**settings):
    app = Faena("shop", set_as_current=False, **settings)

    @app.task(name="shop.video.encode")
    def encode(path): ...

    @app.task(name="shop.mail.send")
    def send(to): ...

    return app


def queue_of(app, name, **options):
    """Return the queue that a call goes to."""
    with in_memory(app):
        task_id = app.send_task(name, ("x",), **options).id
        (found,) = [each for queue in _names(app) for each in _browse(app, queue) if each.id == task_id]
    return found.queue


def _names(app):
    return [each.name for each in _run(app.connection().broker.queues.status())]


def _browse(app, queue):
    return [message for _, message in _run(app.connection().broker.queues.browse(queue, 10))]


def _run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")


QUEUES = [
    Queue("default"),
    Queue("videos", "media", "media.video"),
    Queue("images", "media", "media.image"),
    Queue("news", "news"),
]


@pytest.mark.parametrize(
    ("routes", "queue"),
    [
        ({"shop.video.encode": "videos"}, "videos"),
        ({"shop.video.encode": {"queue": "videos", "exchange": "media", "routing_key": "media.video"}}, "videos"),
        ({"shop.video.*": {"queue": "videos"}}, "videos"),
        ({"shop.mail.*": "news", "*.encode": "videos"}, "videos"),
        ({re.compile(r"shop\.(video|image)\..*"): {"queue": "videos"}}, "videos"),
        ([("shop.video.*", "videos"), ("*", "images")], "videos"),
        ((([("shop.mail.*", {"queue": "news"}), ("shop.video.*", {"queue": "videos"})]),), "videos"),
        ({"shop.video.*": {"exchange": "media", "routing_key": "media.video"}}, "videos"),
        ({"shop.video.*": {"routing_key": "media.image"}}, "images"),
        ({"shop.video.*": {"exchange": "news"}}, "news"),
        ({"shop.video.*": Queue("videos")}, "videos"),
        (lambda name, args, kwargs, options: {"queue": "videos"} if name.startswith("shop.video") else None, "videos"),
        ([lambda *call: None, {"*": "images"}], "images"),
        ({"shop.mail.*": "news"}, "default"),
    ],
)
def test_a_route_says_the_queue(routes, queue):
    assert queue_of(app_with(task_queues=QUEUES, task_routes=routes), "shop.video.encode") == queue


def test_a_function_sees_arguments_and_options():
    seen = []

    def route(name, args, kwargs, options):
        seen.append((name, args, kwargs, dict(options)))
        return "videos"

    app = app_with(task_routes=route)
    assert queue_of(app, "shop.video.encode", priority=7) == "videos"
    assert seen == [("shop.video.encode", ("x",), {}, {"priority": 7})]


def test_routers_are_named_by_a_text_or_are_objects_as_in_celery(monkeypatch):
    module = types.ModuleType("shop_routes")
    module.route_task = lambda name, args, kwargs, options: "videos"
    monkeypatch.setitem(sys.modules, "shop_routes", module)
    assert queue_of(app_with(task_routes="shop_routes.route_task"), "shop.video.encode") == "videos"
    assert queue_of(app_with(task_routes=("shop_routes.route_task",)), "shop.video.encode") == "videos"

    class Router:
        def route_for_task(self, task, args=None, kwargs=None):
            return {"queue": "images"}

    assert queue_of(app_with(task_routes=[Router()]), "shop.video.encode") == "images"


def test_a_task_stands_for_its_name():
    app = app_with()
    app.conf.task_routes = {app.tasks["shop.video.encode"]: "videos"}
    assert queue_of(app, "shop.video.encode") == "videos"
    assert queue_of(app, "shop.mail.send") == "default"


def test_what_the_call_says_goes_before_the_route():
    app = app_with(task_routes={"*": "videos"})
    assert queue_of(app, "shop.video.encode", queue="mine") == "mine"
    assert queue_of(app, "shop.video.encode", queue=Queue("mine")) == "mine"


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ({"a": {"quee": "x"}}, "a route has no option 'quee'; did you mean 'queue'?"),
        ({"a": 3}, "a route is a queue, or a mapping of options"),
        ({"a": {"routing_key": "no"}}, "exchange and routing_key name no single queue (no queue of task_queues has them)"),
        ({"a": {"exchange": "media"}}, "exchange and routing_key name no single queue (they fit videos and images)"),
        ("no.such", "a text names a function, as 'module.function': No module named 'no'"),
        ([3], "expected a mapping, a function, or a list of those"),
        ({3: "x"}, "a task is named by a text, a glob, a compiled pattern, or itself"),
    ],
)
def test_a_wrong_route_says_what_is_wrong(routes, said):
    with pytest.raises(InvalidSetting, match=re.escape(said)):
        _ = app_with(task_queues=QUEUES, task_routes=routes).sender


def test_a_wrong_declaration_is_refused_where_it_is_said():
    with pytest.raises(ConfigurationError, match="queue 'a': when_full='block' needs a max_length"):
        app_with(task_queues=[{"name": "a", "when_full": "block"}])
    with pytest.raises(InvalidQueue):
        Queue("a", when_full="block")


def test_workers_take_from_what_is_declared_and_else_from_what_is_named():
    assert app_with(task_queues=[Queue("a"), "b"]).default_queues() == ["a", "b"]
    routes = [("x", "r"), {"y": {"queue": "s"}}, lambda *call: "unknown"]
    assert app_with(task_routes=routes, task_default_queue="d").default_queues() == ["d", "r", "s"]


def test_queues_that_are_not_declared_can_be_forbidden():
    app = app_with(task_queues=["mail", "default"], task_create_missing_queues=False)
    assert queue_of(app, "shop.mail.send", queue="mail") == "mail"
    with pytest.raises(UnknownQueue) as caught:
        app.send_task("shop.mail.send", ("x",), queue="mial")
    assert str(caught.value) == (
        "queue 'mial' is not declared; did you mean 'mail'? (task_create_missing_queues is off; declared in task_queues: "
        "default, mail)"
    )


def test_settings_of_celery_about_exchanges_are_taken():
    app = app_with(
        task_default_queue="default", task_default_exchange="default", task_default_exchange_type="direct",
        task_default_routing_key="default", task_queue_max_priority=10, task_create_missing_queues=True,
    )  # fmt: skip
    assert queue_of(app, "shop.mail.send") == "default"


def test_a_message_waits_no_longer_than_its_queue_says():
    app = app_with(task_queues=[Queue("news", message_ttl="1h")])
    with in_memory(app):
        app.send_task("shop.mail.send", ("x",), queue="news")
        app.send_task("shop.mail.send", ("x",), queue="news", countdown=60)
        app.send_task("shop.mail.send", ("x",), queue="news", expires=5)
        app.send_task("shop.mail.send", ("x",), queue="other")
        found = sorted(
            (message.queue, None if message.expires_at_s is None else round(message.expires_at_s - message.sent_at_s))
            for queue in ("news", "other")
            for message in _browse(app, queue)
        )
    assert found == [("news", 5), ("news", 3600), ("news", 3660), ("other", None)]


def test_an_option_of_exchanges_says_what_to_write_instead():
    with pytest.raises(InvalidArguments) as caught:
        app_with().send_task("shop.mail.send", ("x",), routing_key="mail")
    assert str(caught.value) == (
        "task 'shop.mail.send': unknown option 'routing_key' of a call; a message reaches a queue by its name: say queue=, "
        "or name the exchange in task_routes"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"task_queues": [Queue("a", ageing="1m")]}, "MemoryBroker does not support ageing of queue 'a': it cannot choose"),
        ({"task_queues": [Queue("a", max_length=3)]}, "MemoryBroker does not support max_length of queue 'a': it cannot"),
        ({"worker_queue_order": "strict"}, "MemoryBroker does not support worker_queue_order = 'strict': it hands out"),
    ],
)
def test_a_worker_refuses_what_its_broker_cannot_do_before_it_begins(monkeypatch, settings, said):
    app = app_with(broker="memory://refusing", **settings)
    assert chosen(app, (), ()).queues
    monkeypatch.setattr(MemoryBroker, "capabilities", Capabilities(durable=False, lease="holder", joint=True))
    with pytest.raises(NotSupported, match=re.escape(said)):
        chosen(app, (), ())


def test_weights_come_from_the_command_line_or_the_declaration():
    app = app_with(task_queues=[Queue("a", weight=3), Queue("b:2")], worker_queue_order="weighted")
    assert chosen(app, (), ()) == Choice(("a", "b:2"), Taking("weighted", {"a": 3, "b:2": 1}))
    assert chosen(app, ("a:5", "b:2", "c:7"), ()) == Choice(
        ("a", "b:2", "c"), Taking("weighted", {"a": 5, "b:2": 1, "c": 7})
    )
    app.conf.worker_queue_order = "fair"
    assert chosen(app, ("a:5", "c"), ("c",)) == Choice(("a:5",), Taking())
