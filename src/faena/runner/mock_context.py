"""A context for tests of task files: commands answer with what was said beforehand, and run nothing."""

from __future__ import annotations

from unittest.mock import Mock

from faena.runner.config import Config
from faena.runner.context import Context
from faena.runner.result import Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MockContext(Context):
    """`MockContext(run=Result("out"))`; also a bool, a text, a list (one each call), a dict by command or pattern.

    `.run` and `.sudo` are `Mock`s, so that calls can be asserted. Raises NotImplementedError for unknown commands.
    """

    __slots__ = ("_answers", "_positions", "run", "sudo")

    def __init__(self, config: Config | None = None, repeat: bool = True, **answers: Any) -> None:
        super().__init__(config or Config(lazy=True))
        object.__setattr__(self, "_answers", dict(answers))
        object.__setattr__(self, "_positions", {})
        for name in ("run", "sudo"):
            object.__setattr__(self, name, Mock(side_effect=self._replay(name, repeat)))

    def _replay(self, name: str, repeat: bool) -> Any:
        def replay(command: str, **kwargs: Any) -> Result:  # noqa: ARG001  recorded by the mock
            if name not in self._answers:
                raise NotImplementedError(command)
            answer, key = self._answers[name], (name,)
            if isinstance(answer, dict):
                answer, key = self._by_command(answer, command), (name, command)  # type: ignore[assignment]
            if isinstance(answer, list | tuple):
                position = self._positions.get(key, 0)
                if position >= len(answer) and not repeat:
                    raise NotImplementedError(command)
                self._positions[key] = position + 1
                answer = answer[position % len(answer)]
            return _result(answer, command)

        return replay

    @staticmethod
    def _by_command(answers: dict[Any, Any], command: str) -> Any:
        if command in answers:
            return answers[command]
        for pattern, answer in answers.items():
            if hasattr(pattern, "match") and pattern.match(command):
                return answer
        raise NotImplementedError(command)

    def set_result_for(self, attname: str, command: str, result: Any) -> None:
        """Say what one command answers."""
        known = self._answers.setdefault(attname, {})
        if not isinstance(known, dict):
            raise TypeError("set_result_for needs answers by command: MockContext(run={...})")
        known[command] = result


def _result(answer: Any, command: str) -> Result:
    if isinstance(answer, bool):
        answer = Result(exited=0 if answer else 1)
    elif isinstance(answer, str):
        answer = Result(answer)
    if not isinstance(answer, Result):
        raise TypeError(f"not sure how to yield results from a {type(answer)!r}")
    answer.command = command
    return answer
