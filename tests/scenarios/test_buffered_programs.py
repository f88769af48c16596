"""Programs that send in batches, and end in every way that programs do."""

import signal
import subprocess
import sys
import textwrap

import pytest

from faena import Faena
from faena.testing.worker import run_pending

HEAD = """
import os, signal, sys, threading
from faena import Faena

app = Faena("shop", broker={url!r}, task_publish_timeout=1)

@app.task(name="add")
def add(x):
    return x

"""


@pytest.fixture
def program(tmp_path):
    """Run a program; return its exit code, what it has written to stderr, and the arguments that wait in the queue."""
    url = f"sqlite:///{tmp_path}/shop.db"

    def go(source):
        path = tmp_path / "program.py"
        path.write_text(HEAD.format(url=url) + textwrap.dedent(source))
        ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=30, cwd=tmp_path)
        app, found = Faena("looks", broker=url, set_as_current=False), []
        app.task(found.append, name="add")
        run_pending(app)
        app.close()
        return ended.returncode, ended.stderr, sorted(found)

    return go


@pytest.mark.parametrize(
    ("end", "code"),
    [("pass", 0), ("sys.exit(3)", 3), ("raise KeyError('mine')", 1), ("os.kill(os.getpid(), signal.SIGINT)", -2)],
)
def test_what_a_block_has_collected_is_sent_when_it_is_left(program, end, code):
    assert program(f"with app.buffered():\n    add.delay(1); add.delay(2)\n    {end}\n")[::2] == (code, [1, 2])


def test_what_is_lost_with_a_killed_program_is_what_was_pending_and_no_more(program):
    code, _, sent = program(
        """
        with app.buffered(max_pending=3) as calls:
            for n in range(8):
                add.delay(n)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert (code, sent) == (-signal.SIGKILL, [0, 1, 2, 3, 4, 5])


def test_a_block_that_the_program_never_leaves_is_sent_at_its_end(program):
    source = """
        def generator():
            with app.buffered():
                add.delay(1)
                yield
                add.delay(2)

        kept = generator()
        next(kept)
        inside = app.buffered().__enter__()
        add.delay(3)
        """
    code, errors, sent = program(source)
    assert (code, errors, sent) == (0, "", [1, 3])


def test_what_cannot_be_sent_at_the_end_of_a_program_is_named(program, tmp_path):
    code, errors, _ = program(
        """
        app = Faena("shop", broker="redis://127.0.0.1:1/0", task_publish_timeout=1)
        app.buffered().__enter__()
        app.send_task("add", (1,))
        """
    )
    assert code == 0
    assert "1 calls are not sent yet" in errors


def test_a_fork_sends_its_own_calls_and_not_those_of_its_parent(program):
    code, errors, sent = program(
        """
        with app.buffered() as calls:
            add.delay(1)
            child = os.fork()
            if child == 0:
                assert calls.pending == ()
                add.delay(2)
            else:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                assert len(calls.pending) == 1
                add.delay(3)
        """
    )
    assert (code, errors, sent) == (0, "", [1, 2, 3])


def test_a_fork_while_another_thread_is_sending_is_not_held_up(program):
    code, errors, sent = program(
        """
        with app.buffered() as calls:
            held, go_on = threading.Event(), threading.Event()

            def hold():
                with calls._flushing, calls._lock:
                    held.set()
                    go_on.wait()

            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            child = os.fork()
            if child == 0:
                add.delay(1)
                calls.flush()
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            go_on.set()
            thread.join()
            sys.exit(code)
        """
    )
    assert (code, sent) == (0, [1]), errors
