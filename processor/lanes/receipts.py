"""What a lane sends: receipts, and the records that it dead-letters. All of it is sent, or the lane does not go on."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.backoff import Backoff
from mesh.codec import Encoder
from mesh.envelope import HeaderList, KafkaRecord, dead_letter_headers, receipt_headers
from mesh.error_classes.classes import ErrorClass
from mesh.error_classes.kafka import classify_kafka
from mesh.errors import PolystreamError
from mesh.kafka import PRODUCER_CONFIG
from mesh.telemetry.context import TraceContext
from mesh.telemetry.logs import KAFKA_LOG
from processor.lanes.applying import Applied
from processor.lanes.decoding import Item
from processor.lanes.spans import LaneSpans, OpenSpans, Step

_LOG = structlog.get_logger(__name__)

_MAX_DEAD_LETTER_BYTES = 900_000  # brokers take a million, if they are not told otherwise
_MAX_KEY_BYTES = 10_000  # of a receipt: a foreign key is as large as a record may be, and the receipt is larger
_CONFIG: Mapping[str, str | int | bool] = {
    **PRODUCER_CONFIG,
    "linger.ms": 0,  # a batch is produced at once and then flushed: there is nothing to wait for
    # Some brokers forget their producers when they start anew, and take nothing from these ones any more.
    "message.timeout.ms": 5000,
    "delivery.report.only.error": True,
}
_FLUSH_SLICE_S = 0.5
_MAX_ATTEMPTS = 60  # of 5 s each at the most: then the process ends, and its supervisor starts another
_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 2.0


class SendError(Exception):
    """Kafka did not take a batch's answers. What was read since the last commit will be delivered again."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to send."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: HeaderList
    make_smaller: Callable[[], "Outgoing"] | None = None  # what is sent in its stead where it is too large


class Sender(Protocol):
    """Where a lane's answers go."""

    def send(self, batch: Sequence[Outgoing], idle: Callable[[float], None]) -> None:
        """Send, and return once all of it is acknowledged. `idle` is called while that takes long.

        Raises SendError; whatever `idle` raises ends the wait too.
        """
        ...

    def close(self) -> None:
        """Let go of what is not sent."""
        ...


class ReceiptProducer:
    """Sends to Kafka, a batch at a time."""

    def __init__(
        self, client_config: Mapping[str, str | int | bool], on_retry: Callable[[], None] = lambda: None
    ) -> None:
        """`on_retry` is called whenever a batch is to be sent again."""
        self._client_config = client_config
        self._on_retry = on_retry
        self._failures: list[str] = []
        self._refused: dict[int, Outgoing] = {}  # by identity: what Kafka takes in no other attempt either
        self._producer = self._new_producer()

    def send(self, batch: Sequence[Outgoing], idle: Callable[[float], None]) -> None:
        """Send a batch. One that fails in part is sent again whole: receivers know what they have seen.

        What Kafka refuses for its size is sent again without all that can be left out.
        """
        backoff = Backoff(_FIRST_DELAY_S, _MAX_DELAY_S)
        for attempt in range(_MAX_ATTEMPTS):
            if self._sent(batch, idle):
                return
            _LOG.warning("receipts not acknowledged", errors=sorted(set(self._failures)), attempt=attempt + 1)
            batch = [self._smaller(outgoing) for outgoing in batch]
            self._on_retry()
            self.close()
            # After an error that is fatal to it, an idempotent producer sends no more.
            self._producer = self._new_producer()
            idle(backoff.next_s())
        raise SendError(f"Kafka did not acknowledge {len(batch)} records in {_MAX_ATTEMPTS} attempts")

    def close(self) -> None:
        """Let go of what is not sent."""
        self._producer.purge()
        self._producer.flush(_FLUSH_SLICE_S)

    def _sent(self, batch: Sequence[Outgoing], idle: Callable[[float], None]) -> bool:
        self._failures = []
        self._refused = {}
        for outgoing in batch:
            try:
                self._produce(outgoing, idle)
            except KafkaException as error:
                self._note(outgoing, error.args[0])
                if id(outgoing) not in self._refused:
                    return False
        while self._producer.flush(_FLUSH_SLICE_S) > 0:
            idle(0)
        return not self._failures

    def _produce(self, outgoing: Outgoing, idle: Callable[[float], None]) -> None:
        while True:
            try:
                self._producer.produce(
                    outgoing.topic,
                    outgoing.value,
                    outgoing.key,
                    headers=outgoing.headers,
                    on_delivery=partial(self._on_delivery, outgoing),
                )
            except BufferError:
                self._producer.poll(_FLUSH_SLICE_S)
                idle(0)
            else:
                return

    def _new_producer(self) -> Producer:
        return Producer({**self._client_config, **_CONFIG}, logger=KAFKA_LOG)

    def _on_delivery(self, outgoing: Outgoing, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._note(outgoing, error)

    def _note(self, outgoing: Outgoing, error: KafkaError) -> None:
        self._failures.append(error.name())
        if classify_kafka(error).error_class is ErrorClass.REFUSE:
            self._refused[id(outgoing)] = outgoing

    def _smaller(self, outgoing: Outgoing) -> Outgoing:
        if id(outgoing) not in self._refused or outgoing.make_smaller is None:
            return outgoing
        _LOG.error("kafka takes no record so large: it is sent without what can be left out", topic=outgoing.topic)
        return outgoing.make_smaller()


@dataclass(frozen=True, slots=True)
class _Answered:
    """What there is to say of one record."""

    record: KafkaRecord
    key: bytes | None
    trace: TraceContext | None
    receipt: CommandReceipt | None
    cause: PolystreamError | None
    step: Step | None


def _answered(applied: Applied, step: Step) -> _Answered:
    taken = applied.taken
    if isinstance(taken, Item):
        return _Answered(taken.record, taken.key, taken.delivery.trace, applied.receipt, applied.cause, step)
    return _Answered(taken.record, taken.record.key, taken.trace, applied.receipt, applied.cause, None)


class ReceiptSender:
    """Sends what a round of the lane has come to."""

    def __init__(
        self,
        sender: Sender,
        encoder: Encoder,
        spans: LaneSpans,
        store: str,
        lane: str,
        *,
        on_sent: Callable[[int, str], None] = lambda _, __: None,
    ) -> None:
        """`on_sent` is told how many records a topic has got."""
        self._on_sent = on_sent
        self._sender = sender
        self._encoder = encoder
        self._spans = spans
        self._store = store
        self._lane = lane

    def send(self, applied: Sequence[Applied], step: Step, idle: Callable[[float], None]) -> None:
        """Send the receipts and the dead letters, and return once Kafka has them. Raises SendError.

        `step` is when the store applied what is answered; `idle` is called while Kafka takes its time.
        """
        answered = [_answered(one, step) for one in applied if one.receipt is not None or one.cause is not None]
        batch: list[Outgoing] = []
        spans: list[OpenSpans] = []
        for one in answered:
            if one.cause is not None:
                batch.append(self._dead_letter(one.record, one.cause))
            if one.receipt is not None:
                batch.append(self._receipt(one, one.receipt, spans))
        if batch:
            self._sender.send(batch, idle)
            for topic, records in Counter(outgoing.topic for outgoing in batch).items():
                self._on_sent(records, topic)
        _log_dead_letters(answered)
        for opened in spans:
            opened.end()

    def _receipt(self, one: _Answered, receipt: CommandReceipt, spans: list[OpenSpans]) -> Outgoing:
        """Return the record of a receipt, under the command's own key, and add the spans that it opens."""
        trace = one.trace
        opened = self._spans.open(one.record, trace, receipt, cause=one.cause, step=one.step)
        if opened is not None:
            spans.append(opened)
            trace = opened.context
        key = one.key if one.key is None or len(one.key) <= _MAX_KEY_BYTES else None
        headers = receipt_headers(receipt.correlation_id, receipt.command, trace, store=self._store)

        def smaller() -> Outgoing:
            return Outgoing(topics.RECEIPTS, None, self._encoder.encode(_without_details(receipt)), headers)

        return Outgoing(topics.RECEIPTS, key, self._encoder.encode(receipt), headers, smaller)

    def _dead_letter(self, record: KafkaRecord, cause: PolystreamError) -> Outgoing:
        """Return the record as it came, with headers that say why and where it was given up."""
        # With more headers it may be too large for the topic. Where it stands, it can be read for a while yet.
        time_ms = time.time_ns() // 1_000_000

        def headers(*, omits_record: bool) -> HeaderList:
            return dead_letter_headers(
                record,
                reason=cause.reason.name,
                error=_describe(cause),
                lane=self._lane,
                store=self._store,
                time_ms=time_ms,
                omits_record=omits_record,
            )

        def smaller() -> Outgoing:
            return Outgoing(topics.DEAD_LETTERS, None, None, headers(omits_record=True))

        if record.size_bytes > _MAX_DEAD_LETTER_BYTES:
            return smaller()
        return Outgoing(topics.DEAD_LETTERS, record.key, record.value, headers(omits_record=False), smaller)


def _without_details(receipt: CommandReceipt) -> CommandReceipt:
    """Return a receipt that says how the command ended, and nothing that may be long."""
    short = CommandReceipt()
    short.CopyFrom(receipt)
    short.ClearField("result")
    for field in ("field", "metadata", "faults"):
        short.error.ClearField(field)
    if not receipt.HasField("error"):
        short.ClearField("error")
    return short


def _log_dead_letters(answered: Sequence[_Answered]) -> None:
    by_reason: dict[str, list[KafkaRecord]] = {}
    for one in answered:
        if one.cause is not None:
            by_reason.setdefault(one.cause.reason.name, []).append(one.record)
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
