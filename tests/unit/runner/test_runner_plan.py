"""The plan: steps in order, with edges that keep the order where it matters."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faena.errors import TaskCycle
from faena.model.graph import Readiness, find_cycle, order_of
from faena.runner.plan import make_plan
from faena.runner.task import Call, Task


def made(name, **more):
    return Task(lambda c: None, name=name, **more)


def planned(*tasks, dedupe=True):
    steps = make_plan([Call(each) for each in tasks], lambda name: (name, made(name)), dedupe=dedupe)
    return [(step.name, step.waits_for) for step in steps]


def test_needs_have_no_order_among_themselves_and_pre_tasks_have():
    a, b = made("a"), made("b")
    assert planned(made("t", needs=[a, b])) == [("a", ()), ("b", ()), ("t", (0, 1))]
    assert planned(made("t", pre=[a, b])) == [("a", ()), ("b", (0,)), ("t", (0, 1))]


def test_what_a_pre_task_needs_waits_for_the_pre_task_before_it():
    deep = made("deep")
    assert planned(made("t", pre=[made("clean"), made("build", needs=[deep])])) == [
        ("clean", ()),
        ("deep", (0,)),
        ("build", (1,)),
        ("t", (0, 2)),
    ]


def test_a_post_task_waits_for_its_owner():
    assert planned(made("t", post=[made("after")])) == [("t", ()), ("after", (0,))]


def test_a_post_task_may_need_its_owner():
    owner = made("owner")
    owner.post.append(made("after", pre=[owner]))
    assert planned(owner) == [("owner", ()), ("after", (0,))]


def test_a_circle_is_a_path_from_a_task_back_to_it():
    a, b = made("a"), made("b")
    a.pre.append(b)
    b.needs.append(a)
    with pytest.raises(TaskCycle) as caught:
        planned(made("start", pre=[a]))
    assert caught.value.path == ("a", "b", "a")


def graphs():
    """Needs by index, only backwards: no cycles."""
    return st.integers(1, 30).flatmap(
        lambda count: st.tuples(*(st.sets(st.integers(0, max(index - 1, 0)), max_size=4) for index in range(count)))
    )


@given(graphs())
def test_every_call_is_planned_once_after_all_it_waits_for(needs):
    tasks = []
    for index, wanted in enumerate(needs):
        tasks.append(made(f"t{index}", needs=[tasks[each] for each in sorted(wanted) if each < index]))
    steps = make_plan([Call(each) for each in tasks], lambda name: (name, made(name)))
    assert sorted(step.name for step in steps) == sorted(each.name for each in tasks)
    assert all(each < step.index for step in steps for each in step.waits_for)


@given(st.dictionaries(st.integers(0, 12), st.sets(st.integers(0, 12), max_size=4), max_size=13))
def test_there_is_an_order_exactly_when_there_is_no_cycle(needs):
    whole = {node: set() for wanted in needs.values() for node in wanted} | needs
    order, cycle = order_of(whole), find_cycle(whole)
    assert (order is None) == (cycle is not None)
    if order is not None:
        assert sorted(order) == sorted(whole)
        assert all(order.index(each) < order.index(node) for node, wanted in whole.items() for each in wanted)
    else:
        assert cycle[0] == cycle[-1]
        assert all(after in whole[before] for before, after in itertools.pairwise(cycle))


def test_a_lost_node_loses_what_waits_for_it_and_nothing_else():
    ready = Readiness({"a": (), "b": ("a",), "c": ("b",), "d": ()})
    assert ready.first() == ["a", "d"]
    assert sorted(ready.abandon("a")) == ["b", "c"]
    assert ready.done("d") == []
    assert ready.is_finished
