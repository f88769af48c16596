"""What an app may say of its queues, and what kombu's words become."""

from datetime import timedelta

import pytest

from faena import Queue
from faena.errors import InvalidQueue
from faena.model.queue import queues_of


class Exchange:
    def __init__(self, name, type="direct"):
        self.name, self.type = name, type


class KombuQueue:
    """What `kombu.Queue` looks like."""

    def __init__(self, name, exchange=None, routing_key="", **more):
        self.name, self.exchange, self.routing_key = name, exchange, routing_key
        for option in ("expires", "message_ttl", "max_length", "max_length_bytes", "queue_arguments", "bindings"):
            setattr(self, option, more.pop(option, None))
        self.alias = more.pop("alias", None)
        assert not more


def test_a_queue_is_a_value():
    queue = Queue("mail", max_length=10, when_full="block", ageing="10m", message_ttl=timedelta(hours=1))
    assert queue == Queue("mail", max_length=10, when_full="block", ageing=600, message_ttl="1h")
    assert (queue.ageing_s, queue.message_ttl_s, queue.weight) == (600.0, 3600.0, 1)
    with pytest.raises(AttributeError):
        queue.max_length = 11


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_length": 0}, "max_length is a whole number of 1 or more, not 0"),
        ({"max_length": True}, "max_length is a whole number of 1 or more, not True"),
        ({"max_length": 1, "when_full": "drop"},
         "when_full is one of reject, block, drop-oldest, spill, not 'drop'"),
        ({"max_length": 1, "when_full": "rejct"},
         "when_full is one of reject, block, drop-oldest, spill, not 'rejct'; did you mean 'reject'?"),
        ({"when_full": "block"}, "when_full='block' needs a max_length"),
        ({"max_length": 1, "when_full": "spill"},
         "when_full='spill' needs spill_to, the queue that takes what finds no room"),
        ({"spill_to": "other"}, "spill_to needs a max_length"),
        ({"weight": 0}, "weight is a whole number from 1 to 1000, not 0"),
        ({"ageing": "soon"}, "ageing is a time such as 90, '30s', '10m', not 'soon'"),
        ({"ageing": 0}, "ageing is a time such as 90, '30s', '10m', not 0"),
        ({"message_ttl": -1}, "message_ttl is a time such as 90, '30s', '10m', not -1"),
        ({"broadcast": True, "max_length": 3}, "a broadcast queue has no max_length: its copies wait for one worker each"),
        ({"broadcast": True, "ageing": 3}, "a broadcast queue has no ageing: its copies wait for one worker each"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_where_it_is_declared(options, reason):
    with pytest.raises(InvalidQueue) as caught:
        Queue("mail", **options)
    assert str(caught.value) == f"queue 'mail': {reason}"


@pytest.mark.parametrize("name", ["", "a,b", "x" * 201, "a\0b", 3, None])
def test_a_name_is_a_text_without_a_comma(name):
    with pytest.raises(InvalidQueue):
        Queue(name)


def test_queues_are_declared_by_name_value_mapping_or_all_of_them():
    expected = {"a": Queue("a"), "b": Queue("b", max_length=3), "c": Queue("c", weight=2)}
    assert queues_of(["a", Queue("b", max_length=3), {"name": "c", "weight": 2}]) == expected
    assert queues_of({"a": None, "b": {"max_length": 3}, "c": {"weight": 2}}) == expected
    assert queues_of(None) == queues_of(()) == {}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (["a", Queue("a")], "queue 'a': it is declared twice"),
        ([3], "queue '3': a queue is declared by its name, a faena.Queue, or a mapping with its name and options"),
        ({"a": True},
         "queue '('a', True)': a queue is declared by its name, a faena.Queue, or a mapping with its name and options"),
        ([{"name": "a", 3: 3}], "queue 'a': there is no option '3'"),
        ([{"name": "a", "max_lenght": 3}], "queue 'a': there is no option 'max_lenght'; did you mean 'max_length'?"),
        ([{"name": "a", "expires": 3}],
         "queue 'a': there is no option 'expires': queues do not expire; message_ttl says how long a message may wait"),
        ([Queue("a", max_length=1, when_full="spill", spill_to="b"),
          Queue("b", max_length=1, when_full="spill", spill_to="a")],
         "queue 'a': what finds no room would go round: a -> b -> a"),
        ([Queue("a", max_length=1, when_full="spill", spill_to="b"), Queue("b", broadcast=True)],
         "queue 'a': spill_to: 'b' is a broadcast queue"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_says_which_queue_and_why(declared, said):
    with pytest.raises(InvalidQueue) as caught:
        queues_of(declared)
    assert str(caught.value) == said


def test_what_kombu_says_is_read_where_it_means_something():
    found = queues_of(
        [
            KombuQueue("default", Exchange("tasks"), "task.default"),
            KombuQueue("bounded", Exchange("tasks"), "b", max_length=9, message_ttl=60.0),
            KombuQueue("strict", queue_arguments={"x-max-length": 5, "x-overflow": "reject-publish", "x-max-priority": 10}),
            KombuQueue("bcast.f81d4fae", Exchange("reload", "fanout"), alias="reload"),
        ]
    )
    assert found == {
        "default": Queue("default", "tasks", "task.default"),
        "bounded": Queue("bounded", "tasks", "b", max_length=9, when_full="drop-oldest", message_ttl=60),
        "strict": Queue("strict", max_length=5),
        "reload": Queue("reload", "reload", broadcast=True),
    }
    assert queues_of({"media": {"exchange": "media", "exchange_type": "direct", "routing_key": "media.video"}}) == {
        "media": Queue("media", "media", "media.video")
    }


@pytest.mark.parametrize(
    "queue",
    [
        KombuQueue("a", Exchange("news", "topic"), "news.#"),
        KombuQueue("a", bindings={"x"}),
        KombuQueue("a", queue_arguments={"x-queue-type": "quorum"}),
        KombuQueue("a", expires=30),
    ],
)
def test_what_kombu_says_and_nothing_here_does_is_refused_with_what_to_do_instead(queue):
    with pytest.raises(InvalidQueue, match=r"queue 'a': .*(task_routes|message_ttl)"):
        queues_of([queue])
