"""Processes that publish and consume are killed at random moments: nothing acknowledged is lost, nothing done twice."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faena._lib.drive import run
from faena.backend import Completion
from faena.backends.sqlite import SqliteBackend
from faena.brokers.sqlite import SqliteBroker
from faena.model.delivery import Ack
from faena.model.result import ResultRecord

PROCESS = str(Path(__file__).with_name("sqlite_process.py"))
ROUNDS = int(os.environ.get("FAENA_TEST_KILLS", "20"))


class Part:
    """A process whose words go to a file, which outlives it."""

    def __init__(self, folder: Path, number: int, name: str, *arguments: str) -> None:
        self.name, self.said = name, folder / f"{number}-{name}"
        with self.said.open("wb") as stdout:
            self.process = subprocess.Popen([sys.executable, PROCESS, name, *arguments], stdout=stdout)

    def lines(self) -> list[list[str]]:
        text = self.said.read_text()
        return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def _sent(parts):
    return [each for part in parts if part.name == "publish" for line in part.lines() for each in line]


def _done(parts):
    return [each for part in parts if part.name == "consume" for line in part.lines()[1:] for each in line]


def _enough(parts):
    return len(_sent(parts)) > 200 and len(_done(parts)) > 50


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_acknowledged_is_lost_and_nothing_is_completed_twice(tmp_path, seed):
    chance = random.Random(seed)
    url = f"sqlite:///{tmp_path}/faena.db"
    broker, backend = SqliteBroker.connect(url, io="blocking"), SqliteBackend.connect(url, io="blocking")
    run(broker.open())
    parts: list[Part] = []

    def start(name: str, number: int) -> Part:
        part = Part(tmp_path, len(parts), name, url, str(number))
        parts.append(part)
        return part

    alive = [start("publish", 1), start("publish", 25), start("consume", 1), start("consume", 16)]
    try:
        deadline, rounds = time.monotonic() + 60, 0
        while rounds < ROUNDS or (not _enough(parts) and time.monotonic() < deadline):
            # the moment of the kill, not a wait for an event; later on a busy machine, where starting takes long
            time.sleep(chance.uniform(0.02, 0.2) if rounds < ROUNDS else chance.uniform(0.5, 2.0))
            rounds += 1
            at = chance.randrange(len(alive))
            gone = alive[at]
            gone.kill()
            if gone.name == "consume" and gone.lines():
                run(broker.leases.recover(gone.lines()[0][0], {}))
            size = chance.choice([1, 7, 32])
            alive[at] = start(gone.name, size)
    finally:
        for part in alive:
            part.kill()
    for part in parts:
        if part.name == "consume" and part.lines():
            run(broker.leases.recover(part.lines()[0][0], {}))
    # a consumer may be killed between opening its holder and saying so
    for holder in broker.driver.database.read(lambda sql: sql.execute("SELECT id FROM holders").fetchall()):
        run(broker.leases.recover(str(holder[0]), {}))
    holder = run(broker.leases.open_holder("the last one", 600))
    consumer, settler = broker.consumer(holder, ["default"]), backend.joint(broker, holder)
    while batch := run(consumer.receive(500, 0)):
        records = [ResultRecord(each.message.id, "t", "SUCCESS", b"last") for each in batch]
        completions = [Completion(Ack(each), record) for each, record in zip(batch, records, strict=True)]
        assert all(run(settler.complete(completions)))

    accepted, completed = _sent(parts), _done(parts)
    assert len(accepted) > 200, "too little was sent for this to say anything"
    assert len(completed) > 50, "too little was done for this to say anything"
    assert len(completed) == len(set(completed))
    missing = [each for each, record in zip(accepted, run(backend.read(accepted)), strict=True) if record is None]
    assert missing == []
    assert [(each.waiting, each.held) for each in run(broker.queues.status())] == [(0, 0)]
    assert broker.driver.database.read(lambda sql: sql.execute("SELECT count(*) FROM claims").fetchone()) == (0,)
    run(consumer.close())
    run(broker.close())
    with sqlite3.connect(tmp_path / "faena.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
