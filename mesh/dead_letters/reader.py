"""What is on the dead-letter topic, and how each letter stands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from mesh import topics
from mesh.catalog import Command
from mesh.dead_letters.dead_letter import Letter, Place, read_letter
from mesh.dead_letters.redrive_status import History, Standing, stretches_from
from mesh.topic_reader import Extent, TopicReader

_RECORDS_MAX: Final = 50_000  # of the topic, the newest ones: they are held in memory


@dataclass(frozen=True, slots=True)
class Case:
    """A letter and how it stands."""

    letter: Letter
    standing: Standing
    overtaken_by: Sequence[str]  # correlation IDs of the later commands that were applied


@dataclass(frozen=True, slots=True)
class Box:
    """The letters, the oldest first."""

    cases: Sequence[Case]
    left_out: int  # records of the topic that were too many to be read


def open_box(reader: TopicReader, commands: Mapping[str, Command]) -> Box:
    """Read the dead-letter topic, and what came from its letters' records on. Raises TopicError."""
    letters, left_out = read_letters(reader)
    return Box(judge(reader, commands, letters), left_out)


def read_letters(reader: TopicReader) -> tuple[list[Letter], int]:
    """Return the letters, the oldest first, and how many records were too many to be read. Raises TopicError."""
    there = reader.extents(topics.DEAD_LETTERS)
    newest = _newest(there)
    found = (letter for letter in map(_letter, reader.read(topics.DEAD_LETTERS, newest)) if letter is not None)
    return _once_each(found), sum(newest[partition].begin - extent.begin for partition, extent in there.items())


def judge(
    reader: TopicReader, commands: Mapping[str, Command], letters: Sequence[Letter], besides: Sequence[Letter] = ()
) -> list[Case]:
    """Tell how letters stand by what came from their records on. `besides` were given up too. Raises TopicError."""
    kept = reader.extents(topics.COMMANDS) if letters else {}
    history = History([*letters, *besides], commands)
    for message in reader.read(topics.COMMANDS, stretches_from(letters, kept)):
        history.add(place_of(message), message.key(), topics.header_pairs(message.headers()))
    return [Case(letter, history.standing(letter), history.overtaken_by(letter)) for letter in letters]


def _newest(there: Mapping[int, Extent]) -> dict[int, Extent]:
    each = _RECORDS_MAX // max(1, len(there))
    return {p: Extent(max(extent.begin, extent.end - each), extent.end) for p, extent in there.items()}


def _once_each(letters: Iterable[Letter]) -> list[Letter]:
    """Return the letters in order. A lane that dies before it has committed writes the same one again."""
    by_origin: dict[tuple[Place, str], Letter] = {}
    for letter in sorted(letters, key=lambda letter: (letter.time_ms, letter.place)):
        by_origin.setdefault((letter.source, letter.store or letter.lane), letter)
    return list(by_origin.values())


def _letter(message: Message) -> Letter | None:
    return read_letter(place_of(message), message.key(), message.value(), topics.header_pairs(message.headers()))


def place_of(message: Message) -> Place:
    """Return where a record is."""
    return Place(message.partition() or 0, message.offset() or 0)
