"""Dead letters and what the stores say of them: which ones hold up their key, and what waits behind each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from mesh.dead_letters.dead_letter import DeadLetter, RecordPosition
from mesh.envelope import parse_number
from mesh.errors import Reason
from processor.integrity.parked import Parked, ParkedKey

_ANYBODYS: Final = frozenset((Reason.UNDECODABLE.name, Reason.UNKNOWN_COMMAND.name))  # what parks no key


class ParkingStatus(Enum):
    """How a dead letter stands."""

    PARKED = "parked"  # its key waits for it: it can be redriven or discarded
    SETTLED = "settled"  # no store waits for it any more: it was redriven or discarded
    FOREIGN = "foreign"  # no gateway of this version has sent it: nothing waits for it
    UNKNOWN = "unknown"  # its store does not answer


@dataclass(frozen=True, slots=True)
class ListedDeadLetter:
    """A dead letter, with how it stands."""

    dead_letter: DeadLetter
    status: ParkingStatus
    position: RecordPosition | None  # on the dead-letter topic; None where it is not there any more, or not yet
    waiting: Sequence[str] = ()  # correlation IDs of the commands behind it, in order

    @property
    def user_id(self) -> int | None:
        """The user whose commands wait, where the key is one's ID."""
        return parse_number(self.dead_letter.key)

    def is_called(self, name: str) -> bool:
        """Whether somebody means it: by its correlation ID, or by PARTITION:OFFSET on the dead-letter topic."""
        return name == self.dead_letter.correlation_id or (self.position is not None and name == str(self.position))


def combine(dead_letters: Sequence[DeadLetter], parked: Parked) -> list[ListedDeadLetter]:
    """Return the dead letters of the topic and those that the stores have, in the order of their time, each once."""
    waiting = {(key.store, RecordPosition.of(key.first.record), key.first.correlation_id): key for key in parked.keys}
    entries = []
    for dead_letter in dead_letters:
        key = waiting.pop((dead_letter.store, dead_letter.source, dead_letter.correlation_id), None)
        if key is None:
            entries.append(ListedDeadLetter(dead_letter, _status(dead_letter, parked.silent), dead_letter.position))
        else:
            entries.append(_parked(key, dead_letter))
    entries += [_parked(key, None) for key in waiting.values()]
    return sorted(entries, key=lambda entry: entry.dead_letter.time_ms)


def _parked(key: ParkedKey, told: DeadLetter | None) -> ListedDeadLetter:
    # The store has the record whole, and what was said of it last; the topic has who gave it up.
    own = key.dead_letter()
    dead_letter = own if told is None else replace(own, lane=told.lane, position=told.position)
    waiting = [record.correlation_id for record in key.waiting]
    return ListedDeadLetter(dead_letter, ParkingStatus.PARKED, None if told is None else told.position, waiting)


def _status(dead_letter: DeadLetter, silent: Mapping[str, str]) -> ParkingStatus:
    if not dead_letter.correlation_id or dead_letter.reason in _ANYBODYS:
        return ParkingStatus.FOREIGN
    return ParkingStatus.UNKNOWN if dead_letter.store in silent else ParkingStatus.SETTLED
