"""What a task may say beyond its function: conditions, confirmation, retries, time limit, handlers, fingerprints."""

from __future__ import annotations

import os
import sys
import time

from faena.errors import Exit, TaskFileError, TaskTimedOut
from faena.runner.outcome import Outcome
from faena.runner.streams import remark
from faena.runner.task import Call, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from faena.runner.execute import Runner
    from faena.runner.plan import Step
    from faena.runner.rules import Batch
    from faena.runner.task import Extras

_ALARM_GRACE_S = 0.2


def extras_of(step: Step) -> Extras:
    extras = step.task.options.extras
    assert extras is not None
    return extras


def run_with_extras(runner: Runner, step: Step, *, has_keyboard: bool, sink: Any) -> Outcome:
    """Run one step with all that its task asks for; an error of the task is in the outcome."""
    began_s = time.monotonic()
    extras = extras_of(step)
    try:
        reason = why_not_wanted(runner, step)
        if reason:
            _say(f"{step.title}: skipped: {reason}", sink)
            return Outcome(step, "skipped", reason=reason)
        if extras.sources is not None or extras.outputs is not None:
            from faena.runner.incremental import run_incrementally

            return run_incrementally(runner, step, has_keyboard=has_keyboard, sink=sink)
        value = run_body(runner, step, has_keyboard=has_keyboard, sink=sink)
    except Exception as error:  # noqa: BLE001  around user code
        return Outcome(step, "failed", error=error, duration_s=time.monotonic() - began_s)
    return Outcome(step, "done", value=value, duration_s=time.monotonic() - began_s)


def begin_targets(runner: Runner, step: Step, sink: Any) -> Outcome | Batch:
    """Begin with the step of a pattern rule: its end where nothing is to do, else the targets that have to be made."""
    from faena.runner.rules import begin_rule

    began_s = time.monotonic()
    try:
        reason = why_not_wanted(runner, step)
        if reason:
            _say(f"{step.title}: skipped: {reason}", sink)
            return Outcome(step, "skipped", reason=reason)
        return begin_rule(runner, step, sink)
    except Exception as error:  # noqa: BLE001  around user code
        return Outcome(step, "failed", error=error, duration_s=time.monotonic() - began_s)


def run_body(
    runner: Runner, step: Step, *, has_keyboard: bool, sink: Any, extra_kwargs: dict[str, Any] | None = None
) -> Any:
    """Call the body, again after an error while there are retries; `on_failure` hears of the last error."""
    extras = extras_of(step)
    attempt = 0
    while True:
        try:
            with _alarm(step.name, extras.timeout_s):
                return runner.call_body(
                    step,
                    has_keyboard=has_keyboard,
                    sink=sink,
                    timeout_s=extras.timeout_s,
                    extra_kwargs=extra_kwargs,
                )
        except Exit:
            raise
        except Exception as error:
            attempt += 1
            if attempt <= extras.retries:
                delay_s = extras.retry_delay_s
                text = f"{step.title}: attempt {attempt} of {extras.retries + 1} failed: {_first_line(error)}"
                _say(f"{text}; again{f' in {delay_s:g} s' if delay_s else ''}", sink)
                time.sleep(delay_s)
                continue
            if extras.on_failure is not None:
                _handle(runner, step, extras.on_failure, error, has_keyboard, sink)
            raise


def _first_line(error: Exception) -> str:
    result = getattr(error, "result", None)
    if result is not None:
        return f"command ended with status {result.exited}: {result.command}"
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _handle(runner: Runner, step: Step, handler: Any, error: Exception | None, has_keyboard: bool, sink: Any) -> None:
    """Call a handler: a function of the context (and the error), a task, or several of these."""
    if isinstance(handler, list | tuple):
        for each in handler:
            _handle(runner, step, each, error, has_keyboard, sink)
        return
    with runner.scope_of(step, has_keyboard=has_keyboard, sink=sink) as context:
        if isinstance(handler, str):
            found = runner.root.find(handler)
            if found is None:
                raise TaskFileError(f"task '{step.name}': no task '{handler}' to call after a failure")
            handler = found[1]
        if isinstance(handler, Call):
            task = handler.task if isinstance(handler.task, Task) else runner.root[handler.task]
            task.body(context, *handler.args, **handler.kwargs)
        elif isinstance(handler, Task):
            handler.body(context)
        elif error is not None and _takes(handler, 2):
            handler(context, error)
        else:
            handler(context)


def _takes(function: Any, count: int) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and (code.co_argcount >= count or bool(code.co_flags & 0x04))


def undo_step(runner: Runner, step: Step) -> None:
    """Undo one step that was done; an error while undoing is told and does not stop the others."""
    undo = extras_of(step).undo
    if undo is None:
        return
    remark(f"fa: undoing {step.title}")
    try:
        _handle(runner, step, undo, None, True, None)
    except Exception as error:  # noqa: BLE001  around user code
        remark(f"fa: undoing {step.title} failed: {_first_line(error)}")


# -- conditions --------------------------------------------------------------------------------------------


def why_not_wanted(runner: Runner, step: Step) -> str:
    """Why the step is skipped, or nothing."""
    extras = extras_of(step)
    if extras.platforms:
        names = [extras.platforms] if isinstance(extras.platforms, str) else list(extras.platforms)
        here = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
        if not any(name.lower() in (here, sys.platform, os.name) for name in names):
            return f"for {', '.join(names)} only"
    for condition in _each(extras.when):
        verdict = _ask(runner, step, condition)
        if isinstance(verdict, str):
            return verdict
        if not verdict:
            name = getattr(condition, "__name__", "")
            return f"condition {name} does not hold" if name and name != "<lambda>" else "its condition does not hold"
    return ""


def _each(value: Any) -> Iterator[Any]:
    if value is None:
        return
    if isinstance(value, list | tuple):
        yield from value
    else:
        yield value


def _ask(runner: Runner, step: Step, condition: Any) -> Any:
    """The value of a condition: a function of nothing or the context, or a plain value."""
    if not callable(condition):
        return bool(condition)
    code = getattr(condition, "__code__", None)
    if code is not None and code.co_argcount == 0:
        verdict = condition()
    else:
        with runner.scope_of(step) as context:
            verdict = condition(context)
    return verdict if isinstance(verdict, str) and verdict else bool(verdict)


def confirm_all(runner: Runner, steps: Sequence[Step]) -> None:
    """Ask every question of a run before its first task.

    Raises Exit: somebody said no, or there is no terminal to ask and no `--yes`.
    """
    for step in steps:
        extras = step.task.options.extras
        if extras is None or not extras.confirm or runner.settings.yes:
            continue
        if extras.when is not None and why_not_wanted(runner, step):
            continue
        question = _question(runner, step, extras.confirm)
        if not question:
            continue
        if sys.stdin is None or not sys.stdin.isatty():
            raise Exit(f"fa: task '{step.name}' asks: {question} (no terminal to answer on: say --yes)", code=1)
        answer = input(f"{question} [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            raise Exit(f"fa: task '{step.name}' was not confirmed", code=1)


def _question(runner: Runner, step: Step, confirm: Any) -> str:
    values = step.values
    if callable(confirm):
        with runner.scope_of(step) as context:
            names = getattr(getattr(confirm, "__code__", None), "co_varnames", ())
            found = confirm(context, **{key: value for key, value in values.items() if key in names})
        return "Run it?" if found is True else str(found or "")
    if confirm is True:
        return f"Run {step.title}?"
    return str(confirm).format(**values)


def _say(text: str, sink: Any) -> None:
    if sink is not None:
        sink.write("stdout", f"{text}\n".encode())
    else:
        print(text, flush=True)


# -- time limit --------------------------------------------------------------------------------------------


class _alarm:  # noqa: N801  used as a word: `with _alarm(...)`
    """Raise TaskTimedOut in this thread when the time is over.

    A little later than the limit: a command of the task ends at the limit itself, and its error says more. In the
    main thread by SIGALRM, which also interrupts a blocking call; elsewhere at the next step of the interpreter.
    """

    def __init__(self, name: str, timeout_s: float | None) -> None:
        self._name, self._timeout_s = name, timeout_s
        self._timer: Any = None
        self._old: Callable[[int, Any], Any] | int | None = None

    def __enter__(self) -> None:
        if self._timeout_s is None:
            return
        import threading

        limit_s = self._timeout_s + _ALARM_GRACE_S
        if threading.current_thread() is threading.main_thread():
            import signal

            self._old = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, limit_s)
        else:
            self._timer = threading.Timer(limit_s, _raise_in, (threading.get_ident(),))
            self._timer.daemon = True
            self._timer.start()

    def _ring(self, *_: object) -> None:
        assert self._timeout_s is not None
        raise TaskTimedOut(self._name, self._timeout_s)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        elif self._timeout_s is not None:
            import signal

            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._old)
        if kind is _TimedOutHere:
            assert self._timeout_s is not None
            raise TaskTimedOut(self._name, self._timeout_s) from None


class _TimedOutHere(Exception):
    """Raised inside a thread whose task took too long."""


def _raise_in(thread_id: int) -> None:
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(_TimedOutHere))
