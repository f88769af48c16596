"""Random graphs of workflows, and an oracle that says what each of their nodes is.

It is naive: it computes every state anew from the endings so far, and from nothing else.
"""

from __future__ import annotations

from msgspec.structs import replace

from faena.model.message import Member, Message
from faena.model.workflow import (
    Graph,
    Links,
    Node,
    NodeState,
    Policy,
    Takes,
    WorkflowState,
)

POLICIES = (Policy.FAIL, Policy.FAIL, Policy.SKIP, Policy.CONTINUE)
DONE = {NodeState.SUCCESS, NodeState.SKIPPED, NodeState.TOLERATED}
BROKEN = {NodeState.FAILURE, NodeState.REVOKED, NodeState.ABANDONED}
RUNS = "runs"  # what the oracle calls READY and SENT


def draw_graph(rng, workflow, most):
    """Return a graph; its output and all that this needs are none of a hook's."""
    count = rng.randint(1, most)
    needs, kinds, guarded, asides = [], [], [], []
    for number in range(count):
        kind = rng.choice(["task", "task", "task", "join", "gate", "hook"])
        if number == 0 and kind in ("gate", "hook"):
            kind = "task"
        own, guards = [], []
        if kind == "hook":
            guards = [rng.choice(range(number))]
            kind = rng.choice(["task", "task", "join"])
        else:
            most_needs = {"gate": 1, "task": 2, "join": 4}[kind]
            least = 1 if kind == "gate" else 0
            own = rng.sample(range(number), min(number, rng.randint(least, most_needs)))
        needs.append(tuple(own))
        kinds.append(kind)
        guarded.append(guards)
        asides.append(bool(guards) or any(asides[need] for need in own))
    nodes = []
    for number in range(count):
        kind, is_hook = kinds[number], bool(guarded[number])
        dependents = tuple(later for later in range(count) if number in needs[later])
        hooks = tuple(later for later in range(count) if number in guarded[later])
        policy = rng.choice(POLICIES)
        source = None if kind == "task" else _source(needs, number)
        links = Links(dependents, hooks, policy, kind != "task", kind == "join", None, source)
        takes = Takes.FAILED if is_hook else _takes(kind, needs[number])
        own_id = "" if kind == "gate" else f"{workflow}.{number}"
        message = None
        if kind == "task":
            member = Member(workflow, number, 0, feeds=True)
            message = Message(own_id, "task", "default", b"[]", member=member)
        fallback = needs[number][0] if needs[number] and kind != "join" else None
        nodes.append(Node(number, own_id, kind, links, message, needs[number], takes, fallback, is_hook, asides[number]))
    main = [node.number for node in nodes if not node.is_aside]
    return Graph(tuple(nodes), rng.choice([main[-1], main[-1], rng.choice(main)]))


def _source(needs, number):
    """Return what all that a node needs comes after, and after nothing else; None: there is no such."""
    before = {needs[need] for need in needs[number]}
    only = before.pop() if len(before) == 1 else ()
    return only[0] if len(only) == 1 else None


def _takes(kind, needs):
    if not needs:
        return Takes.NOTHING
    return Takes.LIST if kind == "join" else Takes.VALUE


class Oracle:
    """What every node of a workflow is, computed from its nodes and the endings so far and from nothing else."""

    def __init__(self, graph):
        self.nodes = dict(enumerate(graph.nodes))
        self.needs = {node.number: list(node.needs) for node in graph.nodes}
        self.output = graph.output
        self.endings = {}  # by node: how its run has ended
        self.stand_ins = {}  # by node: what replaces it
        self.revoked = set()
        self.runs = dict.fromkeys(self.nodes, 0)

    def place(self, graph):
        """Take in another graph; return the number of its output."""
        base = len(self.nodes)
        for node in graph.nodes:
            number = base + node.number
            self.needs[number] = [base + need for need in node.needs]
            hooks = tuple(base + each for each in node.links.hooks)
            source = None if node.links.source is None else base + node.links.source
            self.nodes[number] = replace(node, number=number, links=replace(node.links, hooks=hooks, source=source))
            self.runs[number] = 0
        return base + graph.output

    def take(self, ending):
        """Take an event; say whether it is news."""
        number = ending.node
        if number not in self.nodes or self.runs[number] != ending.run or self.states().get(number) != RUNS:
            return False
        for graph in ending.added:
            output, join = self.place(graph), self.group_of(number)
            if join is not None:
                self.needs[join].append(output)
        if ending.replaced_by is not None:
            self.stand_ins[number] = self.place(ending.replaced_by)
        else:
            self.endings[number] = ending.state
        return True

    def cancel(self):
        states = self.states()
        self.revoked |= {number for number in self.nodes if states.get(number, RUNS) == RUNS}

    def after(self, starts):
        """Return these nodes and all that comes after them."""
        again, pending = set(), list(starts)
        while pending:
            number = pending.pop()
            if number not in again:
                again.add(number)
                pending += [other for other in self.nodes if number in self.needs[other]]
                pending += [other for other, stand_in in self.stand_ins.items() if stand_in == number]
                pending += self.nodes[number].links.hooks
        return again

    def failed(self):
        """Return what has failed or was revoked of itself, and had its turn."""
        states, found = self.states(), []
        for number in self.nodes:
            own = states.get(number) in (NodeState.FAILURE, NodeState.REVOKED) and number not in self.stand_ins
            if own and not self.is_silent(number, states) and not self._is_behind_silence(number, states):
                found.append(number)
        again = self.after(number for number in found if not self.nodes[number].is_hook)
        return [number for number in found if not again.intersection(self._guards(number))]

    def is_silent(self, number, states):
        """Whether it is a hook that had nothing to answer."""
        is_hook = self.nodes[number].is_hook
        return is_hook and not any(self.is_answered(guard, states) for guard in self._guards(number))

    def _is_behind_silence(self, number, states):
        return any(self.is_silent(need, states) or self._is_behind_silence(need, states) for need in self.needs[number])

    def rerun(self, again):
        """Forget how these have ended."""
        for number in again:
            self.endings.pop(number, None)
            self.revoked.discard(number)
            if self.stand_ins.get(number) not in again:
                self.stand_ins.pop(number, None)
                self.runs[number] += 1

    def group_of(self, number):
        """Follow what comes next to the first join; what is replaced leads where the task leads that it replaces."""
        for _ in range(len(self.nodes)):
            after = [other for other, stand_in in self.stand_ins.items() if stand_in == number]
            after = after or [other for other in self.nodes if number in self.needs[other]]
            if not after:
                return None
            number = after[0]
            if self.nodes[number].links.is_join:
                return number
        return None

    def states(self):
        """Return the state of each node; those that wait are left out."""
        known = {}
        for number in self.nodes:
            self._state(number, known)
        return {number: state for number, state in known.items() if state is not None}

    def _state(self, number, known):
        if number not in known:
            known[number] = None if number in self.revoked else self._by_needs(number, known)
            if number in self.revoked:
                known[number] = NodeState.REVOKED
        return known[number]

    def _by_needs(self, number, known):
        node = self.nodes[number]
        if node.is_hook and not any(self.is_answered(guard, known) for guard in self._guards(number)):
            return None
        stand_in = self.stand_ins.get(number)
        needed = [self._state(need, known) for need in ([stand_in] if stand_in is not None else self.needs[number])]
        if any(state in BROKEN for state in needed):
            if stand_in is None and not self._may_answer(number, known):
                return NodeState.ABANDONED
            return _under(node.links.policy, NodeState.ABANDONED if stand_in is None else NodeState.FAILURE)
        if not all(state in DONE for state in needed):
            return None
        if stand_in is not None or node.links.is_virtual:
            return NodeState.SUCCESS
        ended = self.endings.get(number, RUNS)
        return ended if ended in (RUNS, NodeState.SUCCESS) else _under(node.links.policy, ended)

    def is_answered(self, guard, known):
        """Whether the failure of a node lets its hooks begin."""
        state = self._state(guard, known)
        if state is NodeState.ABANDONED:
            return self._may_answer(guard, known)
        return state in (NodeState.FAILURE, NodeState.SKIPPED, NodeState.TOLERATED)

    def _may_answer(self, number, known):
        """Whether it ends a part that began: then the failure that reaches it is one of that part."""
        links = self.nodes[number].links
        return links.is_virtual and (links.source is None or self._state(links.source, known) not in BROKEN)

    def _guards(self, hook):
        return [number for number, node in self.nodes.items() if hook in node.links.hooks]

    def before(self, number):
        return [*self.needs[number], *self._guards(number)]

    def causes(self, number, states):
        """Return the nodes whose failure a node may say that it suffers from."""
        if number in self.revoked or (number in self.endings and self.endings[number] is not NodeState.SUCCESS):
            return {number}
        needed = [self.stand_ins[number]] if number in self.stand_ins else self.needs[number]
        found = set()
        for need in needed:
            if states.get(need) in BROKEN:
                found |= self.causes(need, states)
        return found

    def outcome(self, states):
        state = states.get(self.output, RUNS)
        if state == RUNS:
            return WorkflowState.RUNNING
        if state in DONE:
            return WorkflowState.SUCCESS
        return WorkflowState.REVOKED if state is NodeState.REVOKED else WorkflowState.FAILURE


def _under(policy, state):
    return {Policy.FAIL: state, Policy.SKIP: NodeState.SKIPPED, Policy.CONTINUE: NodeState.TOLERATED}[policy]
