"""Metrics of workers that run: what they count is what happened, also when processes are killed and replaced."""

import signal
import socket
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

APP = """
@app.task
def work(n):
    return n

@app.task
def bad():
    raise ValueError("no")

@app.task
def die():
    if once("died"):
        os.kill(os.getpid(), signal.SIGKILL)

@app.task
def hold():
    mark("holds")
    while not os.path.exists("go"):
        time.sleep(0.01)

@app.task
async def block():
    mark("blocks")
    while not os.path.exists("go"):
        time.sleep(0.01)
"""


def port_of(worker):
    return int(worker.until_logged(r"metrics are at http://127\.0\.0\.1:(\d+)/metrics")[1])


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_scraped_is_what_happened(site, until):
    site.app(APP)
    worker = site.worker("--metrics-port", "0")
    port = port_of(worker)
    sent = site.send_all("work", list(range(200)))
    site.send("bad")
    assert sorted(each.get(timeout=20) for each in sent) == list(range(200))
    until(lambda: scrape(port).get(("faena_tasks_total", "failed", "default", "app.bad")) == 1)
    until(lambda: scrape(port)["faena_tasks_total", "succeeded", "default", "app.work"] == 200)
    found = scrape(port)
    assert found["faena_task_runtime_seconds_count", "default", "app.work"] == 200
    assert found["faena_worker_processes", "working"] == 2
    assert found["faena_worker_concurrency", "functions"] == 2
    assert found["faena_worker_process_starts_total",] == 2
    assert found["faena_worker_ready",] == 1
    assert found["faena_queue_messages", "default", "waiting"] == 0
    assert found["faena_queue_messages", "default", "dead"] == 1
    running = site.send("hold")
    site.until_marked("holds")
    until(lambda: sum(scrape(port)["faena_worker_running_tasks", at] for at in "01") == 1)
    (site.folder / "go").touch()
    running.get(timeout=10)


def test_counters_do_not_go_back_when_processes_are_replaced_or_killed(site, until):
    site.app(APP)
    worker = site.worker("--metrics-port", "0", "--max-tasks-per-child", "20")
    port = port_of(worker)
    sent = site.send_all("work", list(range(100)))
    for each in sent:
        each.get(timeout=30)
    until(lambda: scrape(port).get(("faena_tasks_total", "succeeded", "default", "app.work")) == 100)
    until(lambda: scrape(port)["faena_worker_process_ends_total", "left"] >= 4)
    assert scrape(port)["faena_tasks_total", "succeeded", "default", "app.work"] == 100  # to the last one: nothing was lost
    site.send("die").get(timeout=30)
    until(lambda: scrape(port).get(("faena_worker_process_ends_total", "crashed")) == 1)
    found = scrape(port)
    assert found["faena_tasks_total", "succeeded", "default", "app.work"] == 100
    until(lambda: scrape(port)["faena_tasks_total", "succeeded", "default", "app.die"] == 1)
    assert found["faena_worker_process_starts_total",] >= 6


def test_a_process_that_gives_no_answer_is_told_of_and_waited_for_no_longer_than_a_moment(site, until):
    site.app(APP)
    port = port_of(site.worker("--metrics-port", "0"))
    site.send("work", 1).get(timeout=10)
    until(lambda: ("faena_tasks_total", "succeeded", "default", "app.work") in scrape(port))
    site.send("block")
    site.until_marked("blocks")
    found = scrape(port)
    assert found["faena_worker_silent_processes",] == 1
    assert found["faena_tasks_total", "succeeded", "default", "app.work"] == 1
    (site.folder / "go").touch()
    until(lambda: scrape(port)["faena_worker_silent_processes",] == 0)


def test_a_taken_port_is_said_with_what_to_do_and_is_taken_over_when_it_is_free(site):
    site.app(APP)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        worker = site.worker("--metrics-port", str(port))
        worker.until_logged(rf"no metrics at 127\.0\.0\.1:{port}: .*--metrics-port N, or 0")
        assert site.send("work", 1).get(timeout=5) == 1
    assert port_of(worker) == port
    assert worker.text().count("no metrics at") == 1


def test_a_worker_stops_while_a_scrape_is_on_its_way(site):
    site.app(APP)
    worker = site.worker("--metrics-port", "0")
    with socket.create_connection(("127.0.0.1", port_of(worker))) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert worker.stop(4.0) == 0
        assert client.recv(1) == b""
    assert "Traceback" not in worker.text()


def test_metrics_go_on_while_the_worker_finishes_its_work(site, until):
    site.app(APP)
    worker = site.worker("--metrics-port", "0")
    port = port_of(worker)
    site.send("hold")
    site.until_marked("holds")
    worker.signal(signal.SIGTERM)
    worker.until_logged("stopping")
    until(lambda: scrape(port)["faena_worker_ready",] == 0)
    (site.folder / "go").touch()
    assert worker.until_ended() == 0


def test_without_the_option_no_port_is_opened(site):
    site.app(APP)
    worker = site.worker()
    assert site.send("work", 1).get(timeout=5) == 1
    assert worker.stop() == 0
    assert "metrics" not in worker.text()
