"""Skip steps that are up to date, restore their outputs from the cache, record them after success.

    fingerprint as recorded? ─ no ─▶ in the cache? ─ no ─▶ run ─▶ outputs there? ─▶ record, put into the cache
        │ yes                            │ yes
        outputs as recorded? ─ no ───────┤
        │ yes                            ▼
        up to date                  restore outputs, replay what was printed

Nothing is recorded before success, and outputs are compared with what was recorded: an output that a killed run left
half-made differs, and is made again. Sources are hashed before the run, so that one that changes meanwhile makes the
next run build again.
"""

from __future__ import annotations

import os
import sys
import time

from faena.errors import TaskFileError
from faena.runner import state
from faena.runner.extras import extras_of, run_body
from faena.runner.files import digest, look
from faena.runner.fingerprint import folder_of, own_parts, paths_of, source_parts, whole
from faena.runner.globs import is_pattern
from faena.runner.outcome import Outcome
from faena.runner.sinks import Direct, Recorder, Routing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from faena.runner.execute import Runner
    from faena.runner.files import Entry
    from faena.runner.plan import Step

_LOG_LIMIT_BYTES = 1_000_000


class Record:
    """What was known after the last success: fingerprint, its parts, sources, outputs, what was printed."""

    __slots__ = ("fingerprint", "log", "outputs", "parts", "sources")

    def __init__(
        self,
        fingerprint: bytes,
        parts: dict[str, bytes],
        sources: dict[str, Entry],
        outputs: dict[str, Entry],
        log: list[tuple[str, bytes]],
    ) -> None:
        self.fingerprint = fingerprint
        self.parts = parts
        self.sources = sources
        self.outputs = outputs
        self.log = log


def state_folder(runner: Runner) -> str:
    return os.path.join(folder_of(runner), ".faena", "runner")


def run_incrementally(runner: Runner, step: Step, *, has_keyboard: bool, sink: Any) -> Outcome:
    """Run a step that has sources or outputs, unless it need not."""
    extras = extras_of(step)
    if extras.each is not None:
        from faena.runner.rules import run_rule

        return run_rule(runner, step, has_keyboard=has_keyboard, sink=sink)
    began_s = time.monotonic()
    path = _path_of(runner, step)
    record = load_record(runner, step)
    parts, sources = _now(runner, step, record)
    fingerprint = whole(parts)
    outputs_before = dict(record.outputs) if record is not None else {}
    reason = "--force" if runner.settings.force else why(runner, record, fingerprint, parts)
    if not reason:
        _note(runner, step, "up to date", sink)
        assert record is not None
        if record.sources != sources or record.outputs != outputs_before:  # seen again: the stat alone does next time
            _save(path, Record(fingerprint, parts, sources, record.outputs, record.log))
        return Outcome(step, "up to date", reason="nothing changed", duration_s=time.monotonic() - began_s)
    _note(runner, step, f"has to run: {reason}", sink)
    if not runner.settings.force and extras.outputs is not None:
        restored = _restore(runner, step, fingerprint, sink)
        if restored is not None:
            _save(path, Record(fingerprint, parts, sources, restored[0], restored[1]))
            return Outcome(step, "restored", reason=reason, duration_s=time.monotonic() - began_s)
    value, log = run_recorded(runner, step, has_keyboard, sink)
    outputs = _outputs_now(runner, step, {})
    made = Record(fingerprint, parts, sources, outputs, log)
    _save(path, made)
    if extras.outputs is not None:
        _keep(runner, made)
    return Outcome(step, "done", value=value, reason=reason, duration_s=time.monotonic() - began_s)


def _now(runner: Runner, step: Step, record: Record | None) -> tuple[dict[str, bytes], dict[str, Entry]]:
    extras = extras_of(step)
    parts = own_parts(runner, step)
    found, seen = source_parts(
        folder_of(runner), paths_of(runner, step, extras.sources), record.sources if record is not None else {}
    )
    parts.update(found)
    return parts, seen


def why(runner: Runner, record: Record | None, fingerprint: bytes, parts: dict[str, bytes]) -> str:
    """Why the step has to run, or nothing."""
    if record is None:
        return "it has not succeeded before"
    if record.fingerprint != fingerprint:
        return "; ".join(_differences(record.parts, parts)[:5])
    folder = folder_of(runner)
    for path, known in record.outputs.items():
        try:
            entry = look(os.path.join(folder, path), known)
        except OSError:
            return f"output {path} is missing"
        if entry[4] != known[4]:
            return f"output {path} was changed"
        if entry != known:
            record.outputs[path] = entry
    return ""


def _differences(old: dict[str, bytes], new: dict[str, bytes]) -> list[str]:
    found = [f"{name} changed" for name in new if name in old and old[name] != new[name]]
    found += [f"{name} is new" for name in new if name not in old]
    found += [f"{name} is gone" for name in old if name not in new]
    return found


def _outputs_now(runner: Runner, step: Step, known: dict[str, Entry]) -> dict[str, Entry]:
    """What the outputs are after a run.

    Raises TaskFileError: one that was declared is not there.
    """
    folder = folder_of(runner)
    found: dict[str, Entry] = {}
    declared = extras_of(step).outputs
    for path in paths_of(runner, step, declared, must_exist=False):
        try:
            found[path] = look(os.path.join(folder, path), known.get(path))
        except OSError as error:
            raise TaskFileError(f"it should have made {path}, and did not ({error.strerror})") from None
    if declared and not found and any(is_pattern(str(each)) for each in _as_list(declared)):
        raise TaskFileError(f"it should have made {declared!r}, and nothing matches")
    return found


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def run_recorded(
    runner: Runner, step: Step, has_keyboard: bool, sink: Any, extra_kwargs: dict[str, Any] | None = None
) -> tuple[Any, list[tuple[str, bytes]]]:
    """Run the body and keep what it printed."""
    if sink is not None:
        recorder = Recorder(sink)
        value = run_body(runner, step, has_keyboard=has_keyboard, sink=recorder, extra_kwargs=extra_kwargs)
        return value, _short(recorder.pieces)
    with Routing() as direct:
        recorder = Recorder(direct)
        value = run_body(runner, step, has_keyboard=has_keyboard, sink=recorder, extra_kwargs=extra_kwargs)
    return value, _short(recorder.pieces)


def _short(pieces: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return pieces if sum(len(data) for _, data in pieces) <= _LOG_LIMIT_BYTES else []


def _note(runner: Runner, step: Step, text: str, sink: Any) -> None:
    """Tell about a step that is up to date, and with `--why` about every one."""
    if text == "up to date" or runner.settings.why:
        line = f"{step.title}: {text}\n".encode()
        (sink or Direct(sys.stdout, sys.stderr)).write("stdout", line)


# -- records -----------------------------------------------------------------------------------------------


def _path_of(runner: Runner, step: Step) -> str:
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in step.name)
    if step.args or step.kwargs:
        name += "." + digest(repr(step.args).encode(), repr(sorted(step.kwargs.items())).encode()).hex()[:12]
    return os.path.join(state_folder(runner), f"{name}.state")


def load_record(runner: Runner, step: Step) -> Record | None:
    values = state.load(_path_of(runner, step))
    if values.keys() != {"fingerprint", "parts", "sources", "outputs", "log"}:
        return None
    return Record(**values)


def _save(path: str, record: Record) -> None:
    state.save(path, {name: getattr(record, name) for name in Record.__slots__})


# -- cache -------------------------------------------------------------------------------------------------


def _restore(
    runner: Runner, step: Step, fingerprint: bytes, sink: Any
) -> tuple[dict[str, Entry], list[tuple[str, bytes]]] | None:
    from faena.runner.cache import cache_of

    cache = cache_of(runner)
    if cache is None:
        return None
    log = cache.restore(fingerprint, folder_of(runner))
    if log is None:
        return None
    outputs = _outputs_now(runner, step, {})
    target = sink or Direct(sys.stdout, sys.stderr)
    for name, data in log:
        target.write(name, data)
    target.write("stdout", f"{step.title}: restored from the cache\n".encode())
    return outputs, log


def _keep(runner: Runner, record: Record) -> None:
    from faena.runner.cache import cache_of

    cache = cache_of(runner)
    if cache is not None:
        cache.keep(record.fingerprint, folder_of(runner), record.outputs, record.log)
        cache.flush()
