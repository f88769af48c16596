"""Run a command by the hooks of a runner class of the user's own, in Invoke's order.

    should_use_pty ─▶ echo ─▶ start ─▶ wait ─────────▶ returncode ─▶ generate_result ─▶ stop
                                 │  read_proc_stdout, read_proc_stderr: a thread each, to their end
                                 │  write_proc_stdin, close_proc_stdin: from a thread for what is typed
                                 └  send_interrupt on Ctrl-C, kill when the time is over or a watcher gave up

Blocking reads need threads: a hook may read from anything, and only descriptors can be polled. As in Invoke the
directory of `cd` is part of the command, since `start` has no other word for it.
"""

from __future__ import annotations

import os
import select
import shlex
import sys
import threading
import time
from contextvars import copy_context

from faena.errors import CommandTimedOut, Failure, UnexpectedExit, WatcherError
from faena.runner import streams
from faena.runner.commands import Options, Promise, descriptor
from faena.runner.ending import ENDING, TICK_S
from faena.runner.local import WRITE_HOOKS, Runner
from faena.runner.process import GRACE_S
from faena.runner.result import Result
from faena.runner.scope import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def run_hooked(runner: Runner, command: Any, kwargs: Mapping[str, Any], *, cwd: str, prefix: str) -> Any:
    """Run a command to its end by the runner's hooks, or start it.

    Raises what `run_command` raises.
    """
    run = HookedRun(runner, command, kwargs, cwd, prefix)
    options = run.options
    if options.is_echoed:
        runner.echo(run.command)
    if options.dry:
        return run.result_of(exited=0)
    scope = CURRENT.get()
    if scope is not None and scope.is_cancelled:
        raise KeyboardInterrupt
    if options.disown:
        run.start()
        return run.result_of(exited=None, disowned=True)
    if options.asynchronous:
        with ENDING:
            run.start()
            promise = Promise(run)
            if scope is not None:
                scope.promises.append(promise)
        return promise
    return run.finish()


class HookedRun:
    """One command on its way, by hooks."""

    def __init__(self, runner: Runner, command: Any, kwargs: Mapping[str, Any], cwd: str, prefix: str) -> None:
        config = runner.context.config
        given = {**config.run._data, **kwargs}
        self.options = options = Options(config.run._data, kwargs, config.timeouts._data.get("command"), cwd)
        self._runner, self._scope = runner, CURRENT.get()
        text = command if isinstance(command, str) else shlex.join(map(os.fspath, command))
        folder = f"cd {shlex.quote(options.cwd)} && " if options.cwd else ""
        self.command = folder + prefix + text
        self._env = dict(os.environ) if options.env is None else options.env
        runner.forget()
        runner.opts = {**given, "hide": options.hide, "timeout": options.timeout_s}
        runner.using_pty = runner.should_use_pty(bool(given.get("pty")), bool(given.get("fallback", True)))
        runner.encoding = str(given.get("encoding") or runner.default_encoding())
        runner.is_disowned = options.disown
        runner.streams_ended = threading.Event()
        self._source: Any = None if options.disown else self._input()
        runner.input_fd = self._direct()
        runner.is_fed = self._source is not None or bool(options.watchers)
        self._pieces: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._reason: WatcherError | None = None
        self._error: BaseException | None = None
        self._timer: threading.Timer | None = None
        self._limit_s: float | None = None
        self._wake: tuple[int, int] | None = None
        self._feeder: threading.Thread | None = None
        self._printer = streams.Printer(options.hide, options.out_stream, options.err_stream, runner.encoding)
        self._began_s = time.monotonic()
        self.is_started = False
        self._left = 0
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        return self._runner.pid

    def signal(self, number: int) -> None:
        """End the command from outside, as `Process.signal` does."""
        if number == 2:
            self._runner.send_interrupt(KeyboardInterrupt())
        else:
            self._runner.kill()

    def _input(self) -> Any:
        """What is copied to the command's input, or None."""
        given, scope = self.options.in_stream, self._scope
        has_none = given is None and scope is not None and not scope.has_keyboard
        if given is False or self.options.asynchronous or has_none:
            return None
        stream = sys.stdin if given is None else given
        if descriptor(stream) is None and given is None and not hasattr(stream, "getvalue"):
            return None
        return stream

    def _direct(self) -> int | None:
        """The descriptor that the command may have as its input: what we read for it, the next command would miss."""
        options, runner = self.options, type(self._runner)
        fd = None if self._source is None else descriptor(self._source)
        if fd is None or os.isatty(fd) or options.watchers or options.echo_stdin or self._runner.using_pty:
            return None
        is_seen = any(getattr(runner, name) is not getattr(Runner, name) for name in WRITE_HOOKS)
        return None if is_seen else fd

    # -- the way -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the command, and to copy its streams; `with ENDING`."""
        runner, options, scope = self._runner, self.options, self._scope
        self.is_started = True
        streams.flush()
        runner.start(self.command, options.shell, self._env)
        if options.disown:
            return
        if scope is not None:
            scope.processes[id(self)] = self
        names = ("stdout",) if runner.using_pty else ("stdout", "stderr")
        self._left = len(names)
        for name in names:
            _in_thread(lambda name=name: self._copy(name), name)  # type: ignore[misc]
        process = runner.process
        if self._source is not None and (runner.input_fd is None or process is None or process.stdin is not None):
            self._wake = os.pipe()
            self._feeder = _in_thread(self._feed, "stdin")
        self._set_timer()

    def finish(self) -> Any:
        """Wait for the end, and judge it."""
        runner = self._runner
        ended = runner.streams_ended
        assert ended is not None
        try:
            try:
                with ENDING:
                    if not self.is_started:
                        self.start()
                runner.wait()
                while not ended.wait(GRACE_S if runner.is_given_up or runner.is_timed_out else TICK_S):
                    if runner.is_given_up or runner.is_timed_out:
                        break  # something that nobody can reach holds a stream open
            except KeyboardInterrupt as interrupt:
                runner.send_interrupt(interrupt)
                if not ended.wait(GRACE_S):
                    runner.kill()
                raise
            except BaseException:
                runner.kill()
                raise
            if self._error is not None:
                raise self._error
            return self._judge()
        finally:
            self._let_go()

    def _judge(self) -> Any:
        runner = self._runner
        result = self.result_of(exited=None if self._reason is not None else runner.returncode())
        if self._reason is not None:
            raise Failure(result, self._reason)
        if runner.timed_out:
            raise CommandTimedOut(result, self._limit_s or 0.0)
        if not result and not self.options.warn:
            raise UnexpectedExit(result)
        return result

    def result_of(self, **more: Any) -> Any:
        """The result by the runner's own hook."""
        runner, options = self._runner, self.options
        out, err = (b"".join(self._pieces[name]) for name in ("stdout", "stderr"))
        encoding = runner.encoding
        result = runner.generate_result(
            command=self.command, shell=options.shell, env=self._env, pty=runner.using_pty, hide=options.hide,
            encoding=encoding, stdout=out.decode(encoding, "replace"), stderr=err.decode(encoding, "replace"),
            pid=runner.pid, **more,
        )  # fmt: skip
        if isinstance(result, Result) and (out or err):
            result.stdout_bytes, result.stderr_bytes = out, err
            result.duration_s = time.monotonic() - self._began_s
        return result

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._wake is not None:
            os.write(self._wake[1], b"x")
            if self._feeder is not None:
                self._feeder.join(GRACE_S)
            if self._feeder is None or not self._feeder.is_alive():
                for fd in self._wake:
                    os.close(fd)
        self._printer.finish()
        if self._scope is not None:
            self._scope.processes.pop(id(self), None)
        self._runner.stop()

    def _set_timer(self) -> None:
        limits_s = [] if self.options.timeout_s is None else [float(self.options.timeout_s)]
        scope = self._scope
        if scope is not None and scope.deadline_s is not None:
            limits_s.append(scope.deadline_s - time.monotonic())
        if limits_s:
            self._limit_s = min(limits_s)
            self._timer = threading.Timer(max(0.0, self._limit_s), self._end_in_time)
            self._timer.daemon = True
            self._timer.start()

    def _end_in_time(self) -> None:
        self._runner.is_timed_out = True
        self._runner.kill()

    # -- streams, each in a thread -------------------------------------------------------------------------

    def _copy(self, name: str) -> None:
        runner = self._runner
        try:
            self._copy_all(name, getattr(runner, f"read_proc_{name}"))
        except WatcherError as error:
            self._reason = error
            self._give_up()
        except BaseException as error:  # noqa: BLE001  carried over to who waits
            self._error = error
            self._give_up()
        finally:
            with self._lock:
                self._left -= 1
                if self._left == 0 and runner.streams_ended is not None:
                    runner.streams_ended.set()

    def _give_up(self) -> None:
        self._runner.is_given_up = True
        self._runner.kill()

    def _copy_all(self, name: str, read: Callable[[int], bytes | str]) -> None:
        import codecs

        runner = self._runner
        decoder = codecs.getincrementaldecoder(runner.encoding)("replace")
        seen = ""
        while True:
            found = read(runner.read_chunk_size)
            if not found:
                return
            data = found.encode(runner.encoding) if isinstance(found, str) else found
            self._pieces[name].append(data)
            self._printer.write(name, data)
            if self.options.watchers:
                seen += decoder.decode(data)
                for watcher in self.options.watchers:
                    for answer in watcher.submit(seen):
                        runner.write_proc_stdin(answer)

    def _feed(self) -> None:
        fd, runner = descriptor(self._source), self._runner
        if fd is None:
            text = self._source.read()
            runner.write_proc_stdin(text.decode(runner.encoding, "surrogateescape") if isinstance(text, bytes) else text)
            runner.close_proc_stdin()
            return
        assert self._wake is not None
        poll = select.poll()
        for each in (fd, self._wake[0]):
            poll.register(each, select.POLLIN)
        was_typed = False
        while True:
            ready = [each for each, _ in poll.poll()]
            if self._wake[0] in ready:
                return
            data = os.read(fd, runner.read_chunk_size)
            if not data:
                # where nothing was ever typed (`/dev/null`), the input stays open for the answers of watchers
                if was_typed or not self.options.watchers:
                    runner.close_proc_stdin()
                return
            was_typed = True
            if self.options.echo_stdin:
                self._printer.typed(data)
            runner.write_proc_stdin(data.decode(runner.encoding, "surrogateescape"))


def _in_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """Run something beside us, in our context: what it prints goes where ours goes."""
    thread = threading.Thread(target=copy_context().run, args=(work,), name=f"command's {name}", daemon=True)
    thread.start()
    return thread
