"""Invoke's runner classes: what `c.run` does, as an object to subclass or to put into `runners.local`.

A class that replaces nothing but `run` takes the short way of `commands`. One that replaces a hook (`start`, `wait`,
`returncode` ...) is driven by `hooked`, which calls each of them when Invoke would.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    import threading
    from collections.abc import Mapping
    from typing import Any

    from faena.runner.context import Context
    from faena.runner.process import Process

WRITE_HOOKS = ("write_proc_stdin", "_write_proc_stdin", "close_proc_stdin")
HOOKS = (
    "default_encoding", "echo", "generate_result", "kill", "process_is_finished", "read_proc_stderr", "read_proc_stdout",
    "returncode", "send_interrupt", "should_use_pty", "start", "stop", "timed_out", "wait", *WRITE_HOOKS,
)  # fmt: skip


class Runner:
    """Runs commands for a context.

    The hooks stand about in the order in which a run calls them. What `start` started is `process`, or `pid` and
    `parent_fd` under a pseudo-terminal; a `start` of one's own may put a `subprocess.Popen` with pipes there.
    """

    read_chunk_size = 65_536
    input_sleep = 0.01  # between two looks at a `process_is_finished` of one's own

    def __init__(self, context: Context) -> None:
        self.context = context
        self.opts: dict[str, Any] = {}  # of the run under way, from configuration and call
        self.using_pty = False
        self.encoding = "utf-8"
        self.is_fed = True  # the command's input is ours to write
        self.input_fd: int | None = None  # what the command may read by itself, as nobody else has to see it
        self.is_disowned = False
        self.is_given_up = False
        self.streams_ended: threading.Event | None = None
        self.forget()

    def forget(self) -> None:
        """Be as before a first run."""
        self.is_timed_out = self.is_given_up = False
        self.process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        self.parent_fd: int | None = None
        self._process: Process | None = None

    def run(self, command: Any, **kwargs: Any) -> Any:
        """Run a command as `Context.run` does."""
        own = type(self)
        prefix = "".join(f"{each} && " for each in self.context.command_prefixes)
        if all(getattr(own, name) is getattr(Runner, name) for name in HOOKS):
            from faena.runner.commands import run_command

            return run_command(self.context.config, command, kwargs, cwd=self.context.cwd, prefix=prefix)
        from faena.runner.hooked import run_hooked

        return run_hooked(self, command, kwargs, cwd=self.context.cwd, prefix=prefix)

    # -- hooks -----------------------------------------------------------------------------------------

    def should_use_pty(self, pty: bool = False, fallback: bool = True) -> bool:
        """Whether to run under a pseudo-terminal."""
        return bool(pty) and (not fallback or hasattr(os, "forkpty"))

    def default_encoding(self) -> str:
        return "utf-8"

    def echo(self, command: str) -> None:
        """Show a command before it runs."""
        from faena.runner.secret import masked
        from faena.runner.streams import show_line

        show_line(str(self.opts["echo_format"] or "{command}").format(command=masked(command)))

    def start(self, command: str, shell: str, env: Mapping[str, str]) -> None:
        """Start the command."""
        from subprocess import DEVNULL, PIPE

        from faena.runner.process import Process, disowned

        argv = [shell, "-c", command]
        if self.is_disowned:
            self.pid = disowned(argv, dict(env), None)
            return
        stdin = self.input_fd if self.input_fd is not None else PIPE if self.is_fed else DEVNULL
        self._process = Process(argv, env=dict(env), cwd=None, stdin=stdin, has_own_group=True, pty=self.using_pty)
        self.pid, self.process = self._process.pid, self._process.popen
        self.parent_fd = None if self.process is not None else self._process.out_fd

    def read_proc_stdout(self, num_bytes: int) -> bytes:
        """What comes next on the command's output; nothing at its end."""
        return self._read("stdout", num_bytes)

    def read_proc_stderr(self, num_bytes: int) -> bytes:
        return self._read("stderr", num_bytes)

    def _read(self, name: str, count: int) -> bytes:
        fd = self.parent_fd
        if fd is None:
            stream = getattr(self.process, name, None)
            if stream is None:
                return b""
            fd = stream.fileno()
        try:
            return os.read(fd, count)
        except OSError:  # Linux answers EIO at the end of a pseudo-terminal
            return b""

    def write_proc_stdin(self, data: str) -> None:
        """Write to the command's input: what is typed, and the answers of watchers."""
        self._write_proc_stdin(data.encode(self.encoding, "surrogateescape"))

    def _write_proc_stdin(self, data: bytes) -> None:
        stdin = getattr(self.process, "stdin", None)
        fd = self.parent_fd if self.parent_fd is not None else None if stdin is None or stdin.closed else stdin.fileno()
        try:
            while data and fd is not None:
                data = data[os.write(fd, data) :]
        except OSError:
            return  # nobody reads any more

    def close_proc_stdin(self) -> None:
        """Tell the command that no more input comes."""
        if self.parent_fd is not None:
            self._write_proc_stdin(b"\x04")  # a terminal's end of input
        elif self.process is not None and self.process.stdin is not None:
            try:
                self.process.stdin.close()
            except OSError:
                return

    @property
    def process_is_finished(self) -> bool:
        """Whether the command has ended by itself."""
        if self.process is not None:
            return self.process.poll() is not None
        return self._process is None or self._process.poll() is not None

    def wait(self) -> None:
        """Come back when the command has ended."""
        import time

        from faena.runner.ending import TICK_S

        if type(self).process_is_finished is not Runner.process_is_finished:
            while not (self.process_is_finished or self.is_given_up):
                time.sleep(self.input_sleep)
            return
        if self.streams_ended is not None:
            while not self.streams_ended.wait(TICK_S) and not self.process_is_finished:
                pass
        if self.process is not None:
            self.process.wait()
        elif self._process is not None:
            self._process.wait()

    def send_interrupt(self, interrupt: KeyboardInterrupt) -> None:  # noqa: ARG002  for subclasses
        """Pass Ctrl-C on to the command and all it started."""
        self._signal(2)

    def kill(self) -> None:
        """End the command at once: its time is over, or a watcher gave up."""
        self._signal(9)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.popen is self.process:
            self._process.signal(number)
        elif self.process is not None:
            self.process.send_signal(number)

    @property
    def timed_out(self) -> bool:
        return self.is_timed_out

    def returncode(self) -> int | None:
        """The command's status; that of nothing started is 0."""
        if self.process is not None:
            return self.process.returncode
        return 0 if self._process is None else self._process.poll()

    def stop(self) -> None:
        """Let go of what the run held; called last."""
        if self._process is not None:
            self._process.close()
        elif self.process is not None:
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()

    def generate_result(self, **kwargs: Any) -> Any:
        """Make the result from its fields."""
        from faena.runner.result import Result

        return Result(**kwargs)


class Local(Runner):
    """Runs commands on this machine."""
