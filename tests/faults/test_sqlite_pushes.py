"""What is pushed through named pipes arrives without being looked for, also where a pipe overflows."""

import time

from faena._lib.drive import run
from faena.backends.sqlite import SqliteBackend
from faena.model.result import ResultRecord


def test_a_watch_whose_pipe_overflowed_looks_at_everything_at_once(tmp_path):
    backend = SqliteBackend.connect(f"sqlite:///{tmp_path}/faena.db", io="blocking")
    names = [f"task-{number}" for number in range(20_000)]  # of which a pipe of 64 KiB takes 8,192 tickets
    watch = backend.watch()
    run(watch.add(names))
    run(backend.record([ResultRecord(name, "t", "SUCCESS") for name in names]))
    begun = time.monotonic()
    told = run(watch.changed(30))
    assert set(told) == set(names)
    assert time.monotonic() - begun < 0.9  # a watch that was not told looks after a second
    run(watch.close())
    run(backend.close())


def test_who_waited_and_was_killed_is_forgotten_with_its_pipe(tmp_path):
    backend = SqliteBackend.connect(f"sqlite:///{tmp_path}/faena.db", io="blocking")
    watch = backend.watch()
    run(watch.add(["1", "2"]))
    waiters = "SELECT count(*) FROM waiters"
    run(backend.expire(10))
    assert backend.driver.database.read(lambda sql: sql.execute(waiters).fetchone()) == (2,)
    watch._listener.close()  # as the end of its process would
    run(backend.expire(10))
    assert backend.driver.database.read(lambda sql: sql.execute(waiters).fetchone()) == (0,)
    run(backend.close())
