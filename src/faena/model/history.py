"""What became of earlier attempts of a task, as its message carries it, and what makes two failures the same.

A message that is retried, and one that is buried, takes along a line for each attempt that has failed. It is bounded: the
last ten count, a traceback is kept of the one that it died of alone, and all of it is cut to a length.
"""

from __future__ import annotations

import hashlib
import re

from msgspec.structs import replace

from faena.model.message import Message, PastAttempt
from faena.model.result import Failure

MOST = 10
_LONGEST_TEXT, _LONGEST_TRACEBACK = 300, 8000
_FRAMES = 3  # the innermost, which say where it happened

_FRAME = re.compile(r'^\s*File "(?P<file>[^"]*)", line \d+, in (?P<function>.*)$', re.MULTILINE)
_VARYING = re.compile(r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8,}|\d+|'[^']*'|\"[^\"]*\"")


def past_attempt(failure: Failure, at_s: float, worker: str, task: str, *, is_last: bool) -> PastAttempt:
    """Return what is kept of an attempt that has failed; of the last one the traceback, too."""
    text = f"{failure.type_name}: {failure.message}" if failure.message else failure.type_name
    traceback = _cut_front(_sound(failure.traceback)) if is_last else ""
    return PastAttempt(at_s, worker, _cut(_sound(text), _LONGEST_TEXT), fingerprint_of(failure, task), traceback)


def with_attempt(message: Message, past: PastAttempt) -> Message:
    """Return the message with one more attempt in its history. What an earlier death left of a traceback goes."""
    earlier = tuple(replace(each, traceback="") if each.traceback else each for each in message.history)
    return replace(message, history=(*earlier, past)[-MOST:])


def fingerprint_of(failure: Failure, task: str) -> str:
    """Return twelve digits that are the same for the same failure of a task.

    They are made of its type, of the functions where it happened, and of its words without what varies from one to the
    next: numbers, addresses, ids, what stands in quotation marks. Lines do not count: they move with every change.
    """
    frames = [
        f"{found['file'].rpartition('/')[2]}:{found['function'].strip()}" for found in _FRAME.finditer(failure.traceback)
    ]
    said = _VARYING.sub("*", failure.message.partition("\n")[0])
    whole = "\0".join((task, failure.module, failure.type_name, said, *frames[-_FRAMES:]))
    return hashlib.blake2b(whole.encode("utf-8", "backslashreplace"), digest_size=6).hexdigest()


def _sound(text: str) -> str:
    """Return text that can be encoded: what a task raises may hold halves of characters."""
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _cut_front(text: str) -> str:
    """Cut a traceback at its beginning: what matters stands at its end."""
    return text if len(text) <= _LONGEST_TRACEBACK else "...\n" + text[-_LONGEST_TRACEBACK + 4 :]
