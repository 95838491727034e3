"""When a call is made again: as often as a policy allows, never past the call's deadline."""

import asyncio
import random
import time
from dataclasses import dataclass

from polystream_sdk.errors import DeadlineExceededError, PolystreamError, UnavailableError
from polystream_sdk.requests import checked_timeout, invalid

# How much sooner than the call's deadline the server may think it over, in seconds: grpclib's `grpc-timeout` has
# whole milliseconds up to 10 s, and whole seconds above.
_CUT_SHORT_S, _CUT_LONG_S = 0.002, 1.0
_WHOLE_SECONDS_ABOVE_S = 10.0
_MOST_DOUBLINGS = 63  # from a nanosecond to three centuries


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is made, and how long apart: the backoff doubles from the first to the longest.

    A server's `RetryInfo` is kept to: the backoff comes on top of its delay, so that clients spread.
    """

    max_attempts: int = 5
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 2.0

    def __post_init__(self) -> None:
        if not isinstance(self.max_attempts, int) or isinstance(self.max_attempts, bool) or self.max_attempts < 1:
            raise invalid("max_attempts", "must be a whole number of at least 1: the first attempt counts")
        checked_timeout("initial_backoff_s", self.initial_backoff_s, may_be_none=False)
        checked_timeout("max_backoff_s", self.max_backoff_s, may_be_none=False)
        if self.max_backoff_s < self.initial_backoff_s:
            raise invalid("max_backoff_s", "must be at least initial_backoff_s")


class Attempts:
    """The attempts of one call."""

    def __init__(self, policy: RetryPolicy, timeout_s: float) -> None:
        self._policy = policy
        self._deadline = time.monotonic() + timeout_s
        self._cut_s = _CUT_SHORT_S if timeout_s <= _WHOLE_SECONDS_ABOVE_S else _CUT_LONG_S
        self._made = 0
        self._answered = False

    @property
    def remaining_s(self) -> float:
        """How long the call may still take, at least a millisecond."""
        return max(self._deadline - time.monotonic(), 0.001)

    def succeeded(self) -> None:
        """Count anew: the other side has answered."""
        self._made = 0
        self._answered = True

    def judged(self, error: PolystreamError) -> PolystreamError:
        """Return what an attempt failed with: the deadline, where it has passed and no platform gave a reason.

        The server ends a call at its deadline in its own way: it breaks the stream, or cancels the call. Which of the
        two comes first is chance, and the error is the same.
        """
        if error.reason or self._deadline - time.monotonic() > self._cut_s:
            return error
        return _deadline_passed()

    async def pause(self, error: PolystreamError, *, resendable: bool) -> None:
        """Wait before the next attempt; raise `error` where there is none.

        A server that gives a retry delay says that it has done nothing. An UNAVAILABLE that no platform gave a
        reason for leaves open whether it was reached: only what is `resendable` is then sent again.
        """
        self._made += 1
        judged = self.judged(error)
        if judged is not error:
            raise judged from error
        unreached = isinstance(error, UnavailableError) and not error.reason
        if self._made >= self._policy.max_attempts or not (
            error.retry_delay_s is not None or (unreached and resendable)
        ):
            raise error
        doubled = 2.0 ** min(self._made - 1, _MOST_DOUBLINGS)
        longest_s = min(self._policy.initial_backoff_s * doubled, self._policy.max_backoff_s)
        delay_s = (error.retry_delay_s or 0.0) + random.uniform(longest_s / 2, longest_s)  # noqa: S311 # no secret
        if delay_s >= self._deadline - time.monotonic():
            if unreached and self._answered:  # a stream that broke so late that it can't be taken up again
                raise _deadline_passed() from error
            raise error
        await asyncio.sleep(delay_s)


def _deadline_passed() -> DeadlineExceededError:
    return DeadlineExceededError("the call took longer than its deadline allows")
