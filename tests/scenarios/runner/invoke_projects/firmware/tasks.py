import multiprocessing
import os
import platform
from contextlib import contextmanager

from invoke import Context, task
from invoke.exceptions import UnexpectedExit

ROOT = os.path.dirname(__file__) or "."
BOARDS = ["feather", "nucleo"]


@contextmanager
def build_dir(c: Context, board: str):
    path = os.path.join(ROOT, "build", board)
    os.makedirs(path, exist_ok=True)
    with c.cd(path):
        yield path


def check_board(board):
    if board not in BOARDS:
        raise SystemExit("unknown board {!r}; known: {}".format(board, ", ".join(BOARDS)))


@task
def configure(c, board, build_type="Release", define=None):
    """Run CMake for a board."""
    check_board(board)
    with build_dir(c, board):
        extra = " -D{}".format(define) if define else ""
        c.run("cmake ../.. -DBOARD={} -DCMAKE_BUILD_TYPE={}{}".format(board, build_type, extra))


@task(positional=["board"], optional=["jobs"])
def build(c, board=None, jobs=None):
    """Compile; all boards when none is named."""
    count = multiprocessing.cpu_count() if jobs is True else int(jobs or 1)
    for each in [board] if board != "all" else BOARDS:
        check_board(each)
        with build_dir(c, each):
            c.run("make -j{}".format(count))


@task
def flash(c, board, port="/dev/ttyACM0", tries=2):
    """Write the program to the board."""
    for attempt in range(1, tries + 1):
        try:
            c.run("flasher --port {} build/{}/firmware.bin".format(port, board))
            break
        except UnexpectedExit as error:
            print("attempt {} failed with {}".format(attempt, error.result.exited))
            if attempt == tries:
                raise


@task
def info(c):
    print(platform.system())
    print(c.run("cmake --version", hide=True).stdout.splitlines()[0])
