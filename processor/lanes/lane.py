"""One store's lane: records in, effects in the store, receipts out.

    read → skip or decode → apply → send receipts → commit offsets

Nothing is committed before its receipt is acknowledged, and what is delivered twice is answered twice with the
same receipt. A store or a registry that does not answer stops the lane where it stands, and nothing is lost.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

import structlog

from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError
from mesh.telemetry.repeats import RepeatCounter
from processor.lanes.applying import Applying
from processor.lanes.decoding import CommandDecoder, Item, Reject
from processor.lanes.deferral import Deferral
from processor.lanes.receipts import ReceiptSender
from processor.lanes.retry import LaneRetry, Stopped
from processor.lanes.source import Offsets, Source
from processor.lanes.spans import Step
from processor.model import Store

_LOG = structlog.get_logger(__name__)
_SIGN_OF_LIFE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a lane."""

    max_batch_records: int
    max_read_wait_s: float
    max_backoff_s: float


class ReadyFile:
    """A small JSON file, there while the lane has partitions and its store has answered.

    Its time of modification is the lane's sign of life: old where the lane waits for its store, or hangs.
    """

    def __init__(self, path: Path | None, store: str) -> None:
        self._path = path
        self._store = store
        self._partitions: Collection[int] | None = None
        self._next_sign_s = 0.0  # on the monotonic clock
        self.remove()  # one that a killed process left says nothing of this one

    def write(self, partitions: Collection[int]) -> None:
        """Write which partitions the lane has, if that is news, else a sign of life. Call it every round."""
        if self._path is None:
            return
        if partitions == self._partitions:
            self._show_life(self._path)
            return
        self._partitions = partitions
        content = {"pid": os.getpid(), "store": self._store, "partitions": sorted(partitions)}
        unfinished = self._path.with_name(f"{self._path.name}.new")  # readers see the whole or nothing
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.replace(self._path)

    def _show_life(self, path: Path) -> None:
        if time.monotonic() >= self._next_sign_s:
            self._next_sign_s = time.monotonic() + _SIGN_OF_LIFE_S
            path.touch()

    def remove(self) -> None:
        """Remove the file: the lane stops."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class Lane:
    """The loop. It is given all that it works with, and closes none of it.

    `on_doubt` is called when the topic may be another one than before, `on_progress` with the offsets below which
    every command is answered; it may raise PolystreamError, and is called again with every round.
    """

    def __init__(
        self,
        *,
        source: Source,
        decoder: CommandDecoder,
        store: Store,
        receipts: ReceiptSender,
        deferral: Deferral,
        ready: ReadyFile,
        stop: Event,
        limits: Limits,
        on_doubt: Callable[[], None],
        on_progress: Callable[[Mapping[int, int]], None],
    ) -> None:
        self._source = source
        self._decoder = decoder
        self._store = store
        self._receipts = receipts
        self._deferral = deferral
        self._ready = ready
        self._stop = stop
        self._limits = limits
        self._on_doubt = on_doubt
        self._on_progress = on_progress
        self._offsets = Offsets()
        self._retry = LaneRetry(source, stop, limits.max_backoff_s, self._forget)
        self._applying = Applying(store, self._retry)
        self._cut_short = 0  # commands answered before their time, since the start
        self._cut_short_told = RepeatCounter()

    def run(self) -> None:
        """Work until told to stop. Raises SendError when Kafka takes no receipts for minutes."""
        try:
            self._retry.until_done([], lambda _: self._store.ping())
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
        due = self._deferral.due()
        waiting, spoilt = self._decode(due.records)
        start_ns = time.time_ns()
        applied = self._applying.apply([*waiting, *items], due.overdue(waiting))
        step = Step(start_ns, time.time_ns(), len(applied))
        self._deferral.settle(applied, spoilt)
        self._receipts.send([*rejects, *spoilt], applied, step, self._retry.linger)
        self._tell_cut_short(due.cut_short)
        self._commit()

    def _read(self) -> list[KafkaRecord]:
        next_try_s = self._deferral.next_try_in_s()
        wait_s = self._limits.max_read_wait_s if next_try_s is None else min(next_try_s, self._limits.max_read_wait_s)
        records = self._source.read(self._limits.max_batch_records, wait_s)
        self._forget(self._source.take_lost())
        if self._offsets.advance(records):
            self._on_doubt()
        partitions = self._source.partitions()
        if partitions is not None:
            self._ready.write(partitions)
        return records

    def _tell_cut_short(self, commands: int) -> None:
        """Log now and then that commands were answered early, because more wait for their users than fit."""
        self._cut_short += commands
        if commands and self._cut_short_told.count():
            _LOG.warning(
                "more commands wait for their users than fit: those that waited longest are answered early",
                answered_early=self._cut_short,
                waiting=len(self._deferral),
                waiting_bytes=self._deferral.size_bytes,
            )

    def _decode(self, records: Sequence[KafkaRecord]) -> tuple[list[Item], list[Reject]]:
        taken = self._retry.until_done(records, lambda rest: [self._decoder.decode(record) for record in rest])
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
