"""The law of workflows, on random graphs with repeated, reordered, late and premature events: against a naive oracle, and
the backends against both."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.properties.workflow_oracle import BROKEN, DONE, RUNS, Oracle, draw_graph

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backend import NewWorkflow
from faena.backends.memory import MemoryBackend
from faena.backends.redis import RedisBackend
from faena.backends.sqlite import SqliteBackend
from faena.drivers.memory.state import forget
from faena.errors import WorkflowError
from faena.model.message import Member
from faena.model.rerun import plan_rerun
from faena.model.result import Failure
from faena.model.workflow import (
    Ending,
    Links,
    NodeState,
    NodeView,
    Standing,
    Step,
    Takes,
    Workflow,
    WorkflowState,
    first_standing,
    placed,
)
from faena.testing.redis_server import RedisServer, redis_server_binary

GRAPHS, AT_ONCE = 5000, 100


# -- the law over a dictionary -----------------------------------------------------------------------------------


class Law:
    """`Step` over plain dictionaries: what a backend does, without a backend."""

    def __init__(self, graph, workflow):
        self.workflow, self.output = workflow, graph.output
        self.standings: dict[int, Standing] = {}
        self.all_links: dict[int, Links] = {}
        self.needs: dict[int, tuple[int, ...]] = {}
        self.active, self.state = 0, WorkflowState.RUNNING
        step = Step(self, self.output)
        self._add(graph)
        step.begin([node.number for node in graph.nodes])
        self.begun = self._written(step)

    def standing(self, node):
        return self.standings[node]

    def links(self, node):
        return self.all_links[node]

    def take(self, ending):
        """Take an event; return whether it was news, and the nodes that became ready."""
        standing, step = self.standings.get(ending.node), Step(self, self.output)
        if standing is None:
            return False, []
        is_news = standing.run == ending.run and standing.state in (NodeState.READY, NodeState.SENT)
        join = step.group_of(ending.node) if ending.added else None
        for graph in ending.added if is_news else ():
            whole = self._placed(graph, () if join is None else (join,))
            if join is not None:
                self.needs[join] += (whole.output,)
                step.add(join, 1)
            step.begin([node.number for node in whole.nodes])
        if ending.replaced_by is not None:
            output = len(self.standings) + ending.replaced_by.output
            assert step.replace(ending.node, ending.run, output) == is_news
            if is_news:
                step.begin([node.number for node in self._placed(ending.replaced_by, (ending.node,)).nodes])
        else:
            assert step.end(ending) == is_news
        return is_news, self._written(step)

    def cancel(self):
        step = Step(self, self.output)
        step.revoke(list(self.standings))
        assert self._written(step) == []

    def take_over(self, views, state):
        """Go on from what a backend has made of the workflow."""
        self.standings = {view.number: view.standing for view in views}
        self.active, self.state = len(_active(self.standings)), state

    def _placed(self, graph, dependents):
        whole = placed(graph, len(self.standings), self.workflow, dependents)
        self._add(whole)
        return whole

    def _add(self, graph):
        for node in graph.nodes:
            self.standings[node.number], self.all_links[node.number] = first_standing(node), node.links
            self.needs[node.number] = node.needs

    def _written(self, step):
        self.active += step.active
        self.state = step.outcome or self.state
        assert len(set(step.ready)) == len(step.ready)
        assert {number for number, _ in _active(self.standings)} >= set(step.ready) & step.changed.keys()
        return sorted(step.ready)


def _active(standings):
    return [(number, each) for number, each in standings.items() if each.state in (NodeState.READY, NodeState.SENT)]


# -- one workflow under way --------------------------------------------------------------------------------------


class Play:
    """A random workflow, what has happened in it, and what the oracle and the law say."""

    def __init__(self, rng):
        self.rng, self.id = rng, f"flow-{new_id()}"
        self.graph = draw_graph(rng, self.id, rng.choice([3, 8, 16]))
        self.oracle, self.law = Oracle(self.graph), Law(self.graph, self.id)
        self.past: list[Ending] = []
        self.made_ready: dict[tuple[int, int], int] = {}
        self.cancelled = False
        self._note(self.law.begun)
        self.check()

    @property
    def new(self):
        return NewWorkflow(Workflow(self.id, "random", self.graph.output, 1.0), self.graph)

    @property
    def running(self):
        return [number for number, state in self.oracle.states().items() if state == RUNS]

    def events(self):
        """Return the next events, as they may come: in any order, again, too early, or from an earlier run."""
        rng, events = self.rng, []
        running = self.running
        rng.shuffle(running)
        for number in running[: rng.randint(1, 3)]:
            event = self._event(number, self.oracle.runs[number])
            events.append(event)
            self.past.append(event)
            if rng.random() < 0.1:
                events.append(event)
        if rng.random() < 0.3:
            events.insert(rng.randint(0, len(events)), rng.choice(self.past))
        if rng.random() < 0.2:  # of a node that may not have begun, or of a run that is over or never was
            number = rng.randrange(len(self.oracle.nodes) + 2)
            known = self.oracle.nodes.get(number)
            if known is None or not known.links.is_virtual:
                events.insert(0, self._event(number, rng.choice([0, 0, 1, 7]), plain=True))
        return events

    def _event(self, number, run_number, *, plain=False):
        rng = self.rng
        kind = rng.random()
        more = {}
        state = NodeState.SUCCESS
        if kind < 0.25:
            state = NodeState.FAILURE
        elif kind < 0.3:
            state = NodeState.REVOKED
        elif kind < 0.37 and not plain and len(self.oracle.nodes) < 60:
            more["replaced_by"] = draw_graph(rng, self.id, 4)
        elif kind < 0.45 and not plain and len(self.oracle.nodes) < 60:
            more["added"] = tuple(draw_graph(rng, self.id, 3) for _ in range(rng.randint(1, 2)))
        failure = None if state is NodeState.SUCCESS else Failure("builtins", "ValueError", f"of 'ñ/{number}")
        return Ending(self.id, number, run_number, state, str(number).encode(), "json", failure, **more)

    def take(self, events):
        """Let oracle and law take events one by one; return the nodes that run now and did not before."""
        before = set(self.running)
        for event in events:
            news = self.oracle.take(event)
            told, ready = self.law.take(event)
            assert told == news, event
            self._note(ready)
            self.check()
        return sorted(set(self.running) - before)

    def _note(self, ready):
        for number in ready:
            key = (number, self.law.standings[number].run)
            self.made_ready[key] = self.made_ready.get(key, 0) + 1
            assert self.made_ready[key] == 1, f"node {number} began twice"

    def cancel(self):
        self.cancelled = True
        self.oracle.cancel()
        self.law.cancel()
        self.check()

    def check(self, standings=None):
        """Compare the states of all nodes with those of the oracle."""
        standings = self.law.standings if standings is None else standings
        states = self.oracle.states()
        assert standings.keys() == self.oracle.nodes.keys()
        for number, standing in standings.items():
            expected = states.get(number, NodeState.WAITING)
            found = RUNS if standing.state in (NodeState.READY, NodeState.SENT) else standing.state
            assert found == expected, f"node {number} is {found}, not {expected}"
            assert standing.run == self.oracle.runs[number]
            if found is NodeState.WAITING:
                self._check_waits(number, standing, states)
            elif found in BROKEN:
                assert standing.cause in self.oracle.causes(number, states)
        assert self.law.active == len(_active(standings)) == sum(state == RUNS for state in states.values())
        assert self.law.state is self.oracle.outcome(states)
        if self.law.active == 0:
            assert self.oracle.output in states  # at rest only when the output has ended

    def _check_waits(self, number, standing, states):
        oracle = self.oracle
        if oracle.nodes[number].is_hook and number not in oracle.stand_ins:
            assert standing.waits == 1
            return
        needed = [oracle.stand_ins[number]] if number in oracle.stand_ins else oracle.needs[number]
        left = sum(states.get(need) not in DONE for need in needed)
        assert standing.waits == left > 0, f"node {number} waits for nothing"


# -- the law against the oracle ----------------------------------------------------------------------------------


def play_whole(rng):
    play = Play(rng)
    for _ in range(400):
        if not play.running:
            break
        if rng.random() < 0.01:
            play.cancel()
        else:
            play.take(play.events())
    assert not play.running, "it does not come to rest"
    for event in play.past:
        assert play.take([event]) == []
    return play


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.randoms(use_true_random=False))
def test_the_law_says_of_every_graph_what_its_endings_say(rng):
    play_whole(rng)


# -- the backends against both -----------------------------------------------------------------------------------


def handed_out(messages, plays):
    """Return the nodes of messages, by workflow; none may come twice."""
    found = {play.id: [] for play in plays}
    for message in messages:
        member = message.member
        assert message.id == f"{member.workflow}.{member.node}"
        found[member.workflow].append(member.node)
    return found


class Both:
    """A memory backend and another that take the same events of many workflows, many in one step."""

    def __init__(self, rng, other):
        self.rng, self.name = rng, f"memory://{new_id()}"
        self.memory, self.other = MemoryBackend.connect(self.name, io="blocking"), other
        run(other.open())
        self.backends = [self.memory, other]

    def close(self):
        run(self.other.close())
        forget(self.name)

    def start(self, plays):
        for backend in self.backends:
            for _ in range(self.rng.randint(1, 2)):  # 2: the answer is lost on its way, and comes with the repetition
                ready = run(backend.workflows.advance([], [], [play.new for play in plays]))
                assert handed_out(ready, plays) == {play.id: sorted(play.running) for play in plays}
            run(backend.workflows.published([each.member for each in ready]))

    def step(self, plays):
        """Let each workflow go on by some events, all in one step of the backend."""
        batch, begun = [], {}
        for play in plays:
            events = play.events()
            batch += events
            begun[play.id] = play.take(events)
        self.rng.shuffle(plays)
        for backend in self.backends:
            ready = run(backend.workflows.advance([], batch))
            if self.rng.random() < 0.3:  # the answer is lost on its way; what it handed out comes with the repetition
                genuine = {id(event) for play in plays for event in play.past}
                ready = run(backend.workflows.advance([], [event for event in batch if id(event) in genuine]))
            found = handed_out(ready, plays)
            for play in plays:
                assert set(begun[play.id]) <= set(found[play.id]) <= set(play.running)
                assert len(set(found[play.id])) == len(found[play.id])
            run(backend.workflows.published([each.member for each in ready]))

    def cancel(self, play):
        running = sorted(f"{play.id}.{number}" for number in play.running)
        play.cancel()
        for backend in self.backends:
            assert sorted(run(backend.workflows.cancel(play.id))) == running

    def check(self, plays):
        for backend in self.backends:
            statuses = run(backend.workflows.statuses([play.id for play in plays]))
            for play, status in zip(plays, statuses, strict=True):
                expected = (play.law.state, play.law.active, len(play.oracle.nodes))
                assert (status.state, status.active, status.size) == expected
                assert (status.finished_at_s is None) == (play.law.state is WorkflowState.RUNNING)
                play.check({view.number: view.standing for view in run(backend.workflows.nodes(play.id))})
        for play in plays:
            numbers = [Member(play.id, number) for number in (*play.running, *play.oracle.endings)]
            of_memory, of_other = [run(backend.workflows.inputs(numbers)) for backend in self.backends]
            assert list(of_memory) == list(of_other)
            views = [run(backend.workflows.nodes(play.id)) for backend in self.backends]
            assert [_still(view) for view in views[0]] == [_still(view) for view in views[1]]

    def rerun(self, play):
        """Run a workflow at rest again, from where it failed or from any node."""
        oracle, states = play.oracle, play.oracle.states()
        starts = self.rng.choice([None, [self.rng.randrange(len(oracle.nodes))]])
        begun_at = oracle.failed() if starts is None else starts
        if any(oracle.is_silent(number, states) for number in begun_at):
            return
        again = oracle.after(begun_at)
        for number in again & oracle.stand_ins.keys():
            if oracle.stand_ins[number] in again and again.intersection(oracle.before(number)):
                return  # not decided: whether what was replaced runs anew, or what replaced it
        outside = {need for number in again for need in oracle.needs[number]} - again
        is_refused = not begun_at or any(states.get(need) not in DONE for need in outside)
        for backend in self.backends:
            if is_refused:
                with pytest.raises(WorkflowError):
                    run(backend.workflows.rerun(play.id, starts, None))
            else:
                ready = [each.member for each in run(backend.workflows.rerun(play.id, starts, None))]
                run(backend.workflows.published(ready))
        if not is_refused:
            oracle.rerun(again)
            assert sorted(member.node for member in ready) == sorted(play.running)
            play.law.take_over(run(self.memory.workflows.nodes(play.id)), oracle.outcome(oracle.states()))
        self.check([play])

    def finish(self, plays):
        """Drive workflows until each is at rest."""
        rounds = 0
        while under_way := [play for play in plays if play.running]:
            rounds += 1
            assert rounds < 400, "they do not come to rest"
            if self.rng.random() < 0.1:
                self.cancel(self.rng.choice(under_way))
                continue
            self.step(under_way)
            if self.rng.random() < 0.05:
                self.check(plays)
        self.check(plays)

    def compare(self, play):
        """Return the nodes, which are the same in both, as are what is known of the whole and the records of what ended."""
        views = [run(backend.workflows.nodes(play.id)) for backend in self.backends]
        assert [_still(view) for view in views[0]] == [_still(view) for view in views[1]]
        statuses = [run(backend.workflows.statuses([play.id]))[0] for backend in self.backends]
        assert replace(statuses[0], finished_at_s=None) == replace(statuses[1], finished_at_s=None)
        records = [
            [each and replace(each, finished_at_s=None) for each in run(backend.read([view.id for view in views[0]]))]
            for backend in self.backends
        ]
        assert records[0] == records[1]
        return views[0]


def _still(view):
    return replace(view, since_s=None, finished_at_s=None)


def play_with(rng, make, graphs):
    for _ in range(graphs // AT_ONCE):
        both, plays = Both(rng, make()), [Play(rng) for _ in range(AT_ONCE)]
        both.start(plays)
        both.finish(plays)
        for play in plays:
            if rng.random() < 0.3:
                both.rerun(play)
        both.finish(plays)
        late = [event for play in plays for event in play.past]
        rng.shuffle(late)
        for backend in both.backends:
            assert list(run(backend.workflows.advance([], late))) == []
            assert list(run(backend.workflows.unpublished(1e12, 10))) == []
        both.check(plays)
        for play in plays:
            both.compare(play)
        both.close()


@pytest.mark.parametrize("part", range(5))
def test_the_backends_follow_the_law_through_five_thousand_graphs(tmp_path, part):
    play_with(
        random.Random(20_000 + part),
        lambda: SqliteBackend.connect(f"sqlite:///{tmp_path}/{new_id()}.db", io="blocking"),
        GRAPHS // 5,
    )


def test_redis_follows_the_law_through_five_hundred_graphs(tmp_path):
    if redis_server_binary() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    server = RedisServer(tmp_path).start()
    try:
        play_with(
            random.Random(30_000),
            lambda: RedisBackend.connect(server.url, io="blocking", options={"prefix": new_id()}),
            500,
        )
    finally:
        server.stop()


def test_a_large_group_is_run_again_in_a_time_that_grows_with_its_size_and_no_faster():
    count = 40_000  # looked through for each member, its needs would take ten times as long as is allowed here
    done = Standing(NodeState.SUCCESS, 0)
    nodes = {at: NodeView(at, f"w.{at}", "task", Links((count,)), done) for at in range(count)}
    nodes[count] = NodeView(
        count, f"w.{count}", "group", Links(is_virtual=True, is_join=True), done, tuple(range(count)), Takes.LIST
    )
    begun = time.process_time()
    assert len(plan_rerun("w", nodes, range(count))) == count + 1
    assert time.process_time() - begun < 2.0
