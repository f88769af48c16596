"""What a run would do, without doing it: for `--dry-run`.

Steps are looked at in their order. What an earlier one would make is remembered: a later step that has it among its
sources is told to wait for it instead of being called up to date, or impossible.

    source not there, nobody makes it ──▶ fails       source not there, an earlier step makes it ──▶ has to run
    something else than recorded ───────▶ has to run, or comes from the cache
    as recorded, but an earlier step makes one of its sources anew ──▶ has to run if that changes

A task that declares no outputs may write anything, which nobody can foresee.
"""

from __future__ import annotations

import os

from faena.errors import TaskFileError
from faena.runner.cache import cache_of
from faena.runner.extras import extras_of, why_not_wanted
from faena.runner.fingerprint import filled, flat, folder_of, own_parts, paths_of, source_parts, whole
from faena.runner.globs import is_pattern, matches_path
from faena.runner.incremental import load_record, why
from faena.runner.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from faena.runner.execute import Runner
    from faena.runner.plan import Step
    from faena.runner.rules import Rule

_FORCED = "has to run: --force"


class Foresight:
    """The verdicts on a plan's steps, to be asked for in their order."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._folder = folder_of(runner)
        self._coming: dict[str, str] = {}  # files that earlier steps would make, and the titles of those
        self._patterns: dict[str, str] = {}  # the same for outputs whose names nobody knows yet

    def verdict(self, step: Step) -> str:
        """What would become of the step."""
        reason = why_not_wanted(self._runner, step)
        if reason:
            return f"skipped: {reason}"
        extras = extras_of(step)
        if extras.each is not None:
            return self._of_rule(step)
        if extras.sources is None and extras.outputs is None:
            return ""
        found = self._of_step(step)
        if found != "up to date":
            self._note_outputs(step)
        return found

    # -- steps -----------------------------------------------------------------------------------------

    def _of_step(self, step: Step) -> str:
        runner, extras = self._runner, extras_of(step)
        try:
            sources = paths_of(runner, step, extras.sources, coming=self._coming)
        except TaskFileError as error:
            return f"fails: {error}"
        if runner.settings.force:
            return _FORCED
        fresh = [path for path in sources if not os.path.exists(os.path.join(self._folder, path))]
        if fresh:
            maker = self._maker_of(fresh[0])
            return f"has to run: {maker} makes {fresh[0]}" if maker else f"fails: source {fresh[0]} does not exist"
        record = load_record(runner, step)
        parts, _ = source_parts(self._folder, sources, record.sources if record is not None else {})
        parts = {**own_parts(runner, step), **parts}
        fingerprint = whole(parts)
        waited = next(((path, self._maker_of(path)) for path in sources if self._maker_of(path)), None)
        reason = why(runner, record, fingerprint, parts)
        if reason:
            cache = cache_of(self._runner)
            if waited is None and extras.outputs is not None and cache is not None and cache.has(fingerprint):
                return f"comes from the cache: {reason}"
            return f"has to run: {reason}"
        if waited is not None:
            return f"has to run if {waited[0]} changes, which {waited[1]} makes"
        pattern = self._pattern_maker(step)
        return f"has to run if {pattern} makes other files" if pattern else "up to date"

    def _maker_of(self, path: str) -> str:
        """The earlier step that would make a file, or nothing."""
        found = self._coming.get(path, "")
        return found or next((title for pattern, title in self._patterns.items() if matches_path(pattern, path)), "")

    def _pattern_maker(self, step: Step) -> str:
        """The earlier step that would make files where this one looks for sources."""
        for each in flat(extras_of(step).sources):
            if isinstance(each, Task) or callable(each):
                continue
            text = filled(step, os.fspath(each))
            for pattern, title in self._patterns.items():
                if text == pattern or (is_pattern(text) and os.path.dirname(text) == os.path.dirname(pattern)):
                    return title
        return ""

    def _note_outputs(self, step: Step) -> None:
        for each in flat(extras_of(step).outputs):
            path = os.path.normpath(filled(step, os.fspath(each)))
            if is_pattern(path):
                self._patterns[path] = step.title
            elif os.path.isdir(os.path.join(self._folder, path)):
                self._patterns[f"{path}/**"] = step.title
            else:
                self._coming[path] = step.title

    # -- rules -----------------------------------------------------------------------------------------

    def _of_rule(self, step: Step) -> str:
        from faena.runner.rules import Rule

        try:
            rule = Rule(self._runner, step, self._coming)
        except TaskFileError as error:
            return f"fails: {error}"
        stale = {target: source for source, target, _ in rule.stale()}
        shared = next((path for path in rule.common if self._maker_of(path)), "")
        waiting: dict[str, str] = {}  # targets that are as they should be, and the source that may change
        for source, target in rule.pairs:
            if target not in stale and (shared or self._maker_of(source)):
                waiting[target] = shared or source
        self._coming.update(dict.fromkeys([*stale, *waiting], step.title))
        total = len(rule.pairs)
        parts = []
        if stale:
            kept = self._count_kept(rule, stale)
            parts.append(
                f"{len(stale)} of {total} targets have to be made{f', {kept} of them from the cache' if kept else ''}"
            )
        if waiting:
            source = next(iter(waiting.values()))
            maker = self._maker_of(source)
            parts.append(f"{len(waiting)} of {total} targets if {source} changes, which {maker} makes")
        pattern = self._pattern_of_rule(step)
        if pattern and not waiting:
            parts.append(f"more if {pattern} makes other files")
        return "; ".join(parts) or "up to date"

    def _pattern_of_rule(self, step: Step) -> str:
        from faena.runner.rules import patterns_of

        for text in patterns_of(extras_of(step)):
            for pattern, title in self._patterns.items():
                if os.path.dirname(text) == os.path.dirname(pattern):
                    return title
        return ""

    def _count_kept(self, rule: Rule, stale: dict[str, str]) -> int:
        """How many of the targets the cache has; of those whose sources are there and stay as they are."""
        cache = cache_of(self._runner)
        if cache is None or self._runner.settings.force:
            return 0
        known = [(source, target) for target, source in stale.items() if not self._maker_of(source)]
        _, seen = source_parts(self._folder, [source for source, _ in known], {})
        return sum(cache.has(rule.fingerprint_of(source, target, seen[source][4])) for source, target in known)
