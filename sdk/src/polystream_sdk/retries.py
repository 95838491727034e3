"""When a call is made again: as often as a policy allows, never past the call's deadline."""

import asyncio
import random
import time
from dataclasses import dataclass

from polystream_sdk.errors import PolystreamError, UnavailableError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is made, and how long apart: the backoff doubles from the first to the longest.

    A server's `RetryInfo` is kept to: the backoff comes on top of its delay, so that clients spread.
    """

    max_attempts: int = 5
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 2.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("max_attempts must be at least 1: the first attempt counts")
        if self.initial_backoff_s < 0 or self.max_backoff_s < self.initial_backoff_s:
            raise ValueError("the backoffs must be at least 0, and max_backoff_s at least initial_backoff_s")


class Attempts:
    """The attempts of one call."""

    def __init__(self, policy: RetryPolicy, timeout_s: float) -> None:
        self._policy = policy
        self._deadline = time.monotonic() + timeout_s
        self._made = 0

    @property
    def remaining_s(self) -> float:
        """How long the call may still take, at least a millisecond."""
        return max(self._deadline - time.monotonic(), 0.001)

    def succeeded(self) -> None:
        """Count anew: the other side has answered."""
        self._made = 0

    async def pause(self, error: PolystreamError, *, resendable: bool) -> None:
        """Wait before the next attempt; raise `error` where there is none.

        A server that gives a retry delay says that it has done nothing. An UNAVAILABLE that no platform gave a
        reason for leaves open whether it was reached: only what is `resendable` is then sent again.
        """
        self._made += 1
        unreached = isinstance(error, UnavailableError) and not error.reason
        if self._made >= self._policy.max_attempts or not (
            error.retry_delay_s is not None or (unreached and resendable)
        ):
            raise error
        longest_s = min(self._policy.initial_backoff_s * 2.0 ** (self._made - 1), self._policy.max_backoff_s)
        delay_s = (error.retry_delay_s or 0.0) + random.uniform(longest_s / 2, longest_s)  # noqa: S311 # no secret
        if delay_s >= self._deadline - time.monotonic():
            raise error
        await asyncio.sleep(delay_s)
