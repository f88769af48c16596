"""Exceptions on their way: taken apart in the worker, put together again where somebody asks for the result.

Nothing is imported to rebuild one, and nothing but an exception class is called: a stranger's record can name no code that
the process has not loaded itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from faena.errors import CodecError, FaenaError, RemoteTraceback, TaskFailed
from faena.model.result import Failure

_LONGEST_TRACEBACK = 64_000  # characters; a recursion error alone can fill megabytes
_LONGEST_MESSAGE = 16_000


def capture(error: BaseException, encode: Callable[[Any], bytes], *, skip_frames: int = 1) -> Failure:
    """Take an exception apart. `skip_frames` of its traceback are ours and left out."""
    try:
        args: bytes | None = encode(list(error.args))
    except CodecError:
        args = None
    kind = type(error)
    return Failure(
        module=kind.__module__,
        type_name=kind.__qualname__,
        message=_text_of(error)[:_LONGEST_MESSAGE],
        args=args,
        traceback=format_traceback(error, skip_frames=skip_frames),
    )


def format_traceback(error: BaseException, *, skip_frames: int = 1) -> str:
    """Return the traceback as Python prints it, without the frames that called the task."""
    from traceback import format_exception

    frames = error.__traceback__
    for _ in range(skip_frames):
        if frames is not None and frames.tb_next is not None:
            frames = frames.tb_next
    text = "".join(format_exception(type(error), error, frames))
    if len(text) > _LONGEST_TRACEBACK:
        half = _LONGEST_TRACEBACK // 2
        text = f"{text[:half]}\n  ... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return _writable(text)


def rebuild(failure: Failure, decode: Callable[[bytes], Any]) -> BaseException:
    """Return the exception again, or TaskFailed where its class is not at hand; its cause shows the remote traceback."""
    error = _rebuilt(failure, decode) or TaskFailed(failure.type_name, failure.message, traceback=failure.traceback)
    if failure.traceback:
        error.__cause__ = RemoteTraceback(failure.traceback)
    return error


def _rebuilt(failure: Failure, decode: Callable[[bytes], Any]) -> BaseException | None:
    found: Any = sys.modules.get(failure.module)
    for part in failure.type_name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        return None
    is_own = issubclass(found, FaenaError)
    if (failure.args is None and not is_own) or issubclass(found, SystemExit | KeyboardInterrupt):
        return None
    try:
        args = [failure.message] if failure.args is None else decode(failure.args)
        if is_own:  # they make their text from facts: keep the text
            error: BaseException = found.__new__(found, *args)
            BaseException.__init__(error, *args)
        else:
            error = found(*args)
    except Exception:  # noqa: BLE001 - a user's __init__ with other parameters may raise anything
        return None
    return error


def _writable(text: str) -> str:
    """Return the text with lone surrogates escaped, as of undecodable file names: UTF-8 has no place for them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _text_of(error: BaseException) -> str:
    try:
        return _writable(str(error))
    except Exception:  # noqa: BLE001 - a user's __str__
        return f"<unprintable {type(error).__qualname__}>"
