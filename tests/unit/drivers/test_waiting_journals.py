"""What a task remembers is there when it goes on, however long it has waited."""

import time

import pytest

from faena._lib.drive import run
from faena.backend import JournalEnd
from faena.backends.memory import MemoryBackend
from faena.backends.sqlite import SqliteBackend
from faena.drivers.memory import state
from faena.model.journal import Entry, Parked
from faena.model.message import Message


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    if request.param == "memory":
        yield MemoryBackend.connect("memory://waiting-journals", io="blocking")
        state.forget("memory://waiting-journals")
        return
    backend = SqliteBackend.connect(f"sqlite:///{tmp_path}/journals.db", io="blocking")
    run(backend.open())
    yield backend
    run(backend.close())


def test_a_journal_whose_time_is_over_stays_while_its_task_waits_and_goes_on(backend):
    journal, entry, past_s = backend.journal, Entry("step:charge", b"1"), time.time() - 1
    for task_id in ("waits", "over"):
        run(journal.write(task_id, entry, past_s))
    message = Message(id="waits", task="t", queue="q", body=b"[[],{}]")
    assert list(run(journal.park([Parked(message, "go")]))) == [True]
    run(backend.expire(100))
    assert (list(run(journal.read("waits"))), list(run(journal.read("over")))) == ([entry], [])
    assert list(run(journal.signal(Entry("go"), time.time() + 60, None))) == [message]
    run(backend.expire(100))
    assert list(run(journal.read("waits"))) == [entry]
    run(journal.end({"waits": JournalEnd.FORGOTTEN}))
    assert list(run(journal.read("waits"))) == []
