"""Whether a dead letter may be sent again, told from what came on `user_events` behind it. Pure.

A command is applied once however often it is sent, by its correlation ID. What sending it late can break is order: a
command that comes after others of its key undoes them. And what is no longer on the topic can't be told.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import Final

from mesh.catalog import Command
from mesh.dead_letters.dead_letter import DeadLetter, RecordPosition, first_position
from mesh.envelope import KafkaRecord
from mesh.topic_reader import Extent

_Identity = tuple[RecordPosition, RecordPosition, str]

REDRIVES_MAX: Final = 3  # of one command, before somebody has to insist
OVERTAKEN_MAX: Final = 100  # later commands that are told of one dead letter: anybody may write any number of them


class RedriveStatus(Enum):
    """Whether a dead letter may be sent again, or why it may not."""

    WAITING = "waiting"  # it may be sent again
    REDRIVEN = "redriven"  # it was: what came of it is told by its operation, and by a dead letter of its own
    OVERTAKEN = "overtaken"  # later commands of its key were applied, which it might undo
    EXHAUSTED = "exhausted"  # it was sent again as often as is sensible
    UNCERTAIN = "uncertain"  # what came behind it has left the topic: whether one of these holds can't be told
    FOREIGN = "foreign"  # no gateway has accepted it: there is no operation that could end better

    @property
    def can_be_forced(self) -> bool:
        """Whether it may be sent again if somebody insists."""
        return self in {RedriveStatus.OVERTAKEN, RedriveStatus.EXHAUSTED, RedriveStatus.UNCERTAIN}

    def may_be_sent(self, *, force: bool) -> bool:
        """Whether it may be sent again, `force` being whether somebody insists."""
        return self is RedriveStatus.WAITING or (force and self.can_be_forced)


class History:
    """What came on `user_events` from some dead letters' records on."""

    def __init__(self, dead_letters: Sequence[DeadLetter], commands: Mapping[str, Command]) -> None:
        self._commands = commands
        self._by_id: dict[tuple[int, bytes | None, str], list[DeadLetter]] = {}
        # Of each partition and key, by store and command, those that may be overtaken by yet another command. However
        # many there are of a key, a record costs no more than a look at each store and command.
        self._open: dict[tuple[int, bytes | None], dict[tuple[str, str], list[DeadLetter]]] = {}
        # Stores, by position, correlation ID and value: a dead letter may be anybody's, and name a good place.
        self._given_up: dict[tuple[RecordPosition, str, bytes | None], set[str]] = {}
        for dead_letter in sorted(filter(_may_be_sent_at_all, dead_letters), key=attrgetter("first")):
            key = (dead_letter.source.partition, dead_letter.key)
            self._by_id.setdefault((*key, dead_letter.correlation_id), []).append(dead_letter)
            kind = (dead_letter.store, dead_letter.command if dead_letter.command in commands else "")
            self._open.setdefault(key, {}).setdefault(kind, []).append(dead_letter)
            for position in (dead_letter.first, dead_letter.source):
                place = (position, dead_letter.correlation_id, dead_letter.value)
                self._given_up.setdefault(place, set()).add(dead_letter.store)
        # Of the records that were given up, those that are still there.
        self._seen: set[tuple[RecordPosition, bytes | None]] = set()
        self._redriven: set[_Identity] = set()
        self._overtaken_by: dict[_Identity, list[str]] = {}  # correlation IDs

    def add(self, record: KafkaRecord) -> None:
        """Take note of a record of `user_events`."""
        key = (record.partition, record.key)
        kinds = self._open.get(key)
        if kinds is None:
            return
        position, headers = RecordPosition.of(record), record.read_headers()
        correlation_id, command = headers.correlation_id, headers.command
        if not correlation_id or headers.is_ambiguous:
            return  # no lane has applied it
        given_up = self._given_up.get((position, correlation_id, record.value), set())
        if given_up:
            self._seen.add((position, record.value))
        is_redrive, first = headers.redrives > 0, first_position(position, headers)
        if is_redrive:
            for dead_letter in self._by_id.get((*key, correlation_id), ()):
                if position > dead_letter.source:
                    self._redriven.add(dead_letter.identity)
        for (store, earlier), waiting in kinds.items():
            # What the dead letter's store gave up itself has overtaken nobody there.
            if store not in given_up and self._matters(store, earlier, command):
                self._overtake(waiting, first, correlation_id)

    def overtaken_by(self, dead_letter: DeadLetter) -> Sequence[str]:
        """Return the correlation IDs of the commands that have overtaken a dead letter, in their order, 100 at most."""
        return self._overtaken_by.get(dead_letter.identity, ())

    def status_of(self, dead_letter: DeadLetter) -> RedriveStatus:
        """Return whether a dead letter may be sent again, or why it may not."""
        if not _may_be_sent_at_all(dead_letter):
            return RedriveStatus.FOREIGN
        if dead_letter.identity in self._redriven:
            return RedriveStatus.REDRIVEN
        if not self._seen.issuperset((place, dead_letter.value) for place in (dead_letter.first, dead_letter.source)):
            return RedriveStatus.UNCERTAIN
        if dead_letter.identity in self._overtaken_by:
            return RedriveStatus.OVERTAKEN
        return RedriveStatus.EXHAUSTED if dead_letter.redrives >= REDRIVES_MAX else RedriveStatus.WAITING

    def _overtake(self, waiting: list[DeadLetter], first: RecordPosition, correlation_id: str) -> None:
        """Take note for all that came before a position; those that have enough of it wait no more."""
        end = bisect_left(waiting, first, key=attrgetter("first"))
        is_any_full = False
        for dead_letter in waiting[:end]:
            if dead_letter.correlation_id != correlation_id:
                overtaken_by = self._overtaken_by.setdefault(dead_letter.identity, [])
                overtaken_by.append(correlation_id)
                is_any_full |= len(overtaken_by) >= OVERTAKEN_MAX
        if is_any_full:
            waiting[:end] = [one for one in waiting[:end] if len(self.overtaken_by(one)) < OVERTAKEN_MAX]

    def _matters(self, store: str, earlier: str, later: str) -> bool:
        """Tell whether it may matter in a store that a command comes after another one of its key, and not before."""
        first, second = self._commands.get(earlier), self._commands.get(later)
        if first is None or second is None:
            return True
        return store in {"", *second.stores} and not (first.creates and second.creates)


def _may_be_sent_at_all(dead_letter: DeadLetter) -> bool:
    return bool(dead_letter.correlation_id) and not dead_letter.omitted_bytes


def extents_from(dead_letters: Iterable[DeadLetter], kept: Mapping[int, Extent]) -> dict[int, Extent]:
    """Return what of `user_events` tells how dead letters stand: of each partition, all from their first record on.

    `kept` is what the partitions have.
    """
    found: dict[int, Extent] = {}
    for dead_letter in dead_letters:
        extent = kept.get(dead_letter.source.partition)
        if extent is None:
            continue
        known = found.get(dead_letter.source.partition)
        # A topic that was made anew may be shorter.
        begin = max(extent.begin, min(dead_letter.first.offset, extent.end - 1))
        found[dead_letter.source.partition] = Extent(min(begin, known.begin) if known else begin, extent.end)
    return found
