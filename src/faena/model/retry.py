"""When to try again."""

from __future__ import annotations

from msgspec import Struct


class RetryPolicy(Struct, frozen=True):
    """How often, and after how long, a failed attempt is followed by another.

    `backoff_s` None: always `delay_s`. Otherwise the n-th retry (from 0) waits backoff_s * factor ** n, at most
    `max_backoff_s`; `jitter` 1.0 draws evenly from zero up to that, 0.0 takes it as it is.
    """

    max_retries: int | None = 3  # None: for ever
    delay_s: float = 180.0
    backoff_s: float | None = None
    factor: float = 2.0
    max_backoff_s: float = 600.0
    jitter: float = 1.0

    def allows(self, retries: int) -> bool:
        """Whether one more retry may follow `retries` of them."""
        return self.max_retries is None or retries < self.max_retries

    def wait_s(self, retries: int, draw: float) -> float:
        """Return the seconds to wait before the retry that follows `retries` earlier ones.

        `draw` is a random number in [0, 1), handed in.
        """
        if self.backoff_s is None:
            return self.delay_s
        exponent = min(retries, 64)  # 2 ** 64 s is past any cap; larger powers overflow a float
        full = min(self.max_backoff_s, self.backoff_s * self.factor**exponent)
        return full * (1.0 - self.jitter) + full * self.jitter * draw
