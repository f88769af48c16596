"""The worker of the demo: a `faena worker` of its own, in a process of its own, that outlives the demo in no way.

Its standard input is a pipe from the demo. When the demo ends, however that ends, the pipe is closed, and the worker
stops gracefully by itself. It also holds the lock of the run's folder, so that nobody resumes a run beside it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from faena.cli.demo.folder import RunFolder
from faena.config.layers import PREFIX, read_environ

STOP_WITHIN_S = 10.0  # a module takes well under a second; what takes longer is handed back
LEASE_S = 5.0  # a run that is resumed after a `kill -9` of everything waits no longer than this for what was held


def settings_for(url: str, processes: int) -> Mapping[str, Any]:
    """Return the settings of the run, the same for those who send and those who work.

    Said as on a command line: what the project around us has set is for its own tasks.
    """
    return {
        "task_always_eager": False,
        "task_ignore_result": False,
        "task_routes": None,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "broker_url": url,
        "result_backend": url,
        "result_expires": None,  # a run may be resumed next week
        "worker_concurrency": processes,
        "worker_lease": LEASE_S,
        "worker_shutdown_timeout": STOP_WITHIN_S,
        "worker_log_tasks": "none",
    }


class EmbeddedWorker:
    """The process of a worker. Entered it runs; left it has stopped."""

    def __init__(self, folder: RunFolder, processes: int) -> None:
        self._folder, self._processes = folder, processes
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. In a session of its own: Ctrl-C at the terminal is for the demo, which then stops the worker."""
        with open(self._folder.log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, self._folder.url, str(self._processes)],
                cwd=self._folder.path,
                env={name: value for name, value in read_environ().items() if not name.startswith(PREFIX)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[self._folder.lock],
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """The code with which it has ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """Ask it to stop, and wait; a second interruption meanwhile, or too long a wait, kills it."""
        process = self._process
        if process is None:
            return
        try:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(STOP_WITHIN_S + 5.0)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        finally:
            if process.stdin is not None:
                process.stdin.close()


def main() -> int:
    """Be the worker's process: `python -m faena.cli.demo.embedded URL PROCESSES`."""
    from faena.worker.options import WorkerOptions
    from faena.worker.supervisor import run_worker

    url, processes = sys.argv[1], int(sys.argv[2])
    threading.Thread(target=_stop_when_input_ends, name="parent-watch", daemon=True).start()
    overrides = dict(settings_for(url, processes))
    return run_worker(WorkerOptions(app="faena.cli.demo.tasks", hostname="demo@%h", overrides=overrides))


def _stop_when_input_ends() -> None:
    while os.read(0, 512):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
