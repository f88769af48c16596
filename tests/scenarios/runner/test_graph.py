"""Dependencies: order, parallel runs, cycles, failures, conditions, retries, limits."""

from __future__ import annotations

import os
import signal
import time

import pytest

CHAIN = """
@task
def setup(c):
    print("setup")

@task
def after(c):
    print("after")

@task(pre=[setup], post=[after])
def one(c):
    print("one")

@task(pre=[setup], post=[after])
def two(c):
    print("two")

@task(pre=[one, two])
def three(c):
    print("three")

@task
def param(c, x="0"):
    print("param", x)

@task(pre=[call(param, x="1"), call(param, "2"), call(param, x="1")])
def params(c):
    print("params")

@task
def p1(c):
    print("p1")

@task(pre=[p1])
def p2(c):
    print("p2")

@task(pre=[p1], post=[p2])
def p3(c):
    print("p3")

@task(pre=["setup", call("param", x="3")])
def by_name(c):
    print("by name")
"""


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("one", "setup one after"),
        ("one two", "setup one after two"),
        ("three", "setup one after two three"),
        ("--no-dedupe one two", "setup one after setup two after"),
        ("setup one", "setup one after"),
        ("one one", "setup one after"),
        ("param -x 1 param -x 2 param -x 1", "param 1 param 2"),
        ("params", "param 1 param 2 params"),
        ("p3", "p1 p3 p2"),
        ("by-name", "setup param 3 by name"),
    ],
)
def test_the_order_is_depth_first_and_each_call_runs_once_at_its_first_place(project, line, order):
    project.tasks(CHAIN)
    assert " ".join(project.fa(*line.split()).lines) == order


def test_deduplication_can_be_set_in_a_configuration_file_and_by_a_variable(project):
    project.tasks(CHAIN)
    project.write("invoke.json", '{"tasks": {"dedupe": false}}')
    assert project.fa("one", "one").lines == ["setup", "one", "after"] * 2
    (project.folder / "invoke.json").unlink()
    assert project.fa("one", "one", env={"INVOKE_TASKS_DEDUPE": "0"}).lines == ["setup", "one", "after"] * 2


def test_a_circle_is_named_as_a_path(project):
    project.tasks(
        """
        @task(pre=["b"])
        def a(c):
            pass

        @task(needs=["c_task"])
        def b(c):
            pass

        @task(pre=[b])
        def c_task(c):
            pass

        @task(pre=["own"])
        def own(c):
            pass
        """
    )
    found = project.fa("a")
    assert (found.stderr, found.status) == ("tasks need each other in a circle: b -> c-task -> b\n", 1)
    assert project.fa("own").stderr == "tasks need each other in a circle: own -> own\n"


def test_an_unknown_dependency_is_named_before_anything_runs(project):
    project.tasks("@task(pre=['setpu'])\ndef t(c):\n    pass\n@task\ndef setup(c):\n    print('ran')\n")
    found = project.fa("setup", "t")
    assert found.stdout == ""
    assert found.stderr == "No idea what 'setpu' of 'a task's dependencies' is! Did you mean 'setup'?\n"


def test_needs_run_at_the_same_time_and_pre_tasks_in_their_order(project):
    project.tasks(
        """
        import threading
        both = threading.Barrier(2, timeout=20)

        @task
        def left(c):
            both.wait()
            print("left")

        @task
        def right(c):
            both.wait()
            print("right")

        @task(needs=[left, right])
        def meet(c):
            print("meet")

        @task
        def clean(c):
            print("clean")

        @task
        def codegen(c):
            print("codegen")

        @task(needs=[codegen])
        def build(c):
            print("build")

        @task(pre=[clean, build])
        def fresh(c):
            print("fresh")
        """
    )
    assert sorted(project.fa("meet", "-j", "2").lines) == ["left", "meet", "right"]
    assert project.fa("meet", "-j2").lines[-1] == "meet"
    assert project.fa("fresh", "-j", "4").lines == ["clean", "codegen", "build", "fresh"]


def test_output_of_tasks_at_the_same_time_is_grouped_or_prefixed(project):
    project.tasks(
        """
        import threading
        turn = [threading.Event(), threading.Event(), threading.Event()]

        @task
        def a(c):
            print("a1")
            turn[0].set()
            assert turn[1].wait(20)
            c.run("echo a2; echo error >&2")
            turn[2].set()

        @task
        def b(c):
            assert turn[0].wait(20)
            print("b1")
            turn[1].set()
            assert turn[2].wait(20)
            print("b2")
        """
    )
    assert project.fa("a", "b", "-j2").lines in (["a1", "a2", "b1", "b2"], ["b1", "b2", "a1", "a2"])
    found = project.fa("a", "b", "-j2", "--output=prefixed")
    assert found.lines == ["[a] a1", "[b] b1", "[a] a2", "[b] b2"]
    assert found.stderr == "[a] error\n"
    marked = project.fa("a", "b", "-j2", env={"GITHUB_ACTIONS": "true"}).lines
    assert marked[0] in ("::group::a", "::group::b")
    assert marked.count("::endgroup::") == 2


FAILING = """
@task
def good(c):
    print("good")

@task
def bad(c):
    c.run("echo from bad; exit 5")

@task(needs=[bad])
def lost(c):
    print("never")

@task(needs=[good])
def fine(c):
    print("fine")
"""


def test_a_failure_ends_the_run_and_keep_going_runs_what_does_not_depend_on_it(project):
    project.tasks(FAILING)
    found = project.fa("lost", "fine")
    assert (found.lines, found.status) == (["from bad"], 5)
    assert found.stderr == "fa: task 'bad': command failed with status 5: echo from bad; exit 5\n"
    for jobs in ("1", "3"):
        found = project.fa("-k", "lost", "fine", "-j", jobs)
        assert sorted(found.lines) == ["fine", "from bad", "good"]
        assert found.status == 5
        assert found.stderr.endswith("fa: not run, as something they need failed: lost\n")


def test_the_failing_output_is_the_last_on_the_screen(project):
    project.tasks(
        """
        import threading
        failed, begun = threading.Event(), threading.Event()

        @task
        def bad(c):
            assert begun.wait(20)
            try:
                c.run("echo broken; exit 1")
            finally:
                failed.set()

        @task
        def slow(c):
            begun.set()
            assert failed.wait(20)
            print("slow")
        """
    )
    assert project.fa("bad", "slow", "-j2").lines == ["slow", "broken"]


def test_ctrl_c_ends_every_command_of_a_parallel_run_and_runs_the_finalizers(project):
    project.tasks(
        """
        def wait(c, name):
            try:
                c.run(f"trap 'echo {name} ended; exit 1' INT; touch {name}.ready; while :; do sleep 0.05; done")
            finally:
                open(f"{name}.cleaned", "w").close()

        @task
        def a(c):
            wait(c, "a")

        @task
        def b(c):
            wait(c, "b")

        @task(needs=[a, b])
        def both(c):
            print("never")
        """
    )
    process = project.start("both", "-j2")
    ready = [project.folder / "a.ready", project.folder / "b.ready"]
    deadline = time.monotonic() + 20
    while not all(path.exists() for path in ready):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (sorted(out.splitlines()), err, process.returncode) == ([b"a ended", b"b ended"], b"", 130)
    assert (project.folder / "a.cleaned").exists()
    assert (project.folder / "b.cleaned").exists()


def test_done_tasks_are_undone_backwards_when_a_later_one_fails(project):
    project.tasks(
        """
        @task(undo=lambda c: print("undo database"))
        def database(c):
            print("database")

        @task
        def drain(c):
            print("drain")

        @task(undo=drain, pre=[database])
        def traffic(c):
            print("traffic")

        @task(pre=[traffic], on_failure=lambda c, error: print("failed:", error))
        def deploy(c):
            raise ValueError("no")
        """
    )
    found = project.fa("deploy")
    assert found.lines == ["database", "traffic", "failed: no", "drain", "undo database"]
    assert found.stderr.splitlines()[:2] == ["fa: undoing traffic", "fa: undoing database"]
    assert found.status == 1


def test_a_task_is_tried_again_as_often_as_it_says(project):
    project.tasks(
        """
        @task(retries=2)
        def flaky(c):
            with open("tries", "a") as file:
                file.write("x")
            c.run("test $(wc -c < tries) -ge 3")
        """
    )
    found = project.fa("flaky")
    assert found.status == 0
    assert found.lines == [
        "flaky: attempt 1 of 3 failed: command ended with status 1: test $(wc -c < tries) -ge 3; again",
        "flaky: attempt 2 of 3 failed: command ended with status 1: test $(wc -c < tries) -ge 3; again",
    ]


@pytest.mark.parametrize("body", ["c.run('sleep 60')", "import time; [time.sleep(0.05) for _ in range(1200)]"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_task_that_takes_too_long_is_ended(project, body, jobs):
    project.tasks(f"@task(timeout=0.2)\ndef t(c):\n    {body}\n@task\ndef other(c):\n    pass\n")
    began = time.monotonic()
    found = project.fa("t", "other", "-j", jobs)
    assert found.status == 124
    assert "0.2 s" in found.stderr
    assert time.monotonic() - began < 20


def test_conditions_and_platforms_skip_a_task_and_say_why(project):
    project.tasks(
        """
        import os

        def has_docker():
            return False

        @task(when=has_docker)
        def image(c):
            print("never")

        @task(platforms=["windows"])
        def installer(c):
            print("never")

        @task(when=lambda c: "wrong branch")
        def branch(c):
            print("never")

        @task(when=[lambda: True, os.environ.get("CI") is None], pre=[image])
        def last(c):
            print("last")
        """
    )
    assert project.fa("last", "installer", "branch", env={"CI": ""}).lines[:1] == [
        "image: skipped: condition has_docker does not hold"
    ]
    assert project.fa("installer", "branch").lines == [
        "installer: skipped: for windows only",
        "branch: skipped: wrong branch",
    ]


def test_a_confirmation_without_a_terminal_refuses_before_anything_runs(project):
    project.tasks(
        """
        @task
        def build(c):
            print("built")

        @task(pre=[build], confirm="Deploy to {environment}?")
        def deploy(c, environment="staging"):
            print("deployed", environment)
        """
    )
    found = project.fa("deploy", "--environment=production")
    assert (found.stdout, found.status) == ("", 1)
    assert found.stderr == ("fa: task 'deploy' asks: Deploy to production? (no terminal to answer on: say --yes)\n")
    assert project.fa("deploy", "--yes").lines == ["built", "deployed staging"]


def test_a_dry_run_and_the_graph_show_and_run_nothing(project):
    project.tasks(CHAIN)
    assert project.fa("-n", "three").lines == ["setup", "one", "after", "two", "three"]
    assert project.fa("p3", "--graph").lines == ["p2", "├── p1", "└── p3", "    └── p1"]
    dot = project.fa("p3", "--graph=dot").stdout
    assert dot == (
        'digraph tasks {\n    n0 [label="p1"];\n    n1 [label="p3"];\n    n2 [label="p2"];\n'
        "    n0 -> n1;\n    n0 -> n2;\n    n1 -> n2;\n}\n"
    )
    assert project.fa("p2", "--graph", "mermaid").stdout == 'graph TD\n    n0["p1"]\n    n1["p2"]\n    n0 --> n1\n'
    assert project.fa("p2", "--graph=cube").stderr == "fa: no graph form 'cube': one of tree, mermaid, dot\n"


def test_many_diamonds_and_a_long_chain_take_no_longer_than_their_tasks(project):
    project.tasks(
        """
        ran = []

        def layer(number, needs):
            def body(c):
                ran.append(number)
            return task(name=f"t{number}", needs=needs)(body)

        previous = []
        for number in range(0, 200, 2):
            previous = [layer(number, previous), layer(number + 1, previous)]

        link = []
        for number in range(1000, 4000):
            link = [layer(number, link)]

        @task(needs=previous + link)
        def all(c):
            print(len(ran))
        """
    )
    for jobs in ("1", "2"):
        assert project.fa("all", "-j", jobs).lines == ["3200"]


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_ends_the_commands_too(project, jobs, number):
    project.tasks(
        """
        @task
        def t(c):
            try:
                c.run("echo $$ > pid.part; mv pid.part pid; sleep 60; true")
            finally:
                open("cleaned", "w").close()

        @task
        def other(c):
            pass
        """
    )
    process = project.start("other", "t", "-j", jobs)
    deadline = time.monotonic() + 20
    while not (project.folder / "pid").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == (b"", b"", 128 + number)
    assert (project.folder / "cleaned").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((project.folder / "pid").read_text()), 0)
