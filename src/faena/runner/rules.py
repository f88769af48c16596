"""Pattern rules: one task, a target for each source.

    @task(each="src/*.c", outputs="build/{stem}.o", sources=["src/*.h"])
    def compile(c, source, output):
        c.run(["cc", "-c", source, "-o", output])

`{stem}`, `{name}`, `{dir}`, `{path}` (without suffix) in `outputs` stand for parts of the source's path. `sources` are
common to all targets. One state file holds all targets; a journal beside it keeps what a killed build had finished.

    as the snapshot has it? ─ no ─▶ look at each target ─▶ a batch of those to make ─▶ each: restore it or make it ─▶ end
            │ yes
        up to date

Who runs a batch takes one item after the other (`Batch.make`); a parallel run gives the items to whichever of its slots
is free, as it does with steps.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import allocate_lock

from faena.errors import TaskFileError
from faena.runner import snapshot, state
from faena.runner.extras import extras_of
from faena.runner.files import MARGIN_NS, digest, look
from faena.runner.fingerprint import folder_of, own_parts, paths_of, source_parts, whole, with_coming
from faena.runner.globs import expand
from faena.runner.incremental import run_recorded, state_folder
from faena.runner.outcome import Outcome
from faena.runner.sinks import Direct, Routing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from faena.runner.cache import Cache
    from faena.runner.execute import Runner
    from faena.runner.plan import Step
    from faena.runner.task import Extras

_COMMON = ""  # the key of what all targets share: no target has an empty name


def pairs_of(folder: str, extras: Extras, coming: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Each source with its target, relative to the folder; sources that are `coming` count as if they were there.

    Raises TaskFileError: two sources would make one target.
    """
    sources = [path for pattern in patterns_of(extras) for path in with_coming(expand(folder, pattern), pattern, coming)]
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


def patterns_of(extras: Extras) -> list[str]:
    return [extras.each] if isinstance(extras.each, str) else list(extras.each)


def _target(form: str, path: str) -> str:
    folder, name = os.path.split(path)
    stem = name.rpartition(".")[0] or name
    return form.format(stem=stem, name=name, dir=folder, path=os.path.join(folder, stem))


def targets_of(folder: str, extras: Extras, coming: Iterable[str] = ()) -> list[str]:
    return [target for _, target in pairs_of(folder, extras, coming)]


class Rule:
    """One run of a rule: what is known, and what has to be made."""

    def __init__(self, runner: Runner, step: Step, coming: Iterable[str] = ()) -> None:
        self.runner, self.step = runner, step
        self.extras = extras_of(step)
        self.folder = folder_of(runner)
        self.path = state_path(runner, step)
        self.known: dict[str, Any] = state.load(self.path)
        common: Any = self.known.get(_COMMON) or (b"", {}, {})
        parts = own_parts(runner, step)
        sources = paths_of(runner, step, self.extras.sources, coming=coming)
        self.common = sources
        if coming:  # only foreseen: what is not there yet has no content
            sources = [path for path in sources if os.path.exists(os.path.join(self.folder, path))]
        found, self._sources = source_parts(self.folder, sources, common[2])
        self._parts = {**parts, **found}
        self.fingerprint = whole(self._parts)
        self._old_parts: dict[str, bytes] = common[1]
        self.is_changed = common != (self.fingerprint, self._parts, self._sources)
        self.pairs = pairs_of(self.folder, self.extras, coming)
        self._lock = allocate_lock()

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

    def fingerprint_of(self, source: str, target: str, content: bytes) -> bytes:
        """The key of one target in the cache: all that decides its content."""
        return digest(self.fingerprint, source.encode(), target.encode(), content)

    def note(self, source: str, target: str, before: Any) -> None:
        """Keep what a target is now that it was made from `before`.

        Raises TaskFileError: it is not there.
        """
        try:
            after = look(os.path.join(self.folder, target), None)
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
        records = [kept.get(target) for _, target in self.pairs]
        if any(record is None or record[0] != self.fingerprint for record in records):
            snapshot.forget(self.path)
            return
        decides = (self.fingerprint, self._sources, patterns_of(self.extras), self.extras.outputs)
        entries = [(record[2], record[3]) for record in records if record is not None]
        snapshot.write(self.path, decides, [each for each, _ in self.pairs], entries, [each for _, each in self.pairs])


class Batch:
    """The targets of one rule that have to be made, one item after the other, by one thread or by several."""

    def __init__(self, rule: Rule, stale: list[tuple[str, str, str]], began_s: float) -> None:
        self.step = rule.step
        self.count = len(stale)
        self.done = 0
        self.failure: Exception | None = None
        self._rule = rule
        self._stale = stale
        self._pending = stale[::-1]
        self._restored = 0
        self._began_s = began_s
        self._cache: Cache | None = None
        if not rule.runner.settings.force:
            from faena.runner.cache import cache_of

            self._cache = cache_of(rule.runner)
            if self._cache is not None:
                self._cache.expect(self._keys())

    def _keys(self) -> Iterator[bytes]:
        """The cache's keys of all items, for a place far away to be asked for them in one go."""
        for source, target, _ in self._stale:
            try:
                content = look(os.path.join(self._rule.folder, source), None)[4]
            except OSError:
                continue
            yield self._rule.fingerprint_of(source, target, content)

    @property
    def is_drained(self) -> bool:
        return not self._pending

    def take(self) -> tuple[str, str, str]:
        """The next item."""
        return self._pending.pop()

    def make(self, item: tuple[str, str, str], *, has_keyboard: bool, sink: Any) -> bool:
        """Restore or make one target and note it; False when that failed. What ends the run goes through."""
        source, target, _ = item
        try:
            self._make(source, target, has_keyboard, sink)
        except Exception as error:  # noqa: BLE001  around user code
            self.failure = self.failure or error
            return False
        self.done += 1
        return True

    def _make(self, source: str, target: str, has_keyboard: bool, sink: Any) -> None:
        rule = self._rule
        before = look(os.path.join(rule.folder, source), None)
        key = rule.fingerprint_of(source, target, before[4])
        full = os.path.join(rule.folder, target)
        if self._cache is not None:
            printed = self._cache.restore(key, rule.folder)
            if printed is not None:
                for name, data in printed:
                    sink.write(name, data)
                self._restored += 1
                rule.note(source, target, before)
                return
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if os.getcwd() == rule.folder:  # `relpath` asks for it twice, and takes the paths to pieces
            paths = {"source": os.path.normpath(source), "output": os.path.normpath(target)}
        else:
            paths = {"source": os.path.relpath(os.path.join(rule.folder, source)), "output": os.path.relpath(full)}
        _, printed = run_recorded(rule.runner, rule.step, has_keyboard, sink, paths)
        rule.note(source, target, before)
        if self._cache is not None:
            self._cache.keep(key, rule.folder, {target: rule.known[target][3]}, printed)

    def end(self, sink: Any) -> Outcome:
        """Write down how far it came, and say how it ended."""
        self._rule.finish()
        if self._cache is not None:
            self._cache.flush()
        duration_s = time.monotonic() - self._began_s
        if self.failure is not None:
            return Outcome(self.step, "failed", error=self.failure, duration_s=duration_s)
        if self.done < self.count:
            return Outcome(self.step, "cancelled", reason="the run was ended", duration_s=duration_s)
        restored = f", {self._restored} of them from the cache" if self._restored else ""
        total = len(self._rule.pairs)
        _say(sink, f"{self.step.title}: made {self.count} of {total} targets{restored}\n")
        return Outcome(self.step, "done", reason=self._stale[0][2], duration_s=duration_s)


def begin_rule(runner: Runner, step: Step, sink: Any) -> Outcome | Batch:
    """See what has to be made: the end of the step when that is nothing, else a batch.

    Raises TaskFileError.
    """
    began_s = time.monotonic()
    count = _count_as_known(runner, step)
    rule: Rule | None = None
    if count is None:
        rule = Rule(runner, step)
        stale = rule.stale()
        if stale:
            if runner.settings.why:
                for _, target, reason in stale:
                    _say(sink, f"{step.title}: {target} has to be made: {reason}\n")
            return Batch(rule, stale, began_s)
        rule.finish()
        count = len(rule.pairs)
    _say(sink, f"{step.title}: {count} targets up to date\n")
    return Outcome(step, "up to date", reason="nothing changed", duration_s=time.monotonic() - began_s)


def _count_as_known(runner: Runner, step: Step) -> int | None:
    """The number of targets when the snapshot says that all are up to date."""
    if runner.settings.force:
        return None
    found = snapshot.load(state_path(runner, step))
    if found is None:
        return None
    extras, folder = extras_of(step), folder_of(runner)
    parts = own_parts(runner, step)
    known: Any = found[0]
    more, seen = source_parts(folder, paths_of(runner, step, extras.sources), known[1])
    patterns = patterns_of(extras)
    if known != (whole({**parts, **more}), seen, patterns, extras.outputs):
        return None
    return snapshot.count_unchanged(folder, patterns, found)


def run_rule(runner: Runner, step: Step, *, has_keyboard: bool, sink: Any) -> Outcome:
    """Make the targets that are not up to date, one after the other."""
    batch = begin_rule(runner, step, sink)
    if isinstance(batch, Outcome):
        return batch
    with _Streams(sink) as target:
        while not batch.is_drained:
            if not batch.make(batch.take(), has_keyboard=has_keyboard, sink=target) and not runner.settings.keep_going:
                break
    return batch.end(sink)


class _Streams:
    """The sink that the items of a batch write to: the given one, or the process's own streams for as long as it runs."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._routing: Routing | None = None

    def __enter__(self) -> Any:
        if self._sink is not None:
            return self._sink
        self._routing = Routing()
        return self._routing.__enter__()

    def __exit__(self, *_: object) -> None:
        if self._routing is not None:
            self._routing.__exit__()


def state_path(runner: Runner, step: Step) -> str:
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in step.name)
    return os.path.join(state_folder(runner), f"{name}.rule")


def _say(sink: Any, text: str) -> None:
    (sink or Direct(sys.stdout, sys.stderr)).write("stdout", text.encode())
