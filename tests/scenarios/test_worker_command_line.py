"""`faena worker` as its users meet it: errors at the start, logs, probes, files, reloading."""

import json
import os
import socket
import urllib.error
import urllib.request

import pytest

APP = """
@app.task
def work(n):
    return n

@app.task
def fail():
    raise ValueError("wanted")
"""


def refused(site, *words, environ=None):
    """Return what a worker says that cannot start."""
    worker = site.worker(*words, ready=False, **(environ or {}))
    assert worker.until_ended(10) == 1, worker.text()
    assert worker.session() == []
    return worker.text()


def test_an_app_that_fails_to_import_is_shown_with_the_cause(site):
    site.app("import nowhere_to_be_found")
    text = refused(site)
    assert "No module named 'nowhere_to_be_found'" in text
    assert "app.py" in text


def test_an_app_that_raises_is_shown_with_its_own_lines(site):
    site.app("def broken():\n    raise RuntimeError('on purpose')\nbroken()")
    text = refused(site)
    assert "on purpose" in text
    assert "in broken" in text
    assert "faena/app/discovery.py" not in text


def test_an_app_with_a_syntax_error_is_shown_with_the_line(site):
    site.app("def (:")
    assert "SyntaxError" in refused(site)


def test_an_app_without_tasks_is_refused(site):
    site.app("")
    assert "app 'site' has no tasks" in refused(site)


def test_a_module_without_an_app_is_refused(site):
    (site.folder / "app.py").write_text("x = 1\n")
    assert "app" in refused(site)


def test_two_apps_in_a_module_are_refused_unless_one_is_named_app(site):
    (site.folder / "app.py").write_text("from faena import Faena\none, two = Faena('one'), Faena('two')\n")
    text = refused(site)
    assert "one" in text
    assert "two" in text


def test_an_app_in_memory_is_refused_with_what_to_do(site):
    site.app(APP)
    text = refused(site, "-b", "memory://")
    assert "memory" in text


def test_excluding_every_queue_is_refused(site):
    site.app(APP)
    assert "no queue is left" in refused(site, "-X", "default")


def test_text_logs_name_the_task_and_json_logs_are_json(site):
    site.app(APP)
    worker = site.worker("-c", "1")
    result, failed = site.send("work", 41), site.send("fail")
    worker.until_logged(rf"app\.work\[{result.id}\] succeeded in [\d.]+s: 41")
    worker.until_logged(rf"app\.fail\[{failed.id}\] failed.*ValueError\('wanted'\)")
    assert worker.stop() == 0
    worker = site.worker("-c", "1", "--log-format", "json", ready=False)
    worker.until_logged("is ready")
    result = site.send("work", 42)
    worker.until_logged(result.id)
    assert worker.stop() == 0
    lines = [json.loads(line) for line in worker.text().splitlines()]
    [line] = [line for line in lines if line.get("task_id") == result.id]
    assert (line["task"], line["message"], line["text"]) == ("app.work", "task-succeeded", "42")


def test_the_health_endpoint_and_file_tell_of_readiness_and_of_the_stop(site, until):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    site.app(APP + "\n@app.task\ndef sleep():\n    mark('begin')\n    time.sleep(2)\n")
    health = site.folder / "health"
    worker = site.worker("--health-address", f"127.0.0.1:{port}", "--health-file", str(health))

    def ask(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None
        except (urllib.error.URLError, ConnectionError):
            return 0, None

    until(lambda: ask("/readyz")[0] == 200)
    until(lambda: ask("/readyz")[1]["working"] == 2)
    assert ask("/healthz")[0] == 200
    assert ask("/nothing")[0] == 404
    until(health.exists)
    site.send("sleep")
    site.until_marked("begin")
    worker.signal(15)
    until(lambda: ask("/readyz")[0] in (503, 0))
    assert worker.until_ended() == 0
    assert not health.exists()


def test_a_taken_health_port_is_said_and_the_worker_works(site):
    site.app(APP)
    with socket.create_server(("127.0.0.1", 0)) as server:
        worker = site.worker("--health-address", f"127.0.0.1:{server.getsockname()[1]}")
        worker.until_logged("no health endpoint")
        assert site.send("work", 1).get(timeout=5) == 1


def test_the_pidfile_is_there_while_the_worker_is_and_refuses_a_second(site):
    site.app(APP)
    pidfile = site.folder / "worker.pid"
    worker = site.worker("--pidfile", str(pidfile))
    assert int(pidfile.read_text()) == worker.pid
    second = site.worker("--pidfile", str(pidfile), ready=False)
    assert second.until_ended() != 0
    assert "a worker runs already" in second.text()
    assert worker.stop() == 0
    assert not pidfile.exists()
    pidfile.write_text(f"{worker.pid}\n")
    assert site.worker("--pidfile", str(pidfile)).stop() == 0


def test_reload_takes_new_code_and_survives_a_syntax_error(site, until):
    source = APP + "\n@app.task\ndef version():\n    return {}\n"
    site.app(source.format(1))
    worker = site.worker("--reload", "-c", "1")
    assert site.send("version").get(timeout=10) == 1
    site.app(source.format(2))
    worker.until_logged("changed: processes are started anew")

    def version_is(wanted):
        return site.send("version").get(timeout=10) == wanted

    until(lambda: version_is(2), 10)
    site.app("def (:")
    worker.until_logged("cannot be loaded(?s:.)*SyntaxError")
    site.app(source.format(3))
    until(lambda: version_is(3), 10)
    assert worker.stop() == 0


def test_reload_without_its_library_says_what_to_install(site):
    site.app(APP)
    (site.folder / "watchfiles.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join([str(site.folder), os.environ.get("PYTHONPATH", "")])
    worker = site.worker("--reload", ready=False, PYTHONPATH=path)
    assert worker.until_ended(10) == 2, "as with every option that cannot be obeyed"
    assert worker.text() == "faena: --reload needs watchfiles: pip install 'faena[watch]'\n"


def test_two_workers_of_one_name_are_told_so(site):
    site.app(APP)
    site.worker("-n", "twin")
    second = site.worker("-n", "twin")
    second.until_logged("another worker .*twin")


def test_queues_are_shared_out_by_name(site):
    site.app(
        """
        @app.task(queue="mail")
        def send():
            mark("mail")

        @app.task(queue="video")
        def cut():
            mark("video")

        @app.task
        def other():
            mark("default")
        """
    )

    def numbers():
        return {status.name: status.waiting for status in statuses()}

    def statuses():
        from faena._lib.drive import run

        return run(site.client.connection().broker.queues.status())

    client = site.client
    sent = [client.send_task("app.send", queue="mail"), client.send_task("app.cut", queue="video"), site.send("other")]
    worker = site.worker("-Q", "mail")
    sent[0].get(timeout=5)
    assert (numbers()["video"], numbers()["default"]) == (1, 1)
    assert worker.stop() == 0
    worker = site.worker("-X", "video", "-n", "second")
    sent[2].get(timeout=5)
    assert numbers()["video"] == 1
    assert worker.stop() == 0
    site.worker("-n", "third")
    sent[1].get(timeout=5)


def test_a_worker_takes_from_a_hundred_queues(site):
    site.app(APP)
    names = [f"queue-{number}" for number in range(100)]
    results = [site.client.send_task("app.work", (number,), queue=name) for number, name in enumerate(names)]
    site.worker("-Q", ",".join(names))
    assert [result.get(timeout=10) for result in results] == list(range(100))
    later = [site.client.send_task("app.work", (number,), queue=name) for number, name in enumerate(names)]
    assert [result.get(timeout=10) for result in later] == list(range(100))


@pytest.mark.parametrize("limit", [1, 5])
def test_a_process_runs_no_more_tasks_than_it_may(site, limit):
    site.app(
        "@app.task\ndef pid(n):\n    mark(os.getpid())\n    return n\n\n"
        "@app.task\nasync def await_pid(n):\n    mark(os.getpid())\n    return n\n"
    )
    count = 10 * limit
    results = [*site.send_all("pid", range(count)), *site.send_all("await_pid", range(count))]
    worker = site.worker("-c", "1", "--max-tasks-per-child", str(limit))
    assert [result.get(timeout=25) for result in results] == [*range(count), *range(count)]
    assert worker.stop() == 0
    assert sum(site.marks().values()) == 2 * count
    assert max(site.marks().values()) <= limit
