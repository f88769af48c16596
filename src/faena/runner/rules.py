"""Pattern rules: one task, a target for each source.

    @task(each="src/*.c", outputs="build/{stem}.o", sources=["src/*.h"])
    def compile(c, source, output):
        c.run(["cc", "-c", source, "-o", output])

`{stem}`, `{name}`, `{dir}`, `{path}` (without suffix) in `outputs` stand for parts of the source's path. `sources` are
common to all targets. One state file holds all targets; a journal beside it keeps what a killed build had finished.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from faena.errors import TaskFileError
from faena.runner import state
from faena.runner.extras import extras_of, run_body
from faena.runner.files import MARGIN_NS, look
from faena.runner.fingerprint import folder_of, own_parts, paths_of, source_parts, whole
from faena.runner.globs import expand
from faena.runner.incremental import state_folder
from faena.runner.outcome import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from faena.runner.execute import Runner
    from faena.runner.plan import Step
    from faena.runner.task import Extras

_COMMON = ""  # the key of what all targets share: no target has an empty name


def pairs_of(folder: str, extras: Extras) -> list[tuple[str, str]]:
    """Each source with its target, relative to the folder.

    Raises TaskFileError: two sources would make one target.
    """
    patterns = [extras.each] if isinstance(extras.each, str) else list(extras.each)
    sources = [path for pattern in patterns for path in expand(folder, pattern)]
    form = extras.outputs
    if not isinstance(form, str):
        raise TaskFileError("a task with `each` needs `outputs` as one text, such as 'build/{stem}.o'")
    head, stem, tail = form.partition("{stem}")
    if stem and "{" not in head + tail:  # the common case, several times faster than `format`
        names = [(path, path[path.rfind("/") + 1 :]) for path in sources]
        pairs = [(path, f"{head}{name.rpartition('.')[0] or name}{tail}") for path, name in names]
    else:
        pairs = [(path, _target(form, path)) for path in sources]
    if len({target for _, target in pairs}) != len(pairs):
        seen: dict[str, str] = {}
        for path, target in pairs:
            if target in seen:
                raise TaskFileError(f"{seen[target]} and {path} would both make {target}")
            seen[target] = path
    return pairs


def _target(form: str, path: str) -> str:
    folder, name = os.path.split(path)
    stem = name.rpartition(".")[0] or name
    return form.format(stem=stem, name=name, dir=folder, path=os.path.join(folder, stem))


def targets_of(folder: str, extras: Extras) -> list[str]:
    return [target for _, target in pairs_of(folder, extras)]


class _Rule:
    """One run of a rule: what is known, and what has to be made."""

    def __init__(self, runner: Runner, step: Step) -> None:
        self.runner, self.step = runner, step
        self.extras = extras_of(step)
        self.folder = folder_of(runner)
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in step.name)
        self.path = os.path.join(state_folder(runner), f"{name}.rule")
        self.known: dict[str, Any] = state.load(self.path)
        common: Any = self.known.get(_COMMON) or (b"", {}, {})
        parts = own_parts(runner, step)
        found, self._sources = source_parts(self.folder, paths_of(runner, step, self.extras.sources), common[2])
        self._parts = {**parts, **found}
        self.fingerprint = whole(self._parts)
        self._old_parts: dict[str, bytes] = common[1]
        self.is_changed = common != (self.fingerprint, self._parts, self._sources)
        self.pairs = pairs_of(self.folder, self.extras)
        self._lock = threading.Lock()

    def stale(self) -> list[tuple[str, str, str]]:
        """The pairs that have to be made, with the reason. Files that only look changed are noted on the way."""
        found: list[tuple[str, str, str]] = []
        known, fingerprint, force = self.known, self.fingerprint, self.runner.settings.force
        prefix, stat, margin_ns = self.folder + os.sep, os.stat, MARGIN_NS
        for pair in self.pairs:
            source, target = pair
            record = known.get(target)
            if record is None or record[0] != fingerprint or record[1] != source or force:
                found.append((source, target, self._reason(record, source)))
                continue
            _, _, before, after = record
            try:
                now = stat(prefix + source)
                then = stat(prefix + target)
            except OSError:
                found.append((source, target, self._missing(source, target)))
                continue
            # `is_same` of `files`, twice, written out: 20,000 calls would cost more than the system calls
            if (
                now.st_mtime_ns == before[0]
                and now.st_ctime_ns == before[1]
                and now.st_size == before[2]
                and now.st_ino == before[3]
                and before[1] < before[5] - margin_ns
                and before[0] < before[5] - margin_ns
                and then.st_mtime_ns == after[0]
                and then.st_ctime_ns == after[1]
                and then.st_size == after[2]
                and then.st_ino == after[3]
                and after[1] < after[5] - margin_ns
                and after[0] < after[5] - margin_ns
            ):
                continue
            reason = self._by_content(record, source, target)
            if reason:
                found.append((source, target, reason))
        return found

    def _by_content(self, record: Any, source: str, target: str) -> str:
        before = look(os.path.join(self.folder, source), record[2])
        after = look(os.path.join(self.folder, target), record[3])
        if before[4] != record[2][4]:
            return f"source {source} changed"
        if after[4] != record[3][4]:
            return f"output {target} was changed"
        self.known[target] = (self.fingerprint, source, before, after)
        self.is_changed = True
        return ""

    def _reason(self, record: Any, source: str) -> str:
        if self.runner.settings.force:
            return "--force"
        if record is None:
            return "it has not been made before"
        if record[1] != source:
            return f"its source was {record[1]}"
        changed = [name for name, value in self._parts.items() if self._old_parts.get(name) != value]
        return f"{changed[0] if changed else 'what all targets share'} changed"

    def _missing(self, source: str, target: str) -> str:
        exists = os.path.exists(os.path.join(self.folder, source))
        return f"output {target} is missing" if exists else f"source {source} is missing"

    def make(self, source: str, target: str, has_keyboard: bool, sink: Any) -> None:
        """Make one target and note it. What the body raises goes through."""
        full = os.path.join(self.folder, target)
        before = look(os.path.join(self.folder, source), None)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        extra = {"source": os.path.join(self.folder, source), "output": full}
        extra = {key: os.path.relpath(value) for key, value in extra.items()}
        run_body(self.runner, self.step, has_keyboard=has_keyboard, sink=sink, extra_kwargs=extra)
        try:
            after = look(full, None)
        except OSError as error:
            raise TaskFileError(f"it should have made {target}, and did not ({error.strerror})") from None
        record = (self.fingerprint, source, before, after)
        with self._lock:
            self.known[target] = record
            state.append(self.path, target, record)

    def finish(self) -> None:
        """Write the state as a whole: what all targets share, and only targets that still have a source."""
        targets = {target for _, target in self.pairs}
        kept = {key: value for key, value in self.known.items() if key in targets}
        kept[_COMMON] = (self.fingerprint, self._parts, self._sources)
        state.save(self.path, kept)


def run_rule(runner: Runner, step: Step, *, has_keyboard: bool, sink: Any) -> Outcome:
    """Make the targets that are not up to date."""
    began_s = time.monotonic()
    rule = _Rule(runner, step)
    stale = rule.stale()
    if not stale:
        if rule.is_changed or len(rule.known) != len(rule.pairs) + 1:
            rule.finish()
        _say(sink, f"{step.title}: {len(rule.pairs)} targets up to date\n")
        return Outcome(step, "up to date", reason="nothing changed", duration_s=time.monotonic() - began_s)
    if runner.settings.why:
        for _, target, reason in stale:
            _say(sink, f"{step.title}: {target} has to be made: {reason}\n")
    failure = _make_all(rule, stale, has_keyboard, sink)
    rule.finish()
    if failure is not None:
        raise failure
    _say(sink, f"{step.title}: made {len(stale)} of {len(rule.pairs)} targets\n")
    return Outcome(step, "done", reason=stale[0][2], duration_s=time.monotonic() - began_s)


def _make_all(rule: _Rule, stale: list[tuple[str, str, str]], has_keyboard: bool, sink: Any) -> Exception | None:
    """Make targets, several at a time with `-j`; return the first failure (others are made first with keep_going)."""
    jobs = min(rule.runner.settings.jobs, len(stale))
    pending = iter(stale)
    lock = threading.Lock()
    failures: list[Exception] = []

    def work() -> None:
        while not failures or rule.runner.settings.keep_going:
            with lock:
                pair = next(pending, None)
            if pair is None:
                return
            try:
                rule.make(pair[0], pair[1], has_keyboard and jobs == 1, sink)
            except Exception as error:  # noqa: BLE001  around user code
                failures.append(error)
            except BaseException:
                failures.append(InterruptedError("the run was ended"))
                if jobs == 1:
                    raise
                return

    if jobs <= 1:
        work()
    else:
        threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return failures[0] if failures else None


def foresee_rule(runner: Runner, step: Step) -> str:
    rule = _Rule(runner, step)
    stale = rule.stale()
    return f"{len(stale)} of {len(rule.pairs)} targets have to be made" if stale else "up to date"


def _say(sink: Any, text: str) -> None:
    if sink is not None:
        sink.write("stdout", text.encode())
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
