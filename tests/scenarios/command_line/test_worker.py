"""`faena worker`: its options, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress

import pytest

from .conftest import DEADLINE_S, FAENA, until


def worker_said(project, *words, **environ):
    """Start a worker that cannot run; return its exit code and what it said."""
    done = project.run("worker", *words, **environ)
    return done.returncode, done.stderr


def test_a_worker_whose_app_cannot_be_loaded_says_why_and_ends(project):
    (project.folder / "tasks.py").write_text("from faena import Faena\napp = Faena('x')\nimport no_such_thing\n")
    code, said = worker_said(project)
    assert code == 1
    assert "No module named 'no_such_thing'" in said
    assert f'File "{project.folder}/tasks.py", line 3' in said


def test_a_worker_takes_from_the_queues_it_is_told_to(project):
    with project.worker("-Q", "one,two", "-n", "mine@here"):
        (worker,) = project.json("inspect", "workers")
        assert (worker["name"], worker["queues"]) == ("mine@here", ["one", "two"])


def test_a_worker_leaves_out_the_queues_it_is_told_to(project):
    with project.worker("-X", "slow"):
        (worker,) = project.json("inspect", "workers")
        assert worker["queues"] == ["default"]


def test_options_go_before_what_the_app_says(project):
    (project.folder / "tasks.py").write_text(
        "from faena import Faena\napp = Faena('x', task_time_limit=1, worker_coroutines=5)\n@app.task\ndef f(): pass\n"
    )
    with project.worker("--time-limit", "1h30m", "--threads", "3", "--pool", "prefork", "--max-memory-per-child", "1 GiB"):
        (conf,) = project.json("inspect", "conf").values()
    found = {name: conf[name] for name in ("task_time_limit", "worker_threads", "worker_pool", "worker_coroutines")}
    assert found == {"task_time_limit": 5400, "worker_threads": 3, "worker_pool": "processes", "worker_coroutines": 5}
    assert conf["worker_max_memory_per_child"] == 1024**2


def test_a_worker_tells_its_settings_even_those_that_are_functions(project):
    (project.folder / "tasks.py").write_text(
        "import re\nfrom faena import Faena\ndef route(*call): pass\n"
        "app = Faena('x', task_routes=[route, {re.compile('x'): 'q'}])\n@app.task\ndef f(): pass\n"
    )
    with project.worker():
        (conf,) = project.json("inspect", "conf").values()
    assert conf["task_routes"] == ["tasks.route", {"re.compile('x')": "q"}]


def test_a_pidfile_keeps_a_second_worker_out(project):
    with project.worker("--pidfile", "w.pid") as process:
        assert int((project.folder / "w.pid").read_text()) == process.pid
        code, said = worker_said(project, "--pidfile", "w.pid")
        assert (code, said) == (
            2,
            f"faena: a worker runs already, says w.pid (process {process.pid}); stop it, or name another --pidfile\n",
        )
    assert not (project.folder / "w.pid").exists()
    (project.folder / "w.pid").write_text("999999999\n")
    with project.worker("--pidfile", "w.pid"):
        pass


def test_the_log_is_json_on_request(project):
    with project.worker("--log-format", "json", "--log-tasks", "all", "-l", "info", "--health-file", "alive") as process:
        task_id = project.ok("call", "tasks.add", "1", "-w", "--json")
        task_id = json.loads(task_id)["id"]
        until(lambda: (project.folder / "alive").exists())
        project.ok("control", "shutdown")
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert [line["task_id"] for line in lines if line.get("task_id")] == [task_id]


def test_a_logfile_takes_everything(project):
    process = subprocess.Popen(
        [FAENA, "worker", "-c", "1", "-f", "worker.log", "--health-address", "127.0.0.1:0"], cwd=project.folder,
        env=project.environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while not project.json("inspect", "workers"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "", "")
    assert " is ready: app 'shop'" in (project.folder / "worker.log").read_text()


def test_a_logfile_that_cannot_be_written_is_refused(project):
    assert project.refused("worker", "-f", "nowhere/w.log") == (
        "faena: cannot write the log to nowhere/w.log: No such file or directory"
    )


def test_probes_are_answered_over_http(project):
    port = free_port()
    with project.worker("--health-address", f"127.0.0.1:{port}"), when_open(f"http://127.0.0.1:{port}/readyz") as answer:
        assert (answer.status, json.load(answer)["ready"]) == (200, True)


def when_open(url):
    """Open a URL whose server may still be about to listen."""
    answers = []

    def answers_at_all():
        with suppress(urllib.error.URLError):
            answers.append(urllib.request.urlopen(url, timeout=5))
        return answers

    until(answers_at_all)
    return answers[0]


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(project):
    project.folder.chmod(0o500)
    code, said = worker_said(project)
    assert code == 1
    assert str(project.folder) in said
