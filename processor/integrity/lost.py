"""Commands that a store has lost: its lane has passed them, and the store knows nothing of them.

So it is after a store was restored from a backup, or has lost its last writes: the lane's position in Kafka is ahead of
it. What is missing is on `user_events`, for as long as the topic is kept, and can be sent again: by its correlation ID
each store knows what it has applied.
"""

import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from mesh import topics
from mesh.catalog import Command
from mesh.dead_letters.dead_letter import DeadLetter, RecordPosition, first_position, redrives_of
from mesh.dead_letters.reader import DeadLetterEntry, DeadLetterReader, position_of
from mesh.ids import CORRELATION_ID
from mesh.topic_reader import TopicReader
from processor.integrity.inspectors import StoreInspector

_BATCH_COMMANDS: Final = 1000
_LOST_MAX: Final = 20_000  # they are held in memory; the rest is found once these are repaired
_MARGIN_S: Final = 3600  # a store may forget a command that much sooner than it should
_TIME_DIGITS_MAX: Final = 14  # milliseconds since the epoch

Positions = Mapping[str, Mapping[int, int]]  # by store and partition: the lane has passed every offset below


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at `user_events` has brought."""

    commands: int  # parts of commands that were compared, one a store
    lost: Sequence[DeadLetterEntry]
    is_whole: bool  # whether these are all of the lost ones


def find_lost(
    reader: TopicReader,
    dead_letter_reader: DeadLetterReader,
    commands: Mapping[str, Command],
    positions: Positions,
    inspectors: Sequence[StoreInspector],
    *,
    memory_s: float,
) -> Findings:
    """Compare what the lanes have passed with what the stores remember, which is as much as `memory_s` back.

    What lanes gave up is nobody's loss. Raises TopicError and PolystreamError.
    """
    dead_letters, _ = dead_letter_reader.read_dead_letters()
    search = LostCommandSearch(
        commands, positions, inspectors, dead_letters, oldest_ms=int((time.time() - memory_s + _MARGIN_S) * 1000)
    )
    for message in reader.read(topics.COMMANDS, reader.extents(topics.COMMANDS)):
        search.add(_record(message))
    search.finish()
    lost = search.lost[:_LOST_MAX]
    return Findings(
        commands=search.compared,
        lost=dead_letter_reader.judge(lost, besides=dead_letters),
        is_whole=len(search.lost) <= _LOST_MAX,
    )


@dataclass(frozen=True, slots=True)
class ScannedRecord:
    """What is looked at of a record of `user_events`."""

    position: RecordPosition
    timestamp_ms: int  # since the epoch
    key: bytes | None
    value: bytes | None
    headers: topics.Headers


class LostCommandSearch:
    """Collects the parts of commands, and asks each store for them, a batch at a time."""

    def __init__(
        self,
        commands: Mapping[str, Command],
        positions: Positions,
        inspectors: Sequence[StoreInspector],
        dead_letters: Sequence[DeadLetter],
        *,
        oldest_ms: int,
    ) -> None:
        self._commands = commands
        self._positions = positions
        self._inspectors = {inspector.name: inspector for inspector in inspectors}
        self._given_up = {
            (position, dead_letter.store)
            for dead_letter in dead_letters
            for position in (dead_letter.first, dead_letter.source)
        }
        self._oldest_ms = oldest_ms
        self._waiting: dict[str, list[DeadLetter]] = {name: [] for name in self._inspectors}
        self.lost: list[DeadLetter] = []
        self.compared = 0

    def add(self, record: ScannedRecord) -> None:
        """Take note of a record of `user_events`."""
        headers = topics.header_text(record.headers)
        command = self._commands.get(headers.get(topics.COMMAND, ""))
        is_told_of = CORRELATION_ID.fullmatch(headers.get(topics.CORRELATION_ID, "")) is not None
        if command is None or not is_told_of or _accept_time_ms(record, headers) < self._oldest_ms:
            return
        for store in command.stores:
            if record.position.offset < self._positions[store].get(record.position.partition, 0):
                self._compare(store, record, headers)

    def finish(self) -> None:
        """Ask for what is left."""
        for store in self._waiting:
            self._ask(store)

    def _compare(self, store: str, record: ScannedRecord, headers: Mapping[str, str]) -> None:
        if (record.position, store) in self._given_up or len(self.lost) > _LOST_MAX:
            return
        self._waiting[store].append(_as_dead_letter(store, record, headers))
        if len(self._waiting[store]) >= _BATCH_COMMANDS:
            self._ask(store)

    def _ask(self, store: str) -> None:
        waiting, self._waiting[store] = self._waiting[store], []
        if waiting:
            applied: AbstractSet[str] = self._inspectors[store].applied([part.correlation_id for part in waiting])
            self.lost += [part for part in waiting if part.correlation_id not in applied]
            self.compared += len(waiting)


def _accept_time_ms(record: ScannedRecord, headers: Mapping[str, str]) -> int:
    """Return when a command was accepted. It may have been sent again much later, when stores have forgotten it."""
    text = headers.get(topics.ACCEPT_TIME, "")
    is_time = text.isascii() and text.isdigit() and len(text) <= _TIME_DIGITS_MAX
    return min(record.timestamp_ms, int(text)) if is_time else record.timestamp_ms


def _as_dead_letter(store: str, record: ScannedRecord, headers: Mapping[str, str]) -> DeadLetter:
    """Return a command as what it would be if the store's lane had given it up."""
    return DeadLetter(
        position=record.position,
        source=record.position,
        first=first_position(record.position, headers),
        correlation_id=headers[topics.CORRELATION_ID],
        command=headers[topics.COMMAND],
        store=store,
        lane="",
        reason="LOST",
        error=f"{store} knows nothing of it",
        time_ms=0,  # no lane gave it up: there is no answer to tell from a new one
        redrives=redrives_of(headers),
        omitted_bytes=0,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


def _record(message: Message) -> ScannedRecord:
    _, timestamp_ms = message.timestamp()
    return ScannedRecord(
        position=position_of(message),
        timestamp_ms=timestamp_ms,
        key=message.key(),
        value=message.value(),
        headers=topics.header_pairs(message.headers()),
    )
