"""Run the tasks that a line of `fa` names, and say how it went."""

from __future__ import annotations

import gc
import os
import sys

from faena.cli.fa import INTERRUPTED, _width, find_task, unknown
from faena.cli.fa_settings import task_settings
from faena.errors import Exit, Failure, RunnerError, UnexpectedExit, did_you_mean
from faena.runner.ending import ENDING
from faena.runner.execute import Runner
from faena.runner.outcome import LOST
from faena.runner.plan import make_plan
from faena.runner.secret import masked
from faena.runner.settings import RunSettings
from faena.runner.streams import remark
from faena.runner.task import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from faena.cli.fa import Line
    from faena.cli.fa_settings import TaskSettings
    from faena.runner.collection import Collection
    from faena.runner.config import Config
    from faena.runner.outcome import Outcome
    from faena.runner.plan import Step
    from faena.runner.task import Task

TIMED_OUT = 124  # as timeout(1) has it


def run_line(line: Line, root: Collection, words: list[str], config_class: type[Config] | None = None) -> int:
    """Do what the line says with the tasks of `root`; return the exit status."""
    options = line.options
    if config_class is not None:
        options["config_class"] = config_class
    if "list" in options:
        return _list(options, root)
    if not line.tasks and options.get("choose"):
        from faena.cli.fa_comfort import choose_task

        found = root.find(choose_task(root))
        assert found is not None
        calls = [Call(found[1], found[0])]
        return run_steps(_plan(calls, options, root, task_settings(options, root.loaded_from)), line, root)
    if "explain" in options:
        return _explain(options, root)
    calls = [Call(_task_of(root, full), full, parsed.args, parsed.kwargs) for _, full, parsed in line.tasks]
    if calls and line.rest and hasattr(calls[-1].task, "argv"):  # another tool's task: the words are for its tool
        calls[-1] = Call(calls[-1].task, calls[-1].called_as, line.rest)
    if not calls:
        if root.default is None:
            return _list(options, root)
        found = root.find(root.default)
        assert found is not None
        calls = [Call(found[1], found[0])]
    if options.get("watch"):
        from faena.cli.fa_watch import watch

        return watch(words, root)
    settings = task_settings(options, root.loaded_from)
    steps = _plan(calls, options, root, settings)
    if "graph" in options:
        from faena.runner.drawing import draw

        print(draw(steps, options["graph"] if isinstance(options["graph"], str) else "tree"), end="")
        return 0
    if settings.executor_class and not options.get("dry_run"):
        return _run_by(settings.executor_class, line, root)
    return run_steps(steps, line, root)


def _run_by(executor_path: str, line: Line, root: Collection) -> int:
    """Run the line by the executor that the configuration names."""
    from faena.cli.fa_executor import execute_line, executor_named

    executor_class = executor_named(executor_path)
    ENDING.install()
    gc.enable()
    try:
        execute_line(executor_class, line, root)
    except Exception as error:  # noqa: BLE001  around user code
        title = ", ".join(name for _, name, _ in line.tasks) or str(root.default)
        return show_error(title, error, debug=bool(line.options.get("debug")))
    return 0


def _plan(calls: list[Call], options: dict[str, Any], root: Collection, settings: TaskSettings) -> list[Step]:
    dedupe = not options.get("no_dedupe") and settings.dedupe
    return make_plan(calls, _resolver(root), name_of=_namer(root), dedupe=dedupe)


def run_steps(steps: list[Step], line: Line, root: Collection) -> int:
    """Run a plan and report on it."""
    options = line.options
    settings = settings_from(options, line.rest)
    runner = Runner(root, settings, lambda: make_config(options, root))
    if settings.is_dry_run:
        from faena.runner.drawing import show_plan

        show_plan(runner, steps)
        return 0
    if options.get("prompt_for_sudo_password"):
        import getpass

        settings.overrides["sudo"] = {"password": getpass.getpass("Desired 'sudo.password' config value: ")}
    ENDING.install()
    if not gc.isenabled():  # `main` has switched it off; a program that runs tasks in its own process has not
        gc.freeze()
        gc.enable()
    try:
        if any(step.task.options.extras is not None for step in steps):
            from faena.runner.extras import confirm_all

            confirm_all(runner, steps)
        if settings.jobs > 1 and (len(steps) > 1 or _has_rules(steps)):
            from faena.cli.fa_live import LiveBoard
            from faena.runner.parallel import run_parallel

            outcomes = run_parallel(runner, steps, LiveBoard)
        else:
            outcomes = runner.run(steps)
    except SystemExit as error:
        _report(options, runner.outcomes)
        if isinstance(error.code, int) or error.code is None:
            return error.code or 0
        remark(error.code)
        return 1
    except KeyboardInterrupt:
        _report(options, runner.outcomes)
        return INTERRUPTED
    is_told = _report(options, outcomes)
    return _status_of(outcomes, debug=bool(options.get("debug"))) or (0 if is_told else 1)


def _has_rules(steps: list[Step]) -> bool:
    """Whether a single step is work for many."""
    return any(step.task.options.extras is not None and step.task.options.extras.each is not None for step in steps)


def _report(options: dict[str, Any], outcomes: list[Outcome]) -> bool:
    """Write the reports that were asked for; False when one cannot be written, which must not hide how it went."""
    if options.get("timing") or options.get("json") or options.get("junit"):
        from faena.runner.report import write_reports

        try:
            write_reports(options, outcomes)
        except OSError as error:
            remark(f"fa: the report cannot be written: {error.filename}: {error.strerror}")
            return False
    return True


def _status_of(outcomes: list[Outcome], *, debug: bool) -> int:
    status = 0
    failed = [each for each in outcomes if each.status == "failed"]
    for outcome in failed:
        assert outcome.error is not None
        found = show_error(outcome.step.title, outcome.error, debug=debug)
        status = status or found
    cancelled = [each.step.name for each in outcomes if each.status == "cancelled" and each.reason == LOST]
    if cancelled:
        remark(f"fa: not run, as something they need failed: {', '.join(cancelled)}")
    return status


def show_error(title: str, error: BaseException, *, debug: bool = False) -> int:
    """Print what went wrong in a task; return the status it ends the program with."""
    sys.stdout.flush()
    if isinstance(error, Exit):
        if error.message:
            remark(masked(error.message))
        return error.code
    if isinstance(error, Failure):
        return _show_failure(title, error)
    if isinstance(error, RunnerError) and not debug:
        text = str(error)
        named = text if text.startswith(f"task '{title}'") else f"task '{title}': {text}"
        remark(masked(f"fa: {named}"))
        return TIMED_OUT if isinstance(error, TimeoutError) else 1
    from faena.cli.fa_trace import show_traceback

    show_traceback(error, debug=debug)
    remark(f"fa: task '{title}' failed: {type(error).__name__}")
    _annotate(f"task '{title}' failed: {type(error).__name__}: {error}")
    return 1


def _show_failure(title: str, error: Failure) -> int:
    result = error.result
    hidden = [name for name in ("stdout", "stderr") if name in result.hide]
    for name in hidden:
        tail = result.tail(name).strip("\n")
        if tail:
            remark(masked(f"--- {name} of '{result.command}'\n{tail}"))
    timeout = getattr(error, "timeout", None)
    if timeout is not None:
        remark(masked(f"fa: task '{title}': command timed out after {timeout:g} s: {result.command}"))
        return TIMED_OUT
    if not isinstance(error, UnexpectedExit):
        reason = error.reason or error
        remark(masked(f"fa: task '{title}': command not finished: {result.command}: {reason}"))
        return 1
    line = masked(f"task '{title}': command failed with status {result.exited}: {result.command}")
    remark(f"fa: {line}")
    _annotate(line)
    return (result.exited or 1) % 256


def _annotate(text: str) -> None:
    """Mark the failure on the page of the CI system; GitLab knows no such marks."""
    if os.environ.get("TF_BUILD") == "True":
        print(f"##vso[task.logissue type=error]{masked(text).partition(chr(10))[0]}", flush=True)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        first = masked(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error title=fa::{first}", flush=True)


def settings_from(options: dict[str, Any], rest: tuple[str, ...]) -> RunSettings:
    run: dict[str, Any] = {}
    for flag, name in (("echo", "echo"), ("dry", "dry"), ("pty", "pty"), ("warn_only", "warn")):
        if options.get(flag):
            run[name] = True
    if options.get("hide"):
        run["hide"] = options["hide"]
    overrides: dict[str, Any] = {"run": run} if run else {}
    if options.get("command_timeout") is not None:
        overrides["timeouts"] = {"command": options["command_timeout"]}
    if options.get("no_dedupe"):
        overrides["tasks"] = {"dedupe": False}
    return RunSettings(
        jobs=max(1, options.get("jobs") or 1),
        keep_going=bool(options.get("keep_going")),
        force=bool(options.get("force")),
        why=bool(options.get("why")),
        yes=bool(options.get("yes")),
        is_dry_run=bool(options.get("dry_run")),
        grouping=options.get("output") or "",
        remainder=rest,
        overrides=overrides,
    )


def base_config(options: dict[str, Any], folder: str | None) -> Config:
    """The configuration's files: the system's, the user's, the project's where its folder is known, that of `-f`."""
    from faena.runner.config import Config as Plain

    config: Config = options.get("config_class", Plain)(lazy=True)
    config.load_base_conf_files()
    if folder is not None:
        config.set_project_location(folder)
        config.load_project(merge=False)
    runtime = options.get("config") or os.environ.get("INVOKE_RUNTIME_CONFIG")
    if runtime:
        config.set_runtime_path(runtime)
        config.load_runtime(merge=False)
    config.merge()
    return config


def make_config(options: dict[str, Any], root: Collection) -> Config:
    """The configuration's layers but for those of collections, environment variables and flags."""

    folder = root.loaded_from or os.getcwd()
    config = base_config(options, folder)
    if os.path.isfile(os.path.join(folder, ".env")) or options.get("env"):
        from faena.runner.environments import add_environment

        add_environment(config, folder, options.get("env"))
    return config


def _task_of(root: Collection, full: str) -> Task[..., Any]:
    found = root.find(full)
    assert found is not None
    return found[1]


def _resolver(root: Collection) -> Any:
    def resolve(name: str) -> tuple[str, Task[..., Any]]:
        found = find_task(root, name)
        if found is None:
            raise unknown(name, root, "a task's dependencies")
        return found

    return resolve


def _namer(root: Collection) -> Any:
    names: dict[int, str] = {}

    def name_of(task: Task[..., Any]) -> str:
        if not names:
            for name, each in root.walk():
                names.setdefault(id(each), name)
        return names.get(id(task)) or root.transform(task.name)

    return name_of


def _list(options: dict[str, Any], root: Collection) -> int:
    from faena.runner.listing import FORMATS, render_list, vague_names

    form = options.get("list_format") or "flat"
    if form not in FORMATS:
        raise Exit(f"fa: no list format '{form}': one of {', '.join(FORMATS)}")
    depth = options.get("list_depth") or 0
    if depth and form == "json":
        raise Exit("fa: --list-depth cuts nothing off the json form; leave it away")
    scope = options.get("list")
    shown = root
    if isinstance(scope, str):
        try:
            shown = root.subcollection_from_path(scope)
        except KeyError:
            raise Exit(f"Sub-collection '{scope}' not found!") from None
    if not isinstance(scope, str):
        from faena.runner.foreign.catalog import add_foreign

        add_foreign(root)
    if not shown.task_names:
        raise Exit(f"No tasks found in collection '{scope if isinstance(scope, str) else shown.name}'!")
    print(render_list(shown, form=form, depth=depth, scope=scope if isinstance(scope, str) else "", width=_width()), end="")
    vague = vague_names(shown) if form != "json" else []
    if vague:
        names = ", ".join(f"'{each}'" for each in vague)
        remark(f"fa: {names}: a name that says what is done helps more, such as 'database-backup'")
    return 0


def _explain(options: dict[str, Any], root: Collection) -> int:
    runner = Runner(root, settings_from(options, ()), lambda: make_config(options, root))
    config = runner.config_for("")
    wanted = options["explain"]
    found = config.explain()
    shown = [each for each in found if wanted is True or each[0] == wanted or each[0].startswith(f"{wanted}.")]
    if not shown:
        raise Exit(f"fa: the configuration has no value {wanted!r}{did_you_mean(str(wanted), [each[0] for each in found])}")
    for name, value, source in shown:
        print(masked(f"{name} = {value!r}  ({source})"))
    return 0
