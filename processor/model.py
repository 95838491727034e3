"""What a lane handles: deliveries in, outcomes out; and what every handler reads and makes of them."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar, cast

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.events_pb2 import CommandReceipt

from mesh.catalog import Command
from mesh.dead_letters.dead_letter import RecordPosition
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
    first_offset: int | None = None  # where a command that was sent again from the dead-letter topic was at first

    @property
    def first_position(self) -> RecordPosition:
        """Where the command was before any redrive."""
        return RecordPosition(self.partition, self.offset if self.first_offset is None else self.first_offset)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command in a store: a result, or the reason why the store refused it."""

    result: Message | None = None  # of the command's result type, without personal data
    refusal: PolystreamError | None = None


class Store(Protocol):
    """One store, as its lane sees it.

    Effects are exactly-once: whatever `apply` writes for a command is bound to its correlation ID in the same
    atomic step, and a command applied before gets the receipt it got then, marked as a duplicate.
    """

    name: str  # of polystream.options.v1.Store

    def ping(self) -> None:
        """Ask the store for a sign of life. Raises PolystreamError with STORE_UNAVAILABLE."""
        ...

    def apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> Sequence[CommandReceipt | None]:
        """Apply a batch in order, and return one receipt a delivery, in the same order.

        None in a receipt's place defers the command: whether the user it names exists cannot be told yet. A
        command whose correlation ID is in `overdue` has waited long enough, and is refused instead. A command is
        deferred too when one with the same key is deferred before it in the batch.

        Raises PolystreamError with STORE_UNAVAILABLE when the store does not answer: nothing, or something that
        a repetition will find, has then been written. Raises anything else for a batch that holds a command that
        no repetition will mend: the lane then applies its commands one by one, and dead-letters that one.
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
