"""What a replay has done: what is in the target, what was left out and why, and what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from processor.replay.target_check import TargetCheck


class LeftOut(StrEnum):
    """Why a record of a store's commands is rightly not applied in the target."""

    REFUSED = "REFUSED"  # the live store has refused it
    GIVEN_UP = "GIVEN_UP"  # the live store has given it up, or it cannot be read
    USER_GONE = "USER_GONE"  # PostgreSQL has no such user any more
    REPEATED = "REPEATED"  # another record of the same command was answered
    NOT_YET = "NOT_YET"  # the live lane has not come so far: the target's lane will apply it


class Missing(StrEnum):
    """Why something that the live store has applied, or is to apply, is not in the target as it is there."""

    WAITS = "WAITS"  # it is parked in the live store: redrive or discard what it waits behind, and replay again
    UNANSWERED = "UNANSWERED"  # the live lane has passed it, and `response_events` has no answer
    USER_UNTOLD = "USER_UNTOLD"  # PostgreSQL does not tell whether its user exists
    DIFFERS = "DIFFERS"  # it was applied, and the target's answer is another one than the live store's
    FAILED = "FAILED"  # the target could not apply it


@dataclass(slots=True)
class Replayed:
    """What a replay has done, or would do."""

    store: str
    is_dry: bool
    cannot: Sequence[str] = ()  # what comes out otherwise than in the live store, in sentences
    begins: Mapping[int, int] = field(default_factory=dict)  # by partition: the oldest offset there is, where above 0
    positions: Mapping[int, int] = field(default_factory=dict)  # by partition: from where the target's lane goes on
    applied: Counter[str] = field(default_factory=Counter)  # by command
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    missing: Counter[Missing] = field(default_factory=Counter)
    expired: int = 0  # of what was applied: what has gone by itself meanwhile
    check: TargetCheck | None = None  # the validator's; None of a dry run

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing, and the validator agrees where it was asked."""
        return not self.missing and not self.begins and (self.check is None or self.check.is_sound)
