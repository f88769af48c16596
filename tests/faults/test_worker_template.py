"""The process that worker processes are forked from: what they share, what they must not, and its own end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import gc, random, uuid
from faena._lib.ids import new_id

@app.task
def work(n):
    return n

@app.task
def sleep(seconds):
    mark("begin")
    time.sleep(seconds)
    return os.getpid()

@app.task
def facts():
    opened = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    return {
        "argv": sys.argv,
        "path": sys.path,
        "main": (sys.modules["__main__"].__file__, sys.modules["__main__"].__spec__.name),
        "cwd": os.getcwd(),
        "variable": os.environ["MINE"],
        "files": sorted({each for each in opened if "[" not in each and "site.db" not in each and "/fd" not in each}),
        "kinds": sorted({os.path.basename(each).partition(":")[0] for each in opened if "[" in each}),
        "leads a group": os.getpgid(0) == os.getpid(),
        "session": os.getsid(0) == os.getsid(os.getppid()),
        "signals": [signal.getsignal(each) is signal.SIG_IGN for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "threads": sorted(each.name for each in threading.enumerate()),
        "collector": gc.isenabled(),
        "has been the command line": sorted(each for each in sys.modules if each.startswith("faena.cli")) != [],
    }

@app.task
def loaded():
    names = list(sys.modules)
    return names[names.index(__name__):]

@app.task
def chance():
    time.sleep(0.3)
    return os.getpid(), random.random(), new_id(), uuid.uuid4().hex, os.urandom(8).hex()

def double(n):
    return 2 * n

@app.task
def in_processes():
    import multiprocessing
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(double, [1, 2])

@app.task
def leave_behind():
    "Start a program that is nobody's child soon, and ends a little later."
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.3)
            mark("left")
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def app(site):
    site.app(APP)


def processes_of(worker, until, count=2):
    return until(lambda: len(worker.processes()) == count and worker.processes())


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_stopped(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def pss_kib(pids):
    """Return the memory of processes, each of them with its share of what several have."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def names(pids):
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]


def test_processes_are_forked_from_a_template_and_say_in_their_names_which_they_are(site, app, until):
    worker = site.worker()
    pids = processes_of(worker, until)
    assert sorted(names(pids)) == ["faena:0", "faena:1"]
    [template] = worker.templates()
    assert len(os.listdir(f"/proc/{template}/task")) == 1, "it has one thread"
    links = [os.readlink(f"/proc/{template}/fd/{name}") for name in os.listdir(f"/proc/{template}/fd")]
    assert [link.partition(":")[0] for link in links if not link.startswith("/")] == ["socket"], "its supervisor"
    assert worker.stop() == 0
    assert not is_there(template)


def test_a_forked_process_finds_what_a_spawned_one_finds(site, app):
    found = []
    for how in ((), ("--spawn",)):
        worker = site.worker("-c", "1", *how, MINE="yes")
        facts = site.send("facts").get(timeout=10)
        assert len(worker.templates()) == (0 if how else 1)
        assert facts.pop("has been the command line") == (not how)
        facts["argv"] = facts["argv"][:1]  # the others are numbers of descriptors
        facts["files"] = [name.replace(worker.log.name, "the log") for name in facts["files"]]
        found.append(facts)
        assert worker.stop() == 0
    assert found[0] == found[1]


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_process_loads_the_app_and_nothing_else_by_itself(site, redis_of, store):
    if store == "redis":
        site.url = redis_of().url
    site.app("import json\n" + APP)
    site.worker("-c", "1")
    assert [site.send("loaded").get(timeout=10) for _ in range(3)][-1] == ["app"], "the template has loaded what it needs"


def test_processes_share_the_memory_that_spawned_ones_have_each(site, app, until):
    sizes = {}
    for how in ((), ("--spawn",)):
        worker = site.worker(*how)
        processes_of(worker, until)
        site.send_all("work", range(20))[-1].get(timeout=10)
        sizes[how] = pss_kib([worker.pid, *worker.templates(), *worker.processes()])
        worker.stop()
    print(f"{sizes[()] / 1024:.1f} MiB, spawned {sizes[('--spawn',)] / 1024:.1f} MiB")
    assert sizes[()] < 0.88 * sizes[("--spawn",)]


def test_processes_draw_different_numbers(site, app, until):
    worker = site.worker()
    processes_of(worker, until)
    drawn = [result.get(timeout=10) for result in [site.send("chance") for _ in range(8)]]
    assert len({each[0] for each in drawn}) == 2, "both have drawn"
    for column in list(zip(*drawn, strict=True))[1:]:
        assert len(set(column)) == len(drawn)


def test_multiprocessing_works_in_a_forked_process(site, app):
    site.worker("-c", "1")
    assert site.send("in_processes").get(timeout=15) == [2, 4]


def test_a_killed_template_is_replaced_and_disturbs_nobody(site, app, until):
    worker = site.worker()
    pids = processes_of(worker, until)
    [template] = worker.templates()
    result = site.send("sleep", 1)
    site.until_marked("begin")
    os.kill(template, signal.SIGKILL)
    worker.until_logged("the template of the processes is gone; another one is started")
    assert result.get(timeout=10) in pids
    assert set(pids) <= set(worker.processes()), "they are as they were"
    [successor] = until(worker.templates)
    assert successor != template
    os.kill(pids[0], signal.SIGKILL)
    worker.until_logged(rf"pid {pids[0]}\) killed by SIGKILL")
    new = until(lambda: len(worker.processes()) == 2 and set(worker.processes()) - set(pids))
    assert names(new)[0] in {"faena:0", "faena:1"}, "forked from the new one"
    assert site.send("work", 3).get(timeout=10) == 3
    assert worker.stop() == 0
    assert worker.session() == []


def test_a_process_is_started_at_once_while_there_is_no_template_to_fork_it(site, app, until):
    worker = site.worker()
    pids = processes_of(worker, until)
    for pid in [*worker.templates(), *pids]:
        os.kill(pid, signal.SIGKILL)
    assert site.send("work", 3).get(timeout=10) == 3
    until(lambda: len(worker.processes()) == 2 and not set(pids) & set(worker.processes()))
    for number in range(2):
        [template] = until(worker.templates)
        os.kill(template, signal.SIGKILL)
        until(lambda gone=template: worker.templates() not in ([gone], []))
        worker.signal(signal.SIGHUP)  # every process anew
        assert site.send("work", number).get(timeout=10) == number
    assert worker.stop() == 0
    assert worker.session() == []


def test_a_template_that_is_killed_before_it_is_ready_is_replaced_too(site, app, until):
    # the first two that are started as interpreters stop where they begin, so that they are killed there for certain
    (site.folder / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if 'faena.worker.template' in sys.orig_argv:\n"
        "    for name in ('first', 'second'):\n"
        "        try:\n"
        "            os.close(os.open(os.path.join(os.path.dirname(__file__), name), os.O_CREAT | os.O_EXCL))\n"
        "        except FileExistsError:\n"
        "            continue\n"
        "        os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    worker = site.worker("-c", "1", PYTHONPATH=str(site.folder))
    [pid] = processes_of(worker, until, 1)
    killed = worker.templates()
    os.kill(killed[0], signal.SIGKILL)
    for _ in range(2):
        [unready] = until(lambda: [each for each in worker.processes() if each != pid and is_stopped(each)])
        killed.append(unready)
        os.kill(unready, signal.SIGKILL)
        until(lambda gone=unready: gone not in worker.processes())
    [template] = until(worker.templates)
    assert template not in killed
    os.kill(pid, signal.SIGKILL)
    [new] = until(lambda: [each for each in worker.processes() if each != pid])
    assert names([new]) == ["faena:0"], "forked from it"
    assert site.send("work", 3).get(timeout=10) == 3
    assert worker.stop() == 0


def test_where_no_template_can_be_started_processes_are_interpreters_of_their_own(site, app, until):
    (site.folder / "sitecustomize.py").write_text(
        "import os, sys\nif 'faena.worker.template' in sys.orig_argv:\n    os._exit(1)\n"
    )
    worker = site.worker("-c", "1", PYTHONPATH=str(site.folder))
    [pid] = processes_of(worker, until, 1)
    os.kill(*worker.templates(), signal.SIGKILL)
    worker.until_logged("no template can be started; processes are interpreters of their own from now on")
    os.kill(pid, signal.SIGKILL)
    assert site.send("work", 3).get(timeout=10) == 3
    assert worker.templates() == []
    assert worker.stop() == 0


@pytest.mark.slow  # for the five seconds that it is given
def test_a_template_that_gives_no_answer_is_replaced(site, app, until):
    worker = site.worker("-c", "1")
    [pid] = processes_of(worker, until, 1)
    [template] = worker.templates()
    os.kill(template, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    worker.until_logged("the template of the processes gives no answer; another one is started")
    assert site.send("work", 3).get(timeout=10) == 3
    assert not is_there(template)


def test_the_template_ends_with_a_supervisor_that_is_killed(site, app, until):
    worker = site.worker("-c", "1")
    [pid] = processes_of(worker, until, 1)
    [template] = worker.templates()
    result = site.send("sleep", 1)
    site.until_marked("begin")
    worker.signal(signal.SIGKILL)
    worker.popen.wait(5)
    until(lambda: not is_there(template), 3)
    assert result.get(timeout=10) == pid, "what ran is finished"
    until(lambda: not is_there(pid), 10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_a_signal_that_everybody_gets_stops_the_worker_in_peace(site, app, until, number):
    """As systemd sends it to all of a control group, and a terminal to a foreground group."""
    worker = site.worker()
    pids = processes_of(worker, until)
    result = site.send("sleep", 1)
    site.until_marked("begin")
    for pid in [*worker.templates(), *pids, worker.pid]:
        os.kill(pid, number)
    assert worker.until_ended() == 0
    assert result.get(timeout=5) in pids
    assert "template" not in worker.text()
    assert worker.session() == []


def test_the_end_of_a_process_is_reported_exactly(site, app, until):
    site.app(APP + "\n@app.task\ndef end(how):\n    os._exit(how) if how >= 0 else os.kill(os.getpid(), -how)\n")
    worker = site.worker("-c", "1")
    for how, words in ((7, "ended with exit code 7"), (-signal.SIGSEGV, "killed by SIGSEGV")):
        result = site.send("end", how)
        worker.until_logged(rf"process 0 \(pid \d+\) {words}; it ran task {result.id}")


def test_what_tasks_leave_behind_does_not_stay_as_a_zombie_of_the_supervisor(site, app, until):
    worker = site.worker("-c", "1")
    [pid] = processes_of(worker, until, 1)
    site.send("leave_behind").get(timeout=10)
    site.until_marked("left")
    until(lambda: worker.processes() == [pid], 5, worker.processes)


def test_files_that_the_supervisor_was_started_with_stay_with_it(site, app, until, tmp_path):
    reader, writer = os.pipe()
    command = [os.path.join(os.path.dirname(sys.executable), "faena"), "-A", "app", "worker", "-c", "1"]
    with open(tmp_path / "log", "wb") as log:
        worker = subprocess.Popen(
            command, cwd=site.folder, pass_fds=(writer,), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    os.close(writer)
    try:
        until(lambda: "is ready" in (tmp_path / "log").read_text())
        identity = os.readlink(f"/proc/{worker.pid}/fd/{writer}")
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        assert len(children) == 2
        for pid in children:
            held = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
            assert identity not in held
    finally:
        worker.terminate()
        worker.wait(10)
        os.close(reader)
