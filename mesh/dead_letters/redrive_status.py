"""Whether a dead letter may be sent again, told from what came on `user_events` behind it. Pure.

A command is applied once however often it is sent, by its correlation ID. What sending it late can break is order: a
command that comes after others of its key undoes them. And what is no longer on the topic can't be told.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final

from mesh import topics
from mesh.catalog import Command
from mesh.dead_letters.dead_letter import Letter, Place, first_place, redrives_of
from mesh.topic_reader import Extent

_Identity = tuple[Place, Place, str]

REDRIVES_MAX: Final = 3  # of one command, before somebody has to insist


class Standing(Enum):
    """How a letter stands."""

    WAITING = "waiting"  # it may be sent again
    REDRIVEN = "redriven"  # it was: what came of it is told by its operation, and by a letter of its own
    OVERTAKEN = "overtaken"  # later commands of its key were applied, which it might undo
    EXHAUSTED = "exhausted"  # it was sent again as often as is sensible
    UNCERTAIN = "uncertain"  # what came behind it has left the topic: whether one of these holds can't be told
    FOREIGN = "foreign"  # no gateway has accepted it: there is no operation that could end better

    @property
    def can_be_forced(self) -> bool:
        """Whether it may be sent again if somebody insists."""
        return self in {Standing.OVERTAKEN, Standing.EXHAUSTED, Standing.UNCERTAIN}

    def may_be_sent(self, *, force: bool) -> bool:
        """Whether it may be sent again, `force` being whether somebody insists."""
        return self is Standing.WAITING or (force and self.can_be_forced)


class History:
    """What came on `user_events` from some letters' records on."""

    def __init__(self, letters: Sequence[Letter], commands: Mapping[str, Command]) -> None:
        self._commands = commands
        self._by_key: dict[tuple[int, bytes | None], list[Letter]] = {}
        self._given_up: dict[tuple[Place, str], set[str]] = {}  # stores, by place and correlation ID
        for letter in letters:
            self._by_key.setdefault((letter.source.partition, letter.key), []).append(letter)
            for place in (letter.first, letter.source):
                self._given_up.setdefault((place, letter.correlation_id), set()).add(letter.store)
        self._seen: set[Place] = set()  # of the records that were given up, those that are still there
        self._redriven: set[_Identity] = set()
        self._overtaken_by: dict[_Identity, list[str]] = {}  # correlation IDs

    def add(self, place: Place, key: bytes | None, headers: topics.Headers) -> None:
        """Take note of a record."""
        same_key = self._by_key.get((place.partition, key), ())
        if not same_key:
            return
        text = topics.header_text(headers)
        correlation_id, command = text.get(topics.CORRELATION_ID, ""), text.get(topics.COMMAND, "")
        given_up = self._given_up.get((place, correlation_id), set())
        if given_up:
            self._seen.add(place)
        is_redrive, first = redrives_of(text) > 0, first_place(place, text)
        for letter in same_key:
            if correlation_id == letter.correlation_id:
                if is_redrive and place > letter.source:
                    self._redriven.add(letter.identity)
            # What the letter's store gave up itself has overtaken nobody there.
            elif first > letter.first and letter.store not in given_up and self._matters(letter, command):
                self._overtaken_by.setdefault(letter.identity, []).append(correlation_id)

    def overtaken_by(self, letter: Letter) -> Sequence[str]:
        """Return the correlation IDs of the commands that have overtaken a letter, in their order."""
        return self._overtaken_by.get(letter.identity, ())

    def standing(self, letter: Letter) -> Standing:
        """Tell how a letter stands."""
        if not letter.correlation_id or letter.omitted_bytes:
            return Standing.FOREIGN
        if letter.identity in self._redriven:
            return Standing.REDRIVEN
        if not self._seen.issuperset((letter.first, letter.source)):
            return Standing.UNCERTAIN
        if letter.identity in self._overtaken_by:
            return Standing.OVERTAKEN
        return Standing.EXHAUSTED if letter.redrives >= REDRIVES_MAX else Standing.WAITING

    def _matters(self, letter: Letter, later: str) -> bool:
        """Tell whether it may matter that a command comes after another one of its key, and not before."""
        first, second = self._commands.get(letter.command), self._commands.get(later)
        if first is None or second is None:
            return True
        return letter.store in {"", *second.stores} and not (first.creates and second.creates)


def stretches_from(letters: Iterable[Letter], kept: Mapping[int, Extent]) -> dict[int, Extent]:
    """Return what of `user_events` tells how letters stand: of each partition, all from the first of their records on.

    `kept` is what the partitions have.
    """
    found: dict[int, Extent] = {}
    for letter in letters:
        extent = kept.get(letter.source.partition)
        if extent is None:
            continue
        known = found.get(letter.source.partition)
        # A topic that was made anew may be shorter.
        begin = max(extent.begin, min(letter.first.offset, extent.end - 1))
        found[letter.source.partition] = Extent(min(begin, known.begin) if known else begin, extent.end)
    return found
