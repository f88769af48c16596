"""The law of limits against one that looks at everything each time; and what it promises about rates and fair share."""

import copy
import heapq
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from faena.model.lanes import Lanes
from faena.model.limit import Terms, family_of, lane_of, limit_name, limits_of, parse_rate, rate_text

FAMILIES = ("a", "b")
LIMITS = (*FAMILIES, limit_name("b", 1))
LANES = st.builds(lane_of, st.lists(st.sampled_from(LIMITS), max_size=3, unique=True), st.sampled_from("xyz"))
TERMS = st.builds(
    Terms,
    st.sampled_from([None, None, 0.5, 4.0, 40.0]),
    st.sampled_from([None, 1, 1, 2]),
    st.sampled_from([False, False, False, False, True]),
)
QUEUES = ("p", "q")
STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(QUEUES), LANES, st.integers(0, 9)),
    st.tuples(st.just("take"), st.sampled_from(QUEUES)),
    st.tuples(st.just("back"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.3, 1.0, 5.0])),
    st.tuples(st.just("terms"), st.sampled_from(FAMILIES), st.one_of(st.none(), TERMS)),
)


class Oracle:
    """Keeps messages in a list, and looks through all of it."""

    def __init__(self):
        self.waiting = {}  # id -> queue, lane, rank, seq
        self.running = {}  # id -> lane
        self.terms = {}
        self.paid = Counter()

    def allows(self, limit, now_s):
        terms = self.terms.get(family_of(limit)) or Terms()
        if terms.is_paused:
            return False
        running = sum(limit in limits_of(lane) for lane in self.running.values())
        if terms.concurrency is not None and running >= terms.concurrency:
            return False
        burst = max(1, int((terms.rate_per_s or 0) * 0.25))
        return not terms.rate_per_s or self.paid[limit] - (burst - 1) / terms.rate_per_s <= now_s

    def admissible(self, queue, now_s):
        """Return the ids that may be handed out: the heads of lanes all of whose limits allow it."""
        heads = {}
        for task_id, (own, lane, rank, seq) in self.waiting.items():
            if own == queue:
                heads[lane] = min(heads.get(lane, (99, 0, "")), (rank, seq, task_id))
        return {head[2] for lane, head in heads.items() if all(self.allows(limit, now_s) for limit in limits_of(lane))}

    def take(self, task_id, now_s):
        lane = self.waiting.pop(task_id)[1]
        for limit in limits_of(lane):
            if rate := (self.terms.get(family_of(limit)) or Terms()).rate_per_s:
                self.paid[limit] = max(now_s, self.paid[limit]) + 1 / rate
        self.running[task_id] = lane

    def set_terms(self, family, terms, now_s):
        self.terms[family] = terms
        rate = (terms or Terms()).rate_per_s
        longest_s = max(1, int((rate or 0) * 0.25)) / rate if rate else 0
        for limit in self.paid:
            if family_of(limit) == family:
                self.paid[limit] = min(self.paid[limit], now_s + longest_s)

    def give_back(self, task_id, refund):
        for limit in limits_of(self.running.pop(task_id)):
            if refund and limit in self.paid:
                terms = self.terms.get(family_of(limit)) or Terms()
                self.paid[limit] -= 1 / terms.rate_per_s if terms.rate_per_s else 0


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=80))
def test_whatever_happens_the_law_hands_out_what_may_be_and_nothing_else(steps):
    lanes, oracle, now_s, number = Lanes(), Oracle(), 1000.0, 0
    begin = [("terms", "a", Terms(None, 1)), ("terms", "b", Terms(None, 2))]
    end = [("take", queue) for queue in QUEUES] * 3
    for step in [*begin, *steps, *end]:
        match step:
            case "put", queue, lane, rank:
                number += 1
                lanes.line_up(queue, lane, rank, number, f"{number}")
                oracle.waiting[f"{number}"] = (queue, lane, rank, number)
            case "take", queue:
                admissible = oracle.admissible(queue, now_s)
                admitted = lanes.take(queue, now_s)
                if admitted is None:
                    # a token that is due is looked for a moment later, so that several come together
                    assert not admissible or copy.deepcopy(lanes).take(queue, now_s + 0.021) is not None
                else:
                    assert admitted.id in admissible
                    oracle.take(admitted.id, now_s)
            case "back", at, refund:
                if oracle.running:
                    task_id = sorted(oracle.running)[at % len(oracle.running)]
                    assert lanes.give_back(task_id, refund=refund)
                    oracle.give_back(task_id, refund)
            case "remove", at:
                if oracle.waiting:
                    task_id = sorted(oracle.waiting)[at % len(oracle.waiting)]
                    assert lanes.remove(task_id)
                    del oracle.waiting[task_id]
            case "wait", by_s:
                now_s += by_s
            case "terms", family, terms:
                lanes.set_terms(family, terms, now_s)
                oracle.set_terms(family, terms, now_s)
        assert len(lanes) == len(oracle.waiting)


@settings(max_examples=12, deadline=None)
@given(
    rate=st.sampled_from(["100/m", "7/s", "100/s"]),
    keys=st.integers(1, 50),
    turn_s=st.floats(0.001, 0.2),
)
def test_a_rate_is_kept_within_two_per_cent_and_keys_get_the_same(rate, keys, turn_s):
    per_s = parse_rate(rate)
    lanes, now_s, taken = Lanes(), 5000.0, Counter()
    lanes.set_terms("f", Terms(per_s), now_s)
    for number in range(int(per_s * 70) + 2 * keys):
        key = number % keys if number % 3 else 0  # one sends far more than the others
        lanes.line_up("q", lane_of(["f"], f"k{key}"), 5, number, f"{number}")
    for number in range(10**6, 10**6 + keys * int(per_s * 62 / keys + 2)):
        lanes.line_up("q", lane_of(["f"], f"k{number % keys}"), 5, number, f"{number}")
    end_s = now_s + 60
    while now_s <= end_s:
        while admitted := lanes.take("q", now_s):
            taken[admitted.lane] += 1
        moment_s = lanes.next_moment()
        now_s = max(now_s, moment_s) + turn_s * (0 if per_s < 10 else 1)
    assert abs(sum(taken.values()) - 60 * per_s) <= max(1, 60 * per_s * 0.02)
    assert max(taken.values()) - min(taken.values()) <= 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=40))
def test_without_any_limit_keys_take_turns_and_each_is_served_by_priority(puts):
    lanes, by_key = Lanes(), defaultdict(list)
    for number, (key, _) in enumerate(puts):
        lanes.line_up("q", lane_of([], f"{key}"), 5, number, f"{number}")
        by_key[f"{key}"].append(number)
    served = []
    while admitted := lanes.take("q", 1.0):
        assert int(admitted.id) == by_key[admitted.lane].pop(0)
        served.append(admitted.lane)
    assert not any(by_key.values())
    left = Counter(served)
    for at, key in enumerate(served):  # between two of one key, every other that has some comes once
        later = [place for place in range(at + 1, len(served)) if served[place] == key]
        if later:
            between = set(served[at + 1 : later[0]])
            assert between >= {other for other in served[later[0] :] if other != key}
        left[key] -= 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_within_a_lane_the_higher_priority_comes_first_and_then_the_earlier(ranks):
    lanes, expected = Lanes(), []
    for number, rank in enumerate(ranks):
        lanes.line_up("q", lane_of(["a"]), rank, number, f"{number}")
        heapq.heappush(expected, (rank, number))
    while admitted := lanes.take("q", 1.0):
        assert int(admitted.id) == heapq.heappop(expected)[1]
    assert not expected


@given(st.integers(1, 5000), st.sampled_from("smhd"))
def test_a_rate_is_read_as_it_is_written(number, unit):
    rate = parse_rate(f"{number}/{unit}")
    assert abs(parse_rate(rate_text(rate)) - rate) < 1e-6 * rate


def parked_behind_one_that_runs(*lanes_of):
    """Return lanes of one message each, all parked at limit `a`, which allows one at a time; "0" runs."""
    lanes = Lanes()
    lanes.set_terms("a", Terms(None, 1), 1.0)
    for number, lane in enumerate([lane_of(["a"], "first"), *lanes_of]):
        lanes.line_up("q", lane, 5, number, f"{number}")
    assert lanes.take("q", 1.0).id == "0" and lanes.take("q", 1.0) is None
    return lanes


def test_a_lane_that_another_limit_refuses_passes_on_the_room_that_was_offered_to_it():
    lanes = parked_behind_one_that_runs(lane_of(["a", "b"]), lane_of(["a"]))
    lanes.set_terms("b", Terms(is_paused=True), 1.0)
    lanes.give_back("0", refund=False)
    assert lanes.take("q", 1.0).id == "2"


def test_a_lane_that_ends_passes_on_the_room_that_was_offered_to_it():
    lanes = parked_behind_one_that_runs(lane_of(["a"], "x"), lane_of(["a"], "y"))
    lanes.give_back("0", refund=False)
    lanes.remove("1")
    assert lanes.take("q", 1.0).id == "2"


def test_a_lane_that_was_served_passes_on_the_room_that_is_left():
    lanes = parked_behind_one_that_runs(*[lane_of(["a"], key) for key in "xyz"])
    lanes.set_terms("a", Terms(None, 1, is_paused=True), 1.0)
    assert lanes.take("q", 1.0) is None
    lanes.give_back("0", refund=False)
    lanes.set_terms("a", Terms(None, 3), 1.0)
    assert [lanes.take("q", 1.0).id for _ in "xyz"] == ["1", "2", "3"]


def test_what_has_expired_is_handed_out_at_once_and_takes_nothing():
    lanes = Lanes()
    lanes.set_terms("a", Terms(1.0, 1), 1.0)
    lanes.line_up("q", lane_of(["a"]), 5, 1, "late", 0.5)
    lanes.line_up("q", lane_of(["a"]), 5, 2, "in time", 9.0)
    assert [lanes.take("q", 1.0).id for _ in "12"] == ["late", "in time"]


def test_fetching_in_vain_looks_at_few_lanes_however_many_wait():
    lanes = Lanes()
    for family in "ab":
        lanes.set_terms(family, Terms(is_paused=True), 1.0)
    for number in range(2000):
        lanes.line_up("q", lane_of(["a", "b"], f"{number}"), 5, number, f"{number}")
    lanes.take("q", 1.0)
    assert lanes.has_more("q") and lanes.parked()["a"] == 200
    for _ in range(10):
        lanes.take("q", 1.0)
    assert not lanes.has_more("q") and lanes.parked()["a"] == 2000
