"""When which fault comes: the same seed gives the same schedule."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_FIRST_SHARE: Final = 0.05  # of the load's time, before the first fault
_LAST_SHARE: Final = 0.95
_LONGEST_GAP_S: Final = 12.0  # between two faults, on average: a long run has each of them several times


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault that is to come."""

    at_s: float  # since the load began; later where the one before is not over
    kind: str
    seed: int  # of what it draws itself


def make_schedule(seed: int, kinds: Sequence[str], duration_s: float) -> list[PlannedFault]:
    """Return faults over a time in seconds: each kind once, in any order, and again where the time is long."""
    rng = random.Random(seed ^ 0xFA17)  # noqa: S311 - no secret; other numbers than the workload's
    if not kinds:
        return []
    span_s = (_LAST_SHARE - _FIRST_SHARE) * duration_s
    drawn: list[str] = []
    while not drawn or len(drawn) + len(kinds) <= span_s / _LONGEST_GAP_S:
        drawn += rng.sample(sorted(kinds), len(kinds))
    gap_s = span_s / len(drawn)
    return [
        PlannedFault(_FIRST_SHARE * duration_s + gap_s * (number + rng.random() * 0.8), kind, rng.randrange(2**31))
        for number, kind in enumerate(drawn)
    ]
