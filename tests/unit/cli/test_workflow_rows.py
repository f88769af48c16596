"""What is said of the nodes of a workflow, in lines and in pictures."""

from __future__ import annotations

import io

import pytest

from faena.cli.output import Output
from faena.cli.workflow_graph import draw_graph
from faena.cli.workflow_rows import Facts, Rows, Shown, counted, progress_of, runtime_of, shown_state, state_of
from faena.cli.workflow_text import change, cropped, duration, head, tree
from faena.cli.workflow_tree import items_in, tree_of
from faena.cli.workflow_view import Look
from faena.cli.workflow_watch import Changes
from faena.model.delivery import Place
from faena.model.result import Failure, ResultRecord, State
from faena.model.workflow import (
    Links,
    NodeState,
    NodeView,
    Policy,
    Standing,
    Takes,
    Workflow,
    WorkflowState,
    WorkflowStatus,
)

WAITING, SENT, SUCCESS, FAILURE = NodeState.WAITING, NodeState.SENT, NodeState.SUCCESS, NodeState.FAILURE


def node(number=0, state=SENT, *, needs=(), links=None, **more):
    standing = Standing(state, 0, **{name: more.pop(name) for name in ("cause", "alias") if name in more})
    links = links or Links()
    name = "group" if links.is_join else "t"
    return NodeView(number, f"w.{number}", name, links, standing, needs, Takes.VALUE, **more)


def record(state, **more):
    return ResultRecord("w.0", "t", state, **more)


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        (Facts(), Shown.SENT),
        (Facts(place=Place.WAITING), Shown.SENT),
        (Facts(place=Place.DELAYED), Shown.DELAYED),
        (Facts(place=Place.HELD), Shown.HELD),
        (Facts(record(State.PENDING), Place.HELD), Shown.HELD),
        (Facts(record(State.STARTED)), Shown.RUNNING),
        (Facts(record("MINE")), Shown.RUNNING),
        (Facts(record(State.RETRY)), Shown.RETRYING),
        (Facts(record(State.SUCCESS)), Shown.SENT),  # its workflow has not taken it yet
    ],
)
def test_what_is_under_way_is_told_from_its_record_and_its_place(facts, shown):
    assert shown_state(node(), facts, is_at_rest=False) is shown


@pytest.mark.parametrize("state", [state for state in NodeState if state not in (WAITING, SENT)])
def test_what_is_not_under_way_is_in_the_state_of_its_workflow(state):
    assert shown_state(node(state=state), Facts(record(State.STARTED)), is_at_rest=False) == state.value


def test_what_waits_may_be_replaced_or_not_be_needed_any_more():
    assert shown_state(node(state=WAITING), Facts(), is_at_rest=False) is Shown.WAITING
    assert shown_state(node(state=WAITING), Facts(), is_at_rest=True) is Shown.UNUSED
    assert shown_state(node(state=WAITING, alias=7), Facts(), is_at_rest=False) is Shown.REPLACED


def test_the_run_time_is_that_of_the_run_now_or_of_the_last_one():
    assert runtime_of(node(state=SUCCESS, started_at_s=5.0, finished_at_s=7.5), Facts(), 100.0) == 2.5
    assert runtime_of(node(), Facts(record(State.STARTED, started_at_s=90.0)), 100.0) == 10.0
    assert runtime_of(node(), Facts(record(State.RETRY, started_at_s=90.0)), 100.0) is None
    assert runtime_of(node(), Facts(), 100.0) is None


def test_progress_counts_what_waits_only_while_it_may_still_run():
    states = {WAITING: 3, SENT: 1, SUCCESS: 4, NodeState.SKIPPED: 1, FAILURE: 1, NodeState.ABANDONED: 2}
    assert progress_of(states, is_at_rest=False) == {"tasks": 12, "done": 5, "failed": 3, "running": 1, "waiting": 3}
    assert progress_of(states, is_at_rest=True)["waiting"] == 0
    assert counted(states) == "3 waiting, 1 sent, 4 success, 1 failure, 1 skipped, 2 abandoned"


def failing_chord(count=2, state=SENT):
    """A group whose first member has failed, and a body."""
    failure = Failure("builtins", "ValueError", "no such card\nand more")
    members = [node(number, state, links=Links((count,))) for number in range(count)]
    members[0] = node(0, FAILURE, links=Links((count,)), failure=failure, started_at_s=1.0, finished_at_s=1.25)
    join = node(
        count, NodeState.ABANDONED, needs=tuple(range(count)), cause=0,
        links=Links((count + 1,), (), Policy.FAIL, is_virtual=True, is_join=True),
    )  # fmt: skip
    body = node(count + 1, NodeState.ABANDONED, needs=(count,), cause=0)
    return {each.number: each for each in (*members, join, body)}


def look_at(nodes, facts=(), state=WorkflowState.RUNNING, active=1, fold_above=25):
    states = [nodes[number].standing.state for number in sorted(nodes)]
    status = WorkflowStatus(Workflow("w", "chord(t; t)", max(nodes), 0.0), state, len(nodes), active)
    steps = tree_of(nodes, states, max(nodes), fold_above)
    shown = {item.node.number: item.node for item in items_in(steps)}
    counts = {each: states.count(each) for each in dict.fromkeys(states)}
    return Look(status, counts, steps, shown, dict(facts), 100.0)


def plain():
    return Output(stdout=io.StringIO(), stderr=io.StringIO())


def test_the_lines_of_a_tree_are_in_columns():
    assert tree(plain(), look_at(failing_chord()), width=None) == [
        "2 group  abandoned             2 members: 1 sent, 1 failure  w.2",
        "├── 0 t  failure       250 ms  ValueError: no such card  w.0",
        "└── 1 t  sent                  w.1",
        "3 t      abandoned             because of 0 t  w.3",
    ]


def test_lines_are_cut_where_the_terminal_ends_and_ids_left_out_that_have_no_room():
    lines = tree(plain(), look_at(failing_chord()), width=50)
    assert lines[1] == "├── 0 t  failure       250 ms  ValueError: no suc…"
    assert max(map(len, lines)) == 50
    assert not any("w." in line for line in lines)


def test_what_failed_and_what_runs_is_shown_of_a_large_group_and_the_rest_counted():
    nodes = failing_chord(1000, SUCCESS)
    nodes[500].standing.state = SENT
    nodes[700] = node(700, FAILURE, links=Links((1000,)))
    lines = [line.split("  ")[0] for line in tree(plain(), look_at(nodes), width=None)]
    assert lines == [
        "1000 group", "├── 0 t", "├── 1 t", "├── 2 t", "├── 500 t", "├── 700 t", "├── 999 t",
        "└── … 994 more members: 994 success", "1001 t",
    ]  # fmt: skip


def long_chain(done):
    nodes = {
        number: node(number, SUCCESS if number < done else WAITING, needs=(number - 1,) if number else ())
        for number in range(100)
    }
    nodes[done].standing.state = SENT
    return nodes


def test_the_steps_of_a_long_chain_are_counted_where_they_stand():
    lines = [line.split("  ")[0] for line in tree(plain(), look_at(long_chain(60)), width=None)]
    assert lines == [
        "0 t", "1 t", "2 t", "… 57 more steps: 57 success", "60 t", "… 38 more steps: 38 waiting", "99 t"
    ]  # fmt: skip


def test_a_group_runs_once_something_in_it_has_begun():
    def group_of(state):
        members = {0: node(0, state, links=Links((1,)))}
        join = node(1, WAITING, needs=(0,), links=Links((), (), Policy.FAIL, is_virtual=True, is_join=True))
        (item,) = look_at({**members, 1: join}).steps
        return state_of(item, {}, is_at_rest=False)

    assert group_of(WAITING) is Shown.WAITING
    assert group_of(SENT) is Shown.RUNNING


def test_a_picture_counts_what_is_folded():
    look = look_at(failing_chord(40, SUCCESS), fold_above=3)
    drawn = draw_graph(look.steps, look.states(), "mermaid").splitlines()
    assert drawn[1:4] == [
        '    n40(["40 group: abandoned"]):::abandoned',
        '    n0["0 t: failure"]:::failure',
        '    n1["1 t: success"]:::success',
    ]
    assert '    more0(["36 more members: 36 success"])' in drawn
    assert "    more0 --> n40" in drawn
    assert draw_graph(look.steps, look.states(), "dot").startswith("digraph workflow {\n")


def test_the_head_says_how_far_it_is():
    lines = head(plain(), look_at(failing_chord()))
    assert lines[:4] == [
        "workflow  w", "name      chord(t; t)", "state     RUNNING", "tasks     0 of 4 tasks done, 3 failed, 1 running",
    ]  # fmt: skip
    assert lines[5] == "for       100.00 s"
    ended = head(plain(), look_at({0: node(0, SUCCESS), 1: node(1, WAITING)}, state=WorkflowState.SUCCESS, active=0))
    assert ended[3] == "tasks     1 success"


def test_a_tall_tree_is_shown_around_what_runs():
    lines = [str(number) for number in range(20)]
    assert cropped(lines, 20, 0) == lines
    assert cropped(lines, 7, 0) == ["", "0", "1", "2", "3", "4", "↓ 15 more"]
    assert cropped(lines, 7, 10) == ["↑ 8 more", "8", "9", "10", "11", "12", "↓ 7 more"]
    assert cropped(lines, 7, 19) == ["↑ 15 more", "15", "16", "17", "18", "19", ""]


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (0.0123, "12 ms"), (3.214, "3.21 s"), (300, "5 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_changes_are_told_once_and_progress_now_and_then():
    now_s = [0.0]
    out = plain()
    changes = Changes(out, lambda: now_s[0])

    def told(nodes, progress=""):
        facts = {0: Facts(record(State.PROGRESS), progress=progress)} if progress else {}
        changes.draw(look_at(nodes, facts))
        said = out.stdout.getvalue()
        out.stdout.seek(0)
        out.stdout.truncate()
        return [line[10:] for line in said.splitlines()]

    two = {0: node(0), 1: node(1, WAITING, needs=(0,))}
    assert len(told(two)) == 9  # the whole
    assert told(two) == []
    assert told(two, "1/4") == ["0 t  running  1/4  w.0"]
    assert told(two, "2/4") == []
    now_s[0] = 5.0
    assert told(two, "3/4") == ["0 t  running  3/4  w.0"]
    assert told({0: node(0, SUCCESS), 1: node(1, needs=(0,))}) == ["0 t  success  w.0", "1 t  sent  w.1"]


def test_of_the_steps_of_a_long_chain_it_is_told_now_and_then_how_many_are_done():
    now_s = [0.0]
    out = plain()
    changes = Changes(out, lambda: now_s[0])

    def told(done):
        changes.draw(look_at(long_chain(done)))
        said = out.stdout.getvalue()
        out.stdout.seek(0)
        out.stdout.truncate()
        return [line[10:] for line in said.splitlines()]

    told(30)
    assert told(40) == ["40 of 100 tasks done, 1 running, 59 waiting"]
    assert told(41) == []
    now_s[0] = 5.0
    assert told(42) == ["42 of 100 tasks done, 1 running, 57 waiting"]
    assert told(42) == []


def test_of_folded_members_only_failures_are_told():
    out = plain()
    changes = Changes(out)
    nodes = failing_chord(50)
    changes.draw(look_at(nodes))
    out.stdout.truncate(0)
    nodes[1].standing.state = SUCCESS
    nodes[30] = node(30, FAILURE, links=Links((50,)), failure=Failure("builtins", "KeyError", ""))
    changes.draw(look_at(nodes))
    said = [line.split("  ", 1)[1] for line in out.stdout.getvalue().lstrip("\0").splitlines()]
    assert said == ["50 group  abandoned  50 members: 47 sent, 1 success, 2 failure  w.50", "30 t  failure  KeyError  w.30"]


def test_a_row_is_a_line_without_what_is_not_known():
    (row,) = Rows(look_at({0: node(0)}).status, {}, {}, 0.0).of(look_at({0: node(0)}).steps)
    assert change(row) == "0 t  sent  w.0"
