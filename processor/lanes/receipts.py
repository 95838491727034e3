"""What a lane sends: receipts, and the records that it dead-letters with their cause."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.codec import Encoder
from mesh.errors import PolystreamError
from mesh.telemetry.context import TraceContext
from processor.lanes.outbox import Outbox
from processor.lanes.records import Answer, Outgoing, Record, Reject
from processor.lanes.spans import LaneSpans, OpenSpans, Step

_LOG = structlog.get_logger(__name__)

_MAX_DEAD_LETTER_BYTES = 900_000  # brokers take a million, if they are not told otherwise

_HeaderList = list[tuple[str, bytes | str | None]]


@dataclass(frozen=True, slots=True)
class _Reply:
    """What there is to say of one record."""

    record: Record
    key: bytes | None
    trace: TraceContext | None
    receipt: CommandReceipt | None
    cause: PolystreamError | None
    step: Step | None


class Replies:
    """Sends what a round of the lane has come to."""

    def __init__(self, outbox: Outbox, encoder: Encoder, spans: LaneSpans, store: str, lane: str) -> None:
        self._outbox = outbox
        self._encoder = encoder
        self._spans = spans
        self._store = store
        self._lane = lane

    def send(
        self, rejects: Sequence[Reject], answers: Sequence[Answer], step: Step, idle: Callable[[float], None]
    ) -> None:
        """Send the receipts and the dead letters, and return once Kafka has them. Raises SendError.

        `step` is when the store applied what is answered; `idle` is called while Kafka takes its time.
        """
        replies = [_Reply(r.record, r.record.key, r.trace, r.receipt, r.cause, None) for r in rejects]
        replies += [
            _Reply(a.item.record, a.item.delivery.key, a.item.delivery.trace, a.receipt, a.cause, step)
            for a in answers
            if a.receipt is not None
        ]
        batch: list[Outgoing] = []
        spans: list[OpenSpans] = []
        for reply in replies:
            if reply.cause is not None:
                batch.append(self._dead_letter(reply.record, reply.cause))
            if reply.receipt is not None:
                batch.append(self._receipt(reply, reply.receipt, spans))
        if batch:
            self._outbox.send(batch, idle)
        _log_dead_letters(replies)
        for opened in spans:
            opened.end()

    def _receipt(self, reply: _Reply, receipt: CommandReceipt, spans: list[OpenSpans]) -> Outgoing:
        """Return the record of a receipt, under the command's own key, and add the spans that it opens."""
        trace = reply.trace
        opened = self._spans.open(reply.record, trace, receipt, cause=reply.cause, step=reply.step)
        if opened is not None:
            spans.append(opened)
            trace = opened.context
        headers: _HeaderList = [
            (topics.CORRELATION_ID, receipt.correlation_id),
            (topics.COMMAND, receipt.command),
            (topics.STORE, self._store),
        ]
        if trace is not None:
            headers.append((topics.TRACEPARENT, trace.traceparent))
            if trace.tracestate:
                headers.append((topics.TRACESTATE, trace.tracestate))
        return Outgoing(topics.RECEIPTS, reply.key, self._encoder.encode(receipt), headers)

    def _dead_letter(self, record: Record, cause: PolystreamError) -> Outgoing:
        """Return the record as it came, with headers that say why and where it was given up."""
        headers: _HeaderList = [
            (topics.DLQ_REASON, cause.reason.name),
            (topics.DLQ_ERROR, _describe(cause)),
            (topics.DLQ_TOPIC, topics.COMMANDS),
            (topics.DLQ_PARTITION, str(record.partition)),
            (topics.DLQ_OFFSET, str(record.offset)),
            (topics.DLQ_LANE, self._lane),
            (topics.DLQ_STORE, self._store),
            (topics.DLQ_TIME, str(time.time_ns() // 1_000_000)),
        ]
        if _size_bytes(record) > _MAX_DEAD_LETTER_BYTES:
            # With more headers it may be too large for the topic. Where it stands, it can be read for a while yet.
            return Outgoing(topics.DEAD_LETTERS, None, None, [*headers, (topics.DLQ_OMITTED, str(_size_bytes(record)))])
        return Outgoing(topics.DEAD_LETTERS, record.key, record.value, [*record.headers, *headers])


def _size_bytes(record: Record) -> int:
    headers = sum(len(name) + len(value or "") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _log_dead_letters(replies: Sequence[_Reply]) -> None:
    by_reason: dict[str, list[Record]] = {}
    for reply in replies:
        if reply.cause is not None:
            by_reason.setdefault(reply.cause.reason.name, []).append(reply.record)
    for reason, records in by_reason.items():
        first = records[0]
        _LOG.error(
            "records dead-lettered",
            reason=reason,
            records=len(records),
            first_partition=first.partition,
            first_offset=first.offset,
        )


def _describe(cause: PolystreamError) -> str:
    """Return the cause's message and what is known besides: neither ever holds a value of the record."""
    details = ", ".join(f"{name}: {value}" for name, value in cause.metadata.items())
    return f"{cause.message} ({details})" if details else cause.message
