"""What an errback is given: the id of the task that failed or, where its function asks for three, what Celery gives.

    def note(task_id): ...                      looks for itself, with app.AsyncResult(task_id)
    def note(request, exc, traceback): ...      is told: FailedRequest, the exception, the worker's traceback

Its own arguments come after those. Which of the two it is, is seen from the function: one that can be called with the id
alone is. An errback whose code is not where it is sent is taken for the first kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from faena.errors import InvalidArguments
from faena.model.inputs import FailedId
from faena.tasks.failure import rebuild

if TYPE_CHECKING:
    from faena.tasks.signature import Signature

_GIVEN_BY_CELERY = 3


class FailedRequest(Struct, frozen=True):
    """The call that has failed."""

    id: str
    task: str


def wants_failure(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the function of an errback takes request, exception and traceback before `args`, and not the id alone."""
    takes = task.arguments.takes
    return not takes(1 + len(args), kwargs) and bool(takes(_GIVEN_BY_CELERY + len(args), kwargs))


def check_errback(errback: Signature[Any], tasks: Mapping[str, Any], *, tells_failure: bool = True) -> None:
    """Raise InvalidArguments where the task of an errback, if its code is here, does not take what it would be given."""
    task = tasks.get(errback.task)
    if task is None or not task.typing or (tells_failure and errback.wants_failure):
        return
    try:
        task.arguments.check(errback.args if errback.immutable else ("", *errback.args), errback.kwargs)
    except InvalidArguments as error:
        given = "" if errback.immutable else "the id of the task that failed, and then "
        raise InvalidArguments(errback.task, f"an errback is given {given}its own arguments: {error.reason}") from None


def given_to(
    task: Any, failed: FailedId, args: Sequence[Any], kwargs: Mapping[str, Any], decode: Callable[[str, bytes], Any]
) -> list[Any]:
    """Return the arguments of an errback. Raises CodecError."""
    failure = failed.failure
    if failure is None or not wants_failure(task, args, kwargs):
        return [failed.task_id, *args]
    error = rebuild(failure, lambda data: decode(failed.content, data))
    return [FailedRequest(failed.task_id, failed.task), error, failure.traceback, *args]
