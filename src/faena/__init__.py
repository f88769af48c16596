"""faena: a distributed task queue and a task runner in one.

The public names load on demand, so that `import faena` costs next to nothing and `fa` never pays for the queue.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from faena._lib.arguments.marks import Argument as Argument
    from faena._lib.arguments.marks import Option as Option
    from faena.app.app import Faena as Faena
    from faena.app.canvas import chain as chain
    from faena.app.canvas import chord as chord
    from faena.app.canvas import group as group
    from faena.app.canvas import signature as signature
    from faena.app.current import shared_task as shared_task
    from faena.cli.fa_program import Program as Program
    from faena.errors import AuthFailure as AuthFailure
    from faena.errors import CommandTimedOut as CommandTimedOut
    from faena.errors import DuplicateCall as DuplicateCall
    from faena.errors import DuplicateCalls as DuplicateCalls
    from faena.errors import Exit as Exit
    from faena.errors import Failure as Failure
    from faena.errors import ResponseNotAccepted as ResponseNotAccepted
    from faena.errors import UnexpectedExit as UnexpectedExit
    from faena.errors import WatcherError as WatcherError
    from faena.model.queue import Queue as Queue
    from faena.runner.collection import Collection as Collection
    from faena.runner.commands import Promise as Promise
    from faena.runner.config import Config as Config
    from faena.runner.context import Context as Context
    from faena.runner.executor import Executor as Executor
    from faena.runner.loader import FilesystemLoader as FilesystemLoader
    from faena.runner.local import Local as Local
    from faena.runner.local import Runner as Runner
    from faena.runner.mock_context import MockContext as MockContext
    from faena.runner.module_level import pty_size as pty_size
    from faena.runner.module_level import run as run
    from faena.runner.module_level import sudo as sudo
    from faena.runner.parser import Parser as Parser
    from faena.runner.parser import ParserContext as ParserContext
    from faena.runner.parser import ParseResult as ParseResult
    from faena.runner.result import Result as Result
    from faena.runner.secret import Secret as Secret
    from faena.runner.task import Call as Call
    from faena.runner.task import Task as Task
    from faena.runner.task import call as call
    from faena.runner.task import task as task
    from faena.runner.watchers import FailingResponder as FailingResponder
    from faena.runner.watchers import Responder as Responder
    from faena.runner.watchers import StreamWatcher as StreamWatcher
    from faena.tasks.batch import Batch as Batch
    from faena.tasks.batch import BatchCall as BatchCall
    from faena.tasks.breaker import CircuitBreaker as CircuitBreaker
    from faena.tasks.flow import Limit as Limit
    from faena.tasks.signature import Signature as Signature
    from faena.tasks.unique import Debounce as Debounce
    from faena.tasks.unique import Throttle as Throttle
    from faena.tasks.unique import Unique as Unique

__version__ = "0.1.0.dev0"

# name -> module that defines it
_EXPORTS = {
    "Faena": "faena.app.app",
    "chain": "faena.app.canvas",
    "chord": "faena.app.canvas",
    "group": "faena.app.canvas",
    "shared_task": "faena.app.current",
    "signature": "faena.app.canvas",
    "Queue": "faena.model.queue",
    "Limit": "faena.tasks.flow",
    "Signature": "faena.tasks.signature",
    "Batch": "faena.tasks.batch",
    "BatchCall": "faena.tasks.batch",
    "CircuitBreaker": "faena.tasks.breaker",
    "Debounce": "faena.tasks.unique",
    "DuplicateCall": "faena.errors",
    "DuplicateCalls": "faena.errors",
    "Throttle": "faena.tasks.unique",
    "Unique": "faena.tasks.unique",
    # the runner
    "Argument": "faena._lib.arguments.marks",
    "AuthFailure": "faena.errors",
    "Call": "faena.runner.task",
    "Collection": "faena.runner.collection",
    "CommandTimedOut": "faena.errors",
    "Config": "faena.runner.config",
    "Context": "faena.runner.context",
    "Executor": "faena.runner.executor",
    "Exit": "faena.errors",
    "FailingResponder": "faena.runner.watchers",
    "Failure": "faena.errors",
    "FilesystemLoader": "faena.runner.loader",
    "Local": "faena.runner.local",
    "MockContext": "faena.runner.mock_context",
    "Option": "faena._lib.arguments.marks",
    "ParseResult": "faena.runner.parser",
    "Parser": "faena.runner.parser",
    "ParserContext": "faena.runner.parser",
    "Program": "faena.cli.fa_program",
    "Promise": "faena.runner.commands",
    "Responder": "faena.runner.watchers",
    "ResponseNotAccepted": "faena.errors",
    "Result": "faena.runner.result",
    "Runner": "faena.runner.local",
    "Secret": "faena.runner.secret",
    "StreamWatcher": "faena.runner.watchers",
    "Task": "faena.runner.task",
    "UnexpectedExit": "faena.errors",
    "WatcherError": "faena.errors",
    "call": "faena.runner.task",
    "pty_size": "faena.runner.module_level",
    "run": "faena.runner.module_level",
    "sudo": "faena.runner.module_level",
    "task": "faena.runner.task",
}

__all__ = ["Faena", "__version__", "chain", "chord", "group", "shared_task", "signature"]


def __getattr__(name: str) -> object:
    module_name = _EXPORTS.get(name)
    if module_name is None:
        raise AttributeError(f"module 'faena' has no attribute {name!r}")
    from sys import modules  # not importlib: it costs `fa` a millisecond

    __import__(module_name)
    value: object = getattr(modules[module_name], name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_EXPORTS))
