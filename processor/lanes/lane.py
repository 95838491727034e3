"""One store's lane: records in, effects in the store, receipts out.

    read → skip or decode → apply → send receipts → commit offsets

Nothing is committed before its receipt is acknowledged and its spans are sent, and what is delivered twice is answered
twice with the same receipt. A store or a registry that does not answer stops the lane where it stands, and nothing is
lost.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

import structlog

from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError, Reason
from mesh.health.lag import AtHand
from mesh.health.part import PartHealth
from mesh.telemetry.repeats import RepeatCounter
from mesh.topics import lane_group
from processor.lanes.applying import Applied, Applying
from processor.lanes.committing import Commits, SpanProgress
from processor.lanes.control import LaneControl
from processor.lanes.decoding import CommandDecoder, Item, Redrive, Taken
from processor.lanes.deferral import Deferral
from processor.lanes.metrics import LaneMetrics
from processor.lanes.receipts import ReceiptSender
from processor.lanes.retry import LaneRetry, Stopped
from processor.lanes.settling import Settling
from processor.lanes.source import Offsets, Source
from processor.lanes.spans import Step
from processor.model import Store

_LOG = structlog.get_logger(__name__)
_LOOK_INTERVAL_S: Final = 1.0
_PING_INTERVAL_S: Final = 4.0  # of a store that nothing was to be applied in meanwhile
_HELD_LOOK_S: Final = 0.1  # between two looks at whether the lane may read
_PARKED_INTERVAL_S: Final = 10.0  # another lane of the store may park keys too
_USERS_WAIT_MAX_S: Final = 1.0  # after that, health tells that commands wait for their users
_USERS_IN: Final = "postgresql"
_UNACKNOWLEDGED: Final = "receipts are not acknowledged yet"


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a lane."""

    max_batch_records: int
    max_read_wait_s: float
    max_backoff_s: float


class Lane:
    """The loop. It is given all that it works with, and closes none of it.

    `on_doubt` is called when the topic may be another one than before. `metrics` are what it counts in: its own,
    where none are given. `spans` tells how far the process has come with sending those that the lane makes.
    """

    def __init__(
        self,
        *,
        source: Source,
        decoder: CommandDecoder,
        store: Store,
        receipts: ReceiptSender,
        deferral: Deferral,
        health: PartHealth,
        control: LaneControl,
        stop: Event,
        limits: Limits,
        on_doubt: Callable[[], None],
        metrics: LaneMetrics | None = None,
        spans: SpanProgress | None = None,
    ) -> None:
        self._metrics = metrics or LaneMetrics(store.name, lane_group(store.name))
        self._source = source
        self._decoder = decoder
        self._store = store
        self._receipts = receipts
        self._deferral = deferral
        self._health = health
        self._control = control
        self._stop = stop
        self._limits = limits
        self._on_doubt = on_doubt
        self._offsets = Offsets()
        self._commits = Commits(source.commit, spans)
        self._retry = LaneRetry(source, stop, limits.max_backoff_s, self._forget, health=health, metrics=self._metrics)
        applying = Applying(store, self._retry, self._metrics)
        self._settling = Settling(store, decoder, applying, self._retry, self._send)
        self._store_name = store.name.lower()
        self._at_hand: Sequence[Taken] = ()
        self._next_look_s = 0.0  # on the monotonic clock
        self._next_ping_s = 0.0
        self._next_parked_look_s = 0.0
        self._parks = False  # whether anything is parked, as far as is known
        self._pings_in_vain = False
        self._progress_waits = False
        self._users_wait = False
        self._deferred: tuple[int, int | None] = (0, None)  # how many wait for their users, and the oldest one's time
        self._cut_short = 0  # commands answered before their time, since the start
        self._cut_short_told = RepeatCounter()

    def run(self) -> None:
        """Work until told to stop. Raises SendError when Kafka takes no receipts for minutes."""
        try:
            self._retry.until_done([], lambda _: self._store.ping(), of=self._store_name)
            self._health.doing("applies commands")
            while not self._stop.is_set():
                self.run_once()
            self._commits.flush(self._committable())
        except Stopped:
            self._commits.flush()
            _LOG.info("stopped in the middle of a batch: it will be delivered again")

    def next_offsets(self) -> Mapping[int, int]:
        """Return from where the lane goes on reading, by partition. Any thread may ask."""
        return dict(self._offsets.next)

    def at_hand(self) -> AtHand:
        """Return what has been read and is not answered yet. Any thread may ask."""
        at_hand = self._at_hand
        times_ms = [item.record.timestamp_ms for item in at_hand]
        waiting, oldest_waiting_ms = self._deferred
        if oldest_waiting_ms is not None:
            times_ms.append(oldest_waiting_ms)
        return AtHand(len(at_hand) + waiting, min(times_ms, default=None))

    def deferred(self) -> int:
        """Return how many commands wait for their users, as of a second ago. Any thread may ask."""
        return self._deferred[0]

    def is_paused(self) -> bool:
        """Whether somebody has paused the lane. Any thread may ask."""
        return self._control.pause is not None

    def run_once(self) -> None:
        """Go the whole way with what has come, and with what is due to be tried again.

        A lane that is paused reads nothing and writes nothing: what waits for its users waits on, too.
        """
        self._health.beat()
        if self._is_held():
            return
        records = self._read()
        began_s = time.perf_counter()
        if records:
            self._health.working()
            self._metrics.consumed += len(records)
            self._health.gauge("batch_records", len(records))
        taken = self._deferral.hold_back(self._decode(records))
        due = self._deferral.due()
        waiting = self._decode(due.records)
        self._at_hand = taken
        start_ns = time.time_ns()
        applied = self._settling.settle([*waiting, *taken], due.overdue(waiting))
        self._deferral.settle(applied)
        self._send(applied, start_ns)
        self._at_hand = ()
        self._tell_cut_short(due.cut_short)
        self._commit()
        self._health.finished()
        if applied:
            self._metrics.rounded(began_s)
        self._look_around(is_idle=not applied)

    def _send(self, applied: Sequence[Applied], start_ns: int | None = None) -> None:
        """Send answers, and return once Kafka has them. `start_ns` is when the store began, since the epoch."""
        if applied:
            now_ns = time.time_ns()
            step = Step(now_ns if start_ns is None else start_ns, now_ns, len(applied))
            with self._health.calling("kafka", _UNACKNOWLEDGED):
                self._receipts.send(applied, step, self._retry.linger)
            self._count(applied)

    def _count(self, applied: Sequence[Applied]) -> None:
        for one in applied:
            taken = one.taken
            if isinstance(taken, Item):
                self._metrics.answered(taken.delivery.command.name, one.receipt, one.cause, taken.delivery.trace)
            else:
                self._metrics.answered("", one.receipt, one.cause, None)
        set_apart = sum(one.cause is not None for one in applied)
        if set_apart:
            self._health.count("set_apart", set_apart)
        passed = sum(one.is_passed for one in applied)
        if passed:
            self._health.count("passed_before", passed)
        if set_apart or any(isinstance(one.taken, Redrive) for one in applied) or self._parks:
            self._next_parked_look_s = 0.0

    def _look_around(self, *, is_idle: bool) -> None:
        """Have health tell what no step of the lane tells of. Once a second, or less."""
        now_s = time.monotonic()
        if not is_idle:
            self._next_ping_s = now_s + _PING_INTERVAL_S
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_INTERVAL_S
        self._tell_deferred()
        if now_s >= self._next_parked_look_s:
            self._next_parked_look_s = now_s + _PARKED_INTERVAL_S
            self._tell_parked()
        if now_s >= self._next_ping_s:
            self._ping()
            self._next_ping_s = now_s + (_LOOK_INTERVAL_S if self._pings_in_vain else _PING_INTERVAL_S)

    def _tell_deferred(self) -> None:
        oldest = self._deferral.oldest()
        if oldest is None:
            self._deferred = (0, None)
        else:
            self._deferred = (len(self._deferral), oldest[0])
        if oldest is not None and oldest[1] > _USERS_WAIT_MAX_S:
            detail = f"commands wait until it is told whether their users exist: {self._deferred[0]}"
            self._health.waiting(_USERS_IN, Reason.USER_UNVERIFIED.name, detail)
            self._users_wait = True
        elif self._users_wait:
            self._users_wait = False
            self._health.going_on(_USERS_IN)

    def _tell_parked(self) -> None:
        with self._health.calling(self._store_name):
            try:
                keys, records = self._store.count_parked()
            except PolystreamError as error:
                _LOG.debug("what is parked is not told", reason=error.reason.name)
                return
        self._parks = keys > 0
        self._health.gauge("parked_keys", keys)
        self._health.gauge("parked_records", records)
        parked = "1 key is parked" if keys == 1 else f"{keys} keys are parked"
        commands = "1 command" if records == 1 else f"{records} commands"
        said = f"{parked}, with {commands} given up or waiting: see `polystream dlq list`"
        self._health.note(said if keys else "")

    def _ping(self) -> None:
        """Ask a store that has nothing to do for a sign of life: what is down is to be told before a command comes."""
        with self._health.calling(self._store_name):
            try:
                self._store.ping()
            except PolystreamError as error:
                self._retry.tell(error, self._store_name)
                self._pings_in_vain = True
                return
        if self._pings_in_vain:
            self._pings_in_vain = False
            self._health.going_on(self._store_name)

    def _is_held(self) -> bool:
        """Read nothing for a moment, and return True, where the lane is paused or has yet to hear whether it is."""
        pause = self._control.pause
        self._health.paused(pause)
        if pause is None and not self._control.is_untold():
            return False
        self._source.idle(_HELD_LOOK_S)
        self._forget(self._source.take_lost())
        self._commits.offer(self._committable())
        self._tell_partitions()
        self._look_around(is_idle=True)
        return True

    def _tell_partitions(self) -> None:
        partitions = self._source.partitions()
        if partitions is not None:
            self._health.partitions(partitions)
            self._health.ready()

    def _read(self) -> list[KafkaRecord]:
        next_try_s = self._deferral.next_try_in_s()
        wait_s = self._limits.max_read_wait_s if next_try_s is None else min(next_try_s, self._limits.max_read_wait_s)
        records = self._source.read(self._limits.max_batch_records, wait_s)
        self._forget(self._source.take_lost())
        if self._offsets.advance(records):
            self._on_doubt()
        self._tell_partitions()
        return records

    def _tell_cut_short(self, commands: int) -> None:
        """Count commands that were answered early, because more wait for their users than fit; log it now and then."""
        if not commands:
            return
        self._cut_short += commands
        self._health.count("waits_cut_short", commands)
        if self._cut_short_told.count():
            _LOG.warning(
                "more commands wait for their users than fit: those that waited longest are answered early",
                answered_early=self._cut_short,
                waiting=len(self._deferral),
                waiting_bytes=self._deferral.size_bytes,
            )

    def _decode(self, records: Sequence[KafkaRecord]) -> list[Taken]:
        taken = self._retry.until_done(
            records, lambda rest: [self._decoder.decode(record) for record in rest], of="schema_registry"
        )
        return [one for one in taken if one is not None]

    def _commit(self) -> None:
        offsets = self._committable()
        self._commits.offer(offsets)
        with self._health.calling(self._store_name):
            try:
                self._store.record_positions(offsets)
            except PolystreamError as error:
                _LOG.debug("progress not recorded yet", reason=error.reason.name)
                self._retry.tell(error, self._store_name)
                self._progress_waits = True
                return
        if self._progress_waits:
            self._progress_waits = False
            self._health.going_on(self._store_name)

    def _committable(self) -> Mapping[int, int]:
        return self._offsets.committable(self._deferral.lowest_offsets())

    def _forget(self, partitions: frozenset[int]) -> None:
        """Forget partitions that were taken away: what is not answered there is another lane's."""
        if partitions:
            self._deferral.drop(partitions)
            self._offsets.drop(partitions)
            self._commits.drop(partitions)
            self._on_doubt()
