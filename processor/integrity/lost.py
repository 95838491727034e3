"""Commands that a store has lost: its lane has passed them, and the store knows nothing of them.

So it is after a store was restored from a backup, or has lost its last writes: the lane's position in Kafka is ahead of
it. What is missing is on `user_events`, for as long as the topic is kept, and can be sent again: by its correlation ID
each store knows what it has applied.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.catalog import Command
from mesh.dead_letters.dead_letter import DeadLetter, RecordPosition, first_position
from mesh.dead_letters.reader import DeadLetterEntry, DeadLetterReader
from mesh.dead_letters.redrive_status import RedriveStatus
from mesh.envelope import KafkaRecord, RecordHeaders
from mesh.topic_reader import TopicReader
from processor.integrity.effects import is_numbered, numbered_ids
from processor.integrity.inspectors import StoreInspector

_BATCH_COMMANDS: Final = 1000
_LOST_MAX: Final = 20_000  # they are held in memory; the rest is found once these are repaired
_APPLIED_MAX: Final = 200_000  # likewise
_MARGIN_S: Final = 3600  # a store may forget a command that much sooner than it should

IsCommand = Callable[[str, KafkaRecord], bool]
_STORE_OF_ROWS: Final = "POSTGRESQL"
# From correlation IDs to the receipts that say that the commands were applied.
ReadSuccesses = Callable[[Collection[str]], Mapping[str, CommandReceipt]]
Positions = Mapping[str, Mapping[int, int]]  # by store and partition: the lane has passed every offset below


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at `user_events` has brought."""

    commands: int  # parts of commands that were compared, one a store
    lost: Sequence[DeadLetterEntry]
    is_whole: bool  # whether these are all of the lost ones
    unmarked: Sequence[CommandReceipt] = ()  # of commands whose effect is there, and the mark is not
    applied: Sequence["AppliedPart"] = ()  # of those that were compared, 200,000 that a store remembers


@dataclass(frozen=True, slots=True)
class AppliedPart:
    """What a store remembers of a command on `user_events`."""

    store: str
    correlation_id: str
    time_ms: int  # when the record was written, since the epoch


def find_lost(
    reader: TopicReader,
    dead_letter_reader: DeadLetterReader,
    commands: Mapping[str, Command],
    positions: Positions,
    inspectors: Sequence[StoreInspector],
    *,
    memory_s: float,
    read_successes: ReadSuccesses,
    has_row: Callable[[CommandReceipt], bool],
    is_command: IsCommand = lambda *_: True,
) -> Findings:
    """Compare what the lanes have passed with what the stores remember, which is as much as `memory_s` back.

    `is_command` tells of a record whether a store's lane takes it for a command at all. What lanes gave up is nobody's
    loss. A command whose effect is there is not lost, whatever the store remembers. Where that cannot be told, and
    applying it again would add another row, its redrive status is UNCERTAIN. So it is where the key has another
    partition by now, since the topic has grown: what came after the command is there.

    Raises TopicError and PolystreamError.
    """
    dead_letters, _ = dead_letter_reader.read_dead_letters()
    search = LostCommandSearch(
        commands,
        positions,
        inspectors,
        dead_letters,
        oldest_ms=int((time.time() - memory_s + _MARGIN_S) * 1000),
        is_command=is_command,
    )
    there = reader.extents(topics.COMMANDS)
    for record in reader.read(topics.COMMANDS, there):
        search.add(record)
    search.finish()
    lost = search.lost[:_LOST_MAX]
    numbered = numbered_ids(lost, commands)
    successes = read_successes(numbered)
    unmarked = {id_: receipt for id_, receipt in successes.items() if has_row(receipt)}
    lost = [part for part in lost if part.store != _STORE_OF_ROWS or part.correlation_id not in unmarked]
    untold = numbered - successes.keys()

    def is_doubtful(part: DeadLetter) -> bool:
        is_untold = part.correlation_id in untold and is_numbered(commands.get(part.command), part.store)
        return is_untold or topics.partition_of(part.key or b"", len(there)) != part.source.partition

    return Findings(
        commands=search.compared,
        lost=[
            replace(entry, redrive_status=RedriveStatus.UNCERTAIN)
            if entry.redrive_status is RedriveStatus.WAITING and is_doubtful(entry.dead_letter)
            else entry
            for entry in dead_letter_reader.judge(lost, besides=dead_letters)
        ],
        is_whole=len(search.lost) <= _LOST_MAX,
        unmarked=list(unmarked.values()),
        applied=search.applied,
    )


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
        is_command: IsCommand = lambda *_: True,
    ) -> None:
        self._is_command = is_command
        self._commands = commands
        self._positions = positions
        self._inspectors = {inspector.name: inspector for inspector in inspectors}
        self._given_up = {
            (position, dead_letter.store)
            for dead_letter in dead_letters
            for position in (dead_letter.first, dead_letter.source)
        }
        self._oldest_ms = oldest_ms
        self._since_ms = {inspector.name: inspector.remembers_since_ms() for inspector in inspectors}
        self._waiting: dict[str, list[tuple[DeadLetter, KafkaRecord]]] = {name: [] for name in self._inspectors}
        self.lost: list[DeadLetter] = []
        self.applied: list[AppliedPart] = []
        self.compared = 0

    def add(self, record: KafkaRecord) -> None:
        """Take note of a record of `user_events`; pass over one that no lane takes for a command of ours."""
        headers = record.read_headers()
        command = self._commands.get(headers.command)
        if command is None or not headers.correlation_id or headers.is_ambiguous:
            return
        # It may have been sent again much later, when stores have forgotten it.
        time_ms = min(record.timestamp_ms, record.accept_time_ms(headers))
        if time_ms < self._oldest_ms:
            return
        for store in command.stores:
            is_remembered = time_ms > self._since_ms[store]
            if is_remembered and record.offset < self._positions[store].get(record.partition, 0):
                self._compare(store, record, headers)

    def finish(self) -> None:
        """Ask for what is left."""
        for store in self._waiting:
            self._ask(store)

    def _compare(self, store: str, record: KafkaRecord, headers: RecordHeaders) -> None:
        if (RecordPosition.of(record), store) in self._given_up or len(self.lost) > _LOST_MAX:
            return
        self._waiting[store].append((_as_dead_letter(store, record, headers), record))
        if len(self._waiting[store]) >= _BATCH_COMMANDS:
            self._ask(store)

    def _ask(self, store: str) -> None:
        waiting, self._waiting[store] = self._waiting[store], []
        if waiting:
            applied: AbstractSet[str] = self._inspectors[store].applied([part.correlation_id for part, _ in waiting])
            missing = [(part, record) for part, record in waiting if part.correlation_id not in applied]
            self.lost += [part for part, record in missing if self._is_command(store, record)]
            self.compared += len(waiting)
            there = [(part, record) for part, record in waiting if part.correlation_id in applied]
            for part, record in there[: _APPLIED_MAX - len(self.applied)]:
                self.applied.append(AppliedPart(store, part.correlation_id, record.timestamp_ms))


def _as_dead_letter(store: str, record: KafkaRecord, headers: RecordHeaders) -> DeadLetter:
    """Return a command as what it would be if the store's lane had given it up."""
    position = RecordPosition.of(record)
    return DeadLetter(
        position=position,
        source=position,
        first=first_position(position, headers),
        correlation_id=headers.correlation_id,
        command=headers.command,
        store=store,
        lane="",
        reason="LOST",
        error=f"{store} knows nothing of it",
        time_ms=0,  # no lane gave it up: there is no answer to tell from a new one
        redrives=headers.redrives,
        omitted_bytes=0,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )
