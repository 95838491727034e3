"""What travels through a lane: records as Kafka has them, the commands in them, and what is sent in return."""

from dataclasses import dataclass
from typing import Protocol

from polystream.v1.events_pb2 import CommandReceipt

from mesh.errors import PolystreamError
from mesh.telemetry.context import TraceContext
from mesh.topics import Headers
from processor.model import Delivery


@dataclass(frozen=True, slots=True)
class Record:
    """One record of `user_events`, as it came."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    receive_time_ns: int  # since the epoch


class Placed(Protocol):
    """Anything that came from a partition, and is dropped when the partition is taken away."""

    @property
    def partition(self) -> int:
        """The partition of `user_events`."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """A command that this lane applies, beside the record that it came in."""

    record: Record
    delivery: Delivery

    @property
    def partition(self) -> int:
        """The record's partition."""
        return self.record.partition


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that this lane must dead-letter before it comes to the store."""

    record: Record
    cause: PolystreamError
    receipt: CommandReceipt | None  # None where the record has no correlation ID to answer to
    trace: TraceContext | None

    @property
    def partition(self) -> int:
        """The record's partition."""
        return self.record.partition


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item: its receipt, with a cause where its record is dead-lettered; or neither, not yet."""

    item: Item
    receipt: CommandReceipt | None
    cause: PolystreamError | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to send."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
