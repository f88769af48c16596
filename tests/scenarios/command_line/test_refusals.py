"""What the command line refuses, and what it says then. Nothing is sent, and no file is made."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("call", "tasks.ad"), "no task 'tasks.ad' in app 'shop'; did you mean 'tasks.add'?"),
        (("call", "tasks.add", "x"), "task 'tasks.add': argument 'x': Expected `int`, got `str` (given 'x')"),
        (("call", "tasks.add"), "task 'tasks.add': missing a required argument: 'x'; it takes (x: int, y: int = 1)"),
        (("call", "tasks.add", "1", "--args", "[1]"), "give the arguments as words or with --args, not both"),
        (("call", "tasks.add", "1", "--priority", "12"), "priority must be a number from 0 to 9"),
        (("call", "tasks.add", "--kwargs", "[1]"), 'a JSON object such as {"a": 1}'),
        (("call", "tasks.add", "--args", "[1"), "a JSON list such as [1, 2] (Expecting"),
        (("call", "tasks.add", "-k", "x"), "NAME=VALUE"),
        (("call", "tasks.add", "1", "--eta", "soon"), "a moment such as 2030-01-31T09:00"),
        (("call", "tasks.add", "1", "--countdown", "soon"), "a duration such as 90"),
        (("call",), "did not receive required positional arguments: 'task'"),
        (("call", "tasks.quiet", "-w"), "task 'tasks.quiet' keeps no result to wait for (ignore_result)"),
        (("purge",), "name the queues with -Q"),
        (("dead", "requeue"), "say which: ids, -Q QUEUE, --task, --reason, --fingerprint, --older-than, or --all"),
        (("dead", "purge"), "say which: ids, -Q QUEUE, --task, --reason, --fingerprint, --older-than, or --all"),
        (("queues", "pauze", "default"), "'pauze'"),
        (("queues", "pause", ""), "a queue is named by a printable text of 1 to 200 characters without a comma, not ''"),
        (("queues", "pause", "a\nb"), "without a comma, not 'a\\nb'"),
        (("call", "tasks.add", "1", "-Q", "x" * 5000), "without a comma, not one of 5000"),
        (("inspct",), "'inspct'"),
        (("limits", "set", "tasks.add", "--rate", "often"), "a rate is a number of tasks per second, or a text such as"),
        (("control", "rate-limit", "tasks.add", "often"), "a rate is a number of tasks per second, or a text such as"),
        (("control", "revoke", "--sent-before", "noon"), "expected a moment such as 2030-01-31T09:00"),
        (("control", "time-limit", "tasks.add", "--soft", "9", "--hard", "5"), "--soft has to be less than --hard"),
        (("control", "autoscale", "5000"), "1024 at most"),
        (("control", "pool-gow", "1"), "no command 'pool_gow' of `faena control`"),
        (("config", "task_tim_limit"), "unknown setting 'task_tim_limit'; did you mean 'task_time_limit'?"),
        (("worker", "-P", "gevent"), "-P cannot be 'gevent': expected one of processes, threads, solo"),
        (("worker", "-c", "0"), "'worker': -c cannot be '0': expected at least 1"),
        (("worker", "--concurency", "1"), "--concurency"),
        (("worker", "--max-memory-per-child", "lots"), "expected a whole number of KiB or a text such as '300 MiB'"),
        (("worker", "--health-address", "8081"), "expected HOST:PORT"),
        (("-A", "shopp", "queues"), "no module named 'shopp' for 'shopp'"),
        (("-A", "tasks:shop", "queues"), "module 'tasks' has no attribute 'shop'; its apps are tasks:app"),
        (("--workdir", "nowhere", "queues"), "cannot change into --workdir nowhere: No such file or directory"),
        (("-b", "redish://x:secret@y", "queues"), "no broker for the URL 'redish://x:***@y'"),
        (
            ("-b", "memory://x", "call", "tasks.add", "1"),
            "memory://x does not support the command line: it lives inside one",
        ),
        (("-b", "memory://x", "queues"), "memory://x does not support the command line: it lives inside one process"),
        (("control", "revoke", "x", "--signal", "HELLO"), "a signal such as SIGTERM or KILL"),
        (("dead", "-n", "9" * 20), "-n cannot be '99999999999999999999': expected a whole number from 0 to 1,000,000,000"),
        (("worker", "--pidfile", "nowhere/pid"), "cannot write --pidfile nowhere/pid: there is no such folder"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_with_code_2(project, words, text):
    said = project.refused(*words)
    assert said.startswith("faena: ")
    assert text in said
    assert "Traceback" not in said
    assert not (project.folder / ".faena").exists() or words[0] == "call"


def test_the_users_own_traceback_is_shown_when_the_app_cannot_be_imported(project):
    (project.folder / "tasks.py").write_text("from faena import Faena\napp = Faena('x')\n1 / 0\n")
    assert project.refused("queues").splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{project.folder}/tasks.py", line 3, in <module>',
        "    1 / 0",
        "    ~~^~~",
        "ZeroDivisionError: division by zero",
        "faena: importing 'tasks' failed: ZeroDivisionError: division by zero",
    ]


def test_a_folder_without_app_says_what_to_do(project):
    (project.folder / "tasks.py").unlink()
    said = project.refused("call", "add")
    assert said.startswith(f"faena: no app in {project.folder}: neither app.py, celery_app.py")
    assert "name it with -A module:attribute" in said


def test_a_wrong_variable_names_itself(project):
    assert project.refused("queues", FAENA_WORKER_POOL="gevent") == (
        "faena: setting 'worker_pool' cannot be 'gevent' (from environment FAENA_WORKER_POOL): "
        "expected one of processes, threads, solo"
    )


def test_a_file_that_is_no_database_is_left_as_it_is(project):
    file = project.folder / ".faena" / "faena.db"
    file.parent.mkdir()
    file.write_text("what is this?" * 100)
    said = project.refused("call", "tasks.add", "1", code=1)
    assert str(file) in said
    assert file.read_text() == "what is this?" * 100


def test_a_task_whose_code_is_elsewhere_can_be_sent_by_name(project):
    task_id = project.ok("call", "elsewhere.mail", "1", "--by-name")
    assert project.json("queues", "show", "default")[0]["id"] == task_id


def test_a_broker_may_be_used_without_any_app(project, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    url = f"sqlite:///{project.folder}/other.db"
    task_id = project.ok("-b", url, "call", "tasks.add", "1")
    assert project.ok("--workdir", str(empty), "-b", url, "queues", "show", "default").splitlines()[1].startswith(task_id)


def test_a_full_disk_takes_nothing_and_says_so(project):
    few_pages = {"FAENA_BROKER_TRANSPORT_OPTIONS": '{"max_pages": 85}'}
    project.ok("call", "tasks.greet", "small", **few_pages)
    done = project.run("call", "tasks.greet", "x" * 100_000, FAENA_TASK_PUBLISH_TIMEOUT="0.1", **few_pages)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"faena: {project.folder}/.faena/faena.db: ")
    assert "Traceback" not in done.stderr
    assert [each["waiting"] for each in project.json("queues")] == [1]
