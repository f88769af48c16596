"""Answer what commands ask: watchers read a command's output and write to its input."""

from __future__ import annotations

from faena.errors import ResponseNotAccepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class StreamWatcher:
    """See all of a stream's text so far, each time some is added, and yield the answers to write."""

    def submit(self, stream: str) -> Iterable[str]:
        raise NotImplementedError


class Responder(StreamWatcher):
    """Write `response` each time the pattern (a regular expression, `.` matches newlines) shows in new text."""

    def __init__(self, pattern: str, response: str) -> None:
        self.pattern = pattern
        self.response = response
        self.index = 0

    def pattern_matches(self, stream: str, pattern: str, index_name: str) -> list[str]:
        """The matches in the text since the last one; `index_name` is the attribute that remembers where."""
        import re

        start = getattr(self, index_name)
        found = list(re.compile(pattern, re.DOTALL).finditer(stream, start))
        if found:
            setattr(self, index_name, max(found[-1].end(), start))
        return [each.group(0) for each in found]

    def submit(self, stream: str) -> Iterable[str]:
        for _ in self.pattern_matches(stream, self.pattern, "index"):
            yield self.response


class FailingResponder(Responder):
    """A responder that notices when its answer was refused: the sentinel shows after it."""

    def __init__(self, pattern: str, response: str, sentinel: str) -> None:
        super().__init__(pattern, response)
        self.sentinel = sentinel
        self.failure_index = 0
        self.tried = False

    def submit(self, stream: str) -> Iterable[str]:
        answers = list(super().submit(stream))
        refused = self.pattern_matches(stream, self.sentinel, "failure_index")
        if self.tried and refused:
            raise ResponseNotAccepted(f'Auto-response to r"{self.pattern}" failed with {self.sentinel!r}!')
        if answers:
            self.tried = True
        return answers
