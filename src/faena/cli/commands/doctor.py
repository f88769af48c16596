"""`faena doctor`: look at the set-up, and say what to do about it."""

from __future__ import annotations

from faena.cli.checks import examine
from faena.cli.findings import Finding
from faena.cli.options import Json
from faena.cli.session import Session

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def doctor(session: Session, *, json: Json = False) -> int:
    """Check the set-up, and say what to do about it.

    Looks at the interpreter, SQLite, the settings and where they come from, the app and its tasks, the embedded file and
    its disk, the workers, the clock and the queues. Changes nothing.

    Exit code: 0 when nothing failed (warnings may stand); 1 otherwise.
    """
    findings: list[Finding] = []
    for finding in examine(session):
        findings.append(finding)
        if not json and not (session.out.is_quiet and finding.status == "ok"):
            _print(session, finding)
    failed = sum(finding.status == "fail" for finding in findings)
    warned = sum(finding.status == "warn" for finding in findings)
    if json:
        session.out.json({"ok": not failed, "checks": findings})
    elif not session.out.is_quiet:
        session.out.line()
        session.out.line(f"{failed} failed, {warned} to look at" if failed or warned else "all is well")
    return 1 if failed else 0


COMMAND = doctor


def _print(session: Session, finding: Finding) -> None:
    out = session.out
    head = f"{out.styled(finding.status, _MARKS[finding.status])}  {finding.name.ljust(12)} "
    first, *rest = finding.text.splitlines() or [""]
    out.line(head + first)
    for line in rest:
        out.line(" " * 19 + line)
    if finding.advice:
        out.line(" " * 19 + f"-> {finding.advice}")
