"""Reading the dead-letter topic, and what tells whether each dead letter may be sent again."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh import topics
from mesh.catalog import Command
from mesh.dead_letters.dead_letter import DeadLetter, parse_dead_letter
from mesh.dead_letters.redrive_status import History, RedriveStatus, extents_from
from mesh.envelope import KafkaRecord
from mesh.topic_reader import Extent, TopicReader

_RECORDS_MAX: Final = 50_000  # of the topic, the newest ones: they are held in memory
_BYTES_MAX: Final = 256 * 2**20  # of those, in all: anybody may write as many of a megabyte


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """A dead letter with its redrive status."""

    dead_letter: DeadLetter
    redrive_status: RedriveStatus
    overtaken_by: Sequence[str]  # correlation IDs of the later commands that were applied


class DeadLetterReader:
    """Reads dead letters, and judges them by what came on `user_events` behind them."""

    def __init__(self, reader: TopicReader, commands: Mapping[str, Command]) -> None:
        self._reader = reader
        self._commands = commands

    def read_dead_letters(self) -> tuple[list[DeadLetter], int]:
        """Return the dead letters, the oldest first, and how many older records of the topic were not read.

        At most the newest 50,000 records are read, and of those at most 256 MiB are kept. Raises TopicError.
        """
        there = self._reader.extents(topics.DEAD_LETTERS)
        newest = _newest(there)
        kept, too_many = _newest_bytes(self._reader.read(topics.DEAD_LETTERS, newest), _BYTES_MAX)
        left_out = sum(newest[partition].begin - extent.begin for partition, extent in there.items())
        return _once_each(kept), left_out + too_many

    def judge(self, dead_letters: Sequence[DeadLetter], besides: Sequence[DeadLetter] = ()) -> list[DeadLetterEntry]:
        """Return each dead letter with its redrive status. Raises TopicError.

        `besides` are others that were given up: they have overtaken nothing.
        """
        kept = self._reader.extents(topics.COMMANDS) if dead_letters else {}
        history = History([*dead_letters, *besides], self._commands)
        for record in self._reader.read(topics.COMMANDS, extents_from(dead_letters, kept)):
            history.add(record)
        return [DeadLetterEntry(one, history.status_of(one), history.overtaken_by(one)) for one in dead_letters]


def _newest(there: Mapping[int, Extent]) -> dict[int, Extent]:
    each = _RECORDS_MAX // max(1, len(there))
    return {p: Extent(max(extent.begin, extent.end - each), extent.end) for p, extent in there.items()}


def _newest_bytes(records: Iterable[KafkaRecord], max_bytes: int) -> tuple[list[DeadLetter], int]:
    """Return the dead letters among records, without the oldest where all have no room, and how many those are."""
    kept: deque[tuple[int, DeadLetter]] = deque()
    kept_bytes = left_out = 0
    for record in records:
        dead_letter = parse_dead_letter(record)
        if dead_letter is None:
            continue
        kept.append((record.size_bytes, dead_letter))
        kept_bytes += record.size_bytes
        while kept_bytes > max_bytes:
            kept_bytes -= kept.popleft()[0]
            left_out += 1
    return [dead_letter for _, dead_letter in kept], left_out


def _once_each(dead_letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Return the dead letters in order. A lane that dies before it has committed writes the same one again.

    One that holds something else is another one: who forges it keeps nobody's from being seen.
    """
    by_origin: dict[tuple[object, ...], DeadLetter] = {}
    for dead_letter in sorted(dead_letters, key=lambda one: (one.time_ms, one.position)):
        held = (dead_letter.correlation_id, dead_letter.key, dead_letter.value)
        by_origin.setdefault((dead_letter.source, dead_letter.store or dead_letter.lane, *held), dead_letter)
    return list(by_origin.values())
