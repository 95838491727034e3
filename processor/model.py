"""What a lane handles: deliveries in, outcomes out; and what every handler reads and makes of them."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol, TypeAlias, TypeVar, cast

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.events_pb2 import CommandReceipt

from mesh.catalog import Command
from mesh.dead_letters.dead_letter import RecordPosition
from mesh.envelope import KafkaRecord
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.telemetry.context import TraceContext

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One command as it came from Kafka, decoded."""

    correlation_id: str
    command: Command
    request: Message
    key: bytes  # deliveries with the same key are applied in the order of their offsets
    partition: int
    offset: int
    accept_time_ms: int  # since the epoch
    receive_time_ns: int  # since the epoch
    trace: TraceContext | None
    record: KafkaRecord | None = None  # what it was decoded from: kept where the command has to wait in the store
    first_offset: int | None = None  # where a command that was sent again was at first
    # Which of the store's parked records it is, which is let go of once its answer has been sent; empty where it comes
    # from the topic.
    parked_as: str = ""
    is_repair: bool = False  # it is applied though the store has come further, unless there is a mark of it
    request_fingerprint: bytes = b""  # where its client gave a `request_id`: tells its request from another one
    is_settled: bool = False  # the answer that it got is asked for: it is never applied

    @property
    def first_position(self) -> RecordPosition:
        """Where the command was before any redrive."""
        return RecordPosition(self.partition, self.offset if self.first_offset is None else self.first_offset)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command in a store: a result, or the reason why the store refused it."""

    result: Message | None = None  # of the command's result type, without personal data
    refusal: PolystreamError | None = None


class Unanswered(Enum):
    """What stands in a receipt's place where there is none."""

    DEFERRED = "deferred"  # whether the user whom the command names exists cannot be told yet
    PASSED = "passed"  # the store has passed the command before, and has forgotten what it answered


Answer: TypeAlias = CommandReceipt | Unanswered


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A record that a lane gives up, and what it answers."""

    record: KafkaRecord
    key: bytes
    receipt: CommandReceipt  # that says it is dead-lettered
    parked_as: str = ""  # as in Delivery
    must_park: bool = True  # where there is no room, the lane stops; else it is given up without parking its key


@dataclass(frozen=True, slots=True)
class ParkedRecord:
    """A record that waits in a store: its key has one that was given up."""

    id: str  # names it among those that the store has
    key: bytes
    record: KafkaRecord
    correlation_id: str
    command: str
    receipt: CommandReceipt | None  # of the one that was given up: what it was answered; None of those behind it


class Store(Protocol):
    """One store, as its lane sees it.

    Effects are exactly-once: whatever `apply` writes for a command is bound to its correlation ID in the same
    atomic step, and a command applied before gets the receipt it got then, marked as a duplicate. A store knows
    besides how far it has come in each partition, so that what it has passed is never applied again, though its mark
    is gone.

    A record that is given up parks its key: later records of the key wait in the store, in their order, until it is
    redriven or discarded.
    """

    name: str  # of polystream.options.v1.Store

    def ping(self) -> None:
        """Ask the store for a sign of life. Raises PolystreamError with STORE_UNAVAILABLE."""
        ...

    def apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> Sequence[Answer]:
        """Apply a batch in order, and return one answer a delivery, in the same order.

        A command whose correlation ID is in `overdue` has been deferred long enough, and is refused instead. A
        command is deferred too when one with the same key is deferred before it in the batch. What comes behind a
        record that was given up is put to wait, and its receipt says so; where too many wait, it is refused.

        Raises PolystreamError with STORE_UNAVAILABLE when the store does not answer: nothing, or something that
        a repetition will find, has then been written. Raises anything else for a batch that holds a command that
        no repetition will mend: the lane then applies its commands one by one, and dead-letters that one.
        """
        ...

    def park(self, given_up: Sequence[GivenUp]) -> Sequence[Answer]:
        """Note that records are given up, in order, and return what is to be answered.

        A record whose key is parked already waits behind that one, and its receipt says so. Raises PolystreamError
        with TOO_MANY_PARKED where as many keys are parked as may be, and with STORE_UNAVAILABLE.
        """
        ...

    def parked(self, key: bytes) -> Sequence[ParkedRecord]:
        """Return what is parked under a key, in order. Raises PolystreamError with STORE_UNAVAILABLE."""
        ...

    def discard(self, parked: ParkedRecord) -> None:
        """Let go of a record that was given up. Raises PolystreamError with STORE_UNAVAILABLE."""
        ...

    def remove_parked(self, key: bytes, ids: Sequence[str]) -> None:
        """Let go of records that were parked under a key, once they are answered. Raises as `parked` does."""
        ...

    def count_parked(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records in all. Raises as `parked` does."""
        ...

    def record_positions(self, next_offsets: Mapping[int, int]) -> None:
        """Note that every command below these offsets, one a partition, is answered.

        Raises PolystreamError with STORE_UNAVAILABLE; the next call then notes these offsets too.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def requests_of(batch: Sequence[Delivery], message_class: type[M]) -> list[M]:
    """Return the deliveries' requests, whose type the handler's command fixes."""
    del message_class  # names the type for the checker: looking at each request would be paid by every command
    return cast(list[M], [delivery.request for delivery in batch])


def refuse(reason: Reason, field: str) -> Outcome:
    """Return the outcome of a command that the store refuses, with the request field at fault."""
    return Outcome(refusal=PolystreamError(reason, faults=[FieldFault(field, reason.value.message)]))


def timestamp(moment: datetime) -> Timestamp:
    """Return a store's time, which has its zone, as a message."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message
