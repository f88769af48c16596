"""Run commands: the options of `c.run`, from configuration and call, and what they mean.

`run_command` is what `Context.run` calls. How a process is followed is in `process`; what is printed in `streams`.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time

from faena.errors import CommandTimedOut, Failure, UnexpectedExit, WatcherError, did_you_mean
from faena.runner import streams
from faena.runner.ending import ENDING, TICK_S
from faena.runner.process import GRACE_S, Follower, Process, disowned
from faena.runner.result import Result
from faena.runner.scope import CURRENT, Scope
from faena.runner.secret import masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any, Protocol, Self

    from faena.runner.config import Config

    class Running(Protocol):
        @property
        def command(self) -> str: ...
        @property
        def pid(self) -> int | None: ...
        def finish(self) -> Any: ...
        def signal(self, number: int) -> None: ...


_HIDE = {
    None: (),
    False: (),
    "out": ("stdout",),
    "stdout": ("stdout",),
    "err": ("stderr",),
    "stderr": ("stderr",),
    True: ("stdout", "stderr"),
    "both": ("stdout", "stderr"),
}
_NAMES = (
    "asynchronous", "disown", "dry", "echo", "echo_format", "echo_stdin", "encoding", "env", "err_stream", "fallback",
    "hide", "in_stream", "out_stream", "pty", "replace_env", "shell", "warn", "watchers",
)  # fmt: skip
_OWN_NAMES = ("timeout", "cwd")
# Words that only a shell knows; `true` and `false` do the same as programs.
_SHELL_WORDS = frozenset(
    """
    . : [ alias bg bind break builtin caller case cd command compgen complete compopt continue coproc declare dirs
    disown do done echo elif else enable esac eval exec exit export fc fg fi for function getopts hash help history
    if in jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly return select set shift
    shopt source suspend test then time times trap type typeset ulimit umask unalias unset until wait while
    """.split()  # noqa: SIM905  readable, and once
)
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,@%+- ")


class Options:
    """How one command is run: `run.*` of the configuration, then the call's own words."""

    def __init__(self, run: Mapping[str, Any], kwargs: Mapping[str, Any], timeout: Any, cwd: str) -> None:
        for name in kwargs:
            if name not in _NAMES and name not in _OWN_NAMES:
                hint = did_you_mean(name, (*_NAMES, *_OWN_NAMES))
                raise TypeError(f"run() got an unexpected keyword argument '{name}'{hint}")
        values = {name: kwargs.get(name, run.get(name)) for name in _NAMES}
        self.asynchronous = bool(values["asynchronous"])
        self.disown = bool(values["disown"])
        if self.asynchronous and self.disown:
            raise ValueError("Cannot give both 'asynchronous' and 'disown' at the same time!")
        self.hide = hidden_streams(values["hide"])
        self.dry = bool(values["dry"])
        self.is_echoed = (bool(values["echo"]) and len(self.hide) < 2) or self.dry
        if self.asynchronous:
            self.hide = ("stdout", "stderr")
        self.out_stream, self.err_stream = values["out_stream"], values["err_stream"]
        given = ((self.out_stream, "stdout"), (self.err_stream, "stderr"))
        undone = {name for stream, name in given if stream is not None}
        self.hide = tuple(name for name in self.hide if name not in undone)
        self.echo_format = str(values["echo_format"] or "{command}")
        self.echo_stdin = values["echo_stdin"]
        self.encoding = str(values["encoding"] or "utf-8")
        self.in_stream = values["in_stream"]
        self.pty = bool(values["pty"]) and (not values["fallback"] or _has_terminal())
        self.shell = str(values["shell"] or "bash")
        self.warn = bool(values["warn"])
        self.watchers: Sequence[Any] = tuple(values["watchers"] or ())
        timeout = kwargs.get("timeout", timeout)
        self.timeout_s = timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout
        self.cwd = os.path.join(cwd, os.path.expanduser(str(kwargs["cwd"]))) if kwargs.get("cwd") else cwd
        # None: the process's own, which costs much to copy
        self.env: dict[str, str] | None = None
        if values["env"] or values["replace_env"]:
            env = {str(key): str(value) for key, value in (values["env"] or {}).items()}
            self.env = env if values["replace_env"] else {**os.environ, **env}


def hidden_streams(value: Any) -> tuple[str, ...]:
    """The streams that a value of `hide` names."""
    try:
        return _HIDE[value]
    except (KeyError, TypeError):
        known = "None, False, True, 'both', 'out', 'stdout', 'err', 'stderr'"
        raise ValueError(f"'hide' is one of {known}; got {value!r}") from None


def run_command(
    config: Config, command: str | Sequence[str], kwargs: Mapping[str, Any], *, cwd: str = "", prefix: str = ""
) -> Any:
    """Run a command to its end, or start it (`asynchronous`, `disown`).

    Raises UnexpectedExit, CommandTimedOut, Failure (a watcher gave up).
    """
    options = Options(config.run._data, kwargs, config.timeouts._data.get("command"), cwd)
    text, argv, program = _command_line(command, options, prefix)
    if options.is_echoed:
        streams.show_line(options.echo_format.format(command=masked(text)))
    result = Result(command=text, shell=options.shell, env=options.env, pty=options.pty, hide=options.hide,
                    encoding=options.encoding, cwd=options.cwd)  # fmt: skip
    if options.dry:
        return result
    scope = CURRENT.get()
    if scope is not None and scope.is_cancelled:
        raise KeyboardInterrupt
    if options.disown:
        return _disown(argv, options, result)
    run = _Run(argv, program, options, result, scope)
    if options.asynchronous:
        with ENDING:
            run.start()
            promise = Promise(run)
            if scope is not None:
                scope.promises.append(promise)
        return promise
    return run.finish()


def _command_line(command: str | Sequence[str], options: Options, prefix: str) -> tuple[str, list[str], str | None]:
    """The text that is shown, the words that are run, and the program where it is known already."""
    if not isinstance(command, str):
        import shlex

        words = [os.fspath(word) if hasattr(word, "__fspath__") else str(word) for word in command]
        if not words:
            raise ValueError("run() got an empty list: the first element is the program")
        text = shlex.join(words)
        return (prefix + text, [options.shell, "-c", prefix + text], None) if prefix else (text, words, None)
    text = prefix + command
    if options.shell in ("bash", "sh", "/bin/bash", "/bin/sh"):
        plain = plain_words(text, options.env)
        if plain is not None:
            return text, plain[1:], plain[0]
    return text, [options.shell, "-c", text], None


def plain_words(text: str, env: Mapping[str, str] | None) -> list[str] | None:
    """The words of a command that needs no shell, or None: starting one costs more than most commands.

    The program comes with its whole path, so that it is not looked for again.
    """
    env = os.environ if env is None else env
    if not _PLAIN.issuperset(text) or "BASH_ENV" in env:
        return None
    words = text.split()
    if not words or "=" in words[0] or words[0] in _SHELL_WORDS:
        return None
    if "/" not in words[0]:
        for folder in env.get("PATH", os.defpath).split(":"):
            path = f"{folder}/{words[0]}"
            if folder.startswith("/") and os.access(path, os.X_OK) and not os.path.isdir(path):
                return [path, *words]
        return None
    return None  # a relative path is looked up in the command's own directory: let the shell say what is wrong


def _has_terminal() -> bool:
    return hasattr(os, "forkpty")


def _disown(argv: list[str], options: Options, result: Result) -> Result:
    result.pid, result.exited, result.disowned = disowned(argv, options.env, options.cwd), None, True
    return result


class _Run:
    """One command on its way."""

    def __init__(self, argv: list[str], program: str | None, options: Options, result: Result, scope: Scope | None) -> None:
        self.options, self.result, self._scope = options, result, scope
        self._began_s = time.monotonic()
        self._argv, self._program = argv, program
        self._feed: bytes | None = None
        self._keyboard_fd: int | None = None
        self._failed_start: OSError | None = None
        self._process: Process | None = None
        self.is_started = False

    @property
    def command(self) -> str:
        return self.result.command

    @property
    def pid(self) -> int | None:
        return self.result.pid

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.signal(number)

    def start(self) -> None:
        """Start the command; `with ENDING`, or a signal may leave it behind."""
        self.is_started = True
        options, scope = self.options, self._scope
        self._feed, self._keyboard_fd, stdin = self._input()
        streams.flush()
        has_own_group = stdin is not None or not _is_terminal(0)
        for attempt, path in ((self._argv, self._program), ([options.shell, "-c", self.result.command], None)):
            try:
                self._process = Process(attempt, program=path, env=options.env, cwd=options.cwd or None, stdin=stdin,
                                        has_own_group=has_own_group, pty=options.pty)  # fmt: skip
                break
            except OSError as error:
                self._failed_start = error
                if error.errno != errno.ENOEXEC:  # ENOEXEC: a script without its first line
                    break
        if self._process is not None:
            self.result.pid = self._process.pid
            if scope is not None:
                scope.processes[self._process.pid] = self._process
                if scope.is_cancelled:  # the run was ended while the command was being started
                    self._process.signal(2)

    def _input(self) -> tuple[bytes | None, int | None, int | None]:
        """What to feed, which descriptor to copy from, and what the command's input is."""
        source = self.options.in_stream
        if source is False or self.options.asynchronous:
            return None, None, subprocess.PIPE if self.options.watchers else subprocess.DEVNULL
        if source is None and self._scope is not None and not self._scope.has_keyboard:
            return None, None, subprocess.PIPE if self.options.watchers else subprocess.DEVNULL
        stream = sys.stdin if source is None else source
        fd = descriptor(stream)
        if fd is None:
            if source is None and not hasattr(stream, "getvalue"):
                return None, None, subprocess.PIPE if self.options.watchers else subprocess.DEVNULL
            content = stream.read()
            return (content if isinstance(content, bytes) else content.encode(self.options.encoding)), None, subprocess.PIPE
        if self.options.watchers or self.options.pty:
            return None, fd, subprocess.PIPE
        return None, None, None if fd == 0 else fd

    def finish(self) -> Result:
        """Follow the command to its end (start it, if that was not done) and judge it."""
        follower: Follower | None = None
        reason: WatcherError | None = None
        is_over = False
        try:
            with ENDING:
                if not self.is_started:
                    self.start()
                if self._process is not None:
                    follower = self._follower(self._process)
            if follower is not None:
                is_over = not follower.follow(self._deadline()[0]) or not self._wait(self._deadline()[0])
                if is_over:
                    self._end(9)
        except WatcherError as error:
            reason = error
            self._end()
        except KeyboardInterrupt:
            self._interrupt(follower)
            raise
        except BaseException:
            self._end()
            raise
        finally:
            self._close(follower)
        if self._process is None:
            return self._never_started()
        self.result.exited = None if reason is not None else self._process.wait()
        return self._judge(reason, self._deadline()[1] if is_over else None)

    def _follower(self, process: Process) -> Follower:
        options = self.options
        self._printer = streams.Printer(options.hide, options.out_stream, options.err_stream, options.encoding)
        return Follower(
            process, self._printer.write, feed=self._feed, keyboard_fd=self._keyboard_fd, watchers=options.watchers,
            on_typed=self._printer.typed if options.echo_stdin else None, encoding=options.encoding,
        )  # fmt: skip

    def _end(self, first: int = 15) -> None:
        if self._process is not None:
            self._process.end(first)

    def _close(self, follower: Follower | None) -> None:
        if self._process is None or follower is None:
            return
        self._printer.finish()
        self._process.close()
        if self._scope is not None:
            self._scope.processes.pop(self._process.pid, None)
        self._fill(follower)

    def _interrupt(self, follower: Follower | None) -> None:
        """Pass Ctrl-C on and give the command time to end by itself, its last words shown; then end it."""
        process = self._process
        if process is None or follower is None:
            self._end()
            return
        if process.is_grouped:  # in our own group the terminal has told it already
            process.signal(2)
        try:
            follower.follow(time.monotonic() + GRACE_S)
            process.wait(0.5)
        except (subprocess.TimeoutExpired, KeyboardInterrupt, WatcherError):
            process.end(grace_s=1.0)

    def _deadline(self) -> tuple[float | None, float | None]:
        limit_s = self.options.timeout_s
        own_s = None if limit_s is None else self._began_s + float(limit_s)
        of_task_s = self._scope.deadline_s if self._scope is not None else None
        if of_task_s is not None and (own_s is None or of_task_s < own_s):
            return of_task_s, self._scope.timeout_s if self._scope is not None else None
        return own_s, limit_s

    def _wait(self, deadline_s: float | None) -> bool:
        assert self._process is not None
        try:
            self._process.wait(None if deadline_s is None else max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _fill(self, follower: Follower) -> None:
        result, encoding = self.result, self.options.encoding
        result.stdout_bytes, result.stderr_bytes = b"".join(follower.stdout), b"".join(follower.stderr)
        result.stdout = result.stdout_bytes.decode(encoding, "replace")
        result.stderr = result.stderr_bytes.decode(encoding, "replace")
        result.duration_s = time.monotonic() - self._began_s

    def _never_started(self) -> Result:
        error, result = self._failed_start, self.result
        assert error is not None
        is_folder = bool(self.options.cwd) and not os.path.isdir(self.options.cwd)
        what = f"cd: {self.options.cwd}" if is_folder else str(error.filename or result.command)
        result.exited = 1 if is_folder else 127 if isinstance(error, FileNotFoundError) else 126
        result.stderr = f"{what}: {error.strerror}\n"
        result.stderr_bytes = result.stderr.encode()
        printer = streams.Printer(result.hide, None, self.options.err_stream, "utf-8")
        printer.write("stderr", result.stderr_bytes)
        printer.finish()
        return self._judge(None, None)

    def _judge(self, reason: WatcherError | None, limit_s: float | None) -> Result:
        if reason is not None:
            raise Failure(self.result, reason)
        if limit_s is not None:
            raise CommandTimedOut(self.result, limit_s)
        if self.result.exited != 0 and not self.options.warn:
            raise UnexpectedExit(self.result)
        return self.result


class Promise:
    """A command that runs on; `join` waits for it and says how it ended, as `run` would have.

    Whoever forgets to join is helped: at the end of the task every promise is joined, and a failure is the task's.
    """

    def __init__(self, run: Running) -> None:
        self._run = run
        self.command = run.command
        self.pid = run.pid
        self._result: Result | None = None
        self._error: BaseException | None = None
        self.is_joined = False
        # not `Thread.join`: one that Ctrl-C interrupts takes the thread for ended (CPython 3.11, bpo-45274)
        self._done = threading.Event()
        threading.Thread(target=self._follow, name=f"command {self.pid}", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Promise cmd={self.command!r}>"

    def _follow(self) -> None:
        try:
            self._result = self._run.finish()
        except BaseException as error:  # noqa: BLE001  carried over to whoever joins
            self._error = error
        finally:
            self._done.set()

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def join(self) -> Result:
        """Wait for the end; the result, or what `run` would have raised."""
        while not self._done.wait(TICK_S):
            pass
        self.is_joined = True
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def stop(self) -> None:
        """End the command with all that it started."""
        if not self.is_done:
            self._run.signal(15)
            if not self._done.wait(GRACE_S):
                self._run.signal(9)
                self._done.wait(GRACE_S)
        self.is_joined = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.join()


def descriptor(stream: Any) -> int | None:
    """The descriptor behind a stream, where it has one."""
    try:
        fd = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return fd if isinstance(fd, int) else None


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False
