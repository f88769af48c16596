"""From a call to a message; signatures; failures that travel."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from faena.codecs.registry import Codecs
from faena.errors import InvalidArguments, NotRegistered, RemoteTraceback, TaskFailed
from faena.model.message import DEFAULT_PRIORITY
from faena.tasks.call import Call, Sender, build_message
from faena.tasks.context import Request
from faena.tasks.failure import capture, rebuild

NOW_S = datetime(2030, 6, 1, 12, tzinfo=UTC).timestamp()
CODECS = Codecs(["json"])
SENDER = Sender(CODECS, "1@host", "json", "default", DEFAULT_PRIORITY, ZoneInfo("Europe/Madrid"))


def message(sender=SENDER, parent=None, **options):
    return build_message(Call("t", (1,), {"k": 2}, options), sender, now_s=NOW_S, new_id="new", parent=parent)


def test_a_plain_call_takes_the_defaults():
    plain = message()
    assert (plain.id, plain.task, plain.queue, plain.priority) == ("new", "t", "default", 4)
    assert plain.body == b'[[1],{"k":2}]'
    assert (plain.due_at_s, plain.expires_at_s, plain.retries, plain.root_id, plain.parent_id) == (
        None,
        None,
        0,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("options", "due_after_s"),
    [
        ({"countdown": 5}, 5),
        ({"countdown": timedelta(days=4000)}, 4000 * 86400),
        ({"countdown": 0}, None),
        ({"countdown": -3}, None),
        ({"eta": datetime(2030, 6, 1, 12, 0, 7, tzinfo=UTC)}, 7),
        ({"eta": datetime(2030, 6, 1, 14, 0, 7)}, 7),  # naive: of the app's zone, two hours ahead in June
        ({"eta": datetime(2020, 1, 1, tzinfo=UTC)}, None),
    ],
)
def test_when_it_is_due(options, due_after_s):
    assert message(**options).due_at_s == (None if due_after_s is None else NOW_S + due_after_s)


@pytest.mark.parametrize(
    "expires", [60, timedelta(minutes=1), datetime(2030, 6, 1, 12, 1, tzinfo=UTC), datetime(2030, 6, 1, 14, 1)]
)
def test_when_it_expires(expires):
    assert message(expires=expires).expires_at_s == NOW_S + 60


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"countdown": 1, "eta": datetime(2031, 1, 1)}, "give countdown or eta, not both"),
        ({"priority": 10}, "priority must be a number from 0 to 9"),
        ({"priority": "high"}, "priority must be a number"),
        ({"queue": ""}, None),
        ({"queue": "a,b"}, "without a comma"),
        ({"task_id": 5}, "task_id must be a text"),
        ({"task_id": "x" * 256}, "task_id must be a text"),
        ({"countdwon": 1}, "unknown option 'countdwon' of a call; did you mean 'countdown'?"),
    ],
)
def test_wrong_options_are_refused_at_the_call(options, reason):
    if reason is None:
        assert message(**options).queue == "default"
        return
    with pytest.raises(InvalidArguments) as caught:
        message(**options)
    assert reason in str(caught.value)


def test_a_call_from_within_a_task_knows_its_parent_and_root():
    grandparent = message(task_id="root")
    parent = build_message(
        Call("t", (), {}, {"task_id": "mid"}), SENDER, now_s=NOW_S, new_id="", parent=Request(grandparent)
    )
    leaf = message(parent=Request(parent))
    assert (parent.parent_id, parent.root_id) == ("root", "root")
    assert (leaf.parent_id, leaf.root_id) == ("mid", "root")


def test_a_route_says_what_neither_the_call_nor_the_task_says():
    routed = Sender(CODECS, "", "json", "default", 4, UTC, lambda call: {"queue": "mail", "priority": 7})
    assert (message(routed).queue, message(routed).priority) == ("mail", 7)
    assert (message(routed, queue="own").queue, message(routed, queue="own").priority) == ("own", 7)


class Strange(Exception):
    def __init__(self, code, *, detail):
        super().__init__(f"{code}: {detail}")


def captured(error):
    try:
        raise error
    except BaseException as caught:
        return capture(caught, lambda value: CODECS.encode("json", value), skip_frames=0)


def rebuilt(failure):
    return rebuild(failure, lambda data: CODECS.decode("json", data))


@pytest.mark.parametrize(
    "error", [ValueError("no", 3), KeyError("k"), FileNotFoundError(2, "gone"), NotRegistered("a.b", ["a.c"])]
)
def test_an_exception_comes_back_as_itself_with_the_remote_traceback(error):
    back = rebuilt(captured(error))
    assert type(back) is type(error)
    assert back.args == error.args
    assert isinstance(back.__cause__, RemoteTraceback)
    assert "test_calls.py" in str(back.__cause__)


@pytest.mark.parametrize("error", [Strange(7, detail="x"), ValueError(object()), SystemExit(3)])
def test_what_cannot_be_rebuilt_comes_back_with_its_name_and_text(error):
    back = rebuilt(captured(error))
    assert isinstance(back, TaskFailed)
    assert back.type_name == type(error).__qualname__
    assert back.message == str(error)


def test_nothing_but_an_exception_class_is_ever_called():
    from faena.model.result import Failure

    for module, name in [("os", "system"), ("builtins", "print"), ("subprocess", "Popen"), ("builtins", "object")]:
        assert isinstance(rebuilt(Failure(module, name, "boom", b'["true"]')), TaskFailed)


def test_an_endless_traceback_is_cut_in_the_middle():
    class Long(Exception):
        def __str__(self):
            return "x" * 200_000

    failure = captured(Long())
    assert len(failure.traceback) < 70_000
    assert "characters left out" in failure.traceback
