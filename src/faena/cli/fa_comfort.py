"""What `fa` offers besides running: completion scripts, a chooser, a first task file, migration, the cache."""

from __future__ import annotations

import os
import sys

from faena.errors import Exit
from faena.runner.listing import is_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from faena.runner.collection import Collection

_STARTER = '''"""Tasks of this project. List them with `fa`, run one with `fa NAME`, ask with `fa NAME --help`."""

from faena import task


@task
def test(c, coverage=False):
    """Run the tests."""
    c.run("python -m pytest" + (" --cov" if coverage else ""))


@task
def lint(c):
    """Check the code."""
    c.run("python -m compileall -q .")


@task(needs=[lint, test], default=True)
def check(c):
    """Run everything that must be green; with -j2 at the same time."""
    print("all green")
'''

_SCRIPTS = {
    "bash": """_fa() {
    local IFS=$'\\n'
    local found="$(fa --complete -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)"
    COMPREPLY=($(compgen -W "$found" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _fa fa
""",
    "zsh": """#compdef fa
_fa() {
    local -a found
    found=("${(@f)$(fa --complete -- "${(@)words[1,CURRENT]}" 2>/dev/null)}")
    compadd -a found
}
compdef _fa fa
""",
    "fish": """complete -c fa -f -a '(fa --complete -- (commandline -opc) (commandline -ct) 2>/dev/null)'
""",
}


def do_comfort(name: str, options: dict[str, Any], words: Sequence[str]) -> int:
    """Do what one of the options asks for; return the status."""
    match name:
        case "complete":
            from faena.cli.fa_complete import candidates_for

            for candidate in candidates_for(list(words[1:])):
                print(candidate)
        case "print_completion_script":
            shell = options[name]
            if shell not in _SCRIPTS:
                raise Exit(f"fa: no completion for '{shell}': one of {', '.join(_SCRIPTS)}")
            print(_SCRIPTS[shell], end="")
        case "init":
            _init()
        case _:
            from faena.runner.migrate import task_file_from

            print(task_file_from(options[name]), end="")
    return 0


def _init() -> None:
    if os.path.exists("tasks.py"):
        raise Exit("fa: tasks.py is there already")
    with open("tasks.py", "x", encoding="utf-8") as file:
        file.write(_STARTER)
    print("wrote tasks.py; list its tasks with: fa")


# -- chooser -----------------------------------------------------------------------------------------------


def choose_task(root: Collection) -> str:
    """Let the user pick a task on the terminal.

    Raises Exit: there is no terminal, or nothing was picked.
    """
    from faena._lib.arguments.docstring import summary_of

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Exit("fa: --choose needs a terminal; name a task instead")
    names = [(name, summary_of(task.__doc__)) for name, task in root.walk() if not is_private(name)]
    for number, (name, summary) in enumerate(names, 1):
        print(f"{number:>4}  {name}  {summary}", file=sys.stderr)
    answer = input("task (number or name): ").strip()
    if answer.isdigit() and 0 < int(answer) <= len(names):
        return names[int(answer) - 1][0]
    if not answer or root.find(answer) is None:
        raise Exit(f"fa: no task {answer!r}" if answer else "fa: nothing chosen")
    return answer


# -- cache -------------------------------------------------------------------------------------------------


def cache_command(words: list[str], folder: str) -> int:
    """`fa cache ls|gc|clear`."""
    from faena.runner.cache import local_folder

    cache = local_folder(folder)
    action = words[0] if words else "ls"
    files = cache.files()
    total_bytes = sum(size for _, size, _ in files)
    match action:
        case "ls":
            entries = sum(1 for name, _, _ in files if name.startswith("entries"))
            print(f"{cache.path}: {entries} results, {len(files)} files, {total_bytes:,} bytes")
        case "clear":
            for name, _, _ in files:
                os.unlink(os.path.join(cache.path, name))
            print(f"removed {len(files)} files, {total_bytes:,} bytes")
        case "gc":
            limit_bytes = int(float(words[1]) * 1_000_000) if len(words) > 1 else 1_000_000_000
            removed = 0
            for name, size, _ in files:
                if total_bytes <= limit_bytes:
                    break
                os.unlink(os.path.join(cache.path, name))
                total_bytes -= size
                removed += 1
            print(f"removed {removed} files; {total_bytes:,} bytes are left")
        case _:
            raise Exit(f"fa: no 'cache {action}': ls, gc [megabytes], clear")
    return 0
