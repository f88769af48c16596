"""`import invoke` in a task file gets this: Invoke's public names, ours behind them.

Submodules (`invoke.exceptions`, `invoke.config`, `invoke.watchers` ...) hold the same names.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

NAMES = {
    "task": "faena.runner.task",
    "Task": "faena.runner.task",
    "Call": "faena.runner.task",
    "call": "faena.runner.task",
    "Collection": "faena.runner.collection",
    "Context": "faena.runner.context",
    "MockContext": "faena.runner.mock_context",
    "Config": "faena.runner.config",
    "DataProxy": "faena.runner.config",
    "run": "faena.runner.module_level",
    "sudo": "faena.runner.module_level",
    "pty_size": "faena.runner.module_level",
    "Result": "faena.runner.result",
    "Promise": "faena.runner.commands",
    "Runner": "faena.runner.local",
    "Local": "faena.runner.local",
    "Responder": "faena.runner.watchers",
    "FailingResponder": "faena.runner.watchers",
    "StreamWatcher": "faena.runner.watchers",
    "Executor": "faena.runner.executor",
    "Program": "faena.cli.fa_program",
    "FilesystemLoader": "faena.runner.loader",
    "Loader": "faena.runner.loader",
    "Parser": "faena.runner.parser",
    "ParserContext": "faena.runner.parser",
    "ParseResult": "faena.runner.parser",
    "Argument": "faena.runner.parser",
}
ERRORS = (
    "Exit", "Failure", "UnexpectedExit", "CommandTimedOut", "AuthFailure", "CollectionNotFound", "PlatformError",
    "ThreadException", "WatcherError", "ResponseNotAccepted", "SubprocessPipeError", "UnknownFileType",
    "UnpicklableConfigMember", "AmbiguousEnvVar", "UncastableEnvVar", "AmbiguousMergeError",
)  # fmt: skip
_SUBMODULES = (
    "tasks", "collection", "context", "config", "runners", "watchers", "exceptions", "executor", "program", "loader",
    "parser", "terminals",
)  # fmt: skip
VERSION = "3.0.3"  # whose behaviour is followed


def lookup(name: str) -> Any:
    """One public name of Invoke. Raises AttributeError."""
    if name in NAMES:
        module = NAMES[name]
        __import__(module)
        return getattr(sys.modules[module], name)
    from faena import errors

    if name == "ParseError":
        return errors.UsageError
    if name in ERRORS:
        return getattr(errors, name)
    raise AttributeError(f"module 'invoke' has no attribute {name!r}")


class _Loader:
    @staticmethod
    def create_module(_spec: Any) -> ModuleType | None:
        return None

    @staticmethod
    def exec_module(module: Any) -> None:
        own_name = module.__name__

        def get(name: str) -> Any:
            if name == "__all__":
                return [*NAMES, *ERRORS, "ParseError"]
            if name == "__version__":
                return VERSION
            if own_name == "invoke" and name in _SUBMODULES:
                __import__(f"invoke.{name}")
                return sys.modules[f"invoke.{name}"]
            return lookup(name)

        module.__getattr__ = get


def spec_of(name: str) -> Any:
    """The import machinery's word for the alias module, or None for a submodule that Invoke has not."""
    from importlib.machinery import ModuleSpec

    _, _, last = name.partition(".")
    if last and last not in _SUBMODULES:
        return None
    return ModuleSpec(name, _Loader, is_package=not last)  # type: ignore[arg-type]
