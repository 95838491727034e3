"""What is on the dead-letter topic, and how each letter stands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from mesh import topics
from mesh.catalog import Command
from mesh.deadletters.letter import Letter, Place, read_letter
from mesh.deadletters.standing import History, Standing, stretches_from
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
    there = reader.extents(topics.DEAD_LETTERS)
    newest = _newest(there)
    letters = _once_each(
        letter for letter in map(_letter, reader.read(topics.DEAD_LETTERS, newest)) if letter is not None
    )
    kept = reader.extents(topics.COMMANDS) if letters else {}
    history = History(letters, commands)
    for message in reader.read(topics.COMMANDS, stretches_from(letters, kept)):
        history.add(_place(message), message.key(), topics.header_pairs(message.headers()))
    cases = [Case(letter, history.standing(letter), history.overtaken_by(letter)) for letter in letters]
    return Box(cases, sum(newest[partition].begin - extent.begin for partition, extent in there.items()))


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
    return read_letter(_place(message), message.key(), message.value(), topics.header_pairs(message.headers()))


def _place(message: Message) -> Place:
    return Place(message.partition() or 0, message.offset() or 0)
