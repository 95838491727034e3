"""The metrics of the last day, in one SQLite file that stays small: fine for a quarter of an hour, then coarser."""

import json
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from mesh.telemetry.metric_list import METRIC_POINTS_DROPPED, METRICS, MetricKind, Service
from mesh.telemetry.repeats import RepeatCounter
from mesh.telemetry.tallies import CounterTable
from monitor.metrics.points import Bucket, SeriesKey, SeriesReading
from monitor.metrics.rates import Point, Sample, Steps, histogram_points, level_points, rate_points

SERIES_MAX: Final = 4000
FOREIGN_SERIES_MAX: Final = 500  # of them, those that are not of the platform's own list
POINTS_MAX: Final = 2000  # of one answer's series
MAX_BYTES: Final = 64 * 1024 * 1024  # of the file

# Why a point was dropped.
UNFIT: Final = "unfit"  # of no kind or shape that is kept
TOO_MANY_SERIES: Final = "too_many_series"
OUT_OF_TIME: Final = "out_of_time"  # older than what is kept, or of the future
BUSY: Final = "busy"  # more came at once than is written
NOT_WRITTEN: Final = "not_written"  # the disk or the file is full

_FUTURE_MAX_US: Final = 60_000_000
_IDLE_US: Final = 900_000_000  # a series that was silent for so long makes room for a new one
_TIDY_INTERVAL_US: Final = 60_000_000
_BUCKET: Final = struct.Struct("<ddd")
_NAMES: Final = frozenset(spec.name for spec in METRICS)
_SERVICES: Final = frozenset(service.value for service in Service)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    service TEXT NOT NULL,
    instance TEXT NOT NULL,
    attributes TEXT NOT NULL,
    kind TEXT NOT NULL,
    unit TEXT NOT NULL,
    last_us INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS points (
    tier INTEGER NOT NULL,
    series INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    value REAL NOT NULL,
    buckets BLOB NOT NULL,
    trace_id TEXT NOT NULL,
    PRIMARY KEY (tier, series, slot)
) WITHOUT ROWID;
"""
_INSERT: Final = "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO "
_LAST: Final = (
    "UPDATE SET time_us = excluded.time_us, start_us = excluded.start_us, value = excluded.value,"
    " buckets = excluded.buckets, trace_id = excluded.trace_id"
)
_HIGHEST: Final = "UPDATE SET time_us = excluded.time_us, value = max(value, excluded.value)"

_LOG = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tier:
    """How finely readings are kept, and for how long."""

    step_s: int
    keep_s: int


TIERS: Final = (Tier(5, 900), Tier(60, 4 * 3600), Tier(300, 86_400))  # the finest first


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    name: str
    unit: str
    kind: MetricKind
    attributes: Mapping[str, str]  # those that it was grouped by
    step_s: float
    points: Sequence[Point]


@dataclass(slots=True)
class _Known:
    id: int
    kind: MetricKind
    unit: str
    last_us: int
    slots: list[int]  # of each tier: the last one that was written


class MetricStore:
    """Keeps readings, and tells them as series of points. Any thread may call.

    Bounded in series, in points of each and in bytes; what it cannot keep is dropped, and counted in `dropped`. What it
    has kept is there after a restart. A file that cannot be used is begun anew; where that fails too, memory has to do.
    """

    def __init__(self, folder: Path, clock_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        """Open `metrics.sqlite` in a folder. `clock_us` tells the time in microseconds since the epoch."""
        self._clock_us = clock_us
        self._lock = threading.Lock()
        self._count = CounterTable(
            METRIC_POINTS_DROPPED, *((cause,) for cause in (UNFIT, TOO_MANY_SERIES, OUT_OF_TIME, BUSY, NOT_WRITTEN))
        )
        self._failures = RepeatCounter()
        self._refusals = RepeatCounter()
        self._next_tidy_us = 0
        self._db = _open(folder)
        self._known: dict[SeriesKey, _Known] = {}
        self._foreign = 0
        for id_, name, service, instance, attributes, kind, unit, last_us in self._db.execute("SELECT * FROM series"):
            key = SeriesKey(name, service, instance, tuple(sorted(json.loads(attributes).items())))
            self._know(key, _Known(id_, MetricKind(kind), unit, last_us, [-1] * len(TIERS)))

    @property
    def dropped(self) -> CounterTable:
        """The points that were dropped, by cause."""
        return self._count

    @property
    def series_count(self) -> int:
        """How many series there are."""
        return len(self._known)

    def drop(self, points: int, cause: str) -> None:
        """Count points that were not kept."""
        with self._lock:
            self._drop(points, cause)

    def add(self, readings: Sequence[SeriesReading]) -> int:
        """Keep readings; return how many of them were dropped."""
        with self._lock:
            now_us, refused = self._clock_us(), 0
            oldest_us = now_us - TIERS[-1].keep_s * 1_000_000
            try:
                self._db.execute("BEGIN")
                for reading in readings:
                    cause = OUT_OF_TIME
                    if oldest_us < reading.time_us < now_us + _FUTURE_MAX_US:
                        cause = "" if self._keep(reading, now_us) else TOO_MANY_SERIES
                    if cause:
                        refused += 1
                        self._drop(1, cause)
                self._db.execute("COMMIT")
                self._tidy_when_due(now_us)
            except sqlite3.Error as error:
                self._give_up(error, len(readings) - refused)
                return len(readings)
            return refused

    def series(
        self,
        name: str,
        where: Mapping[str, str] | None = None,
        *,
        since_us: int,
        step_s: float,
        until_us: int | None = None,
        by: Sequence[str] = (),
    ) -> list[Series]:
        """Return a metric's series since a time, in steps of so many seconds: one for each set of values of `by`.

        `where` are attributes that have these values; `service.name` and `service.instance.id` are attributes, too.
        Several series of one set are taken together: counters, amounts and histograms as their sum, gauges by the
        highest. Steps are no finer than what is kept of that time. Times are in microseconds since the epoch.

        Raises ValueError where that is more than 2,000 points.
        """
        now_us = self._clock_us()
        end_us = now_us if until_us is None else until_us
        place = next(
            (place for place, tier in enumerate(TIERS) if now_us - since_us <= tier.keep_s * 1_000_000), len(TIERS) - 1
        )
        step_us = max(round(step_s * 1e6), TIERS[place].step_s * 1_000_000)
        steps = Steps(since_us, step_us, max(0, -(-(end_us - since_us) // step_us)))
        if steps.count > POINTS_MAX:
            raise ValueError(f"a series has {POINTS_MAX} points at most: take a longer step or less time")
        groups: dict[tuple[str, ...], list[tuple[_Known, list[Sample]]]] = {}
        for key, known in self._matching(name, where or {}):
            samples = self._samples(known, place, steps, end_us)
            if samples:
                groups.setdefault(tuple(key.value(attribute) for attribute in by), []).append((known, samples))
        return [
            _series(name, dict(zip(by, values, strict=True)), members, steps)
            for values, members in sorted(groups.items())
        ]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _matching(self, name: str, where: Mapping[str, str]) -> list[tuple[SeriesKey, _Known]]:
        with self._lock:
            known = list(self._known.items())
        return [
            (key, one)
            for key, one in known
            if key.name == name and all(key.value(attribute) == value for attribute, value in where.items())
        ]

    def _samples(self, known: _Known, tier: int, steps: Steps, end_us: int) -> list[Sample]:
        # One sample before the first step says what that has grown from.
        tier_us = TIERS[tier].step_s * 1_000_000
        first, last = steps.since_us // tier_us - 2, end_us // tier_us
        with self._lock:
            rows = self._db.execute(
                "SELECT time_us, start_us, value, buckets, trace_id FROM points"
                " WHERE tier = ? AND series = ? AND slot BETWEEN ? AND ? ORDER BY slot",
                (tier, known.id, first, last),
            ).fetchall()
        return [
            Sample(time_us, start_us, value, [Bucket(*one) for one in _BUCKET.iter_unpack(packed)], trace_id)
            for time_us, start_us, value, packed, trace_id in rows
        ]

    def _keep(self, reading: SeriesReading, now_us: int) -> bool:
        """Keep a reading; False where there is no room for its series."""
        known = self._known.get(reading.key)
        if known is None:
            known = self._new_series(reading, now_us)
            if known is None:
                return False
        known.last_us = max(known.last_us, reading.time_us)
        packed = b"".join(_BUCKET.pack(*bucket) for bucket in reading.buckets)
        is_level = known.kind in {MetricKind.GAUGE, MetricKind.UP_DOWN_COUNTER}
        for tier, (of_tier, last_slot) in enumerate(zip(TIERS, known.slots, strict=True)):
            slot = reading.time_us // (of_tier.step_s * 1_000_000)
            # What grows is sampled: any sample of a coarse step will do. Of levels, peaks are to be seen, but a state
            # is neither high nor low.
            if slot == last_slot and tier and not is_level:
                continue
            known.slots[tier] = slot
            conflict = _HIGHEST if is_level and tier and known.unit != "1" else _LAST
            self._db.execute(
                _INSERT + conflict,
                (tier, known.id, slot, reading.time_us, reading.start_us, reading.value, packed, reading.trace_id),
            )
        return True

    def _new_series(self, reading: SeriesReading, now_us: int) -> _Known | None:
        key = reading.key
        is_foreign = _is_foreign(key)
        if is_foreign and self._foreign >= FOREIGN_SERIES_MAX and not self._make_room(now_us, foreign=True):
            return None
        if len(self._known) >= SERIES_MAX and not self._make_room(now_us, foreign=False):
            return None
        row = (*key[:3], json.dumps(dict(key.attributes)), reading.kind.value, reading.unit, reading.time_us)
        added = self._db.execute(
            "INSERT INTO series (name, service, instance, attributes, kind, unit, last_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        assert added.lastrowid is not None  # noqa: S101 - an INSERT has one
        known = _Known(added.lastrowid, reading.kind, reading.unit, reading.time_us, [-1] * len(TIERS))
        self._know(key, known)
        return known

    def _know(self, key: SeriesKey, known: _Known) -> None:
        self._known[key] = known
        self._foreign += _is_foreign(key)

    def _make_room(self, now_us: int, *, foreign: bool) -> bool:
        """Forget the series that was silent for longest, if that is long; tell whether one was."""
        candidates = ((one.last_us, key) for key, one in self._known.items() if not foreign or _is_foreign(key))
        last_us, key = min(candidates)
        if now_us - last_us < _IDLE_US:
            return False
        self._forget([key])
        return True

    def _forget(self, keys: Iterable[SeriesKey]) -> None:
        for key in keys:
            known = self._known.pop(key)
            self._foreign -= _is_foreign(key)
            for tier in range(len(TIERS)):
                self._db.execute("DELETE FROM points WHERE tier = ? AND series = ?", (tier, known.id))
            self._db.execute("DELETE FROM series WHERE id = ?", (known.id,))

    def _tidy_when_due(self, now_us: int) -> None:
        if not self._next_tidy_us - _TIDY_INTERVAL_US <= now_us < self._next_tidy_us:  # also of a clock set back
            self._next_tidy_us = now_us + _TIDY_INTERVAL_US
            self._tidy(now_us)

    def _tidy(self, now_us: int, share: float = 1.0) -> None:
        """Forget what is older than is kept, or than a share of that time."""
        self._db.execute("BEGIN")
        oldest_us = now_us - TIERS[-1].keep_s * 1_000_000
        self._forget([key for key, known in self._known.items() if known.last_us < oldest_us])
        for known in self._known.values():
            for tier, of_tier in enumerate(TIERS):
                first = int(now_us / 1e6 - of_tier.keep_s * share) // of_tier.step_s
                self._db.execute(
                    "DELETE FROM points WHERE tier = ? AND series = ? AND slot < ?", (tier, known.id, first)
                )
            self._db.execute("UPDATE series SET last_us = ? WHERE id = ?", (known.last_us, known.id))
        self._db.execute("COMMIT")

    def _give_up(self, error: sqlite3.Error, points: int) -> None:
        """Drop points that could not be written. Half of the time makes room in a file that is full."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._drop(points, NOT_WRITTEN)
        times = self._failures.count()
        if times:
            _LOG.warning("metrics are not kept", times=times, error=getattr(error, "sqlite_errorname", "unknown"))
        self._reload()
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            try:
                self._tidy(self._clock_us(), share=0.5)
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _reload(self) -> None:
        """Forget series that a transaction had begun to add, and that were taken back with it."""
        ids = {id_ for (id_,) in self._db.execute("SELECT id FROM series")}
        for key in [key for key, known in self._known.items() if known.id not in ids]:
            del self._known[key]
            self._foreign -= _is_foreign(key)
        for known in self._known.values():
            known.slots = [-1] * len(TIERS)

    def _drop(self, points: int, cause: str) -> None:
        self._count.add(points, cause)
        times = self._refusals.count() if cause != NOT_WRITTEN else 0
        if times:
            _LOG.info("points of metrics are dropped", times=times, cause=cause)


def _is_foreign(key: SeriesKey) -> bool:
    return key.name not in _NAMES or key.service not in _SERVICES


def _series(
    name: str, attributes: Mapping[str, str], members: Sequence[tuple[_Known, list[Sample]]], steps: Steps
) -> Series:
    kind, unit = members[0][0].kind, members[0][0].unit
    samples = [of_one for _, of_one in members]
    if kind is MetricKind.HISTOGRAM:
        points = histogram_points(samples, steps)
    elif kind is MetricKind.COUNTER:
        points = rate_points(samples, steps)
    else:
        points = level_points(samples, steps, summed=kind is MetricKind.UP_DOWN_COUNTER)
    return Series(name, unit, kind, attributes, steps.step_us / 1e6, points)


def _open(folder: Path) -> sqlite3.Connection:
    """Open the file, begun anew where it is damaged; a database in memory where the folder takes none."""
    path = folder / "metrics.sqlite"
    for attempt in range(2):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _connect(str(path))
        except sqlite3.DatabaseError as error:
            _LOG.warning("the metrics' file can't be used: it is begun anew", error=type(error).__name__)
            if attempt:
                break
        except OSError as error:
            _LOG.warning("the metrics' folder can't be used", error=type(error).__name__)
            break
        for beside in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}{beside}").unlink(missing_ok=True)
    return _connect(":memory:")


def _connect(place: str) -> sqlite3.Connection:
    db = sqlite3.connect(place, check_same_thread=False, isolation_level=None)
    try:
        # What a crash of the machine takes is a few seconds of a chart.
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "journal_size_limit = 1048576", "cache_size = -2000"):
            db.execute(f"PRAGMA {pragma}")
        with closing(db.execute("PRAGMA page_size")) as told:
            (page_bytes,) = told.fetchone()
        db.execute(f"PRAGMA max_page_count = {MAX_BYTES // page_bytes}")
        db.executescript(_SCHEMA)
        db.execute("SELECT count(*) FROM series, points WHERE series.id < 0")  # a damaged page says so here
    except sqlite3.Error:
        db.close()
        raise
    return db
