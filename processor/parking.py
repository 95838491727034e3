"""Parked keys: a record that was given up, and behind it, in their order, the later ones of its key.

Each store keeps its own, and judges by it in the step in which it applies. What a store does with a batch is told
here, once for all of them; how it keeps the records is the store's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from polystream.v1.events_pb2 import CommandReceipt

from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError, Reason
from processor.model import Answer, Delivery, GivenUp, Outcome, ParkedRecord, Unanswered
from processor.receipts import repeat, wait_behind, waiting_instead

_ERASURES_MAX: Final = 100  # how many more may wait of what must not be refused: a person's erasure


@dataclass(frozen=True, slots=True)
class ParkedEntry:
    """What is parked, without the record itself."""

    id: str
    correlation_id: str
    receipt: CommandReceipt | None  # of the one that was given up


@dataclass(frozen=True, slots=True)
class ParkingBounds:
    """How many keys of a store may be parked, how many records may wait under one of them, and how many in all."""

    keys_max: int = 1000
    commands_max: int = 1000
    records_max: int = 20_000


Queues = Mapping[bytes, Sequence[ParkedEntry]]  # by key, in order


@dataclass(frozen=True, slots=True)
class Known:
    """What a store knows of a batch before it applies it."""

    receipts: Mapping[str, CommandReceipt]  # by correlation ID: of what it has applied before, in the queues too
    queues: Queues  # of the batch's keys
    positions: Mapping[int, int]  # by partition: what is below has been answered
    room: int  # how many more records may be parked; meaningless where no queue is

    def unmarked_queues(self) -> dict[bytes, list[ParkedEntry]]:
        """Return the queues without what has been applied: it is in nobody's way, though it is not let go of yet."""
        return {
            key: [entry for entry in queue if entry.correlation_id not in self.receipts]
            for key, queue in self.queues.items()
        }


def parked_id(topic_id: str, record: KafkaRecord | Delivery) -> str:
    """Return what names a record among all that were ever on `user_events`."""
    return f"{topic_id}:{record.partition}:{record.offset}"


@dataclass(slots=True)
class Sorted:
    """What is to be done with the deliveries of a batch."""

    go: list[Delivery] = field(default_factory=list)
    wait: list[Delivery] = field(default_factory=list)  # to be parked
    answered: dict[str, CommandReceipt] = field(default_factory=dict)  # by correlation ID: known to be parked
    refused: dict[str, Outcome] = field(default_factory=dict)  # by correlation ID: too many wait already
    passed: set[str] = field(default_factory=set)  # correlation IDs: what the store has answered before


def sort_out(batch: Iterable[Delivery], known: Known, topic_id: str, store: str, *, commands_max: int) -> Sorted:
    """Tell which deliveries may be applied, and which ones wait.

    What is marked as applied has its answer, and so has the second of two deliveries of one command. What is settled,
    or below the store's position, is passed over. What comes from the queue may go when all before it in the queue may,
    or need not be applied any more; anything else of a parked key waits, be it parked already or not.
    """
    sorting = _Sorting(known, topic_id, store, commands_max)
    for delivery in batch:
        sorting.take(delivery)
    return sorting.found


class _Sorting:
    """A batch on its way through `sort_out`."""

    def __init__(self, known: Known, topic_id: str, store: str, commands_max: int) -> None:
        self.found = Sorted()
        self._known = known
        self._queues = known.unmarked_queues()
        self._topic_id = topic_id
        self._store = store
        self._commands_max = commands_max
        self._room = known.room
        self._lengths = {key: len(queue) for key, queue in self._queues.items()}
        self._seen: set[str] = set()  # correlation IDs
        self._going: set[str] = set()  # of them, those that come from a queue
        self._gone: set[str] = set()  # IDs of parked records that nobody waits for any more

    def take(self, delivery: Delivery) -> None:
        """Take the next delivery."""
        correlation_id, is_marked = delivery.correlation_id, delivery.correlation_id in self._known.receipts
        if is_marked or correlation_id in self._seen:
            if delivery.parked_as and (is_marked or correlation_id in self._going):
                self._gone.add(delivery.parked_as)
            return
        self._seen.add(correlation_id)
        queue = self._queues.get(delivery.key, ())
        if delivery.is_settled:
            self.found.passed.add(correlation_id)
        elif delivery.parked_as:
            self._take_from_queue(delivery, queue)
        else:
            self._take_from_topic(delivery, queue)

    def _take_from_queue(self, delivery: Delivery, queue: Sequence[ParkedEntry]) -> None:
        place = next((place for place, entry in enumerate(queue) if entry.id == delivery.parked_as), None)
        before = [entry for entry in queue[:place] if entry.id not in self._gone]
        if place is None:
            self.found.passed.add(delivery.correlation_id)
        elif before:
            self.found.answered[delivery.correlation_id] = wait_behind(delivery, behind_of(before), self._store)
        else:
            self._gone.add(delivery.parked_as)
            self._going.add(delivery.correlation_id)
            self.found.go.append(delivery)

    def _take_from_topic(self, delivery: Delivery, queue: Sequence[ParkedEntry]) -> None:
        id_ = parked_id(self._topic_id, delivery) if queue else ""
        entry = next((entry for entry in queue if entry.id == id_), None)
        if entry is not None and entry.receipt is not None:
            self.found.answered[delivery.correlation_id] = repeat(entry.receipt)
        elif entry is not None:
            self._answer_waiting(delivery, queue)
        elif not delivery.is_repair and delivery.offset < self._known.positions.get(delivery.partition, 0):
            self.found.passed.add(delivery.correlation_id)
        elif not queue:
            self.found.go.append(delivery)
        elif self._has_room(delivery):
            self._lengths[delivery.key] += 1
            self._room -= 1
            self.found.wait.append(delivery)
            self._answer_waiting(delivery, queue)
        else:
            metadata = {"store": self._store, "waits_behind": behind_of(queue)}
            cause = PolystreamError(Reason.TOO_MANY_WAIT, metadata=metadata)
            self.found.refused[delivery.correlation_id] = Outcome(refusal=cause)
            self.found.go.append(delivery)

    def _has_room(self, delivery: Delivery) -> bool:
        allowance = _ERASURES_MAX if delivery.command.erases_user else 0
        return self._lengths[delivery.key] <= self._commands_max + allowance and self._room + allowance > 0

    def _answer_waiting(self, delivery: Delivery, queue: Sequence[ParkedEntry]) -> None:
        self.found.answered[delivery.correlation_id] = wait_behind(delivery, behind_of(queue), self._store)


class Parking(Protocol):
    """Where a store keeps what is parked."""

    def add(self, parked: ParkedRecord) -> None:
        """Put a record behind those of its key; leave one that is there already."""
        ...

    def give_up(self, key: bytes, id_: str, receipt: CommandReceipt) -> None:
        """Note of a record that is parked that it is given up, and with what answer."""
        ...

    def count(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records."""
        ...


def park_in_order(
    given_up: Sequence[GivenUp], known: Known, topic_id: str, parking: Parking, *, keys_free: int, commands_max: int
) -> list[Answer]:
    """Park records that are given up, or have them wait where their key is parked; return what is to be answered.

    One that another lane has applied meanwhile is not given up: it is answered as the store has answered it.

    Raises PolystreamError with TOO_MANY_PARKED where one that must be parked cannot.
    """
    own = known.unmarked_queues()
    room = known.room
    answers: list[Answer] = []
    for one in given_up:
        mark = known.receipts.get(one.receipt.correlation_id)
        if mark is not None and _answers_the_same(mark, one.receipt):
            answers.append(repeat(mark))
            continue
        queue = own.setdefault(one.key, [])
        id_ = one.parked_as or parked_id(topic_id, one.record)
        place = next((place for place, entry in enumerate(queue) if entry.id == id_), None)
        entry = ParkedEntry(id_, one.receipt.correlation_id, one.receipt)
        if one.parked_as and place == 0:
            parking.give_up(one.key, id_, one.receipt)
            queue[place] = entry
            answers.append(one.receipt)
        elif place is not None:
            earlier = queue[place].receipt
            answers.append(waiting_instead(one.receipt, behind_of(queue)) if earlier is None else repeat(earlier))
        elif one.parked_as or one.record.offset < known.positions.get(one.record.partition, 0):
            answers.append(Unanswered.PASSED)
        elif queue and len(queue) <= commands_max and room > 0:
            room -= 1
            answers.append(waiting_instead(one.receipt, behind_of(queue)))
            _add(parking, replace(entry, receipt=None), one)
            queue.append(replace(entry, receipt=None))
        elif not queue and keys_free > 0:
            keys_free -= 1
            answers.append(one.receipt)
            _add(parking, entry, one)
            queue.append(entry)
        elif one.must_park:
            raise PolystreamError(Reason.TOO_MANY_PARKED)
        else:
            answers.append(one.receipt)
    return answers


def _answers_the_same(one: CommandReceipt, other: CommandReceipt) -> bool:
    """Tell whether two receipts answer one record: anybody may write another one with its correlation ID."""
    place = (one.command_partition, one.command_offset)
    return one.HasField("command_offset") and place == (other.command_partition, other.command_offset)


def _add(parking: Parking, entry: ParkedEntry, one: GivenUp) -> None:
    parking.add(ParkedRecord(entry.id, one.key, one.record, entry.correlation_id, one.receipt.command, entry.receipt))


def behind_of(queue: Sequence[ParkedEntry]) -> str:
    """Return the correlation ID of what the records of a queue wait behind."""
    given_up = next((entry for entry in queue if entry.receipt is not None), queue[0])
    return given_up.correlation_id


def may_be_marked(parked: ParkedRecord, queue: Sequence[ParkedRecord]) -> bool:
    """Tell whether what is discarded may leave its answer as the mark of its correlation ID.

    Anybody may write another record with a command's ID: where one waits, the mark would be taken for its answer. A
    repetition of the same command is discarded with it.
    """
    others = [one.record.value for one in queue if one.correlation_id == parked.correlation_id]
    return all(value == parked.record.value for value in others)


def waiting_record(id_: str, delivery: Delivery) -> ParkedRecord:
    """Return what is parked of a delivery that has to wait."""
    if delivery.record is None:
        raise ValueError(f"the delivery of {delivery.correlation_id} comes without its record")
    return ParkedRecord(id_, delivery.key, delivery.record, delivery.correlation_id, delivery.command.name, None)
