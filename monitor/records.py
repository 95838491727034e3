"""Kafka records to event documents. Pure: a record in, documents out."""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.options.v1 import options_pb2
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Event, Operation

from mesh import topics
from mesh.catalog import Catalog
from mesh.codec import Decoder
from mesh.errors import PolystreamError, Reason
from mesh.store_errors import error_text, receipt_status
from mesh.telemetry.context import TraceContext, parse

ACCEPTED = "command.accepted"
RECEIVED = "command.received"
SUCCEEDED = "command.succeeded"
FAILED = "command.failed"
DEAD_LETTERED = "command.dead_lettered"
REDRIVEN = "command.redriven"

_MAX_ERROR_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Record:
    """What the monitor needs of a Kafka record."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int  # the broker's, since the epoch
    key: bytes | None
    value: bytes | None
    headers: topics.Headers | None


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """An event, and whether spans of its trace are to be expected."""

    event: Event
    sampled: bool


class EventReader:
    """Turns records of the platform's three topics into event documents."""

    def __init__(self, catalog: Catalog, receipts: Decoder) -> None:
        self._catalog = catalog
        self._receipts = receipts

    def read(self, record: Record) -> Sequence[TracedEvent]:
        """Return the events that a record tells of; none for a record that names no command.

        Raises PolystreamError with REGISTRY_UNAVAILABLE when a receipt's schema cannot be had now.
        """
        headers = topics.header_text(record.headers)
        correlation_id = headers.get(topics.CORRELATION_ID, "")
        if not correlation_id:
            return []
        trace = parse(headers.get(topics.TRACEPARENT), headers.get(topics.TRACESTATE))
        base = Event(
            correlation_id=correlation_id,
            transaction_id=correlation_id,
            command=headers.get(topics.COMMAND, ""),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            trace_id=trace.trace_id if trace else "",
        )
        user_id = self._user_id(base.command, record.key)
        if user_id is not None:
            base.user_id = user_id
        if record.topic == topics.RECEIPTS:
            events = self._receipt_events(base, record)
        elif record.topic == topics.DEAD_LETTERS:
            events = [_dead_letter_event(base, record, headers)]
        elif topics.REDRIVES in headers:
            events = [_redriven_event(base, record)]
        else:
            events = [_accepted_event(base, record, headers)]
        return [TracedEvent(_identified(event), _sampled(trace)) for event in events]

    def _user_id(self, command: str, key: bytes | None) -> int | None:
        known = self._catalog.commands.get(command)
        if known is None or not known.about_user or key is None or not key.isdigit():
            return None
        user_id = int(key)
        return user_id if user_id < 2**63 else None

    def _receipt_events(self, base: Event, record: Record) -> list[Event]:
        try:
            receipt = self._receipts.decode(record.value)
        except PolystreamError as error:
            if error.reason is Reason.REGISTRY_UNAVAILABLE:
                raise
            unreadable = _copy(base, FAILED, "FAILED", _timestamp(record.timestamp_ms))
            unreadable.error = f"{error.reason.name}: {error.message}"
            return [unreadable]
        assert isinstance(receipt, CommandReceipt)  # noqa: S101 # the decoder's own type
        received = _copy(base, RECEIVED, "ACCEPTED", receipt.receive_time)
        received.duration_ms = _between_ms(receipt.accept_time, receipt.receive_time)
        done = _copy(base, *_ending(receipt), receipt.complete_time)
        done.duration_ms = _between_ms(receipt.receive_time, receipt.complete_time)
        if receipt.state == Operation.FAILED:
            done.error = error_text(receipt)[:_MAX_ERROR_CHARACTERS]
            done.error_status.CopyFrom(receipt_status(receipt))
        done.dead_lettered = receipt.dead_lettered
        if receipt.HasField("user_id"):
            done.user_id = receipt.user_id  # a user created without an ID has got one
        for event in (received, done):
            event.service = "processor"
            event.store = options_pb2.Store.Name(receipt.store)
            event.duplicate = receipt.duplicate
        return [received, done]


def _accepted_event(base: Event, record: Record, headers: dict[str, str]) -> Event:
    accept_ms = headers.get(topics.ACCEPT_TIME, "")
    accepted_at_ms = int(accept_ms) if accept_ms.isdigit() else record.timestamp_ms
    event = _copy(base, ACCEPTED, "ACCEPTED", _timestamp(accepted_at_ms))
    event.service = headers.get(topics.SERVICE, "gateway")
    event.duration_ms = max(0, record.timestamp_ms - accepted_at_ms)
    return event


def _redriven_event(base: Event, record: Record) -> Event:
    event = _copy(base, REDRIVEN, "ACCEPTED", _timestamp(record.timestamp_ms))
    event.service = "dlq"
    return event


def _dead_letter_event(base: Event, record: Record, headers: dict[str, str]) -> Event:
    event = _copy(base, DEAD_LETTERED, "FAILED", _timestamp(record.timestamp_ms))
    event.service = "processor"
    event.store = headers.get(topics.DLQ_STORE, "")
    event.error = f"{headers.get(topics.DLQ_REASON, '')}: {headers.get(topics.DLQ_ERROR, '')}"[:_MAX_ERROR_CHARACTERS]
    return event


def _ending(receipt: CommandReceipt) -> tuple[str, str]:
    return (SUCCEEDED, "SUCCEEDED") if receipt.state == Operation.SUCCEEDED else (FAILED, "FAILED")


def _copy(base: Event, event_type: str, status: str, timestamp: Timestamp) -> Event:
    event = Event(event_type=event_type, status=status, timestamp=timestamp)
    event.MergeFrom(base)
    return event


def _identified(event: Event) -> Event:
    # The correlation ID keeps records of a topic that was made anew apart from those of the old one.
    event.event_id = f"{event.correlation_id}:{event.event_type}:{event.store}:{event.partition}:{event.offset}"
    return event


def _sampled(trace: TraceContext | None) -> bool:
    return trace is not None and trace.sampled


def _timestamp(since_epoch_ms: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMilliseconds(since_epoch_ms)
    return timestamp


def _between_ms(start: Timestamp, end: Timestamp) -> float:
    return max(0.0, (end.ToMicroseconds() - start.ToMicroseconds()) / 1000)
