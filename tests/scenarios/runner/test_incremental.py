"""Up-to-date tasks are skipped, changed ones run, and nothing half-made passes for good."""

from __future__ import annotations

import os
import shutil
import time

import pytest

JOIN = """
@task(sources=["src/*.txt"], outputs=["out/all.txt"], env=["MODE"])
def join(c, separator=""):
    print("joining")
    c.run("mkdir -p out; cat src/*.txt > out/all.txt; echo made")
"""

RULE = """
@task(each="src/*.txt", outputs="up/{stem}.up", sources=["common/*"])
def upper(c, source, output):
    print("making", output)
    with open(source) as reader, open(output, "w") as writer:
        writer.write(reader.read().upper())

@task(needs=[upper], sources=[upper], outputs="all.up")
def every(c):
    c.run("cat up/*.up > all.up")
"""

UP_TO_DATE = "join: up to date\n"


@pytest.fixture
def joining(project):
    project.tasks(JOIN)
    project.write("src/a.txt", "a\n")
    project.write("src/b.txt", "b\n")
    assert project.fa("join").stdout == "joining\nmade\n"
    return project


def test_a_task_with_unchanged_sources_and_outputs_is_skipped(joining):
    assert joining.fa("join").stdout == UP_TO_DATE
    assert joining.fa("join", "-j2").stdout == UP_TO_DATE


def test_touching_a_source_without_changing_it_rebuilds_nothing(joining):
    os.utime(joining.folder / "src" / "a.txt", (1, 1))
    assert joining.fa("join").stdout == UP_TO_DATE


def test_a_change_that_keeps_size_and_time_is_seen(joining):
    path = joining.folder / "src" / "a.txt"
    before = path.stat()
    path.write_text("x\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert joining.fa("join", "--why").stdout == "join: has to run: source src/a.txt changed\njoining\nmade\n"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: p.write("src/a.txt", "new\n"), "source src/a.txt changed"),
        (lambda p: p.write("src/c.txt", "c\n"), "source src/c.txt is new"),
        (lambda p: (p.folder / "src" / "b.txt").unlink(), "source src/b.txt is gone"),
        (lambda p: p.tasks(JOIN.replace('"joining"', '"joining", ""')), "code changed"),
    ],
)
def test_why_names_what_changed(joining, change, reason):
    change(joining)
    assert joining.fa("join", "--why").lines[0] == f"join: has to run: {reason}"
    assert joining.fa("join").stdout == UP_TO_DATE


def test_moving_a_task_in_its_file_or_adding_a_comment_changes_nothing(joining):
    joining.tasks("# a comment\n\n\n" + JOIN)
    assert joining.fa("join").stdout == UP_TO_DATE


def test_a_helper_that_the_task_calls_is_part_of_its_fingerprint(project):
    text = """
SIZE = 1

def helper():
    return SIZE

@task(outputs=["o"])
def t(c):
    open("o", "w").write(str(helper()))
"""
    project.tasks(text)
    assert project.fa("t").stdout == ""
    assert project.fa("t").stdout == "t: up to date\n"
    project.tasks(text.replace("SIZE = 1", "SIZE = 2"))
    assert project.fa("t", "--why").stdout == "t: has to run: code changed\n"


def test_a_named_environment_variable_and_the_arguments_count(joining):
    assert joining.fa("join", "--why", env={"MODE": "x"}).lines[0] == "join: has to run: environment variable MODE changed"
    assert (
        joining.fa("join", "--separator=x", "--why").lines[0]
        == "join(separator=x): has to run: it has not succeeded before"
    )


def test_an_output_that_is_missing_or_changed_by_others_comes_back_from_the_cache_with_its_words(joining):
    output = joining.folder / "out" / "all.txt"
    output.unlink()
    restored = "joining\nmade\njoin: restored from the cache\n"
    assert joining.fa("join").stdout == restored
    assert output.read_text() == "a\nb\n"
    output.write_text("tampered")
    found = joining.fa("join", "--why").stdout
    assert found == "join: has to run: output out/all.txt was changed\n" + restored
    assert output.read_text() == "a\nb\n"


def test_going_back_to_an_earlier_source_restores_its_output(joining):
    joining.write("src/a.txt", "other\n")
    assert joining.fa("join").stdout == "joining\nmade\n"
    joining.write("src/a.txt", "a\n")
    assert joining.fa("join").lines[-1] == "join: restored from the cache"
    assert (joining.folder / "out" / "all.txt").read_text() == "a\nb\n"


def test_force_runs_what_is_up_to_date(joining):
    assert joining.fa("join", "--force").stdout == "joining\nmade\n"


def test_the_cache_is_shared_through_a_url_and_switched_off_by_a_setting(joining, tmp_path_factory):
    shared = tmp_path_factory.mktemp("shared")
    joining.write("invoke.json", f'{{"cache": "file://{shared}"}}')
    joining.write("src/a.txt", "new\n")
    assert joining.fa("join").stdout == "joining\nmade\n"
    for folder in ("out", ".faena"):
        shutil.rmtree(joining.folder / folder)
    assert joining.fa("join").lines[-1] == "join: restored from the cache"
    joining.write("invoke.json", '{"cache": false}')
    (joining.folder / "out" / "all.txt").unlink()
    assert joining.fa("join").stdout == "joining\nmade\n"


def test_a_damaged_cache_or_state_is_no_cache_and_no_state(joining):
    for path in (joining.folder / ".faena").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-3] + b"???")
    (joining.folder / "out" / "all.txt").unlink()
    assert joining.fa("join").stdout == "joining\nmade\n"


def test_a_task_that_fails_or_makes_nothing_is_not_recorded(project):
    project.tasks(
        """
        @task(outputs=["made"])
        def idle(c):
            pass

        @task(sources=["tasks.py"], outputs=["made"])
        def broken(c):
            c.run("touch made; exit 3")
        """
    )
    found = project.fa("idle")
    assert (found.stderr, found.status) == (
        "fa: task 'idle': it should have made made, and did not (No such file or directory)\n",
        1,
    )
    assert project.fa("broken").status == 3
    assert project.fa("broken").status == 3


def test_a_missing_source_is_named(project):
    project.tasks("@task(sources=['nosuch.txt'])\ndef t(c):\n    pass\n")
    assert project.fa("t").stderr == "fa: task 't': source nosuch.txt does not exist\n"


def test_a_source_that_changes_while_the_task_runs_makes_the_next_run_build_again(project):
    project.tasks(
        """
        @task(sources=["in"], outputs=["out"])
        def copy(c):
            c.run("cp in out; echo later > in")
        """
    )
    project.write("in", "first\n")
    assert project.fa("copy").status == 0
    assert project.fa("copy", "--why").lines[0] == "copy: has to run: source in changed"


@pytest.fixture
def ruled(project):
    project.tasks(RULE)
    for name in "abc":
        project.write(f"src/{name}.txt", f"{name}\n")
    project.write("common/header", "h")
    assert project.fa("upper").lines == [
        "making up/a.up",
        "making up/b.up",
        "making up/c.up",
        "upper: made 3 of 3 targets",
    ]
    return project


def test_a_rule_makes_exactly_the_targets_whose_source_changed(ruled):
    assert ruled.fa("upper").lines == ["upper: 3 targets up to date"]
    os.utime(ruled.folder / "src" / "a.txt", (1, 1))
    assert ruled.fa("upper").lines == ["upper: 3 targets up to date"]
    ruled.write("src/b.txt", "new\n")
    assert ruled.fa("upper", "--why").lines == [
        "upper: up/b.up has to be made: source src/b.txt changed",
        "making up/b.up",
        "upper: made 1 of 3 targets",
    ]
    (ruled.folder / "up" / "c.up").unlink()
    assert ruled.fa("upper", "--why").lines[0] == "upper: up/c.up has to be made: output up/c.up is missing"
    (ruled.folder / "up" / "c.up").write_text("tampered")
    assert ruled.fa("upper", "--why").lines[0] == "upper: up/c.up has to be made: output up/c.up was changed"


def test_what_all_targets_share_makes_all_of_them_anew(ruled):
    ruled.write("common/header", "other")
    found = ruled.fa("upper", "--why", "-j2").lines
    assert found[:3] == [f"upper: up/{name}.up has to be made: source common/header changed" for name in "abc"]
    assert found[-1] == "upper: made 3 of 3 targets"


def test_what_is_made_of_targets_follows_them(ruled):
    assert ruled.fa("every").lines[0] == "upper: 3 targets up to date"
    assert (ruled.folder / "all.up").read_text() == "A\nB\nC\n"
    ruled.write("src/a.txt", "z\n")
    assert ruled.fa("every", "--why").lines[-1] == "every: has to run: source up/a.up changed"
    assert (ruled.folder / "all.up").read_text() == "Z\nB\nC\n"
    assert ruled.fa("every").lines == ["upper: 3 targets up to date", "every: up to date"]


def test_two_sources_of_one_target_are_refused(project):
    project.tasks("@task(each='src/*', outputs='up/{stem}')\ndef t(c, source, output):\n    pass\n")
    project.write("src/a.x", "")
    project.write("src/a.y", "")
    assert project.fa("t").stderr == "fa: task 't': src/a.x and src/a.y would both make up/a\n"


def test_a_dry_run_says_what_would_be_made(ruled):
    ruled.write("src/a.txt", "z\n")
    assert ruled.fa("-n", "upper").lines == ["upper  (1 of 3 targets have to be made)"]
    assert ruled.fa("upper").lines[-1] == "upper: made 1 of 3 targets"


def test_targets_come_back_from_the_cache_with_their_words(ruled):
    for folder in ("up", ".faena/runner"):
        shutil.rmtree(ruled.folder / folder)
    made = [f"making up/{name}.up" for name in "abc"]
    last = "upper: made 3 of 3 targets, 3 of them from the cache"
    assert ruled.fa("upper").lines == [*made, last]
    assert (ruled.folder / "up" / "b.up").read_text() == "B\n"
    ruled.write("src/b.txt", "new\n")
    assert ruled.fa("upper").lines == ["making up/b.up", "upper: made 1 of 3 targets"]
    ruled.write("src/b.txt", "b\n")
    assert ruled.fa("upper", "-j2").lines == [
        "making up/b.up",
        "upper: made 1 of 3 targets, 1 of them from the cache",
    ]
    assert ruled.fa("upper", "--force").lines[-1] == "upper: made 3 of 3 targets"
    ruled.write("common/header", "another")  # which all keys hold
    assert ruled.fa("upper").lines[-1] == "upper: made 3 of 3 targets"
    ruled.write("invoke.json", '{"cache": false}')
    (ruled.folder / "up" / "b.up").unlink()
    assert ruled.fa("upper").lines[-1] == "upper: made 1 of 3 targets"


SLOTS = """
import threading

lock, now, most = threading.Lock(), [0], [0]
meeting = threading.Barrier(2, timeout=30)

def count(change):
    with lock:
        now[0] += change
        most[0] = max(most[0], now[0])

@task(each="src/*", outputs="one/{name}")
def one(c, source, output):
    count(1)
    if source.endswith("a.txt"):
        meeting.wait()
    open(output, "w").close()
    count(-1)

@task(each="src/*", outputs="two/{name}")
def two(c, source, output):
    count(1)
    open(output, "w").close()
    count(-1)

@task
def other(c):
    count(1)
    meeting.wait()
    count(-1)

@task(needs=[one, two, other])
def all(c):
    print("at most", most[0], "at a time")
"""


def test_targets_and_other_tasks_share_the_slots_of_one_run(project):
    project.tasks(SLOTS)
    for name in "abcdefgh":
        project.write(f"src/{name}.txt", name)
    found = project.fa("all", "-j2", "--timing")
    assert sorted(found.lines) == ["at most 2 at a time", "one: made 8 of 8 targets", "two: made 8 of 8 targets"]
    assert (found.status, found.stderr.count("done")) == (0, 4)


def test_a_target_that_fails_ends_the_rule_and_its_output_is_the_last(project):
    project.tasks(
        """
        @task(each="src/*", outputs="out/{name}")
        def make(c, source, output):
            c.run(f"echo from {source}; test {source} != src/b && touch {output}")

        @task(needs=[make])
        def after(c):
            print("never")

        @task
        def beside(c):
            print("beside")
        """
    )
    for name in "abc":
        project.write(f"src/{name}", name)
    for jobs in ("1", "2"):
        found = project.fa("-k", "after", "beside", "-j", jobs)
        wanted = ["beside", "from src/a", "from src/b", "from src/c"]
        assert (sorted(found.lines), found.status) == (wanted, 1)
        assert found.stderr == (
            "fa: task 'make': command failed with status 1: echo from src/b; test src/b != src/b && touch out/b\n"
            "fa: not run, as something they need failed: after\n"
        )
        assert jobs == "1" or found.lines[-1] == "from src/b"
        assert sorted(path.name for path in (project.folder / "out").iterdir()) == ["a", "c"]
        shutil.rmtree(project.folder / "out")
        shutil.rmtree(project.folder / ".faena")
    found = project.fa("after", "-j2")
    assert found.status == 1
    assert "never" not in found.stdout
    assert found.lines[-1] == "from src/b"
    assert project.fa("make", "-k").stdout.startswith("from src/b\n")  # the others were recorded one by one


def test_the_whole_is_known_to_be_up_to_date_by_one_comparison(ruled):
    """The snapshot: written once nothing is young any more, and worth nothing as soon as anything differs."""
    snapshot = ruled.folder / ".faena" / "runner" / "upper.rule.all"
    deadline = time.monotonic() + 30
    while not snapshot.exists():
        assert time.monotonic() < deadline
        assert ruled.fa("upper").stdout == "upper: 3 targets up to date\n"
    state = ruled.folder / ".faena" / "runner" / "upper.rule"
    state.rename(state.with_suffix(".away"))  # the state of each target is not even looked at
    assert ruled.fa("upper").stdout == "upper: 3 targets up to date\n"
    state.with_suffix(".away").rename(state)
    (ruled.folder / "src" / "folder.txt").mkdir()  # which is no source
    assert ruled.fa("upper").stdout == "upper: 3 targets up to date\n"
    ruled.write("src/d.txt", "d\n")
    assert ruled.fa("upper", "--why").lines[0] == "upper: up/d.up has to be made: it has not been made before"
    (ruled.folder / "src" / "d.txt").unlink()
    assert ruled.fa("upper").stdout == "upper: 3 targets up to date\n"
    (ruled.folder / "up" / "a.up").write_text("tampered")
    assert ruled.fa("upper", "--why").lines[0] == "upper: up/a.up has to be made: output up/a.up was changed"


CHAIN = """
@task(sources=["spec.txt"], outputs=["src/gen.c"])
def generate(c):
    c.run("mkdir -p src; cp spec.txt src/gen.c")

@task(needs=[generate], each="src/*.c", outputs="obj/{stem}.o", sources=["src/common.h"])
def compile(c, source, output):
    c.run(["cp", source, output])

@task(needs=[compile], sources=[compile, "spec.txt"], outputs=["program"])
def link(c):
    c.run("cat obj/*.o > program")

@task(sources=["nosuch"], outputs=["x"])
def impossible(c):
    pass

@task(pre=[link], sources=["program"])
def check(c):
    pass
"""


def test_a_dry_run_counts_with_the_files_that_earlier_tasks_would_make(project):
    project.tasks(CHAIN)
    project.write("spec.txt", "spec")
    project.write("src/main.c", "main")
    project.write("src/common.h", "h")
    assert project.fa("-n", "check", "impossible").lines == [
        "generate  (has to run: it has not succeeded before)",
        "compile  (2 of 2 targets have to be made)",
        "link  (has to run: compile makes obj/gen.o)",
        "check  (has to run: link makes program)",
        "impossible  (fails: source nosuch does not exist)",
    ]
    assert not (project.folder / "obj").exists()
    assert project.fa("check").status == 0
    fresh = ["generate  (up to date)", "compile  (up to date)", "link  (up to date)", "check  (up to date)"]
    assert project.fa("-n", "check").lines == fresh
    project.write("spec.txt", "other")
    assert project.fa("-n", "check").lines == [
        "generate  (has to run: source spec.txt changed)",
        "compile  (1 of 2 targets if src/gen.c changes, which generate makes)",
        "link  (has to run: source spec.txt changed)",
        "check  (has to run if program changes, which link makes)",
    ]
    assert project.fa("check").status == 0
    project.write("src/common.h", "h2")
    assert project.fa("-n", "check").lines == [
        "generate  (up to date)",
        "compile  (2 of 2 targets have to be made)",
        "link  (has to run if obj/gen.o changes, which compile makes)",
        "check  (has to run if program changes, which link makes)",
    ]
    assert project.fa("check").lines[-2:] == ["link: up to date", "check: up to date"]  # the objects were the same
    (project.folder / "program").unlink()
    (project.folder / "obj" / "main.o").unlink()
    assert project.fa("-n", "link").lines == [
        "generate  (up to date)",
        "compile  (1 of 2 targets have to be made, 1 of them from the cache)",
        "link  (has to run: compile makes obj/main.o)",
    ]
    assert project.fa("-n", "generate", "--force").lines == ["generate  (has to run: --force)"]
    (project.folder / "src" / "gen.c").unlink()
    assert project.fa("-n", "generate").lines == ["generate  (comes from the cache: output src/gen.c is missing)"]
    assert project.fa("generate").lines == ["generate: restored from the cache"]


def test_a_dry_run_says_so_where_nobody_knows_the_names_of_outputs(project):
    project.tasks(
        """
        @task(sources=["in"], outputs=["parts/*.txt"])
        def split(c):
            c.run("mkdir -p parts; cp in parts/a.txt")

        @task(needs=[split], sources=["parts/*.txt"], outputs=["out"])
        def join(c):
            c.run("cat parts/*.txt > out")

        @task(needs=[split], each="parts/*.txt", outputs="up/{name}")
        def upper(c, source, output):
            c.run(["cp", source, output])
        """
    )
    project.write("in", "1")
    assert project.fa("-n", "join", "upper").lines == [
        "split  (has to run: it has not succeeded before)",
        "join  (has to run: it has not succeeded before)",
        "upper  (more if split makes other files)",
    ]
    assert project.fa("join", "upper").status == 0
    project.write("in", "2")
    assert project.fa("-n", "join", "upper").lines == [
        "split  (has to run: source in changed)",
        "join  (has to run if parts/a.txt changes, which split makes)",
        "upper  (1 of 1 targets if parts/a.txt changes, which split makes)",
    ]


@pytest.mark.parametrize(
    ("form", "targets"),
    [
        ("out/{stem}", ["out/a", "out/c", "out/d.e"]),
        ("out/{stem}.x", ["out/a.x", "out/c.x", "out/d.e.x"]),
        ("{dir}/{name}.o", ["src/a.o", "src/b/c.txt.o", "src/d.e.f.o"]),
        ("out/{path}", ["out/src/a", "out/src/b/c", "out/src/d.e"]),
    ],
)
def test_the_names_of_targets_are_made_of_parts_of_the_sources(project, form, targets):
    project.tasks(f"@task(each='src/**/*', outputs={form!r})\ndef t(c, source, output):\n    open(output, 'w').close()\n")
    for name in ("src/a", "src/b/c.txt", "src/d.e.f"):
        project.write(name, "x")
    assert project.fa("t").stdout == "t: made 3 of 3 targets\n"
    assert all((project.folder / target).exists() for target in targets)


def test_files_that_were_young_when_recorded_are_read_once_more_and_then_no_longer(project):
    project.tasks("@task(sources=['in'], outputs=['out'])\ndef t(c):\n    c.run('cp in out')\n")
    project.write("in", "x")
    assert project.fa("t").status == 0
    state = project.folder / ".faena" / "runner" / "t.state"
    old = time.time_ns() - 3_600_000_000_000
    for name in ("in", "out"):
        os.utime(project.folder / name, ns=(old, old))  # which changes the ctime, so that they are young
    first = state.read_bytes()
    assert project.fa("t").stdout == "t: up to date\n"
    second = state.read_bytes()
    assert second != first
    deadline = time.monotonic() + 20
    while project.fa("t").stdout == "t: up to date\n" and time.monotonic() < deadline:
        third = state.read_bytes()
        if third == second:
            break
        second = third
    assert state.read_bytes() == second


@pytest.mark.parametrize("count", [2_500, pytest.param(6_000, marks=pytest.mark.slow)])
def test_of_thousands_of_targets_exactly_the_changed_one_is_made(project, count):
    """So many that two processes look at them."""
    project.tasks(
        "@task(each='src/*.txt', outputs='out/{stem}.out')\ndef build(c, source, output):\n"
        "    open(output, 'w').write(open(source).read())\n"
    )
    for number in range(count):
        project.write(f"src/f{number}.txt", str(number))
    assert project.fa("build").lines == [f"build: made {count} of {count} targets"]
    snapshot = project.folder / ".faena" / "runner" / "build.rule.all"
    fresh = [f"build: {count} targets up to date"]
    deadline = time.monotonic() + 60
    while not snapshot.exists():
        assert time.monotonic() < deadline
        assert project.fa("build").lines == fresh
    assert project.fa("build").lines == fresh
    os.utime(project.folder / "src" / "f7.txt", (1, 1))
    assert project.fa("build").lines == fresh
    project.write("src/f8.txt", "changed")
    assert project.fa("build", "--why").lines == [
        "build: out/f8.out has to be made: source src/f8.txt changed",
        f"build: made 1 of {count} targets",
    ]
    (project.folder / "out" / "f9.out").write_text("tampered")
    assert project.fa("build", "--why").lines[0] == "build: out/f9.out has to be made: output out/f9.out was changed"
    assert (project.folder / "out" / "f9.out").read_text() == "9"
