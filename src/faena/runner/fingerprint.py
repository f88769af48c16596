"""The fingerprint of a step: a hash of everything that decides its outcome.

    the task's code (and that of functions of its module it calls) · its arguments · the environment variables it
    names · the versions it asks for · the content of its sources

The parts are kept by name beside the hash, so that `--why` can say which of them changed.
"""

from __future__ import annotations

import os
import sys

from faena.errors import TaskFileError
from faena.runner.files import digest, look
from faena.runner.globs import expand, files_below, is_pattern, matches_path
from faena.runner.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType
    from typing import Any

    from faena.runner.execute import Runner
    from faena.runner.files import Entry
    from faena.runner.plan import Step

Parts = dict[str, bytes]


def own_parts(runner: Runner, step: Step) -> Parts:
    """All parts but the sources."""
    extras = step.task.options.extras
    assert extras is not None
    parts = {"code": code_digest(step.task.body), "arguments": digest(_stable(step.args), _stable(step.kwargs))}
    names = [extras.env] if isinstance(extras.env, str) else extras.env
    for name in names:
        value = os.environ.get(name)
        parts[f"environment variable {name}"] = b"" if value is None else digest(value.encode())
    for number, version in enumerate(_versions(extras.version)):
        parts[f"version {number + 1}"] = digest(_version_text(runner, step, version).encode())
    return parts


def whole(parts: Parts) -> bytes:
    """The fingerprint that the parts make."""
    return digest(*(item for name in sorted(parts) for item in (name.encode(), parts[name])))


def source_parts(folder: str, paths: list[str], known: dict[str, Entry]) -> tuple[Parts, dict[str, Entry]]:
    """The parts of source files, and what was seen of them.

    Raises TaskFileError: a source cannot be read.
    """
    parts: Parts = {}
    seen: dict[str, Entry] = {}
    for path in paths:
        try:
            entry = look(os.path.join(folder, path), known.get(path))
        except OSError as error:
            raise TaskFileError(f"source {path}: {error.strerror}") from None
        seen[path] = entry
        parts[f"source {path}"] = entry[4]
    return parts, seen


def paths_of(runner: Runner, step: Step, wanted: Any, *, must_exist: bool = True, coming: Iterable[str] = ()) -> list[str]:
    """The files that `sources` or `outputs` name: paths, patterns, directories, tasks (their outputs), functions.

    Relative to the task file's directory. `coming` are files that count as if they were there.
    """
    folder = folder_of(runner)
    found: dict[str, None] = {}
    for each in flat(wanted):
        if isinstance(each, Task):
            extras = each.options.extras
            if extras is None or extras.outputs is None:
                raise TaskFileError(f"task '{step.name}': its source task '{each.name}' declares no outputs")
            outputs = each.options.extras.outputs if each.options.extras else ()
            if extras.each is not None:
                from faena.runner.rules import targets_of

                found.update(dict.fromkeys(targets_of(folder, extras, coming)))
            else:
                found.update(dict.fromkeys(paths_of(runner, step, outputs, must_exist=must_exist, coming=coming)))
        elif callable(each):
            with runner.scope_of(step) as context:
                paths = paths_of(runner, step, each(context), must_exist=must_exist, coming=coming)
            found.update(dict.fromkeys(paths))
        else:
            found.update(dict.fromkeys(_files(folder, filled(step, os.fspath(each)), must_exist, coming)))
    return list(found)


def folder_of(runner: Runner) -> str:
    return runner.root.loaded_from or os.getcwd()


def filled(step: Step, path: str) -> str:
    """A path with `{argument}` replaced by the step's own."""
    if "{" not in path:
        return path
    try:
        return path.format(**step.values)
    except (KeyError, IndexError) as error:
        raise TaskFileError(f"task '{step.name}': path {path!r} names {error}, which is no argument") from None


def _files(folder: str, path: str, must_exist: bool, coming: Iterable[str]) -> list[str]:
    if is_pattern(path):
        return with_coming(expand(folder, path), path, coming)
    full = os.path.join(folder, path)
    below = [each for each in coming if each.startswith(path.rstrip("/") + "/")]
    if os.path.isdir(full) or below:
        return sorted({*(files_below(folder, path.rstrip("/")) if os.path.isdir(full) else ()), *below})
    if must_exist and not os.path.exists(full) and path not in coming:
        raise TaskFileError(f"source {path} does not exist")
    return [path]


def with_coming(found: list[str], pattern: str, coming: Iterable[str]) -> list[str]:
    """What a pattern gives, and will give once the files that are coming are there."""
    more = [each for each in coming if matches_path(pattern, each)]
    return sorted({*found, *more}) if more else found


def flat(value: Any) -> Iterator[Any]:
    if value is None:
        return
    if isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from flat(each)
    else:
        yield value


def _versions(value: Any) -> list[Any]:
    return list(flat(value))


def _version_text(runner: Runner, step: Step, version: Any) -> str:
    """A version: a text as it is, a list of words is a command whose output counts, a function is asked."""
    if callable(version):
        with runner.scope_of(step) as context:
            return str(version(context))
    text = str(version)
    if text.startswith("$ "):
        import subprocess

        done = subprocess.run(["/bin/sh", "-c", text[2:]], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr
    return text


def _stable(value: Any) -> bytes:
    """A text of arguments that is the same in every process."""
    if isinstance(value, dict):
        return repr(sorted((key, _stable(each)) for key, each in value.items())).encode()
    if isinstance(value, list | tuple):
        return repr([_stable(each) for each in value]).encode()
    if isinstance(value, set | frozenset):
        return repr(sorted(_stable(each) for each in value)).encode()
    text = repr(value)
    return (text if " at 0x" not in text else repr(type(value))).encode()


def code_digest(function: Any) -> bytes:
    """A hash of what a function does: moving it in its file changes nothing, changing a helper does."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    seen: set[int] = set()
    parts: list[bytes] = []
    pending = [function]
    while pending:
        each = pending.pop()
        code = getattr(each, "__code__", None)
        if code is None:
            parts.append(repr(type(each)).encode())
            continue
        if id(code) in seen:
            continue
        seen.add(id(code))
        names = _code_parts(code, parts)
        parts.append(_stable(each.__defaults__ or ()))
        variables = getattr(each, "__globals__", {})
        for name in sorted(names):
            value = variables.get(name)
            if type(value).__name__ == "function" and value.__module__ == each.__module__:
                pending.append(value)
            elif isinstance(value, str | int | float | bytes | bool | tuple | frozenset):
                parts.append(f"{name}={value!r}".encode())
    return digest(f"{sys.version_info[:2]}".encode(), *parts)


def _code_parts(code: CodeType, parts: list[bytes]) -> set[str]:
    """Add what a code object consists of; return the names it uses."""
    names = set(code.co_names)
    parts.append(code.co_code)
    parts.append(repr(code.co_names).encode())
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            names |= _code_parts(constant, parts)
        else:
            parts.append(_stable(constant))
    return names
