"""Every error of faena, and those of the queue. See `errors.runner` for those of command lines and task files.

An error holds its facts as attributes and writes its own message: what happened, to what, what to do next.
Names that users know from Celery are kept where the thing is the same.

    FaenaError
    ├── ConfigurationError
    │   ├── UnknownSetting
    │   ├── InvalidSetting
    │   ├── AppNotFound
    │   ├── InvalidSchedule             (ValueError) when a schedule is due, or what it does then, makes no sense
    │   ├── InvalidQueue                (ValueError) a queue declared wrongly
    │   ├── UnknownQueue                a queue that is not declared, where all have to be
    │   └── NotSupported                a broker or backend cannot do what was asked
    │       └── NoBackend               it is kept by a backend, and there is none
    ├── InvalidTask                     a task declared wrongly
    ├── NotRegistered                   no task of that name
    ├── InvalidArguments                (TypeError) arguments that the task's signature refuses
    ├── DuplicateCall                   a unique task was called again
    │   └── DuplicateCalls              some of many calls, and the others were sent
    ├── BrokerError
    │   ├── BrokerUnavailable           nothing was accepted; try again later
    │   ├── PublishedInPart             some messages were accepted; it names them
    │   ├── QueueFull                   nothing was sent: there is no room
    │   ├── NotAllSent                  the same of the calls of a block of `app.buffered()`
    │   ├── LeaseLost                   the work was handed to somebody else meanwhile
    │   └── MessageTooLarge
    ├── BackendError
    │   └── BackendUnavailable
    ├── StorageError                    of an embedded file
    │   ├── StorageDamaged
    │   ├── StorageTooNew
    │   ├── StorageUnavailable          (BrokerUnavailable, BackendUnavailable)
    │   └── StorageFull                 (BrokerUnavailable, BackendUnavailable)
    ├── ServerUnavailable               (BrokerUnavailable, BackendUnavailable)
    ├── ServerRefused                   (BrokerError, BackendError) a password, a right is missing
    │   └── DeclaredOtherwise           a queue of this name is there, and is another one than is wanted
    ├── CodecError
    │   ├── EncodeError
    │   ├── DecodeError
    │   └── ContentDisallowed
    ├── ResultError
    │   ├── ResultNotFound
    │   ├── ResultTimeout               (TimeoutError)
    │   ├── ResultsIgnored              the task keeps no result
    │   ├── TaskFailed                  the remote exception cannot be rebuilt here
    │   ├── TaskRevokedError
    │   ├── ChordError                  a member of the group before this task has failed
    │   ├── EventTimeout                (TimeoutError) a task waits for an event that does not happen
    │   ├── MessageLostError            a step of a workflow whose message is gone
    │   └── WorkerLostError             the process died while it ran the task
    ├── WorkflowError                   a workflow that cannot be sent, found or changed
    ├── ScheduleNotFound                no schedule of that name
    ├── TimeLimitExceeded
    ├── SoftTimeLimitExceeded
    ├── MaxRetriesExceededError
    ├── UsageError                      a command line that cannot be obeyed
    │   ├── UnknownCommand
    │   ├── UnknownOption
    │   ├── MissingValue
    │   ├── MissingArguments
    │   ├── InvalidValue                (ValueError)
    │   ├── UnexpectedArgument
    │   └── AmbiguousValue
    └── RunnerError
        ├── CollectionNotFound          no task file
        ├── TaskFileError
        ├── TaskCycle
        ├── TaskTimedOut                (TimeoutError)
        ├── Exit                        a task ends the run on purpose
        ├── Failure                     of a command
        │   ├── UnexpectedExit
        │   ├── CommandTimedOut
        │   └── AuthFailure
        ├── WatcherError
        │   └── ResponseNotAccepted
        ├── AmbiguousMergeError         (ValueError)
        ├── AmbiguousEnvVar
        ├── UncastableEnvVar
        ├── UnknownFileType
        ├── UnpicklableConfigMember
        ├── PlatformError
        ├── ThreadException
        └── SubprocessPipeError

How a task ends itself in a way of its own stands in `faena.signals`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # `fa` starts without `collections`
    from collections.abc import Iterable, Mapping
    from typing import Any


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name nearest to `name`, or None where nothing is near."""
    from difflib import get_close_matches  # only errors pay for it

    candidates = list(known)
    found = get_close_matches(name, candidates, n=1, cutoff=0.6)
    if not found:
        tails = {candidate.rpartition(".")[2]: candidate for candidate in candidates}
        found = [tails[tail] for tail in get_close_matches(name.rpartition(".")[2], tails, n=1, cutoff=0.7)]
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" or nothing."""
    found = nearest(name, known)
    return f"; did you mean '{found}'?" if found else ""


class FaenaError(Exception):
    """Anything that faena raises on purpose."""


# -- configuration -----------------------------------------------------------------------------------------


class ConfigurationError(FaenaError):
    """The configuration cannot be used."""


class UnknownSetting(ConfigurationError, AttributeError):
    """`instead` is the name it has now, where that is known for certain."""

    def __init__(self, name: str, known: Iterable[str] = (), *, where: str = "", instead: str | None = None) -> None:
        self.name, self.where = name, where
        at = f" in {where}" if where else ""
        hint = f"; did you mean '{instead}'?" if instead else did_you_mean(name, known)
        super().__init__(f"unknown setting '{name}'{at}{hint} (list them with: faena config --explain)")


class InvalidSetting(ConfigurationError, ValueError):
    def __init__(self, name: str, value: object, reason: str, *, where: str = "") -> None:
        self.name, self.value, self.reason, self.where = name, value, reason, where
        at = f" (from {where})" if where else ""
        super().__init__(f"setting '{name}' cannot be {value!r}{at}: {reason}")


class InvalidSchedule(ConfigurationError, ValueError):
    """When a schedule is due, or what it does then, makes no sense."""


class AppNotFound(ConfigurationError):
    """No app where one was looked for. `missing_module` names the module that is not there, if that is why."""

    def __init__(self, text: str, *, missing_module: str | None = None) -> None:
        self.missing_module = missing_module
        super().__init__(text)


class NotSupported(ConfigurationError):
    def __init__(self, what: str, by: str, reason: str, hint: str = "") -> None:
        self.what, self.by, self.reason, self.hint = what, by, reason, hint
        super().__init__(f"{by} does not support {what}: {reason}{'; ' + hint if hint else ''}")


class NoBackend(NotSupported):
    def __init__(self, what: str, broker: str) -> None:
        self.what, self.by, self.reason = what, broker, "it keeps nothing but messages"
        self.hint = "set `result_backend`, such as redis://localhost or sqlite:///results.db"
        ConfigurationError.__init__(
            self, f"no backend for {what}: {broker} carries messages, and keeps nothing else; {self.hint}"
        )


class InvalidQueue(ConfigurationError, ValueError):
    """A queue that is declared wrongly."""

    def __init__(self, name: object, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"queue '{name}': {reason}")


class UnknownQueue(ConfigurationError):
    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        declared = sorted(known)
        super().__init__(
            f"queue '{name}' is not declared{did_you_mean(name, declared)} (task_create_missing_queues is off; declared in "
            f"task_queues: {', '.join(declared) or 'none'})"
        )


# -- tasks -------------------------------------------------------------------------------------------------


class InvalidTask(FaenaError, TypeError):
    """A task that is declared wrongly."""


class NotRegistered(FaenaError, KeyError):
    def __init__(self, name: str, known: Iterable[str] = (), *, where: str = "") -> None:
        self.name, self.where = name, where
        super().__init__(f"no task '{name}'{' in ' + where if where else ''}{did_you_mean(name, known)}")

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError shows the repr


class InvalidArguments(FaenaError, TypeError):
    def __init__(self, task: str, reason: str) -> None:
        self.task, self.reason = task, reason
        super().__init__(f"task '{task}': {reason}")


class DuplicateCall(FaenaError):
    """Nothing was sent: another call of the task has its key. `task_id` is the id of that one."""

    def __init__(self, task: str, task_id: str, reason: str) -> None:
        self.task, self.task_id, self.reason = task, task_id, reason
        super().__init__(f"task '{task}' is unique: {task_id} has the same key, and {reason}; nothing was sent")


class DuplicateCalls(DuplicateCall):
    """Some of many calls were not sent, since their keys are taken; all others were.

    `refused` says why, by the place of the call (from 0); `results` has the handles of the others, and None for these.
    """

    def __init__(self, refused: Mapping[int, DuplicateCall], results: Iterable[Any]) -> None:
        self.refused, self.results = dict(refused), tuple(results)
        first = next(iter(self.refused.values()))
        self.task, self.task_id, self.reason = first.task, first.task_id, first.reason
        named = ", ".join(f"{place} ({error.task_id})" for place, error in list(self.refused.items())[:5])
        more = ", ..." if len(self.refused) > 5 else ""
        FaenaError.__init__(
            self,
            f"{len(self.refused)} of {len(self.results)} calls were not sent, since other calls have their keys: "
            f"{named}{more}; all others were sent",
        )


# -- broker and backend ------------------------------------------------------------------------------------


class BrokerError(FaenaError):
    """The broker failed or refused."""


class BrokerUnavailable(BrokerError, ConnectionError):
    """The broker did not answer, or could not store: nothing was accepted, so trying again is safe."""


class PublishedInPart(BrokerError):
    """The broker took some messages and then failed: send the others again, and those only."""

    def __init__(self, accepted: Iterable[str], total: int) -> None:
        self.accepted, self.total = frozenset(accepted), total
        super().__init__(
            f"the broker took {len(self.accepted)} of {total} messages and then failed; `accepted` holds their ids"
        )


class QueueFull(BrokerError):
    def __init__(self, queue: str, max_length: int) -> None:
        self.queue, self.max_length = queue, max_length
        super().__init__(
            f"queue '{queue}' is full: {max_length} messages wait there (max_length), and nothing was sent; "
            "send again later, let the call wait (when_full='block'), or start more workers"
        )


class NotAllSent(BrokerError):
    """Some calls of a block of `app.buffered()` were not sent; all others of the block were, or are pending with them."""

    def __init__(self, pending: Iterable[str], refused: Iterable[str], accepted: Iterable[str], reason: str) -> None:
        self.pending, self.refused, self.accepted = tuple(pending), tuple(refused), frozenset(accepted)
        parts = []
        if self.pending:
            parts.append(
                f"{len(self.pending)} calls are not sent yet: `flush` of the block sends them, `pending` names them"
            )
        if self.refused:
            parts.append(f"{len(self.refused)} were refused and will never be sent: `refused` names them")
        super().__init__(f"{'; '.join(parts)} ({reason})")


class LeaseLost(BrokerError):
    def __init__(self, holder: object) -> None:
        self.holder = holder
        super().__init__(f"the lease of holder {holder} has ended; its deliveries went back to their queues")


class MessageTooLarge(BrokerError, ValueError):
    def __init__(self, size_bytes: int, limit_bytes: int, broker: str) -> None:
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes
        super().__init__(
            f"a message of {size_bytes:,} bytes is over the {limit_bytes:,} bytes that {broker} takes; "
            "pass a reference (a path, a key) instead of the data"
        )


class BackendError(FaenaError):
    """The result backend failed or refused."""


class BackendUnavailable(BackendError, ConnectionError):
    """The backend did not answer, or could not store."""


class StorageError(FaenaError):
    """The file of the embedded broker and backend cannot be used."""

    def __init__(self, path: str, what: str) -> None:
        self.path = path
        super().__init__(f"{path}: {what}")


class StorageDamaged(StorageError):
    """The file is no database, or a broken one. It is left as it was found."""


class StorageTooNew(StorageError):
    """A newer version of faena wrote the file. It is left as it was found."""


class StorageUnavailable(StorageError, BrokerUnavailable, BackendUnavailable):
    """The file cannot be read or written now (locked, read-only, a disk error): the step was undone as a whole."""


class StorageFull(StorageError, BrokerUnavailable, BackendUnavailable):
    """No space is left: the step was undone as a whole."""


class ServerUnavailable(BrokerUnavailable, BackendUnavailable):
    """The server of broker and backend cannot be reached, or takes nothing now; trying again is safe."""


class ServerBlocked(ServerUnavailable):
    """The server is there, and takes no messages at present (an alarm stands); what is held of it stays held."""


class ServerRefused(BrokerError, BackendError):
    """The server does not do this for us, and will not before somebody changes something."""


class DeclaredOtherwise(ServerRefused):
    def __init__(
        self, where: str, kind: str, name: str, argument: str, found: str | None, wanted: str | None, advice: str
    ) -> None:
        self.name, self.argument, self.found, self.wanted, self.advice = name, argument, found, wanted, advice
        self.said = f"its {argument} is {found or 'not set'}, and {wanted or 'none'} was wanted"
        super().__init__(f"{where}: {kind} '{name}' is there already, and is another one: {self.said}; {advice}")


# -- codecs ------------------------------------------------------------------------------------------------


class CodecError(FaenaError, ValueError):
    """A value cannot travel."""


class EncodeError(CodecError):
    """A value that the serializer cannot write."""


class DecodeError(CodecError):
    """Bytes that the serializer cannot read."""


class ContentDisallowed(CodecError):
    def __init__(self, content: str, accepted: Iterable[str]) -> None:
        self.content, self.accepted = content, tuple(accepted)
        super().__init__(
            f"refusing to decode content of type '{content}': accept_content allows {', '.join(self.accepted) or 'nothing'}"
        )


# -- results -----------------------------------------------------------------------------------------------


class ResultError(FaenaError):
    """A result that cannot be given."""


class ResultNotFound(ResultError, LookupError):
    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(
            f"nothing is known of task {task_id}: it was never sent here, its result has expired or was "
            "forgotten, or the task ignores its result"
        )


class ResultTimeout(ResultError, TimeoutError):
    def __init__(self, task_id: str, timeout_s: float, hint: str = "") -> None:
        self.task_id, self.timeout_s = task_id, timeout_s
        super().__init__(f"task {task_id} had not finished after {timeout_s:g} s{'; ' + hint if hint else ''}")


class ResultsIgnored(ResultError):
    def __init__(self, what: str) -> None:
        super().__init__(f"{what} keeps no result: configure a result_backend, or drop ignore_result, to wait for it")


class TaskFailed(ResultError):
    """The task raised an exception whose class cannot be rebuilt in this process."""

    def __init__(self, type_name: str, message: str, *, traceback: str = "") -> None:
        self.type_name, self.message, self.traceback = type_name, message, traceback
        super().__init__(f"{type_name}: {message}" if message else type_name)


class TaskRevokedError(ResultError):
    """The task was revoked, or expired before it began."""


class ChordError(ResultError):
    """A member of the group before this task has failed, so that it never ran; Celery's name."""


class EventTimeout(ResultError, TimeoutError):
    """The event that a task waits for has not happened in time."""

    def __init__(self, event: str, timeout_s: float) -> None:
        self.event, self.timeout_s = event, timeout_s
        super().__init__(f"event '{event}' has not happened within {timeout_s:g} s")


class MessageLostError(ResultError):
    """The message of a step of a workflow is gone, and nobody has said how it ended; it can be run again from there."""


class WorkerLostError(ResultError):
    """The process that ran the task died, time after time, or once where it must not run twice; it is a dead letter now."""


class TimeLimitExceeded(FaenaError):
    """The hard time limit passed; the process was killed."""


class SoftTimeLimitExceeded(FaenaError):
    """Raised inside a task when its soft time limit passes: clean up and return, or let it fail."""


class MaxRetriesExceededError(FaenaError):
    """The task asked for one more retry than it has."""


class ScheduleNotFound(FaenaError):
    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        super().__init__(f"no schedule '{name}'{did_you_mean(name, known)} (list them with: faena schedule list)")


class WorkflowError(FaenaError):
    """A workflow that cannot be sent, found or changed."""

    def __init__(self, workflow: str, reason: str) -> None:
        self.workflow, self.reason = workflow, reason
        super().__init__(f"workflow {workflow}: {reason}" if workflow else reason)


class RemoteTraceback(FaenaError):
    """Carries the text of the worker's traceback as the cause of an exception that `get` raises."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__("\n" + text)
