"""One store's lane: records in, effects in the store, receipts out.

    read → skip or decode → apply → send receipts → commit offsets

Nothing is committed before its receipt is acknowledged, and what is delivered twice is answered twice with the
same receipt. A store or a registry that does not answer stops the lane where it stands, and nothing is lost.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

import structlog

from mesh.errors import PolystreamError
from processor.lanes.applying import Applying
from processor.lanes.decoding import Intake
from processor.lanes.deferral import Deferral
from processor.lanes.offsets import Offsets
from processor.lanes.ready import ReadyFile
from processor.lanes.receipts import Replies
from processor.lanes.records import Item, Record, Reject
from processor.lanes.retry import Patience, Stopped
from processor.lanes.source import Source
from processor.lanes.spans import Step
from processor.model import Store

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a lane."""

    max_batch_records: int
    max_read_wait_s: float
    max_backoff_s: float


class Lane:
    """The loop. It is given all that it works with, and closes none of it.

    `on_doubt` is called when the topic may be another one than before, `on_progress` with the offsets below which
    every command is answered; it may raise PolystreamError, and is called again with every round.
    """

    def __init__(
        self,
        *,
        source: Source,
        intake: Intake,
        store: Store,
        replies: Replies,
        deferral: Deferral,
        ready: ReadyFile,
        stop: Event,
        limits: Limits,
        on_doubt: Callable[[], None],
        on_progress: Callable[[Mapping[int, int]], None],
    ) -> None:
        self._source = source
        self._intake = intake
        self._store = store
        self._replies = replies
        self._deferral = deferral
        self._ready = ready
        self._stop = stop
        self._limits = limits
        self._on_doubt = on_doubt
        self._on_progress = on_progress
        self._offsets = Offsets()
        self._patience = Patience(source, stop, limits.max_backoff_s, self._forget)
        self._applying = Applying(store, self._patience)

    def run(self) -> None:
        """Work until told to stop. Raises SendError when Kafka takes no receipts for minutes."""
        try:
            self._patience.until_done([], lambda _: self._store.ping())
            while not self._stop.is_set():
                self.run_once()
        except Stopped:
            _LOG.info("stopped in the middle of a batch: it will be delivered again")
        finally:
            self._ready.remove()

    def run_once(self) -> None:
        """Go the whole way with what has come, and with what is due to be tried again."""
        records = self._read()
        items, rejects = self._decode(records)
        items = self._deferral.hold_back(items)
        due, overdue = self._deferral.due()
        start_ns = time.time_ns()
        answers = self._applying.apply([*due, *items], overdue)
        step = Step(start_ns, time.time_ns(), len(answers))
        self._deferral.settle(answers)
        self._replies.send(rejects, answers, step, self._patience.linger)
        self._commit()

    def _read(self) -> list[Record]:
        next_try_s = self._deferral.next_try_in_s()
        wait_s = self._limits.max_read_wait_s if next_try_s is None else min(next_try_s, self._limits.max_read_wait_s)
        max_records = min(self._limits.max_batch_records, self._deferral.room)
        records: list[Record] = []
        if max_records > 0:
            records = self._source.read(max_records, wait_s)
        else:
            self._source.idle(wait_s)
        self._forget(self._source.take_lost())
        if self._offsets.advance(records):
            self._on_doubt()
        partitions = self._source.partitions()
        if partitions is not None:
            self._ready.write(partitions)
        return records

    def _decode(self, records: Sequence[Record]) -> tuple[list[Item], list[Reject]]:
        taken = self._patience.until_done(records, lambda rest: [self._intake.take(record) for record in rest])
        return [t for t in taken if isinstance(t, Item)], [t for t in taken if isinstance(t, Reject)]

    def _commit(self) -> None:
        offsets = self._offsets.committable(self._deferral.lowest_offsets())
        self._source.commit(offsets)
        try:
            self._on_progress(offsets)
        except PolystreamError as error:
            _LOG.debug("progress not recorded yet", reason=error.reason.name)

    def _forget(self, partitions: frozenset[int]) -> None:
        """Forget partitions that were taken away: what is not answered there is another lane's."""
        if partitions:
            self._deferral.drop(partitions)
            self._offsets.drop(partitions)
            self._on_doubt()
