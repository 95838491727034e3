"""Kafka records to event documents. Pure: a record in, documents out."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.options.v1 import options_pb2
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Event

from mesh import topics
from mesh.catalog import Catalog
from mesh.codec import Decoder
from mesh.dead_letters.dead_letter import parse_dead_letter
from mesh.envelope import KafkaRecord, RecordHeaders, RedriveAction
from mesh.errors import PolystreamError, Reason
from mesh.store_errors import error_text, has_failed, is_waiting, receipt_status
from mesh.telemetry.context import TraceContext
from mesh.telemetry.repeats import RepeatCounter

ACCEPTED = "command.accepted"
RECEIVED = "command.received"
SUCCEEDED = "command.succeeded"
FAILED = "command.failed"
DEAD_LETTERED = "command.dead_lettered"
REDRIVEN = "command.redriven"
DISCARDED = "command.discarded"
PARKED = "command.parked"
REPEATED = "command.repeated"  # in a story alone: a record with the command's ID that is not the accepted one

_MAX_ERROR_CHARACTERS = 1000

_LOG = structlog.stdlib.get_logger(__name__)


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
        self._passed_over = RepeatCounter()

    def read(self, record: KafkaRecord) -> Sequence[TracedEvent]:
        """Return the events that a record tells of; none for one that tells of no command, which is logged.

        That is a record without a correlation ID, a receipt that cannot be read or whose headers are of another command
        than its value, and a dead letter that no lane has written.

        Raises PolystreamError with REGISTRY_UNAVAILABLE when a receipt's schema cannot be had now.
        """
        headers = record.read_headers()
        correlation_id, trace = headers.correlation_id, headers.trace
        if not correlation_id:
            self._pass_over(record)
            return []
        base = Event(
            correlation_id=correlation_id,
            transaction_id=correlation_id,
            command=headers.command,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            trace_id=trace.trace_id if trace else "",
        )
        user_id = self._user_id(base.command, record)
        if user_id is not None:
            base.user_id = user_id
        if record.topic == topics.RECEIPTS:
            events = self._receipt_events(base, record, headers)
        elif record.topic == topics.DEAD_LETTERS:
            events = [_dead_letter_event(base, record, headers)] if parse_dead_letter(record) is not None else []
        elif headers.redrives:
            events = [_redriven_event(base, record, headers)]
        else:
            events = [_accepted_event(base, record, headers)]
        if not events:
            self._pass_over(record)
        return [TracedEvent(_identified(event), _sampled(trace)) for event in events]

    def _pass_over(self, record: KafkaRecord) -> None:
        passed_over = self._passed_over.count()
        if passed_over:
            _LOG.warning(
                "records tell of no command",
                records=passed_over,
                last_topic=record.topic,
                last_partition=record.partition,
                last_offset=record.offset,
                headers="read" if record.has_readable_headers else "not UTF-8",
            )

    def _user_id(self, command: str, record: KafkaRecord) -> int | None:
        known = self._catalog.commands.get(command)
        return record.user_id if known is not None and known.about_user else None

    def _receipt_events(self, base: Event, record: KafkaRecord, headers: RecordHeaders) -> list[Event]:
        try:
            receipt = self._receipts.decode(record.value, record.receive_time_ns)
        except PolystreamError as error:
            if error.reason is Reason.REGISTRY_UNAVAILABLE:
                raise
            return []
        assert isinstance(receipt, CommandReceipt)  # noqa: S101 # the decoder's own type
        if not headers.name(receipt.correlation_id, receipt.command):
            return []
        received = _copy(base, RECEIVED, "ACCEPTED", _bounded(receipt.receive_time, record))
        received.duration_ms = _between_ms(receipt.accept_time, receipt.receive_time)
        done = _copy(base, *_ending(receipt), _bounded(receipt.complete_time, record))
        done.duration_ms = _between_ms(receipt.receive_time, receipt.complete_time)
        if has_failed(receipt):
            done.error = error_text(receipt)
            done.error_status.CopyFrom(receipt_status(receipt))
        done.dead_lettered = receipt.dead_lettered
        done.waits_behind = receipt.waits_behind if is_waiting(receipt) else ""
        if receipt.HasField("user_id"):
            done.user_id = receipt.user_id  # a user created without an ID has got one
        for event in (received, done):
            event.service = "processor"
            event.store = options_pb2.Store.Name(receipt.store)
            event.duplicate = receipt.duplicate
            if receipt.HasField("command_partition") and receipt.HasField("command_offset"):
                event.command_partition, event.command_offset = receipt.command_partition, receipt.command_offset
        return [received, done]


def _accepted_event(base: Event, record: KafkaRecord, headers: RecordHeaders) -> Event:
    accepted_at_ms = record.accept_time_ms(headers)
    event = _copy(base, ACCEPTED, "ACCEPTED", _timestamp(accepted_at_ms))
    event.service = headers.service  # every gateway says its name
    event.duration_ms = max(0, record.timestamp_ms - accepted_at_ms)
    return event


def _redriven_event(base: Event, record: KafkaRecord, headers: RecordHeaders) -> Event:
    is_discarded = headers.redrive_action is RedriveAction.DISCARD
    event_type, status = (DISCARDED, "FAILED") if is_discarded else (REDRIVEN, "ACCEPTED")
    event = _copy(base, event_type, status, _timestamp(record.timestamp_ms))
    event.service = "dlq"
    event.principal, event.justification = headers.principal, headers.justification
    return event


def _dead_letter_event(base: Event, record: KafkaRecord, headers: RecordHeaders) -> Event:
    event = _copy(base, DEAD_LETTERED, "FAILED", _timestamp(record.timestamp_ms))
    event.service = "processor"
    event.store = headers.word(topics.DLQ_STORE)
    event.error = f"{headers.dead_letter_reason}: {headers.dead_letter_error}"[:_MAX_ERROR_CHARACTERS]
    return event


def _ending(receipt: CommandReceipt) -> tuple[str, str]:
    if is_waiting(receipt):
        return PARKED, "ACCEPTED"
    return (FAILED, "FAILED") if has_failed(receipt) else (SUCCEEDED, "SUCCEEDED")


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


def _bounded(told: Timestamp, record: KafkaRecord) -> Timestamp:
    """Return the time that a receipt tells; the broker's where that is still to come."""
    return told if told.ToMilliseconds() <= record.latest_time_ms else _timestamp(record.timestamp_ms)


def _between_ms(start: Timestamp, end: Timestamp) -> float:
    return max(0.0, (end.ToMicroseconds() - start.ToMicroseconds()) / 1000)
