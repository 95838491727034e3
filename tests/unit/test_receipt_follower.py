"""What the follower of the receipts counts."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final, cast

from polystream.v1.events_pb2 import CommandReceipt

from gateway.operations.follower import ReceiptFollower, Received
from gateway.operations.receipt_log import ReceiptLog
from mesh import topics
from mesh.codec import Decoder, Encoder
from mesh.envelope import KafkaRecord, receipt_headers
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.schemas import load_schema
from mesh.threads import CriticalThreads
from tests.support.lanes import RECEIPT_RECORD
from tests.support.waiting import eventually

_TIMEOUT_S: Final = 10.0
_DAY_S: Final = 86_400.0
_ENCODER: Final = Encoder(CommandReceipt.DESCRIPTOR, load_schema(RECEIPT_RECORD), 1)  # type: ignore[arg-type]


class _Schemas:
    """The receipt's schema."""

    def schema_by_id(self, _: int) -> str:
        return json.dumps(load_schema(RECEIPT_RECORD))


class _Log:
    """Records of one partition, read one at a time, and again from what is done."""

    trouble = ""
    passed_over = 0

    def __init__(self, records: Sequence[KafkaRecord]) -> None:
        self._records = records
        self._read_to = self.done_to = 0
        self.rewinds = 0

    def read(self, _max_records: int, timeout_s: float) -> Sequence[KafkaRecord]:
        batch = self._records[self._read_to : self._read_to + 1]
        self._read_to += len(batch)
        if not batch:
            time.sleep(min(timeout_s, 0.01))
        return batch

    def at_end(self) -> bool:
        return self._read_to == len(self._records)

    def behind(self) -> int:
        return len(self._records) - self.done_to

    def done(self) -> None:
        self.done_to = self._read_to

    def commit_when_due(self) -> None:
        """Do nothing."""

    def rewind(self) -> None:
        self._read_to = self.done_to
        self.rewinds += 1

    def close(self) -> None:
        """Do nothing."""


class _Redis:
    """Takes nothing for some batches, and everything then."""

    def __init__(self, refusals: int) -> None:
        self._refusals = refusals

    def save(self, receipts: Sequence[CommandReceipt]) -> None:
        if receipts and self._refusals > 0:
            self._refusals -= 1
            raise PolystreamError(Reason.STORE_UNAVAILABLE)

    def close(self) -> None:
        """Do nothing."""


def record(value: bytes, correlation_id: str, command: str = "DeleteUser", age_s: float = 0.0) -> KafkaRecord:
    """Return a record under the headers of a receipt."""
    headers = receipt_headers(correlation_id, command, None, store="POSTGRESQL")
    now_ns = time.time_ns()
    return KafkaRecord(topics.RECEIPTS, 0, 0, int(now_ns / 1e6 - age_s * 1000), now_ns, b"7", value, headers)


def receipt(correlation_id: str) -> bytes:
    """Return the value of a good receipt."""
    return _ENCODER.encode(CommandReceipt(correlation_id=correlation_id, command="DeleteUser", store="POSTGRESQL"))


def test_what_is_no_receipt_is_counted_once_however_often_it_is_read() -> None:
    """Records are read again after Redis was away; neither they nor those before and behind them count twice."""
    good, other = new_correlation_id(), new_correlation_id()
    records = [
        record(b"garbage", good),
        record(receipt(good), good),  # Redis refuses it at first, and reading goes on
        record(receipt(good), other),
        record(receipt(good), good, command="CreateUser"),
        record(receipt(good), good, age_s=2 * _DAY_S),
        record(b"", other),
    ]
    log, threads = _Log(records), CriticalThreads()
    delivered: list[str] = []

    def deliver(batch: Sequence[Received]) -> "Future[None]":
        delivered.extend(received.receipt.correlation_id for received in batch)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    follower = ReceiptFollower(
        open_log=lambda: cast(ReceiptLog, cast(Any, log)),
        decoder=Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), _Schemas()),
        writer=_Redis(refusals=1),
        deliver=deliver,
        threads=threads,
        max_age_s=_DAY_S,
    )
    follower.start()
    try:
        eventually(lambda: log.rewinds == 1 and log.done_to == len(records), _TIMEOUT_S)
        eventually(lambda: follower.passed_over == len(records) - 1, _TIMEOUT_S)
    finally:
        follower.stop(_TIMEOUT_S)
    assert follower.passed_over == len(records) - 1
    assert set(delivered) == {good}
    assert threads.all_alive
