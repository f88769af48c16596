"""Canvas: signatures put together, taken apart, written as data; and what is refused, with a text that helps."""

from __future__ import annotations

import json

import pytest

from faena import Faena, chain, chord, group, signature
from faena.errors import InvalidArguments, WorkflowError
from faena.model.workflow import Policy
from faena.tasks.canvas import Chain, Chord, Group
from faena.tasks.signature import Signature


@pytest.fixture
def app():
    return Faena("canvas", broker="memory://canvas", set_as_current=False)


@pytest.fixture
def add(app):
    @app.task(name="add")
    def add(x=0, y=0, *more, z=0):
        return x + y + sum(more) + z

    return add


@pytest.fixture
def total(app):
    @app.task(name="total")
    def total(numbers):
        return sum(numbers)

    return total


# -- putting together --------------------------------------------------------------------------------------------


def test_two_signatures_with_a_bar_are_a_chain(add):
    whole = add.s(1, 2) | add.s(3)
    assert type(whole) is Chain
    assert whole == Chain(add.s(1, 2), add.s(3)) == chain(add.s(1, 2), add.s(3)) == chain([add.s(1, 2), add.s(3)])
    assert repr(whole) == "chain(add(1, 2), add(3))"


def test_a_chain_in_a_chain_is_its_steps_unless_it_says_something_of_its_own(add):
    flat = add.s(1) | (add.s(2) | add.s(3))
    assert len(flat) == 3
    assert flat == (add.s(1) | add.s(2)) | add.s(3)
    own = Chain(add.s(2), add.s(3)).if_fails("skip")
    assert [type(each) for each in add.s(1) | own | add.s(4)] == [Signature, Chain, Signature]
    assert [type(each) for each in Chain(add.s(2)).set(queue="mail") | add.s(4)] == [Chain, Signature]


def test_what_comes_after_a_group_or_chord_is_a_step_of_a_chain(add, total):
    whole = group(add.s(1), add.s(2)) | total.s()
    assert [type(each).__name__ for each in whole] == ["group", "Signature"]
    whole = chord([add.s(1)], total.s()) | add.s(5)
    assert [type(each).__name__ for each in whole] == ["chord", "Signature"]


def test_a_bar_leaves_both_sides_as_they_were(add):
    first, second = add.s(1), add.s(2)
    whole = first | second
    _ = whole | add.s(3)
    assert (len(whole), first, second) == (2, add.s(1), add.s(2))


def test_members_of_a_group_come_from_a_generator_a_list_or_one_by_one(add):
    assert group(add.s(n) for n in range(3)) == group([add.s(0), add.s(1), add.s(2)]) == group(add.s(0), add.s(1), add.s(2))
    assert len(group()) == len(group([])) == 0
    assert [each.args for each in group(add.s(n) for n in range(3))] == [(0,), (1,), (2,)]
    assert group(add.s(n) for n in range(3))[1] == add.s(1)


def test_map_starmap_and_chunks_are_signatures_and_groups(add):
    assert (add.map([1, 2]).task, add.map([1, 2]).args) == ("faena.map", ("add", [1, 2]))
    assert add.starmap([(1, 2)]).args == ("add", [[1, 2]])
    parts = add.chunks([(n, n) for n in range(5)], 2)
    assert [len(part.args[1]) for part in parts] == [2, 2, 1]
    assert parts.group() is parts
    with pytest.raises(InvalidArguments, match="chunks consist of 1 call or more, not of 0"):
        add.chunks([], 0)


# -- clone and set -----------------------------------------------------------------------------------------------


def test_a_clone_puts_arguments_first_and_keywords_and_options_over(add):
    original = add.s(3, z=1).set(queue="a", priority=1)
    copy = original.clone((1, 2), {"z": 5}, queue="b")
    assert (copy.args, copy.kwargs, copy.options) == ((1, 2, 3), {"z": 5}, {"queue": "b", "priority": 1})
    assert (original.args, original.kwargs, original.options) == ((3,), {"z": 1}, {"queue": "a", "priority": 1})
    assert original.clone() == original
    assert original.clone() is not original


def test_an_immutable_signature_takes_no_arguments_of_others(add):
    assert add.si(1).clone((5,), {"z": 1}) == add.si(1)
    assert add.s(1) != add.si(1)
    assert add.s(1).set(immutable=True) == add.si(1)


def test_a_clone_of_a_whole_gives_its_arguments_to_what_begins_first(add, total):
    assert (add.s(1) | add.s(2)).clone((9,)) == (add.s(9, 1) | add.s(2))
    assert group(add.s(1), add.si(2)).clone((9,)) == group(add.s(9, 1), add.si(2))
    assert chord([add.s(1)], total.s()).clone((9,)) == chord([add.s(9, 1)], total.s())
    skipping = Chain(add.s(1)).if_fails("skip")
    assert skipping.clone((9,)).policy is Policy.SKIP


def test_set_changes_the_signature_that_it_is_called_on(add):
    one = add.s(1)
    assert one.set(queue="mail", countdown=5) is one
    assert one.options == {"queue": "mail", "countdown": 5}
    whole = group(one, add.s(2))
    assert whole.set(queue="all") is whole
    assert one.options["queue"] == "mail"
    assert whole.set(immutable=True)[1] == add.si(2)


def test_an_unknown_option_is_refused_with_what_was_meant(add):
    with pytest.raises(InvalidArguments, match="countdown"):
        add.s(1).set(countdwn=5)
    with pytest.raises(InvalidArguments, match="countdown"):
        group(add.s(1)).set(countdwn=5)


def test_links_are_gathered_and_told_apart(add):
    one = add.s(1)
    callback, errback = add.s(2), add.s(3)
    assert one.link(callback) is callback
    assert one.link_error(errback) is errback
    assert one.on_error(errback) is one
    assert one.options == {"link": [callback], "link_error": [errback]}  # a second time, it is the same
    with pytest.raises(WorkflowError, match=r"link takes a signature, such as task\.s\(\), not <"):
        one.link(len)


def test_skew_lets_members_begin_one_after_the_other_up_to_a_time(add):
    whole = group(add.s(n) for n in range(5)).skew(1, 3)
    assert [each.options["countdown"] for each in whole] == [1, 2, 3, 3, 3]


# -- equality ----------------------------------------------------------------------------------------------------


def test_canvases_are_equal_where_they_mean_the_same(add, total):
    assert add.s(1, z=2) == add.s(1, z=2)
    assert add.s(1) != add.s(2)
    assert add.s(1) != add.s(1).set(queue="mail")
    assert add.s(1) != add.s(1).if_fails("skip")
    assert add.s(1) != total.s(1)
    assert chain(add.s(1)) != group(add.s(1))
    assert chord([add.s(1)], total.s()) != chord([add.s(1)], add.s())
    assert add.s(1) != "add(1)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(add.s(1))


# -- as data -----------------------------------------------------------------------------------------------------


def test_every_canvas_comes_back_from_json_as_it_was(app, add, total):
    linked = add.s(1, z=2).set(queue="mail", priority=3)
    linked.link(add.s(7) | total.s())
    linked.link_error(add.si(8))
    whole = Chain(
        linked,
        Group(add.si(1).if_fails("skip"), Group(), Chain(add.s(2), options={"queue": "deep"})).if_fails("continue"),
        Chord([add.s(3), add.map([1])], total.s()).set(priority=1),
    )
    again = signature(json.loads(json.dumps(whole.as_dict())), app=app)
    assert again == whole
    assert again.as_dict() == whole.as_dict()


def test_plain_data_says_only_what_there_is_to_say(app, add):
    assert add.s(1).as_dict() == {"kind": "task", "task": "add", "args": [1], "kwargs": {}}
    assert signature({"task": "elsewhere"}, app=app) == app.signature("elsewhere")
    assert signature(add.s(1)) == add.s(1)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"kind": "chian", "tasks": []}, r"unknown kind of canvas 'chian'; did you mean 'chain'"),
        ({"kind": "chain"}, r"a chain written as data has no 'tasks'"),
        ({"kind": "task"}, r"a task written as data has no 'task'"),
        ({"kind": "group", "tasks": ["add"]}, r"a canvas written as data is a mapping, not 'add'"),
    ],
)
def test_data_that_is_no_canvas_is_refused(app, data, says):
    with pytest.raises(WorkflowError, match=says):
        signature(data, app=app)


# -- what is refused ---------------------------------------------------------------------------------------------


def test_an_empty_chain_cannot_be_sent(app):
    with pytest.raises(WorkflowError, match="a chain needs at least one step"):
        Chain(app=app).apply_async()


def test_a_chord_without_a_body_cannot_be_sent(app, add):
    with pytest.raises(WorkflowError, match=r"has no body; give it one: chord\(header\)\(body\)"):
        Chord([add.s(1)], app=app).apply_async()
    with pytest.raises(WorkflowError, match=r"the body of a chord is a signature, such as task\.s\(\), not 5"):
        Chord([add.s(1)], 5)


def test_members_that_are_no_signatures_are_refused_with_what_was_meant(add):
    with pytest.raises(WorkflowError, match=r"a group consists of signatures.* did you mean add\.s\(\)\?"):
        group(add, add)
    with pytest.raises(WorkflowError, match=r"a chain consists of signatures, such as task\.s\(\), not of 5"):
        chain(add.s(1), 5)
    with pytest.raises(WorkflowError, match="a group consists of signatures"):
        group(5)


def test_a_policy_that_there_is_not_is_refused(add):
    with pytest.raises(WorkflowError, match="a workflow can 'fail', 'skip', 'continue' if add"):
        add.s(1).if_fails("retry")


def test_arguments_that_do_not_fit_are_refused_where_it_is_sent(app, add, total):
    with pytest.raises(InvalidArguments, match="total"):
        (add.s(1) | total.si()).apply_async()


def test_one_task_id_cannot_stand_twice_in_a_workflow(app, add):
    with pytest.raises(InvalidArguments, match="cannot both have the task_id 'same'"):
        group(add.s(1).set(task_id="same"), add.s(2).set(task_id="same")).apply_async()


# -- callbacks beside a failure that is borne ----------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["skip", "continue"])
@pytest.mark.parametrize("shape", ["task", "chain", "group"])
def test_a_callback_is_not_sent_when_what_it_is_linked_to_failed_though_the_workflow_goes_on(policy, shape):
    from faena import Faena
    from faena.testing import in_memory, run_pending

    with in_memory(Faena("linked", set_as_current=False)) as app:

        @app.task(name="fail")
        def fail(*given):
            raise ValueError(given)

        @app.task(name="called")
        def called(*given):
            return repr(given)

        @app.task(name="after")
        def after(*given):
            return len(given)

        part = {"task": fail.s, "chain": lambda: chain(fail.s(), after.s()), "group": lambda: group(fail.s())}[shape]()
        part.link(called.s())
        part.if_fails(policy)
        result = chain(after.s(), part, after.s()).delay()
        events = run_pending(app)
        assert [event.task for event in events] == ["after", "fail", "after"]
        assert result.get() == 1
