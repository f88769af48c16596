"""RabbitMQ as the broker and a file as the backend: the same application, by two URLs, through the command line."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conformance.rabbitmq_places import remove_all

from faena._lib.drive import run as run_coroutine
from faena._lib.ids import new_id
from faena.drivers.rabbitmq.location import locate
from faena.errors import NotSupported

URL = os.environ.get("FAENA_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
FAENA = Path(sys.executable).parent / "faena"

APP = """
import os, time
from faena import Faena, chord, group

app = Faena("shop", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND"))

@app.task
def add(a, b):
    return a + b

@app.task
def total(numbers):
    return sum(numbers)

@app.task(bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.3)
    return self.request.retries

@app.task
def dies_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os._exit(3)
    return "survived"

@app.task
def poison():
    os._exit(4)

@app.task
def fails():
    raise ValueError("no")

@app.task(acks_late=False)
def once_at_most(path):
    with open(path, "a") as file:
        file.write("run\\n")
    os._exit(5)

@app.task
def waits(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\\n")
    while not os.path.exists("go"):
        time.sleep(0.01)
    return "went"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    node = locate(URL, {}).nodes[0]
    try:
        socket.create_connection((node.host, node.port), 2).close()
    except OSError as error:
        pytest.skip(f"no RabbitMQ at {node.host}:{node.port} ({error}); FAENA_TEST_RABBITMQ_URL names another")
    options = {"prefix": f"scenario-{new_id()[-12:]}."}
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BROKER", f"{URL}?prefix={options['prefix']}")
    monkeypatch.setenv("BACKEND", f"sqlite:///{tmp_path}/results.db")
    yield tmp_path
    asyncio.run(remove_all(URL, options))


@pytest.fixture
def shop(place):
    import importlib

    module = importlib.import_module("shop")
    yield module
    module.app.close()
    sys.modules.pop("shop")


@pytest.fixture
def start(place):
    workers = []

    def start(*options):
        log = open(place / f"worker-{len(workers)}.log", "w")  # noqa: SIM115 - closed with the worker
        argv = [FAENA, "worker", "-A", "shop", "-c", "1", *options]
        worker = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        workers.append((worker, log))
        return worker

    yield start
    for worker, log in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait(5)
        log.close()


def until(condition, within_s=40):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def run(*argv):
    done = subprocess.run([FAENA, *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_tasks_retries_delays_and_workflows_run(shop, start):
    start()
    assert shop.add.delay(1, 2).get(timeout=30) == 3
    begun = time.time()
    assert shop.add.apply_async((2, 3), countdown=0.6).get(timeout=30) == 5
    assert time.time() - begun >= 0.6
    assert shop.flaky.delay().get(timeout=30) == 2
    chord = shop.chord([shop.add.s(number, number) for number in range(20)], shop.total.s())
    assert chord.delay().get(timeout=30) == 380
    results = shop.app.send_many(shop.add.s(number, 1) for number in range(300))
    assert results.get(timeout=30) == [number + 1 for number in range(300)]
    assert "default" in run("queues", "-A", "shop")


@pytest.mark.slow
def test_what_a_crash_leaves_runs_again_and_what_crashes_always_is_buried(shop, start, place):
    start()
    assert shop.dies_once.delay(str(place / "died")).get(timeout=30) == "survived"
    with pytest.raises(Exception, match="died 3 times"):
        shop.poison.delay().get(timeout=60)
    with pytest.raises(ValueError, match="no"):
        shop.fails.delay().get(timeout=30)
    with pytest.raises(Exception, match=r"exit code 5|once at most"):
        shop.once_at_most.delay(str(place / "runs")).get(timeout=30)
    assert (place / "runs").read_text() == "run\n"
    listed = run("dead", "list", "-A", "shop")
    assert ("shop.poison" in listed, "shop.fails" in listed) == (True, True)
    # Three are listed. One may lie there twice: the process died, by another task, between burying and acknowledging it.
    assert run("dead", "purge", "-A", "shop", "--queue", "default", "--force") in ("3 thrown away\n", "4 thrown away\n")


@pytest.mark.slow
def test_what_a_killed_worker_held_is_run_by_another(shop, start, place):
    first = start()
    result = shop.waits.delay(str(place / "pids"))
    pids = place / "pids"
    until(lambda: pids.exists() and pids.read_text())
    os.kill(first.pid, signal.SIGKILL)  # the supervisor
    os.kill(int(pids.read_text()), signal.SIGKILL)  # and the process, which would go on without it
    first.wait(10)
    start()
    until(lambda: len(pids.read_text().splitlines()) == 2)
    (place / "go").touch()
    assert result.get(timeout=30) == "went"
    assert len(set(pids.read_text().splitlines())) == 2


@pytest.fixture
def impatient(place, monkeypatch):
    """The server is said to take back what is not acknowledged within this time; a lease is short."""
    monkeypatch.setenv("BROKER", os.environ["BROKER"] + "&consumer_timeout_s=1.5")
    monkeypatch.setenv("FAENA_WORKER_LEASE", "1")


def in_custody(shop):
    return run_coroutine(shop.app.connection().backend.journal.waiting(None, 10))


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_task_that_runs_longer_than_the_server_waits_is_kept_in_the_backend_and_ends_once(shop, start, place):
    start()
    result = shop.waits.delay(str(place / "pids"))
    until(lambda: in_custody(shop))
    time.sleep(5)  # longer than it is kept there, were it not put off: time itself is what is tried
    assert [each.message.id for each in in_custody(shop)] == [result.id]
    (place / "go").touch()
    assert result.get(timeout=30) == "went"
    until(lambda: not in_custody(shop))
    assert len((place / "pids").read_text().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_what_was_kept_for_a_worker_that_is_gone_is_run_by_another(shop, start, place):
    first = start()
    result = shop.waits.delay(str(place / "pids"))
    until(lambda: in_custody(shop))
    os.kill(first.pid, signal.SIGKILL)
    os.kill(int((place / "pids").read_text()), signal.SIGKILL)
    first.wait(10)
    start()
    until(lambda: len((place / "pids").read_text().splitlines()) == 2, 60)
    (place / "go").touch()
    assert result.get(timeout=30) == "went"


@pytest.mark.slow
def test_without_a_backend_tasks_run_and_what_needs_one_says_so(place, monkeypatch, start):
    monkeypatch.delenv("BACKEND")
    import importlib

    module = importlib.import_module("shop")
    try:
        start()
        result = module.dies_once.apply_async((str(place / "died"),))
        until((place / "died").exists)
        with pytest.raises(NotSupported, match="set `result_backend`"):
            result.get(timeout=5)
        with pytest.raises(NotSupported, match="set `result_backend`"):
            module.chord([module.add.s(1, 1)], module.total.s()).delay()
    finally:
        module.app.close()
        sys.modules.pop("shop")


def test_schedules_are_kept_in_the_backend_and_send_to_it(shop, start):
    start()
    shop.app.schedules.add("fast", "shop.add", 0.5, args=[1, 2], overlap="skip")
    until(lambda: shop.app.schedules.get("fast").sent >= 3)
    standing = shop.app.schedules.pause("fast")
    assert shop.app.AsyncResult(standing.last_id).get(timeout=20) == 3


def test_without_a_backend_a_schedule_is_refused(shop, place, monkeypatch):
    monkeypatch.delenv("BACKEND")
    done = subprocess.run(
        [FAENA, "-A", "shop", "schedule", "add", "s", "shop.add", "--every", "5", "-a", "[1, 2]"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "set `result_backend`" in done.stderr
    done = subprocess.run([FAENA, "-A", "shop", "beat"], capture_output=True, text=True, timeout=60)
    assert "set `result_backend`" in done.stderr
