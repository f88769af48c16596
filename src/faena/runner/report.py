"""Reports of a run: how long each task took, as a table, as JSON, as JUnit XML."""

from __future__ import annotations

import sys

from faena.runner.secret import masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from faena.runner.outcome import Outcome


def write_reports(options: dict[str, Any], outcomes: Sequence[Outcome]) -> None:
    """Write the reports that the command line asks for."""
    if options.get("timing"):
        for each in sorted(outcomes, key=lambda outcome: -outcome.duration_s):
            print(f"{each.duration_s:9.3f} s  {each.status:<10}  {each.step.title}", file=sys.stderr)
    for name, render in (("json", as_json), ("junit", as_junit)):
        path = options.get(name)
        if path == "-":
            print(render(outcomes), end="")
        elif path:
            with open(path, "w", encoding="utf-8") as file:
                file.write(render(outcomes))


def as_values(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The outcomes as plain values."""
    return [
        {
            "task": each.step.name,
            "args": [repr(value) for value in each.step.args],
            "kwargs": {key: repr(value) for key, value in each.step.kwargs.items()},
            "status": each.status,
            "seconds": round(each.duration_s, 6),
            "reason": masked(each.reason),
            "error": masked(_error_text(each)),
        }
        for each in outcomes
    ]


def as_json(outcomes: Sequence[Outcome]) -> str:
    import json

    ok = all(each.is_good for each in outcomes)
    return json.dumps({"ok": ok, "tasks": as_values(outcomes)}, indent=2) + "\n"


def as_junit(outcomes: Sequence[Outcome]) -> str:
    """JUnit XML: a test case for each task."""
    from xml.sax.saxutils import escape, quoteattr

    failures = sum(1 for each in outcomes if each.status == "failed")
    skipped = sum(1 for each in outcomes if each.status in ("skipped", "cancelled", "up to date", "restored"))
    total_s = sum(each.duration_s for each in outcomes)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name="fa" tests="{len(outcomes)}" failures="{failures}" skipped="{skipped}" time="{total_s:.3f}">',
    ]
    for each in outcomes:
        head = f'  <testcase classname="fa" name={quoteattr(each.step.title)} time="{each.duration_s:.3f}"'
        if each.status == "failed":
            text = masked(_error_text(each))
            first = quoteattr(text.partition("\n")[0])
            lines.append(f"{head}><failure message={first}>{escape(_printable(text))}</failure></testcase>")
        elif each.status == "done":
            lines.append(f"{head}/>")
        else:
            lines.append(f"{head}><skipped message={quoteattr(each.reason or each.status)}/></testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def _error_text(outcome: Outcome) -> str:
    error = outcome.error
    if error is None:
        return ""
    result = getattr(error, "result", None)
    if result is not None:
        return f"command failed with status {result.exited}: {result.command}\n{result.stdout}{result.stderr}"
    return f"{type(error).__name__}: {error}"


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(letter for letter in text if letter >= " " or letter in "\n\t\r")
