"""Random nested canvases: run by real worker processes, by `.apply()` and in memory, each compared with a plain Python
evaluation of the same tree."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from faena import Faena
from faena.errors import ChordError
from faena.tasks.canvas import Chain, Chord, Group
from faena.testing import in_memory, run_pending

CANVASES, DEEPEST = 400, 5

TASKS = """
from faena import signature

@app.task
def join(*parts, tag=""):
    return [*told(list(parts)), tag]

@app.task
async def tell(*parts, tag=""):
    return [*told(list(parts)), tag]

@app.task
def fail(*parts, tag=""):
    raise ValueError("boom")

@app.task
def names(value):
    return told(value)

def told(value):
    if isinstance(value, BaseException):
        return f"{type(value).__name__}{value.args}"
    if isinstance(value, list):
        return [told(each) for each in value]
    return value

@app.task(bind=True)
def goes_on(self, *parts, tag=""):
    raise self.replace(join.s(*told(list(parts)), tag=tag + "/1") | join.s(tag=tag + "/2"))

@app.task(returns_signature=True)
def returns(*parts, tag=""):
    members = [join.si(*told(list(parts)), tag=tag + each).as_dict() for each in "ab"]
    return signature({"kind": "group", "tasks": members}, app=app)

@app.task
def note(value, tag=""):
    mark(f"{tag} {told(value)}")

@app.task
def warn(task_id, tag=""):
    mark(f"{tag} failed")
"""

# -- the tree, and what it means in plain Python -----------------------------------------------------------------

NOTHING = object()  # no value: what would have given one was skipped


class Failed(Exception):
    """A part has failed: with the error of its task, or with that of a group before it; `at` is the group that failed."""

    def __init__(self, error: BaseException, at: Part | None = None) -> None:
        self.error, self.at = error, at


@dataclass
class Part:
    """A part of a tree. `kind` is that of a task, or chain, group, chord."""

    kind: str
    tag: str = ""
    args: list[Any] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    is_immutable: bool = False
    policy: str = "fail"
    links: list[str] = field(default_factory=list)
    errbacks: list[str] = field(default_factory=list)


def draw(rng: random.Random, depth: int, tags: Any) -> Part:
    """Return a random tree."""
    tag = f"t{next(tags)}"
    kinds = ["task"] * 3 if depth <= 0 else ["task", "task", "chain", "chain", "group", "group", "chord"]
    kind = rng.choice(kinds)
    policy = rng.choice(["fail"] * 8 + ["skip", "continue"])
    if kind == "task":
        kind = rng.choice(["join"] * 6 + ["tell"] * 3 + ["fail", "goes_on", "returns", "map", "starmap", "chunks"])
        part = Part(kind, tag, [rng.randint(0, 9) for _ in range(rng.randint(0, 2))], policy=policy)
        part.is_immutable = kind in ("map", "starmap", "chunks") or rng.random() < 0.15
        if kind == "fail":
            part.policy = rng.choice(["fail", "skip", "continue"])
        if kind == "chunks":
            part.policy = "fail"
    elif kind == "chord":
        members = [draw(rng, depth - 1, tags) for _ in range(rng.randint(0, 3))]
        body = draw(rng, depth - 1, tags)
        part = Part("chord", tag, parts=[Part("group", tag, parts=members), body], policy=policy)
    else:
        least = 1 if kind == "chain" else 0
        parts = [draw(rng, depth - 1, tags) for _ in range(rng.randint(least, 3))]
        part = Part(kind, tag, parts=parts, policy=policy)
    if rng.random() < 0.08:
        part.errbacks.append(f"{tag}-errback")
    if part.policy == "fail" and rng.random() < 0.08:
        part.links.append(f"{tag}-link")
    return part


def canvas_of(part: Part, app: Faena) -> Any:
    """Return the canvas of a tree."""
    made: Any
    match part.kind:
        case "chain":
            made = Chain([canvas_of(each, app) for each in part.parts], app=app)
        case "group":
            made = Group([canvas_of(each, app) for each in part.parts], app=app)
        case "chord":
            made = Chord(canvas_of(part.parts[0], app), canvas_of(part.parts[1], app), app=app)
        case "map":
            made = app.tasks["app.join"].map(part.args).set(immutable=True)
        case "starmap":
            made = app.tasks["app.join"].starmap([[each, each] for each in part.args]).set(immutable=True)
        case "chunks":
            made = app.tasks["app.join"].chunks([[each] for each in [*part.args, 7, 8]], 2).set(immutable=True)
        case _:
            made = app.tasks[f"app.{part.kind}"].signature(part.args, {"tag": part.tag}, immutable=part.is_immutable)
    if part.policy != "fail":
        made.if_fails(part.policy)
    for tag in part.links:
        made.link(app.tasks["app.note"].s(tag=tag))
    for tag in part.errbacks:
        made.link_error(app.tasks["app.warn"].s(tag=tag))
    return made


def told(value: Any) -> Any:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}{value.args}"
    return [told(each) for each in value] if isinstance(value, list) else value


def evaluate(part: Part, given: Any, marks: list[str]) -> tuple[Any, bool]:
    """Return the value of a tree in plain Python, and whether it was skipped: then it is `given`, what came before it.

    Raises Failed.
    """
    try:
        value, was_skipped = _evaluate(part, given, marks)
    except Failed as failed:
        marks += [f"{tag} failed" for tag in part.errbacks]
        match part.policy:
            case "skip":
                return given, True
            case "continue":
                return failed.error, False
        raise
    marks += [f"{tag} {told(value)}" for tag in part.links if value is not NOTHING]
    return value, was_skipped


def _evaluate(part: Part, given: Any, marks: list[str]) -> tuple[Any, bool]:
    if part.kind in ("chain", "chord"):
        value, all_skipped = given, True
        for at, each in enumerate(part.parts):
            try:
                value, was_skipped = evaluate(each, value, marks)
            except Failed as failed:
                # errbacks of a body answer for the group before it, too, as Celery's do
                if failed.at is not None and failed.at is _group_that_ends(each):
                    begin_after = [first for later in part.parts[at + 1 : at + 2] for first in _first_tasks(later)]
                    marks += [f"{tag} failed" for first in begin_after for tag in first.errbacks]
                raise
            all_skipped = all_skipped and was_skipped
        return value, all_skipped
    if part.kind == "group":
        return _of_group(part, given, marks), False
    return _of_task(part, given), False


def _of_task(part: Part, given: Any) -> Any:
    args = told(part.args if part.is_immutable or given is NOTHING else [given, *part.args])
    match part.kind:
        case "map":
            return [[each, ""] for each in part.args]
        case "starmap":
            return [[each, each, ""] for each in part.args]
        case "chunks":
            every = [[each, ""] for each in [*part.args, 7, 8]]
            return [every[at : at + 2] for at in range(0, len(every), 2)]
        case "fail":
            raise Failed(ValueError("boom"))
        case "goes_on":
            return [[*args, f"{part.tag}/1"], f"{part.tag}/2"]
        case "returns":
            return [[*args, part.tag + each] for each in "ab"]
    return [*args, part.tag]


def _of_group(part: Part, given: Any, marks: list[str]) -> list[Any]:
    values: list[Any] = []
    failures: list[Failed] = []
    for each in part.parts:
        try:
            value, was_skipped = evaluate(each, given, marks)
        except Failed as failed:  # every member runs, whatever the others do
            failures.append(failed)
            continue
        if not was_skipped:
            values.append(value)
    if failures:
        raise Failed(failures[0].error, part)
    return values


def _group_that_ends(part: Part) -> Part | None:
    """Return the group whose end is that of a part, if what comes after the part needs the group itself."""
    if part.kind == "group":
        return part
    if part.kind not in ("chain", "chord") or part.policy != "fail" or part.links or part.errbacks:
        return None  # a gate stands behind it
    return _group_that_ends(part.parts[-1])


def _first_tasks(part: Part) -> list[Part]:
    """Return the tasks with which a part begins."""
    match part.kind:
        case "group":
            return [first for each in part.parts for first in _first_tasks(each)]
        case "chain" | "chord":
            return _first_tasks(part.parts[0])
        case "chunks":
            return []
    return [part]


# -- three ways to run it ----------------------------------------------------------------------------------------


def trees() -> list[Part]:
    rng, tags = random.Random(7), count()
    drawn = [draw(rng, rng.choice([2, 3, 4, DEEPEST]), tags) for _ in range(CANVASES)]
    for part in drawn:
        while True:  # a policy is for what comes after: the result of what comes last is its own
            part.policy = "fail"
            if part.kind not in ("chain", "chord"):
                break
            part = part.parts[-1]
    return drawn


def expected_of(part: Part) -> tuple[Any, list[str]]:
    marks: list[str] = []
    try:
        value, _ = evaluate(part, NOTHING, marks)
    except Failed as failed:
        return failed.error, sorted(marks)
    return (None if value is NOTHING else value), sorted(marks)


def check(part: Part, found: Any) -> None:
    expected, _ = expected_of(part)
    if isinstance(expected, BaseException) and isinstance(found, ChordError):
        assert "ValueError('boom')" in str(found), part
    else:
        assert told(found) == told(expected), part


@pytest.fixture
def app(tmp_path: Path) -> Faena:
    """Return an app with the tasks, which mark in a list of its own."""
    app = Faena("canvases", broker="memory://canvases", set_as_current=False)
    marks: list[str] = []
    names = {"app": app, "mark": marks.append, "__name__": "app"}
    exec(TASKS, names)
    app.marks = marks  # type: ignore[attr-defined]
    return app


def test_random_canvases_give_eagerly_what_plain_python_gives(app):
    for part in trees():
        app.marks.clear()
        check(part, outcome_of(canvas_of(part, app).apply()))
        assert sorted(app.marks) == expected_of(part)[1], part


def test_random_canvases_give_in_memory_what_plain_python_gives(app):
    with in_memory(app):
        for part in trees():
            app.marks.clear()
            result = canvas_of(part, app).apply_async()
            run_pending(app)
            check(part, outcome_of(result))
            assert sorted(app.marks) == expected_of(part)[1], part


def test_random_canvases_give_through_worker_processes_what_plain_python_gives(site_anywhere, app, until):
    site = site_anywhere
    site.app(TASKS, "result_expires=None")
    site.worker("-c", "2")
    with app.conf.overridden({"broker_url": site.url, "result_backend": site.url}, "the test"):
        app.links.forget()
        sent = [(part, canvas_of(part, app).apply_async()) for part in trees()]
        for part, result in sent:
            check(part, outcome_of(result))
        site.until_drained()
        app.links.close()
        app.links.forget()
    expected = Counter(mark for part in trees() for mark in expected_of(part)[1])
    until(lambda: site.marks() == expected, what=lambda: (site.marks() - expected, expected - site.marks()))


def outcome_of(result: Any) -> Any:
    """Return the value of a result, or its error."""
    try:
        return result.get(timeout=20)
    except (ValueError, ChordError) as error:
        return error
