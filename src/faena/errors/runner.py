"""The errors of command lines and of the runner; `errors.tree` has the drawing."""

from __future__ import annotations

from faena.errors.tree import FaenaError, did_you_mean, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:  # `fa` starts without `collections`
    from collections.abc import Iterable
    from typing import Protocol

    class Result(Protocol):
        command: str
        exited: int | None
        pty: bool
        hide: tuple[str, ...]

        def tail(self, stream: str, count: int = 10) -> str: ...


# -- command lines -----------------------------------------------------------------------------------------


class UsageError(FaenaError):
    """A command line that cannot be obeyed; nothing has been run."""

    context: object = None  # the `ParserContext` that was being read, where it was one


class UnknownCommand(UsageError):
    def __init__(self, name: str, known: Iterable[str] = (), *, where: str = "") -> None:
        self.name, self.where = name, where
        at = f" of '{where}'" if where else ""
        found = nearest(name, known)
        hint = f" Did you mean '{found}'?" if found else ""
        super().__init__(f"No idea what '{name}'{at} is!{hint}")


class UnknownOption(UsageError):
    def __init__(self, command: str, option: str, known: Iterable[str] = ()) -> None:
        self.command, self.option = command, option
        found = nearest(option, [each for each in known if each.startswith("--")]) if len(option) > 2 else None
        hint = f" Did you mean '{found}'?" if found else f" See: {command} --help" if command else ""
        at = f" for '{command}'" if command else ""
        super().__init__(f"No idea what '{option}' is{at}!{hint}")


class MissingValue(UsageError):
    def __init__(self, command: str, option: str, metavar: str = "", *, before: str = "") -> None:
        self.command, self.option = command, option
        kind = f" ({metavar})" if metavar else ""
        found = f", but '{before}' follows (write {option}={before} if it is the value)" if before else ""
        super().__init__(f"'{command}': option {option} needs a value{kind}{found}")


class MissingArguments(UsageError):
    def __init__(self, command: str, names: Iterable[str]) -> None:
        self.command, self.names = command, tuple(names)
        words = ", ".join(f"'{name}'" for name in self.names)
        kind = "options" if all(name.startswith("-") for name in self.names) else "positional arguments"
        super().__init__(f"'{command}' did not receive required {kind}: {words}")


class InvalidValue(UsageError, ValueError):
    def __init__(self, command: str, parameter: str, text: str, expected: str, *, choices: tuple[str, ...] = ()) -> None:
        self.command, self.parameter, self.text, self.choices = command, parameter, text, choices
        wanted = f"one of {', '.join(choices)}{did_you_mean(text, choices)}" if choices else expected
        super().__init__(f"'{command}': {parameter} cannot be {text!r}: expected {wanted}")


class UnexpectedArgument(UsageError):
    def __init__(self, command: str, word: str) -> None:
        self.command, self.word = command, word
        super().__init__(f"'{command}' takes no further argument: '{word}'")


class AmbiguousValue(UsageError):
    def __init__(self, command: str, word: str, option: str) -> None:
        self.command, self.word, self.option = command, word, option
        super().__init__(
            f"'{word}' is ambiguous when given after an optional-value flag (write {option}={word} for a value of "
            f"{option}, or put the option elsewhere)"
        )


# -- the runner --------------------------------------------------------------------------------------------


class RunnerError(FaenaError):
    """Something about task files, the task graph or commands."""


class CollectionNotFound(RunnerError):
    def __init__(self, name: str, start: str) -> None:
        self.name, self.start = name, start
        super().__init__(
            f"Can't find any collection named '{name}'! Looked for {name}.py and {name}/ in {start} and above it "
            "(`fa --init` writes a first task file)"
        )


class TaskCycle(RunnerError):
    def __init__(self, path: Iterable[str]) -> None:
        self.path = tuple(path)
        super().__init__(f"tasks need each other in a circle: {' -> '.join(self.path)}")


class TaskFileError(RunnerError):
    """A task file, or something that one declares, cannot be used."""


class Exit(RunnerError):
    """End the run from inside a task: silent success, a message (status 1), or a status of its own."""

    def __init__(self, message: str | None = None, code: int | None = None) -> None:
        self.message = message
        self._code = code
        super().__init__(message or "")

    @property
    def code(self) -> int:
        if self._code is not None:
            return self._code
        return 1 if self.message else 0


class Failure(RunnerError):
    """A command that failed, or could not be followed to its end (`reason` says why)."""

    def __init__(self, result: Result, reason: BaseException | None = None) -> None:
        self.result, self.reason = result, reason
        super().__init__(result, reason)

    def streams_for_display(self) -> tuple[str, str]:
        """What a message shows of both streams: the last lines of those that were hidden."""
        result = self.result
        out = result.tail("stdout") if "stdout" in result.hide else " already printed"
        if result.pty:
            return out, " n/a (PTYs have no stderr)"
        return out, result.tail("stderr") if "stderr" in result.hide else " already printed"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: cmd={self.result.command!r}>"

    def __str__(self) -> str:
        if self.reason is None:
            return f"'{self.result.command}' failed"
        return f"Command was not fully executed due to watcher error.\n\n{self.reason}"


class UnexpectedExit(Failure):
    """A command ended with another status than 0."""

    def __str__(self) -> str:
        out, err = self.streams_for_display()
        return (
            f"Encountered a bad command exit code!\n\nCommand: {self.result.command!r}\n\n"
            f"Exit code: {self.result.exited}\n\nStdout:{out}\n\nStderr:{err}\n\n"
        )

    def __repr__(self) -> str:
        return f"<UnexpectedExit: cmd={self.result.command!r} exited={self.result.exited}>"


class CommandTimedOut(Failure):
    """A command was ended, with all its processes, because its time was over."""

    def __init__(self, result: Result, timeout: float) -> None:
        super().__init__(result)
        self.timeout = timeout

    def __str__(self) -> str:
        out, err = self.streams_for_display()
        return (
            f"Command did not complete within {self.timeout:g} seconds!\n\nCommand: {self.result.command!r}\n\n"
            f"Stdout:{out}\n\nStderr:{err}\n\n"
        )

    def __repr__(self) -> str:
        return f"<CommandTimedOut: cmd={self.result.command!r} timeout={self.timeout}>"


class AuthFailure(Failure):
    def __init__(self, result: Result, prompt: str) -> None:
        super().__init__(result)
        self.prompt = prompt

    def __str__(self) -> str:
        return f"The password submitted to prompt {self.prompt!r} was rejected."


class TaskTimedOut(RunnerError, TimeoutError):
    def __init__(self, task: str, timeout_s: float) -> None:
        self.task, self.timeout_s = task, timeout_s
        super().__init__(f"task '{task}' was still running after its {timeout_s:g} s")


class WatcherError(RunnerError):
    """A watcher of a command's output gave up."""


class ResponseNotAccepted(WatcherError):
    """The command refused the answer that a `FailingResponder` gave."""


class PlatformError(RunnerError):
    """This platform cannot do what was asked for."""


class AmbiguousMergeError(RunnerError, ValueError):
    """Two layers of configuration disagree on whether a name is a group or a value."""


class AmbiguousEnvVar(RunnerError):
    """One environment variable would set two configuration values."""


class UncastableEnvVar(RunnerError):
    """An environment variable cannot become a value of the type that stands there."""


class UnknownFileType(RunnerError):
    """A configuration file of a kind nobody reads."""


class UnpicklableConfigMember(RunnerError):
    """A configuration file in Python holds a module."""


class ThreadException(RunnerError):
    """Kept for code that catches it: our commands need no threads."""


class SubprocessPipeError(RunnerError):
    """Kept for code that catches it: a pipe to a command failed."""
