"""Circuit breakers in workers: what they hold back comes back, also when those die that hold it back and that try it."""

import json
import math

from faena.model.breaker import Phase

APP = """
from faena import CircuitBreaker

@app.task(circuit_breaker=CircuitBreaker(least=5, pause=0.5, errors=OSError), autoretry_for=(OSError,),
          max_retries=None, default_retry_delay=0.01)
def pay(number):
    if os.path.exists("kill-a-try") and once("try"):
        mark("killed")
        os.kill(os.getpid(), signal.SIGKILL)
    if not os.path.exists("up"):
        mark("failed")
        raise ConnectionError("the bank is away")
    mark(f"paid {number}")

@app.task(circuit_breaker=CircuitBreaker(least=3, pause=1, errors=(OSError,)))
async def apay(number):
    if not os.path.exists("up"):
        mark("failed")
        raise ConnectionError("the bank is away")
    mark(f"paid {number}")

@app.task
def other():
    return "other"
"""
CALLS = 100


def attempts_before_tries(site, task):
    """Return how many attempts have failed but for the tries of the breaker; None: something is on its way."""
    before = site.client.breakers.list().get(task)
    is_paused = any(each.name == f"breaker:{task}" and each.terms.is_paused for each in site.client.limits.list())
    if before is None or before.phase is not Phase.OPEN or not is_paused or site.queue().held:
        return None
    failed = site.marks()["failed"]  # nothing runs, and nothing can begin before what stands is another
    if before != site.client.breakers.list().get(task):
        return None
    return failed - round(math.log2(before.pause_s / 0.5))  # each try has doubled the pause


def test_workers_hold_back_what_fails_try_it_one_at_a_time_and_let_it_go(site_anywhere, until):
    site = site_anywhere
    site.app(APP)
    site.send_all("pay", list(range(CALLS)))
    workers = [site.worker("-n", f"w{number}", "-c", "1", ready=False) for number in range(2)]
    first = until(lambda: attempts_before_tries(site, "app.pay"), what=site.logs)
    assert 5 <= first < CALLS
    assert site.send("other").get(timeout=10) == "other"
    (held, *_) = [each for each in site.client.limits.list() if each.name == "breaker:app.pay"]
    assert held.waiting == 1  # lane, in which all of them are
    until(lambda: site.client.breakers.list()["app.pay"].pause_s >= 1, what=site.logs)
    assert until(lambda: attempts_before_tries(site, "app.pay"), what=site.logs) == first

    (site.folder / "up").touch()
    site.until_drained()
    assert [number for number in range(CALLS) if site.marks()[f"paid {number}"] != 1] == []
    until(lambda: site.client.breakers.list() == {}, what=site.logs)
    logs = site.logs()
    assert "the circuit breaker of task 'app.pay' is open (" in logs
    assert "the circuit breaker of task 'app.pay' is closed: a try has not failed" in logs
    assert [worker.until_ready().stop() for worker in workers] == [0, 0]


def test_a_try_that_is_killed_and_workers_that_are_killed_leave_nothing_held_back(site, until):
    site.app(APP)
    settings = {"FAENA_WORKER_LEASE": "3"}
    site.send_all("pay", list(range(CALLS)))
    worker = site.worker("-c", "1", **settings)
    until(lambda: attempts_before_tries(site, "app.pay"), what=site.logs)
    (site.folder / "kill-a-try").touch()
    site.until_marked("killed")
    worker.end()  # at once, and with it who holds the scheduler's lease
    (site.folder / "up").touch()
    assert "app.pay" in site.client.breakers.list()
    worker = site.worker("-c", "1", **settings)
    site.until_drained()
    assert [number for number in range(CALLS) if site.marks()[f"paid {number}"] != 1] == []
    until(lambda: site.client.breakers.list() == {}, what=site.logs)
    assert site.dead() == []
    assert worker.stop() == 0


def test_coroutines_are_counted_and_what_the_command_line_says_of_it(site, until, capsys):
    from faena.cli.main import main

    site.app(APP)
    results = [site.send("apay", number) for number in range(3)]
    worker = site.worker("-c", "1")
    until(lambda: "app.apay" in site.client.breakers.list(), what=site.logs)
    for each in results:
        assert isinstance(each.get(timeout=10, propagate=False), ConnectionError)

    def told(*words):
        assert main(["--broker", site.url, *words]) == 0
        return capsys.readouterr()

    (found,) = json.loads(told("limits", "breakers", "--json").out)
    assert (found["task"], found["errors"], found["error"]) == ("app.apay", 3, "ConnectionError: the bank is away")
    assert "3 of 3" in told("limits", "breakers").out
    held = site.send("apay", 3)
    (site.folder / "up").touch()
    assert "app.apay goes on" in told("limits", "close-breaker", "app.apay").err
    assert held.get(timeout=10) is None
    assert "no circuit breaker is open" in told("limits", "breakers").out + told("limits", "breakers").err
    assert worker.stop() == 0


def test_an_attempt_that_ends_its_process_counts_when_it_is_given_up(site, until):
    site.app("""
        from faena import CircuitBreaker

        @app.task(circuit_breaker=CircuitBreaker(least=1, pause=600), time_limit=0.2)
        def stuck():
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            time.sleep(60)
    """)
    site.worker("-c", "1")
    site.send("stuck")
    standing = until(lambda: site.client.breakers.list().get("app.stuck"), what=site.logs)
    assert standing.error.startswith("TimeLimitExceeded: task 'app.stuck' ran longer than its time limit")
