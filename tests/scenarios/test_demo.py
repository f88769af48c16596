"""`faena demo`, driven as a user does: to its end, stopped in the middle, killed, resumed."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FAENA = os.path.join(sysconfig.get_path("scripts"), "faena")
DEADLINE_S = 60
PROCESSES = 2
CUT_OFF = 3
"""What a killed process may leave to be run again: the file it was at, and the last ones that it had not yet recorded."""
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("FAENA_")}


def faena(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([FAENA, "demo", *words], cwd=cwd, env=ENVIRON, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def reported(*words: str, cwd: Path, code: int = 0) -> dict[str, Any]:
    answer = json.loads(faena(*words, "--json", cwd=cwd, code=code).stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with three modules and one that does not parse."""
    folder = tmp_path / "sources"
    (folder / "inner").mkdir(parents=True)
    (folder / "one.py").write_text("import os\n\n\ndef f(x):\n    return x if x else os\n")
    (folder / "inner" / "two.py").write_text("class C:\n    def g(self): ...\n")
    (folder / "inner" / "empty.py").write_text("")
    (folder / "inner" / "broken.py").write_text("def f(:\n")
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of modules that take some hundredths of a second each, so that there is a middle to stop in."""
    folder = tmp_path / "many"
    folder.mkdir()
    text = "def f(x):\n" + "    if x and x: x = [y for y in x if y]\n" * 700
    for number in range(60):
        (folder / f"m{number:02}.py").write_text(text)
    return folder


class Started:
    """A demo that runs, and whose lines can be waited for."""

    def __init__(self, *words: str, cwd: Path) -> None:
        self.folder = cwd / ".faena-demo"
        self.answer = cwd / "answer.json"
        with self.answer.open("w") as output:
            self.process = subprocess.Popen(
                [FAENA, "demo", "--json", *words], cwd=cwd, env=ENVIRON, stdout=output, stderr=subprocess.PIPE, text=True
            )
        self._deadline = threading.Timer(DEADLINE_S, self.process.kill)
        self._deadline.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line. Fails when the demo ends without having written one."""
        seen = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            seen.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no line like {pattern!r} in:\n{''.join(seen)}")

    def wait(self) -> int:
        code = self.process.wait() if self.process.stderr is None or self.process.stderr.closed else self._drain()
        self._deadline.cancel()
        return code

    def _drain(self) -> int:
        assert self.process.stderr is not None
        with self.process.stderr as rest:
            for _ in rest:
                pass
        return self.process.wait()

    def descendants(self) -> list[int]:
        """Return the worker's supervisor, then its processes."""
        found = children_of(self.process.pid)
        return found + [pid for each in found for pid in children_of(each)]

    def wait_until_its_worker_is_gone(self) -> None:
        with open(self.folder / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the worker holds it to its end; the test's own time limit ends this


def children_of(pid: int) -> list[int]:
    lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.splitlines()
    pairs = [tuple(map(int, line.split())) for line in lines]
    return [child for child, parent in pairs if parent == pid]


@pytest.fixture
def started(many: Path, tmp_path: Path) -> Iterator[Started]:
    demo = Started(str(many), "-c", str(PROCESSES), cwd=tmp_path)
    yield demo
    demo.process.kill()
    demo.wait()


def check_resumed(cwd: Path, files: int, *, killed: int = 0) -> dict[str, Any]:
    """Resume; check that all is done and nothing whose result was kept was done again."""
    answer = reported("--resume", cwd=cwd)
    timing = answer["timing"]
    assert (answer["files"], answer["analysed"], answer["failed"]) == (files, files, [])
    assert timing["kept"] + timing["sent"] == files
    assert timing["repeated"] == 0
    assert files <= timing["executions"] <= files + killed * CUT_OFF
    return answer


# -- to its end --------------------------------------------------------------------------------------------


def test_every_file_is_analysed_and_one_that_does_not_parse_is_tried_again_and_listed(
    sources: Path, tmp_path: Path
) -> None:
    done = faena(str(sources), "--json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert (answer["files"], answer["analysed"], answer["lines"], answer["functions"], answer["classes"]) == (4, 3, 7, 2, 1)
    assert answer["failed"] == [
        {"type": "failed", "file": "inner/broken.py", "error": "line 1: invalid syntax", "retries": 2, "unexpected": False}
    ]
    assert answer["retries"] == 2
    assert (answer["timing"]["executions"], answer["timing"]["repeated"]) == (6, 0)
    assert [line.split(":")[0] for line in done.stderr.splitlines() if "broken" in line] == [
        "retry   1 of 2 in 0.5 s  inner/broken.py",
        "retry   2 of 2 in 0.5 s  inner/broken.py",
        "failed  inner/broken.py",
    ]
    page = Path(answer["report"])
    assert page == tmp_path / ".faena-demo" / "report.html"
    assert "inner/broken.py" in page.read_text()
    assert sorted(os.listdir(page.parent)) == [".gitignore", "faena.toml", "lock", "report.html"]


def test_in_a_pipe_the_report_is_a_table_of_text(sources: Path, tmp_path: Path) -> None:
    lines = faena(str(sources), "-c", "1", cwd=tmp_path).stdout.splitlines()
    assert lines[0].startswith(f"4 modules of {sources} (Python 3.")
    assert lines[2] == "4 modules finished in 6 executions, with 2 retries; none ran again once its result was kept."
    assert "FUNCTION  WHERE           COMPLEXITY  LINES" in lines
    assert "f         one.py:4                 2      2" in lines
    assert lines[-1] == f"report: {tmp_path / '.faena-demo' / 'report.html'}"


def test_without_a_folder_it_is_about_the_standard_library(tmp_path: Path) -> None:
    answer = reported("--files", "25", cwd=tmp_path)
    assert answer["folder"] == sysconfig.get_path("stdlib")
    assert (answer["files"], answer["python"]) == (25, sys.version.split()[0])
    assert answer["analysed"] + len(answer["failed"]) == 25
    assert answer["functions"] > 50


def test_a_report_elsewhere_leaves_no_folder_behind(sources: Path, tmp_path: Path) -> None:
    faena(str(sources), "--report", "page.html", cwd=tmp_path)
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert not (tmp_path / ".faena-demo").exists()


def test_what_was_kept_can_be_looked_at_with_the_other_commands(sources: Path, tmp_path: Path) -> None:
    faena(str(sources), "--keep", cwd=tmp_path)
    url = f"sqlite:///{tmp_path / '.faena-demo' / 'faena.db'}"
    dead = subprocess.run(
        [FAENA, "-b", url, "dead", "list", "--json"], cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, check=True
    )
    assert [letter["reason"] for letter in json.loads(dead.stdout)] == ["failed"]
    again = reported("--resume", cwd=tmp_path)  # nothing is left to do: the report once more
    assert (again["timing"]["sent"], again["timing"]["kept"], again["timing"]["executions"]) == (0, 4, 6)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_a_failure_of_the_demo(sources: Path, tmp_path: Path) -> None:
    (sources / "one.py").chmod(0)
    answer = reported(str(sources), cwd=tmp_path, code=1)
    assert answer["failed"][0]["file"] == "one.py"
    assert answer["failed"][0]["unexpected"] is True


def test_a_file_that_is_gone_when_its_turn_comes_is_a_failure_of_the_demo(sources: Path, tmp_path: Path) -> None:
    (sources / "ghost.py").symlink_to("nowhere.py")
    answer = reported(str(sources), cwd=tmp_path, code=1)
    assert [(each["file"], each["unexpected"], each["retries"]) for each in answer["failed"]] == [
        ("ghost.py", True, 2),
        ("inner/broken.py", False, 2),
    ]


# -- stopped and resumed -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_is_resumed_without_loss_or_repetition(
    started: Started, number: signal.Signals, tmp_path: Path
) -> None:
    started.wait_for(r"^\d+ of 60 ")
    started.process.send_signal(number)
    found = started.wait_for(r"^interrupted: (\d+) of 60 done and kept; go on with: faena demo --resume")
    assert started.wait() == 128 + number
    done = int(found[1])
    assert 0 < done < 60
    answer = check_resumed(tmp_path, 60)
    assert answer["timing"]["kept"] == done


@pytest.mark.slow
def test_a_second_interruption_stops_at_once_and_still_nothing_is_lost(started: Started, tmp_path: Path) -> None:
    started.wait_for(r"^\d+ of 60 ")
    started.process.send_signal(signal.SIGINT)
    started.wait_for("^stopping")
    started.process.send_signal(signal.SIGINT)
    assert started.wait() == 130
    started.wait_until_its_worker_is_gone()
    check_resumed(tmp_path, 60, killed=PROCESSES)


@pytest.mark.slow
def test_when_the_demo_is_killed_its_worker_ends_too_and_the_run_can_be_resumed(started: Started, tmp_path: Path) -> None:
    started.wait_for(r"^\d+ of 60 ")
    started.process.kill()
    started.wait()
    started.wait_until_its_worker_is_gone()
    check_resumed(tmp_path, 60)  # its worker had the time to stop gracefully


@pytest.mark.slow
def test_when_the_worker_and_its_processes_are_killed_the_demo_says_so_and_can_be_resumed(
    started: Started, tmp_path: Path
) -> None:
    started.wait_for(r"^\d+ of 60 ")
    for pid in started.descendants():
        os.kill(pid, signal.SIGKILL)
    started.wait_for(r"the worker ended with code -9, \d+ of 60 done and kept")
    assert started.wait() == 1
    check_resumed(tmp_path, 60, killed=PROCESSES)


@pytest.mark.slow
def test_a_worker_process_that_is_killed_costs_nothing_but_a_few_attempts(started: Started) -> None:
    started.wait_for(r"^\d+ of 60 ")
    os.kill(started.descendants()[-1], signal.SIGKILL)
    assert started.wait() == 0
    answer = json.loads(started.answer.read_text())
    assert (answer["analysed"], answer["timing"]["repeated"]) == (60, 0)
    assert 60 <= answer["timing"]["executions"] <= 60 + CUT_OFF


@pytest.mark.slow
def test_a_run_that_waits_to_be_resumed_is_not_thrown_away_unasked(started: Started, sources: Path, tmp_path: Path) -> None:
    started.wait_for(r"^\d+ of 60 ")
    started.process.send_signal(signal.SIGINT)
    started.wait()
    refused = faena(str(sources), cwd=tmp_path, code=2)
    assert "an interrupted run over 60 files" in refused.stderr
    assert "go on with --resume, or throw it away with --fresh" in refused.stderr
    answer = reported(str(sources), "--fresh", cwd=tmp_path)
    assert (answer["files"], answer["timing"]["executions"]) == (4, 6)


@pytest.mark.slow
def test_two_demos_in_one_folder_do_not_meet(started: Started, tmp_path: Path) -> None:
    started.wait_for("60 files in")
    assert "a demo is at work in" in faena("--resume", cwd=tmp_path, code=2).stderr


# -- refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume"], "there is no run to resume in"),
        (["--resume", "--fresh"], "--resume goes on with a run and --fresh throws it away"),
        (["--resume", "--files", "3"], "leave out the folder and --files"),
        (["nowhere"], "no folder 'nowhere'"),
        (["--files", "-1"], "--files must be 1 or more"),
        (["-c", "-2"], "--concurrency must be 1 or more"),
        (["."], "no .py file with a readable name below"),
        (["-b", "sqlite:///other.db"], "leave out -A, -b and --result-backend"),
        (["--fils", "3"], "Did you mean '--files'?"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(words: list[str], said: str, tmp_path: Path) -> None:
    done = faena(*words, cwd=tmp_path, code=2)
    assert said in done.stderr
    assert done.stdout == ""


def test_a_report_that_cannot_be_written_loses_no_result(sources: Path, tmp_path: Path) -> None:
    refused = faena(str(sources), "--report", "nowhere/page.html", cwd=tmp_path, code=2)
    assert "No such file or directory; all results are kept" in refused.stderr
    answer = reported("--resume", "--report", "page.html", cwd=tmp_path)
    assert (answer["timing"]["sent"], answer["timing"]["executions"]) == (0, 6)


def test_a_damaged_database_is_reported_and_a_fresh_run_begins_anew(sources: Path, tmp_path: Path) -> None:
    faena(str(sources), "--keep", cwd=tmp_path)
    (tmp_path / ".faena-demo" / "faena.db").write_bytes(b"no database" * 1000)
    assert "faena.db" in faena("--resume", cwd=tmp_path, code=1).stderr
    assert reported(str(sources), "--fresh", cwd=tmp_path)["files"] == 4


def test_settings_of_the_project_around_do_not_reach_into_the_demo(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.faena]\ntask_always_eager = true\ntask_ignore_result = true\nworker_pool = 'solo'\n"
        "task_routes = {'*' = {queue = 'elsewhere'}}\n"
    )
    answer = reported(str(sources), "-c", "2", cwd=tmp_path)
    assert (answer["analysed"], answer["timing"]["executions"], len(answer["failed"])) == (3, 6, 1)


def test_a_file_whose_name_is_not_text_is_left_out_aloud(sources: Path, tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(sources), b"b\xff.py"), "wb"):
        pass
    done = faena(str(sources), "--json", cwd=tmp_path)
    assert "left out, as their names are not UTF-8: 1 of 5 files" in done.stderr
    assert json.loads(done.stdout)["files"] == 4


def test_help_says_what_it_does(tmp_path: Path) -> None:
    text = faena("--help", cwd=tmp_path).stdout
    for option in ("--files", "--concurrency", "--report", "--json", "--resume", "--fresh", "--keep"):
        assert option in text
