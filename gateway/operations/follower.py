"""Follows the receipts: read → decode → tell who waits → save in Redis → commit. One thread."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from polystream.v1.events_pb2 import CommandReceipt

from gateway.operations.receipt_log import ReceiptLog
from mesh.backoff import Backoff
from mesh.codec import Decoder
from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError, Reason
from mesh.ids import CORRELATION_ID
from mesh.telemetry.repeats import RepeatCounter
from mesh.threads import CriticalThreads

_BATCH_RECORDS: Final = 500
_POLL_S: Final = 0.1
_DELIVER_TIMEOUT_S: Final = 10.0
_BACKOFF_FIRST_S: Final = 0.1
_BACKOFF_MAX_S: Final = 2.0
_LAG_INTERVAL_S: Final = 1.0
_FROM_ELSEWHERE: Final = "operations are told from memory and the event log meanwhile"
_FAILURES_MAX: Final = 10  # one after the other, of what no part is known to fail with

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A receipt, and the record that brought it."""

    receipt: CommandReceipt
    record: KafkaRecord


class Writer(Protocol):
    """Where receipts are saved."""

    def save(self, receipts: Sequence[CommandReceipt]) -> None:
        """Save a batch. Raises PolystreamError where that is not possible now."""

    def close(self) -> None:
        """Close the connections."""


class ReceiptFollower:
    """Brings every receipt to this gateway's memory and to Redis, at least once each.

    While Redis is away, receipts still reach those who wait here; their positions are not committed, and they are
    read again when Redis is back. So nothing is lost, and nothing piles up.
    """

    def __init__(
        self,
        *,
        open_log: Callable[[], ReceiptLog],
        decoder: Decoder,
        writer: Writer,
        deliver: Callable[[Sequence[Received]], "Future[None]"],
        threads: CriticalThreads,
        max_age_s: float,
    ) -> None:
        self._open_log = open_log
        self._decoder = decoder
        self._writer = writer
        self._deliver = deliver
        self._max_age_ms = int(max_age_s * 1000)
        self._stopping = threading.Event()
        self._thread = threads.new("receipt-follower", self._run)
        self._passed_over = RepeatCounter()
        self._unsaved: Sequence[CommandReceipt] = ()  # the first batch that Redis did not take, while it takes none
        self._redis_away = False
        self._backoff = _new_backoff()
        self._retry_at_s = 0.0
        self._lag_told_s = 0.0
        self._level_s = time.monotonic()  # when nothing was left to do
        # What it waits for, in a few words; empty where it waits for nothing. Any thread may read these.
        self.kafka_trouble = ""
        self.redis_trouble = ""
        self.registry_trouble = ""
        self._no_receipts = 0
        self._not_done = 0  # of them, those that are read again where Redis does not take what came with them
        self._not_unpacked = 0
        self.behind = 0  # records that are not in Redis yet
        self.behind_ms = 0  # for how long there have been any
        self.read_records = 0  # since the start
        self.caught_up = False  # true from when everything that came before the start has been handed on

    @property
    def passed_over(self) -> int:
        """How many records were no receipts, or older than what Redis keeps. Any thread may read it."""
        return self._no_receipts + self._not_unpacked

    def start(self) -> None:
        """Begin. Does not wait for Kafka."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Finish the batch at hand, commit and end. Blocks up to `timeout_s`."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        receipts = self._open_log()
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    self._follow(receipts)
                except Exception as error:
                    failures += 1
                    if failures >= _FAILURES_MAX:
                        raise  # the gateway ends: another one may do better
                    log.error("receipts could not be followed", error=type(error).__name__)
                    self.kafka_trouble = f"receipts cannot be followed: {type(error).__name__}"
                    self._stopping.wait(_BACKOFF_MAX_S)
                    receipts.rewind()
                else:
                    failures = 0
        finally:
            receipts.close()
            self._writer.close()

    def _follow(self, receipts: ReceiptLog) -> None:
        self._not_done = 0
        records = receipts.read(_BATCH_RECORDS, _POLL_S)
        self.read_records += len(records)
        batch = self._decoded(records)
        delivered = self._deliver(batch) if batch else None
        self._save(batch, receipts)
        if delivered is not None:
            # No further than one batch ahead of the event loop.
            delivered.result(_DELIVER_TIMEOUT_S)
        self.caught_up = self.caught_up or receipts.at_end()
        receipts.commit_when_due()
        self._tell_lag(receipts)

    def _tell_lag(self, receipts: ReceiptLog) -> None:
        now_s = time.monotonic()
        if now_s < self._lag_told_s + _LAG_INTERVAL_S:
            return
        self._lag_told_s = now_s
        self.kafka_trouble = receipts.trouble
        self.behind = receipts.behind()
        self._not_unpacked = receipts.passed_over
        if not self.behind:
            self._level_s = now_s
        self.behind_ms = int((now_s - self._level_s) * 1000)

    def _save(self, batch: Sequence[Received], receipts: ReceiptLog) -> None:
        if self._redis_away:
            self._try_again(receipts)
            return
        try:
            self._writer.save([received.receipt for received in batch])
        except PolystreamError as error:
            if not self.redis_trouble:
                log.warning("redis takes no receipts: operations are kept in memory alone", **error.metadata)
            self.redis_trouble = f"{_FROM_ELSEWHERE}: {error.metadata.get('error', error.message)}"
            self._redis_away = True
            self._unsaved = [received.receipt for received in batch]
            self._backoff.reset()
            self._retry_at_s = time.monotonic() + self._backoff.next_s()
            return
        receipts.done()
        self._no_receipts += self._not_done
        if batch or receipts.at_end():  # an answer to PING says nothing of what a server takes
            self.redis_trouble = ""
            self._backoff.reset()

    def _try_again(self, receipts: ReceiptLog) -> None:
        if time.monotonic() < self._retry_at_s:
            return
        # Nothing less would tell: a server whose memory is full, or that became a replica, answers all but this.
        try:
            self._writer.save(self._unsaved)
        except PolystreamError:
            self._retry_at_s = time.monotonic() + self._backoff.next_s()
            return
        log.info("redis takes receipts again: those that it has missed are read again")
        self._redis_away = False
        self._unsaved = ()
        receipts.rewind()

    def _decoded(self, records: Sequence[KafkaRecord]) -> list[Received]:
        oldest_ms = time.time_ns() // 1_000_000 - self._max_age_ms
        batch = []
        for record in records:
            if record.timestamp_ms < oldest_ms:
                self._not_done += 1
                continue  # Redis would have forgotten it by now
            receipt = self._decode(record)
            if receipt is not None:
                batch.append(Received(receipt, record))
        return batch

    def _decode(self, record: KafkaRecord) -> CommandReceipt | None:
        """Return the receipt; None for a record that is none. Waits while the registry does not answer."""
        backoff = _new_backoff()
        while True:
            try:
                receipt = self._decoder.decode(record.value, record.receive_time_ns)
            except PolystreamError as error:
                if error.reason is Reason.REGISTRY_UNAVAILABLE:
                    self.registry_trouble = error.message
                if error.reason is Reason.REGISTRY_UNAVAILABLE and not self._stopping.wait(backoff.next_s()):
                    continue
                if error.reason is Reason.REGISTRY_UNAVAILABLE:
                    raise
                self._pass_over(record, error.message)
                return None
            self.registry_trouble = ""
            assert isinstance(receipt, CommandReceipt)  # noqa: S101 # the decoder's own type
            if CORRELATION_ID.fullmatch(receipt.correlation_id) is None:
                self._pass_over(record, "it has no correlation ID")
                return None
            if not record.read_headers().name(receipt.correlation_id, receipt.command):
                self._pass_over(record, "its headers are not of its command")
                return None
            return receipt

    def _pass_over(self, record: KafkaRecord, why: str) -> None:
        self._not_done += 1
        passed_over = self._passed_over.count()
        if passed_over:
            log.warning(
                "records are no receipts",
                records=passed_over,
                last_partition=record.partition,
                last_offset=record.offset,
                error=why,
            )


def _new_backoff() -> Backoff:
    return Backoff(_BACKOFF_FIRST_S, _BACKOFF_MAX_S)
