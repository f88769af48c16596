"""The commands of `faena`: their names, a line on each, and the module that holds it, imported when it is used."""

from __future__ import annotations

from faena._lib.arguments import CommandGroup, CommandSpec, command_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

# name -> (module, summary); a module has `COMMAND`, a function, or `COMMANDS`, functions by name, with perhaps `DEFAULT`,
# the name of the one that is meant when none is named, and `OTHERWISE`, that of the one that takes every other name;
# `spec()` where the function's signature does not say everything
CATALOG = {
    "worker": ("faena.cli.commands.worker", "Start a worker: run the tasks of an app."),
    "call": ("faena.cli.commands.call", "Send a task, and wait for its result if asked to."),
    "result": ("faena.cli.commands.result", "Show the state and the result of a task."),
    "explain": ("faena.cli.commands.explain", "Say where a task is, why it is not running, and what to do about it."),
    "workflow": ("faena.cli.commands.workflow", "Show workflows; run them again, cancel them."),
    "schedule": ("faena.cli.commands.schedule", "Show schedules; add, change, pause, run and remove them."),
    "beat": ("faena.cli.commands.beat", "Send what schedules say, and do nothing else."),
    "queues": ("faena.cli.commands.queues", "Show queues; pause and resume them."),
    "limits": ("faena.cli.commands.limits", "Show and change limits of rate and concurrency; pause tasks."),
    "dead": ("faena.cli.commands.dead", "List, show, requeue and purge dead letters."),
    "purge": ("faena.cli.commands.purge", "Throw away the waiting messages of queues."),
    "inspect": ("faena.cli.commands.inspect", "Ask workers what they are doing."),
    "events": ("faena.cli.commands.events", "Show what happens to tasks and workers, as it happens; Ctrl-C ends it."),
    "control": ("faena.cli.commands.control", "Tell workers what to do."),
    "config": ("faena.cli.commands.config", "Show the settings, and where each value comes from."),
    "doctor": ("faena.cli.commands.doctor", "Check the set-up, and say what to do about it."),
    "demo": ("faena.cli.demo.command", "Analyse every module of the standard library with an embedded worker."),
}

_BEFORE_A_VALUE = ("-A", "--app", "-b", "--broker", "--result-backend", "--workdir")  # an app may be called `queues`


def group_for(words: Sequence[str]) -> tuple[CommandGroup, dict[tuple[str, ...], Callable[..., Any]]]:
    """Return the tool with every command, those in `words` ready to be parsed; and their functions, by path."""
    commands: dict[str, CommandSpec | CommandGroup] = {}
    functions: dict[tuple[str, ...], Callable[..., Any]] = {}
    for name, (module_name, summary) in CATALOG.items():
        if name not in words:
            commands[name] = CommandSpec(name, (), summary=summary)
            continue
        from importlib import import_module

        module = import_module(module_name)
        if hasattr(module, "COMMANDS"):
            inner: dict[str, CommandSpec | CommandGroup] = {}
            for inner_name, function in module.COMMANDS.items():
                inner[inner_name] = command_from(function, name=inner_name, skip_first=True)
                functions[(name, inner_name)] = function
            commands[name] = CommandGroup(name, inner, summary=summary)
        else:
            own: CommandSpec = module.spec() if hasattr(module, "spec") else command_from(module.COMMAND, skip_first=True)
            commands[name] = own
            functions[(name,)] = module.COMMAND
    return CommandGroup(
        "faena", commands, summary="Send tasks to queues, run them with workers, see what became of them."
    ), functions


def with_default(words: Sequence[str]) -> list[str]:
    """Return the words with the command that is meant where only its group is named: `queues --json`.

    `list` is the command of a group that lists, whatever its own name is; and Celery's `_` in a command is our `-`.
    """
    for index, word in enumerate(words):
        if word not in CATALOG or (index and words[index - 1] in _BEFORE_A_VALUE):
            continue
        from importlib import import_module

        module = import_module(CATALOG[word][0])
        default = getattr(module, "DEFAULT", None)
        after = list(words[index + 1 :])
        if after and (meant := _as_spelled_here(after[0], module)) is not None:
            after[0] = meant
            words = [*words[: index + 1], *after]
        otherwise = getattr(module, "OTHERWISE", None)
        if otherwise and after and not after[0].startswith("-") and after[0] not in module.COMMANDS:
            return [*words[: index + 1], otherwise, *after]
        if default is None or not {"-h", "--help", *module.COMMANDS}.isdisjoint(after):
            break
        if not after or after[0].startswith("-"):
            return [*words[: index + 1], default, *after]
        break
    return list(words)


def _as_spelled_here(word: str, module: Any) -> str | None:
    commands = getattr(module, "COMMANDS", {})
    if word in commands:
        return None
    if word == "list":
        return getattr(module, "DEFAULT", None)
    dashed = word.replace("_", "-")
    return dashed if dashed in commands else None
