"""The options of `fa` itself. They stand before a task or after it; a task's own option of that name wins there."""

from __future__ import annotations

from faena._lib.arguments.convert import to_seconds
from faena._lib.arguments.spec import CommandSpec, Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _flag(name: str, text: str, *spellings: str, group: str = "", hidden: bool = False) -> Parameter:
    return Parameter(name, "flag", spellings=spellings, default=False, help=text, group=group, hidden=hidden)


def _value(name: str, text: str, metavar: str, *spellings: str, group: str = "", **more: Any) -> Parameter:
    more.setdefault("default", None)
    return Parameter(name, more.pop("shape", "one"), spellings=spellings, metavar=metavar, help=text, group=group, **more)


def _count(text: str) -> int:
    found = int(text) if text.isdigit() else 0
    if found < 1:
        raise ValueError("a whole number from 1")
    return found


def fa_options() -> CommandSpec:
    """The command line of `fa` before the first task."""
    run, files, show = "How tasks run", "Where tasks come from", "What is shown"
    return CommandSpec(
        "fa",
        (
            _value("jobs", "Run up to N tasks at the same time.", "N", "-j", "--jobs", group=run, convert=_count),
            _flag("keep_going", "After a failure, run what does not depend on it.", "-k", "--keep-going", group=run),
            _flag("force", "Run tasks that are up to date, too.", "--force", group=run),
            _flag("why", "Say why each task has to run or not.", "--why", group=run),
            _flag("dry_run", "Show what would run, and run nothing.", "-n", "--dry-run", group=run),
            _flag("dry", "Call the tasks, but only show their commands.", "-R", "--dry", group=run),
            _flag("yes", "Answer every confirmation with yes.", "-y", "--yes", group=run),
            _flag("watch", "Run again when a source changes.", "-w", "--watch", group=run),
            _flag("warn_only", "Failing commands only warn.", "-W", "--warn-only", group=run),
            _flag("pty", "Run commands under a pseudo-terminal.", "-p", "--pty", group=run),
            _flag("no_dedupe", "Run tasks as often as they are asked for.", "--no-dedupe", group=run),
            _value("command_timeout", "Time limit of each command, such as 90 or 1h30m.", "TIME", "-T",
                   "--command-timeout", group=run, convert=to_seconds),
            _flag("prompt_for_sudo_password", "Ask for the sudo password first.", "--prompt-for-sudo-password", group=run),
            _value("collection", "Module, package or file to load instead of `tasks`.", "NAME", "-c", "--collection",
                   group=files),
            _value("search_root", "Where the search for task files starts.", "DIR", "-r", "--search-root", group=files),
            _value("config", "Configuration file to read, or a task file.", "FILE", "-f", "--config", group=files),
            _value("env", "Environment: the configuration's `environments.NAME`.", "NAME", "--env", group=files),
            _value("list", "List the tasks, or those of one namespace.", "NAMESPACE", "-l", "--list", group=show,
                   shape="maybe"),
            _value("list_format", "Form of the list: flat, nested, json.", "FORM", "-F", "--list-format", group=show,
                   default="flat"),
            _value("list_depth", "Levels of the list.", "N", "-D", "--list-depth", group=show, convert=int, default=0),
            _value("graph", "Show the graph of the tasks: tree, mermaid, dot.", "FORM", "--graph", group=show,
                   shape="maybe"),
            _flag("echo", "Show commands before they run.", "-e", "--echo", group=show),
            _value("hide", "Hide output of commands: out, err, both.", "STREAM", "--hide", group=show),
            _flag("timing", "Say how long each task took.", "--timing", group=show),
            _value("output", "Output of tasks at the same time: grouped, prefixed, plain.", "FORM", "--output", group=show,
                   choices=("grouped", "prefixed", "plain")),
            _value("json", "Write a report of the run as JSON (- for standard output).", "FILE", "--json", group=show),
            _value("junit", "Write a report of the run as JUnit XML.", "FILE", "--junit", group=show),
            _value("explain", "Show the configuration and where each value came from.", "NAME", "--explain", group=show,
                   shape="maybe"),
            _flag("choose", "Choose a task on the terminal.", "--choose", group=show),
            _flag("debug", "Show whole tracebacks.", "-d", "--debug", group=show),
            _value("print_completion_script", "Print the completion of bash, zsh or fish.", "SHELL",
                   "--print-completion-script"),
            _flag("complete", "Print candidates for the words after --.", "--complete", hidden=True),
            _flag("init", "Write a first task file.", "--init"),
            _value("import_file", "Turn a Makefile, package.json or Rakefile into a task file.", "FILE", "--import"),
            _flag("write_pyc", "Taken for Invoke's sake: byte code is always kept.", "--write-pyc", hidden=True),
            _flag("version", "Show the version.", "-V", "--version"),
        ),
    )  # fmt: skip
