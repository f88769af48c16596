"""Files that are full, damaged, foreign, newer, locked, not writable or gone."""

import asyncio
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backend import Completion
from faena.backends.sqlite import SqliteBackend
from faena.brokers.sqlite import SqliteBroker
from faena.drivers.sqlite.migrations import VERSION
from faena.errors import (
    BackendUnavailable,
    BrokerUnavailable,
    LeaseLost,
    StorageDamaged,
    StorageFull,
    StorageTooNew,
    StorageUnavailable,
)
from faena.model.delivery import Ack
from faena.model.message import Message
from faena.model.result import ResultRecord

PROCESS = str(Path(__file__).with_name("sqlite_process.py"))


def message(**fields):
    return Message(**{"id": new_id(), "task": "t", "queue": "default", "body": b"x" * 300, **fields})


def connected(path, **options):
    return SqliteBroker.connect(f"sqlite:///{path}", io="blocking", options=options)


def process(*arguments):
    finished = subprocess.run([sys.executable, PROCESS, *arguments], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    return [line.split() for line in finished.stdout.splitlines()]


def is_sound(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "faena.db"


# -- full --------------------------------------------------------------------------------------------------


def test_a_full_file_refuses_whole_steps_loses_nothing_and_goes_on_when_there_is_room(path):
    broker = connected(path, max_pages=100)
    accepted: list[str] = []
    with pytest.raises(StorageFull) as refusal:
        while True:
            batch = [message() for _ in range(20)]
            run(broker.publish(batch))
            accepted += [each.id for each in batch]
    assert isinstance(refusal.value, BrokerUnavailable)
    assert isinstance(refusal.value, BackendUnavailable)
    assert str(path) in str(refusal.value)
    assert len(accepted) > 100
    assert set(run(broker.locate([each.id for each in batch]))) == {None}
    holder = run(broker.leases.open_holder("test", 60))
    consumer = broker.consumer(holder, ["default"])
    received = run(consumer.receive(1000, 0))
    assert [each.message.id for each in received] == accepted
    assert all(run(consumer.settle([Ack(each) for each in received])))
    run(broker.publish(batch))
    assert len(run(consumer.receive(1000, 0))) == 20
    run(consumer.close())
    run(broker.close())
    assert is_sound(path)


def test_a_step_that_is_refused_in_the_middle_keeps_neither_acknowledgement_nor_result(path):
    broker = connected(path, max_pages=100)
    backend = SqliteBackend.connect(f"sqlite:///{path}", io="blocking", options={"max_pages": 100})
    run(broker.publish([message()]))
    holder = run(broker.leases.open_holder("test", 60))
    consumer, settler = broker.consumer(holder, ["default"]), backend.joint(broker, holder)
    (delivery,) = run(consumer.receive(1, 0))
    too_large = ResultRecord(delivery.message.id, "t", "SUCCESS", b"x" * 1_000_000)
    with pytest.raises(StorageFull):
        run(settler.complete([Completion(Ack(delivery), too_large)]))
    assert run(backend.read([delivery.message.id])) == [None]
    small = ResultRecord(delivery.message.id, "t", "SUCCESS", b"x")
    assert run(settler.complete([Completion(Ack(delivery), small)])) == [True]
    run(consumer.close())


def test_a_file_that_the_system_lets_not_grow_keeps_all_that_was_accepted(path):
    lines = process("publish_until_refused", f"sqlite:///{path}", str(3_000_000))
    assert lines[-1] in (["refused", "StorageFull"], ["refused", "StorageUnavailable"])
    accepted = [each for line in lines[:-1] for each in line]
    assert len(accepted) > 100
    broker = connected(path)
    assert None not in run(broker.locate(accepted))
    run(broker.publish([message()]))
    run(broker.close())
    assert is_sound(path)


# -- not ours ----------------------------------------------------------------------------------------------


def test_what_is_no_database_is_left_as_it_was(path):
    path.write_bytes(b"precious notes, no database at all\n" * 400)
    before = path.read_bytes()
    for connect in (SqliteBroker.connect, SqliteBackend.connect):
        with pytest.raises(StorageDamaged, match=r"faena\.db"):
            run(connect(f"sqlite:///{path}", io="blocking").open())
    assert path.read_bytes() == before


def test_a_database_of_another_application_is_left_as_it_was(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (note TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StorageDamaged, match="another application"):
        run(connected(path).open())
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_left_as_it_was(path):
    broker = connected(path)
    run(broker.publish([message()]))
    run(broker.close())
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StorageTooNew, match=f"schema {VERSION + 1}"):
        run(connected(path).open())
    assert path.read_bytes() == before


def test_a_damaged_page_is_reported_as_damage(path):
    broker = connected(path)
    run(broker.publish([message() for _ in range(2000)]))
    run(broker.close())
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(path.stat().st_size - 4096))
    before = path.read_bytes()
    with pytest.raises(StorageDamaged):
        run(connected(path).publish([message()]))
    assert path.read_bytes() == before


# -- not to be had -----------------------------------------------------------------------------------------


def test_a_file_that_somebody_keeps_locked_is_refused_after_the_time_set(path):
    broker = connected(path, busy_timeout_s=0.1)
    run(broker.open())
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    refused = message()
    with pytest.raises(StorageUnavailable, match="locked"):
        run(broker.publish([refused]))
    stranger.execute("ROLLBACK")
    stranger.close()
    assert run(broker.locate([refused.id])) == [None]
    run(broker.publish([refused]))
    run(broker.close())


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user takes root")
def test_a_writer_that_was_stopped_in_the_middle_of_a_step_holds_nobody_up_for_longer_than_the_time_set(path):
    publisher = connected(path, busy_timeout_s=0.2)
    run(publisher.publish([message()]))
    lock = os.open(f"{path}-lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as of a process that has got SIGSTOP
    with pytest.raises(BrokerUnavailable, match="another process holds the file locked"):
        run(publisher.publish([message()]))
    os.close(lock)
    run(publisher.publish([message()]))
    assert run(publisher.queues.status())[0].waiting == 2


def test_a_file_that_may_not_be_written_is_refused_with_its_name(tmp_path):
    folder = tmp_path / "shared"
    broker = connected(folder / "faena.db")
    run(broker.publish([message()]))
    run(broker.close())
    for each in [*tmp_path.parents, tmp_path, folder]:
        if each.stat().st_uid == os.getuid() and "pytest" in str(each):
            each.chmod(0o755)
    for each in folder.iterdir():
        each.chmod(0o644)
    assert process("as_nobody", f"sqlite:///{folder}/faena.db") == [["StorageUnavailable"], ["done"]]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable):
        run(connected(tmp_path / "file" / "faena.db").open())


# -- gone --------------------------------------------------------------------------------------------------


def test_a_file_that_was_deleted_is_made_anew_and_its_holders_are_lost(tmp_path):
    folder = tmp_path / ".faena"
    broker = connected(folder / "faena.db")
    holder = run(broker.leases.open_holder("test", 60))
    consumer = broker.consumer(holder, ["default"])
    assert not run(consumer.receive(1, 0))
    shutil.rmtree(folder)
    sent = message()
    run(broker.publish([sent]))
    assert [each.name for each in folder.iterdir() if each.name == "faena.db"] == ["faena.db"]
    other = connected(folder / "faena.db", busy_timeout_s=9.0)
    assert run(other.locate([sent.id])) != [None]
    with pytest.raises(LeaseLost):
        run(consumer.receive(1, 0))
    run(consumer.close())


def test_a_consumer_whose_pipes_were_deleted_still_finds_its_message(path):
    broker = connected(path)
    holder = run(broker.leases.open_holder("test", 60))
    consumer = broker.consumer(holder, ["default"])
    received: list[str] = []
    thread = threading.Thread(target=lambda: received.extend(each.message.id for each in run(consumer.receive(1, 30))))
    thread.start()
    signals = Path(f"{path}-signals")
    deadline = 2000
    while not (signals.exists() and list(signals.iterdir())) and deadline:
        deadline -= 1
        threading.Event().wait(0.005)
    shutil.rmtree(signals)
    sent = message()
    run(connected(path, busy_timeout_s=9.0).publish([sent]))
    thread.join(10)
    assert received == [sent.id]
    run(consumer.close())


def test_what_was_made_is_for_its_owner_alone(tmp_path):
    folder = tmp_path / "project" / ".faena"
    broker = connected(folder / "faena.db")
    run(broker.publish([message()]))
    assert {each.name: each.stat().st_mode & 0o077 for each in [folder, *folder.glob("faena.db*")]} == {
        ".faena": 0,
        "faena.db": 0,
        "faena.db-lock": 0,
        "faena.db-wal": 0,
        "faena.db-shm": 0,
    }
    assert (folder / ".gitignore").read_text() == "*\n"
    run(broker.close())


# -- one connection, many users ----------------------------------------------------------------------------


def test_a_connection_may_be_used_on_both_sides_of_a_fork(path):
    *sent, (word, *codes) = process("fork", f"sqlite:///{path}")
    assert (word, codes) == ("codes", ["0"] * 10)
    broker = connected(path)
    (status,) = run(broker.queues.status())
    assert status.waiting == 1 + 10 * 10 + len(sent)
    run(broker.close())
    assert is_sound(path)


def test_one_connection_serves_many_threads(path):
    broker = connected(path)

    def publish():
        for _ in range(50):
            run(broker.publish([message()]))

    threads = [threading.Thread(target=publish) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run(broker.queues.status())[0].waiting == 800
    run(broker.close())


def test_the_event_loop_goes_on_while_another_process_keeps_the_lock(path):
    async def body():
        broker = SqliteBroker.connect(f"sqlite:///{path}", io="asyncio")
        await broker.open()
        with open(f"{path}-lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            publishing = asyncio.create_task(broker.publish([message()]))
            turns = 0
            while turns < 50:
                await asyncio.sleep(0.001)
                turns += 1
            assert not publishing.done()
            fcntl.flock(lock, fcntl.LOCK_UN)
            await asyncio.wait_for(publishing, 10)
        await broker.close()

    asyncio.run(body())
