"""`faena demo`: its options, what it prints, and its exit code.

Exit codes: 0 every file was analysed, or does not parse and is listed; 1 something else failed, or the worker ended;
2 nothing was begun; 128 plus the signal's number after an interruption, 130 for Ctrl-C.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import sysconfig
import time
from typing import Annotated, Any, assert_never

import msgspec
from rich.console import Console

from faena._lib.arguments import Argument, Option
from faena._lib.ids import new_id
from faena.cli.demo.folder import NAME, Plan, RunFolder, find_modules, is_text, spread
from faena.cli.demo.page import render_page
from faena.cli.demo.progress import view_for
from faena.cli.demo.run import Finished, Interrupted, Outcome, Run, WorkerEnded
from faena.cli.demo.survey import Survey
from faena.cli.demo.table import print_survey
from faena.cli.session import Session
from faena.errors import UsageError

_LOG_LINES = 20


def demo(
    session: Session,
    folder: Annotated[str, Argument("Folder of Python files; by default the standard library.")] = "",
    *,
    files: Annotated[int, Option("--files", metavar="N", help="Only N files, from all over the folder.")] = 0,
    concurrency: Annotated[int, Option("-c", "--concurrency", metavar="N", help="Processes; by default one per CPU.")] = 0,
    report: Annotated[str, Option("--report", metavar="PATH", help="Where to write the HTML report.")] = "",
    json: Annotated[bool, Option("--json", help="Print the report as JSON.")] = False,
    resume: Annotated[bool, Option("--resume", help="Go on with the run that was interrupted here.")] = False,
    fresh: Annotated[bool, Option("--fresh", help="Throw the interrupted run away and begin anew.")] = False,
    keep: Annotated[bool, Option("--keep", help="Leave database, log and ledger in place afterwards.")] = False,
) -> int:
    """Analyse every module of the standard library with an embedded worker.

    Starts a worker on an embedded database in `.faena-demo/`, sends it one task per file, shows how they get done, and
    writes a report. Files that do not parse (the standard library's own tests have some) are tried again twice and then
    listed. Stop it with Ctrl-C at any time: `faena demo --resume` goes on, and repeats nothing that was finished.
    """
    _check(folder, files, concurrency, resume=resume, fresh=fresh)
    if session.named_app or session.overrides:
        raise UsageError("the demo brings its own app, broker and backend: leave out -A, -b and --result-backend")
    with RunFolder(os.path.join(os.getcwd(), NAME)) as run_folder:
        plan = _resumed(run_folder) if resume else _new(session, run_folder, folder, files, fresh=fresh)
        console = Console(file=sys.stderr, quiet=session.out.is_quiet)
        with view_for(console) as view:
            processes = concurrency or _cpus()
            view.say(f"{len(plan.files):,} files in {plan.root}, {processes} processes")
            run = Run(run_folder, plan, processes, platform.python_version(), view)
            outcome = run.work()
        return _finish(session, run_folder, plan, outcome, report=report, json=json, keep=keep)


COMMAND = demo


def _check(folder: str, files: int, concurrency: int, *, resume: bool, fresh: bool) -> None:
    if resume and fresh:
        raise UsageError("--resume goes on with a run and --fresh throws it away: give one of them")
    if resume and (folder or files):
        raise UsageError("a run is resumed with the files it began with: leave out the folder and --files")
    if files < 0 or concurrency < 0:
        raise UsageError(f"{'--files' if files < 0 else '--concurrency'} must be 1 or more")
    if folder and not os.path.isdir(folder):
        raise UsageError(f"no folder '{folder}'")


def _new(session: Session, run_folder: RunFolder, folder: str, files: int, *, fresh: bool) -> Plan:
    """Plan a run and write it down. Raises UsageError: another one waits to be resumed, or there is nothing to do."""
    before = None if fresh else run_folder.read_plan()
    if before is not None and before.finished_at_s is None:
        began = time.strftime("%H:%M on %Y-%m-%d", time.localtime(before.began_at_s))
        raise UsageError(
            f"an interrupted run over {len(before.files):,} files, begun at {began}, waits in {run_folder.path}; "
            "go on with --resume, or throw it away with --fresh"
        )
    root = os.path.abspath(folder or sysconfig.get_path("stdlib"))
    found = find_modules(root)
    named = [file for file in found if is_text(file)]
    if not named or not is_text(root):
        raise UsageError(f"no .py file with a readable name below {root!r}")
    if len(named) < len(found):
        session.out.remark(f"left out, as their names are not UTF-8: {len(found) - len(named)} of {len(found)} files")
    run_folder.clear(but=[run_folder.report])
    plan = Plan(new_id(), root, spread(named, files or None), time.time())
    run_folder.write_plan(plan)
    return plan


def _resumed(run_folder: RunFolder) -> Plan:
    plan = run_folder.read_plan()
    if plan is None:
        raise UsageError(f"there is no run to resume in {run_folder.path}; begin one with: faena demo")
    return plan


def _finish(
    session: Session, run_folder: RunFolder, plan: Plan, outcome: Outcome, *, report: str, json: bool, keep: bool
) -> int:
    match outcome:
        case Interrupted(number, done, total):
            session.out.remark(f"interrupted: {done:,} of {total:,} done and kept; go on with: faena demo --resume")
            return 128 + number
        case WorkerEnded(code, done, total):
            session.out.remark(_tail(run_folder.log))
            session.out.stderr.write(
                f"faena: the worker ended with code {code}, {done:,} of {total:,} done and kept; its log is "
                f"{run_folder.log}; go on with: faena demo --resume\n"
            )
            return 1
        case Finished(survey):
            path = os.path.abspath(report or run_folder.report)
            _write(path, render_page(survey))
            _tidy(run_folder, plan, path, keep=keep)  # before the reader of our output can go away
            _report(session, survey, path, json=json)
            return 1 if survey.unexpected else 0
        case _:
            assert_never(outcome)


def _report(session: Session, survey: Survey, path: str, *, json: bool) -> None:
    if json:
        value: dict[str, Any] = {**msgspec.to_builtins(survey), "report": path}
        session.out.json(value)
        return
    print_survey(session.out, survey)
    session.out.line(f"\nreport: {path}")


def _write(path: str, page: str) -> None:
    """Write the report. Raises UsageError; the results are kept."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
    except OSError as error:
        again = shlex.join(["faena", "demo", "--resume", "--report", "PATH"])
        raise UsageError(f"cannot write {path}: {error.strerror}; all results are kept, write it with: {again}") from error


def _tidy(run_folder: RunFolder, plan: Plan, report: str, *, keep: bool) -> None:
    if keep:
        run_folder.write_plan(msgspec.structs.replace(plan, finished_at_s=time.time()))
    elif os.path.dirname(report) == run_folder.path:
        run_folder.clear(but=[report])
    else:
        run_folder.remove()


def _tail(path: str) -> str:
    """Return the last lines of the worker's log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-_LOG_LINES:]).rstrip()
    except FileNotFoundError:
        return ""


def _cpus() -> int:
    """Return how many CPUs this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
