"""Many calls in one run: what a task declares (`batch=`), and what its function is given of each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias, cast

from msgspec import Struct

from faena._lib.arguments.convert import to_seconds
from faena.tasks.context import Request
from faena.tasks.options import seconds

LARGEST = 10_000


class Batch(Struct, frozen=True):
    """Run up to `size` calls at once; a call waits for others for `wait` at most."""

    size: int
    wait: Any  # seconds, a timedelta, or a text such as "2s"

    @property
    def wait_s(self) -> float:
        found = to_seconds(self.wait.replace(" ", "")) if isinstance(self.wait, str) else seconds(self.wait)
        return float(cast("float", found))


BatchLike: TypeAlias = "Batch | tuple[int, float | str | timedelta]"


class RetryAsked(Struct, frozen=True):
    """How a call wants to be run again."""

    error: BaseException | None
    countdown: float | timedelta | None
    eta: datetime | None
    max_retries: int | None


class BatchCall:
    """One call of a batch. It succeeds with what the function returns for it, unless it is decided here."""

    __slots__ = ("args", "asked", "error", "kwargs", "request")

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any], request: Request) -> None:
        self.args, self.kwargs, self.request = args, kwargs, request
        self.error: BaseException | None = None
        self.asked: RetryAsked | None = None

    @property
    def id(self) -> str:
        return self.request.id or ""

    @property
    def retries(self) -> int:
        return self.request.retries

    @property
    def headers(self) -> dict[str, Any]:
        return self.request.headers

    def fail(self, error: BaseException) -> None:
        """Let this call end as if the function had raised `error` for it: it is retried where the task says so."""
        self.error, self.asked = error, None

    def retry(
        self,
        error: BaseException | None = None,
        *,
        countdown: float | timedelta | None = None,
        eta: datetime | None = None,
        max_retries: int | None = None,
    ) -> None:
        """Run this call again later, as `self.retry` does for a task; here it returns."""
        self.error, self.asked = None, RetryAsked(error, countdown, eta, max_retries)

    @property
    def is_decided(self) -> bool:
        return self.error is not None or self.asked is not None

    def __repr__(self) -> str:
        shown = [repr(arg) for arg in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"<BatchCall {self.id}: {', '.join(shown)}>"


def batch_of(given: Any) -> Batch:
    """Return what a task's `batch=` says. Raises ValueError."""
    if isinstance(given, Batch):
        batch = given
    else:
        try:
            batch = Batch(*given)
        except TypeError:
            raise ValueError("it is a size and a time to wait, such as (100, '2s')") from None
    size: Any = batch.size
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST:
        raise ValueError(f"a batch consists of 1 to {LARGEST} calls, not of {size!r}")
    if not isinstance(batch.wait, str | int | float | timedelta) or isinstance(batch.wait, bool) or not batch.wait_s >= 0:
        raise ValueError(f"a call waits for others for a time such as 0.5 or '2s', not {batch.wait!r}")
    return batch
