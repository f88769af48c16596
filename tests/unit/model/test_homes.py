"""Where the queues of an app with several brokers live."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faena.errors import ConfigurationError, InvalidQueue
from faena.model.homes import Homes, holder_from, holders_of, homes_of
from faena.model.queue import Queue, queues_of

NAMES = ("main", "bulk")


def test_everything_lives_on_the_first_or_on_the_one_named_default():
    assert homes_of(NAMES, {}, []).of("any") == "main"
    assert homes_of(("bulk", "default"), {}, []).of("any") == "default"


def test_declarations_and_routes_say_where_a_queue_lives():
    homes = homes_of(NAMES, queues_of([Queue("images", broker="bulk"), "mail"]), [("films", "bulk")])
    assert [homes.of(name) for name in ("images", "films", "mail", "other")] == ["bulk", "bulk", "main", "main"]
    assert homes.parted(["images", "mail", "films"]) == {"bulk": ("images", "films"), "main": ("mail",)}


def test_the_copies_of_a_broadcast_live_where_it_does():
    homes = homes_of(NAMES, queues_of([Queue("a/reload", broadcast=True, broker="bulk"), Queue("b", broker="bulk")]), [])
    assert homes.of("a/reload/faena@host") == "bulk"
    assert homes.of("b/faena@host") == "main", "b is no broadcast: that is another queue"


@pytest.mark.parametrize(
    ("queues", "routes", "text"),
    [
        (
            [Queue("images", broker="bluk")],
            [],
            "queue 'images' names broker 'bluk', and the app has main, bulk; did you mean 'bulk'?",
        ),
        (
            [Queue("images", broker="main")],
            [("images", "bulk")],
            "a queue lives on one broker: task_routes puts 'images' on 'bulk', and "
            "Queue('images', broker='main') puts it on "
            "'main'",
        ),
        (
            ["images"],
            [("images", "bulk")],
            "a queue lives on one broker: task_routes puts 'images' on 'bulk', and task_queues, where no broker "
            "stands beside it, puts it on 'main'",
        ),
        (
            [],
            [("images", "bulk"), ("images", "main")],
            "a queue lives on one broker: task_routes puts 'images' on 'main', and another route puts it on 'bulk'",
        ),
    ],
)
def test_contradictions_are_refused_with_the_reason(queues, routes, text):
    with pytest.raises(ConfigurationError) as caught:
        homes_of(NAMES, queues_of(queues), routes)
    assert str(caught.value) == text


def test_a_broker_is_named_by_a_text():
    with pytest.raises(InvalidQueue, match="broker is the name of one of the app's brokers, not 7"):
        Queue("images", broker=7)


@given(st.lists(st.text(min_size=1, max_size=5)), st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from(NAMES)))
def test_parting_queues_loses_none_and_keeps_their_order(queues, elsewhere):
    homes = Homes("main", NAMES, elsewhere)
    parted = homes.parted(queues)
    assert sorted(name for names in parted.values() for name in names) == sorted(queues)
    for broker, names in parted.items():
        assert list(names) == [queue for queue in queues if homes.of(queue) == broker]


@given(st.dictionaries(st.text(), st.text()))
def test_a_holder_on_several_brokers_is_one_name(holders):
    assert holders_of(holder_from(holders)) == holders
    assert holders_of("never given out") == {}
