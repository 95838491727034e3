"""How long a call may wait for an operation."""

from typing import Any, Final

_DEFAULT_S: Final = 10.0
_MAX_S: Final = 60.0
_ANSWER_MARGIN_S: Final = 0.1  # kept of the call's deadline for the answer's way back, or a quarter of a short one


def wait_timeout_s(asked_s: float | None, context: Any) -> float:
    """Return how long to wait: what was asked, at most a minute, and within the call's own deadline."""
    timeout_s = _DEFAULT_S if asked_s is None else min(max(asked_s, 0.0), _MAX_S)
    remaining_s: float | None = context.time_remaining()
    if remaining_s is None:
        return timeout_s
    return max(0.0, min(timeout_s, remaining_s - min(_ANSWER_MARGIN_S, remaining_s / 4)))
