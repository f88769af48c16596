"""The tree that is shown of a workflow: whatever its shape, every node stands in it once, and its steps stand in order."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from faena import Faena, chain, chord, group
from faena.cli.workflow_tree import Beside, Fold, Item, items_in, tree_of
from faena.model.workflow import NodeState, NodeView, first_standing

APP = Faena("trees", broker_url="memory://trees")


@APP.task(name="t")
def task(*args):
    """Never runs."""


TASKS = st.builds(task.s)


def grown(parts):
    lists = st.lists(parts, min_size=1, max_size=3)
    whole = st.one_of(
        st.builds(chain, lists),
        st.builds(group, st.lists(parts, max_size=3)),
        st.builds(lambda header, body: chord(header, body), lists, parts),
    )
    return st.builds(
        with_links,
        whole | TASKS,
        st.lists(parts, max_size=1),
        st.lists(parts, max_size=2),
        st.sampled_from(["fail", "skip"]),
    )


def with_links(canvas, callbacks, errbacks, policy):
    canvas = canvas.clone().if_fails(policy)
    for each in callbacks:
        canvas.link(each)
    for each in errbacks:
        canvas.link_error(each)
    return canvas


CANVASES = st.recursive(TASKS, grown, max_leaves=12)


def graph_of(canvas):
    new, _ = APP.workflows.compiled(canvas, {})
    return new.graph


def views_of(graph):
    return {
        node.number: NodeView(
            node.number, node.id, node.name, node.links, first_standing(node), node.needs, node.takes, node.fallback,
            node.is_hook, node.is_aside,
        )
        for node in graph.nodes
    }  # fmt: skip


@given(CANVASES)
def test_every_node_stands_in_the_tree_once(canvas):
    graph = graph_of(canvas)
    steps = tree_of(views_of(graph), [NodeState.WAITING] * len(graph.nodes), graph.output, None)
    shown = Counter(item.node.number for item in items_in(steps))
    assert shown == Counter(range(len(graph.nodes)))
    assert steps[-1].node.number == graph.output


@given(CANVASES)
def test_what_a_node_needs_stands_before_it_or_inside_it(canvas):
    graph = graph_of(canvas)
    steps = tree_of(views_of(graph), [NodeState.WAITING] * len(graph.nodes), graph.output, None)
    check(steps, ())


def check(steps, before):
    """Check that each node needs the ends of what stands before it, as far as it needs anything."""
    for item in steps:
        ends = [member[-1].node.number for member in item.members] if item.members else before
        assert set(item.node.needs) == set(ends), item.node.number
        for member in item.members:
            check(member, before)
        for branch in item.beside:
            check(branch.steps, (item.node.number,) if branch.role is Beside.CALLBACK else ())
        before = (item.node.number,)


@given(CANVASES, st.integers(0, 3), st.data())
def test_what_is_folded_is_counted(canvas, fold_above, data):
    graph = graph_of(canvas)
    states = data.draw(st.lists(st.sampled_from(NodeState), min_size=len(graph.nodes), max_size=len(graph.nodes)))
    whole = tree_of(views_of(graph), states, graph.output, None)
    folded = tree_of(views_of(graph), states, graph.output, fold_above)
    assert length(folded) == len(whole)
    for item in items_in(folded):
        assert sum(item.states.values()) == len(item.members) + (item.folded.count if item.folded else 0) or not item.states


def length(steps):
    return sum(each.count if isinstance(each, Fold) else 1 for each in steps if isinstance(each, Fold | Item))
