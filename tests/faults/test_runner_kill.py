"""Builds that are killed: what they left half-made is never taken for good by the next run.

Not the outputs, of a rule's targets and of a task, not the cache, and not the records.
FAENA_TEST_KILLS=100 is the long form.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from faena.runner import state
from faena.runner.files import content_hash, digest_of

TASKS = """
from faena import task

@task(each="src/*", outputs="out/{stem}")
def slowly(c, source, output):
    text = open(source).read()
    with open(output, "w") as file:
        for letter in text:
            file.write(letter)
            file.flush()

@task(needs=[slowly], sources=[slowly], outputs=["all"])
def all(c):
    with open("all", "w") as file:
        for number in range(8):
            file.write(open(f"out/f{number}").read())
            file.flush()
"""

KILLS = int(os.environ.get("FAENA_TEST_KILLS", "36"))
FILES = 8


def start(folder: Path, jobs: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "faena.cli.fa", "all", "-j", str(jobs)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_after_each_kill_the_next_whole_run_makes_exactly_the_right_outputs(tmp_path, jobs):
    chance = random.Random(jobs)
    (tmp_path / "src").mkdir()
    (tmp_path / "tasks.py").write_text(textwrap.dedent(TASKS))
    began = time.monotonic()
    texts = {f"f{number}": "first" for number in range(FILES)}
    for name, text in texts.items():
        (tmp_path / "src" / name).write_text(text)
    process = start(tmp_path, jobs)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 0
    whole_s = time.monotonic() - began
    landed = restored = 0
    for _ in range(KILLS // 2):
        before = dict(texts)
        for name in chance.sample(sorted(texts), 4):
            texts[name] = str(chance.random()) * 40
            (tmp_path / "src" / name).write_text(texts[name])
        process = start(tmp_path, jobs)
        try:
            process.wait(chance.uniform(whole_s * 0.3, whole_s * 1.1))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            landed += 1
        process.communicate(timeout=60)
        if chance.random() < 0.5:  # the source of a target that may be half-made goes back to what was recorded
            name = chance.choice([each for each in texts if texts[each] != before[each]])
            texts[name] = before[name]
            (tmp_path / "src" / name).write_text(texts[name])
        process = start(tmp_path, jobs)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, b"")
        restored += out.count(b"from the cache")
        assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == texts
        assert (tmp_path / "all").read_text() == "".join(texts[f"f{number}"] for number in range(FILES))
        assert_cache_is_right(tmp_path / ".faena" / "cache")
        assert_records_are_right(tmp_path)
    assert landed >= KILLS // 10, f"only {landed} kills hit a running build"
    # how often a kill comes after a target was built anew, so that going back restores it, is chance; this is not
    for text in ("another", "once more", "another"):
        (tmp_path / "src" / "f0").write_text(text)
        out, err = start(tmp_path, jobs).communicate(timeout=60)
        assert err == b""
    assert b"from the cache" in out
    assert (tmp_path / "out" / "f0").read_text() == "another"
    print(f"{landed} kills hit a running build, {restored} targets came from the cache after one")


def assert_cache_is_right(folder: Path) -> None:
    """Every content is what its name says; an entry is whole or, where a kill hit it, no entry at all."""
    for path in (folder / "blobs").rglob("*"):
        if path.is_file() and path.suffix != ".tmp":
            assert content_hash(str(path)).hex() == path.name
    torn = 0
    for path in (folder / "entries").rglob("*"):
        if not path.is_file() or path.suffix == ".tmp":
            continue
        try:
            entry = json.loads(path.read_bytes())
        except ValueError:
            torn += 1
            continue
        for each in entry["files"]:
            if "data" in each:
                assert digest_of(each["data"].encode("latin-1")).hex() == each["content"]
            else:
                assert (folder / "blobs" / each["content"][:2] / each["content"]).exists()
    assert torn <= KILLS


def assert_records_are_right(folder: Path) -> None:
    """After a whole run, what is recorded of each target is what lies there, and no journal is left."""
    records = folder / ".faena" / "runner"
    assert not (records / "slowly.rule.log").exists()
    known = state.load(str(records / "slowly.rule"))
    assert sorted(known) == ["", *(f"out/f{number}" for number in range(FILES))]
    for number in range(FILES):
        assert known[f"out/f{number}"][3][4] == content_hash(str(folder / "out" / f"f{number}"))
    assert state.load(str(records / "all.state"))["outputs"]["all"][4] == content_hash(str(folder / "all"))
