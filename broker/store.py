"""The broker's file: topics, batches of records, committed offsets and the cluster's numbers, in SQLite."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

_BUSY_TIMEOUT_S: Final = 10.0
_RECENT: Final = 200  # batches of a partition in which an idempotent producer's numbers are looked for
_PRODUCER_IDS: Final = "producer_ids"
_CLUSTER_ID: Final = "cluster_id"

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS topics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
    name TEXT NOT NULL UNIQUE,
    topic_id TEXT NOT NULL,                -- what clients know it by: a UUID
    partitions INTEGER NOT NULL,
    config TEXT NOT NULL                   -- JSON
);
CREATE TABLE IF NOT EXISTS batches (
    topic INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    base_offset INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    max_timestamp_ms INTEGER NOT NULL,
    data BLOB NOT NULL
);
-- What is asked for by offset or by time is found without the batches themselves.
CREATE UNIQUE INDEX IF NOT EXISTS batches_by_offset
    ON batches (topic, partition, base_offset, next_offset, max_timestamp_ms);
CREATE TABLE IF NOT EXISTS starts (  -- where partitions begin whose first records are gone
    topic INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    start_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets (
    group_id TEXT NOT NULL,
    topic INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (group_id, topic, partition)
) WITHOUT ROWID;
"""
ADD_TOPIC: Final = "INSERT INTO topics (id, name, topic_id, partitions, config) VALUES (?, ?, ?, ?, ?)"
ADD_BATCH: Final = "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)"
COMMIT_OFFSET: Final = "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?, ?)"
FORGET_GROUP: Final = "DELETE FROM offsets WHERE group_id = ?"
MOVE_START: Final = "INSERT OR REPLACE INTO starts VALUES (?, ?, ?)"
FORGET_BATCHES: Final = "DELETE FROM batches WHERE topic = ? AND partition = ? AND next_offset <= ?"
FORGET_TOPIC: Final = (
    "DELETE FROM topics WHERE id = ?",
    "DELETE FROM batches WHERE topic = ?",
    "DELETE FROM starts WHERE topic = ?",
    "DELETE FROM offsets WHERE topic = ?",
)
_FROM_OFFSET: Final = """
SELECT base_offset, next_offset, data FROM batches
WHERE topic = ? AND partition = ? AND base_offset >= (
    SELECT coalesce(max(base_offset), 0) FROM batches WHERE topic = ? AND partition = ? AND base_offset <= ?
) ORDER BY base_offset
"""
_SINCE: Final = """
SELECT data FROM batches WHERE topic = ? AND partition = ? AND max_timestamp_ms >= ? ORDER BY base_offset LIMIT 1
"""
_FIRST_KEPT: Final = """
SELECT base_offset FROM batches WHERE topic = ? AND partition = ? AND max_timestamp_ms >= ? ORDER BY base_offset LIMIT 1
"""
_END: Final = """
SELECT next_offset FROM batches WHERE topic = ? AND partition = ? ORDER BY base_offset DESC LIMIT 1
"""
_LAST: Final = (
    "SELECT substr(data, 1, 61) FROM batches WHERE topic = ? AND partition = ? ORDER BY base_offset DESC LIMIT ?"
)

Statement = tuple[str, Sequence[Any]]  # SQL, and what it takes


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """One topic."""

    key: int  # what its rows are known by; never given twice
    name: str
    topic_id: UUID
    partitions: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class StoredExtent:
    """Where a partition begins and ends, and the heads of its last batches, oldest first."""

    start: int
    end: int
    last_heads: list[bytes]


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """Where a group goes on in a partition of the topic with this key."""

    group_id: str
    topic_key: int
    partition: int
    next_offset: int
    metadata: str


class BrokerStore:
    """Keeps everything in `data_dir`, which is made where it is missing.

    `apply` is called by one thread; the reads by another one.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._file = data_dir / "broker.sqlite3"
        self._writer = self._connect()
        self._is_synced = True  # as `_connect` sets it
        self._writer.executescript(_TABLES)
        self._reader = self._connect()
        self._lock = threading.Lock()  # a writer that is closed while it writes would not be clean

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it returns
        return database

    def close(self) -> None:
        """Close the file, when what is being written is."""
        with self._lock:
            self._writer.close()
            self._reader.close()

    def apply(self, statements: Iterable[Statement], *, synced: bool = True) -> None:
        """Do all of them in one transaction, on the disk before this returns, or none. Raises sqlite3.Error.

        What is not `synced` is with the system, and survives this process's end, but is on the disk only with the next
        transaction that is.
        """
        with self._lock:
            if synced != self._is_synced:
                self._writer.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
                self._is_synced = synced
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                for statement, values in statements:
                    self._writer.execute(statement, values)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def cluster_id(self) -> str:
        """Return the ID of this cluster, which it has from its first start on."""
        self.apply([("INSERT OR IGNORE INTO numbers VALUES (?, ?)", (_CLUSTER_ID, str(uuid4())))])
        return self._number(_CLUSTER_ID)

    def take_producer_ids(self, count: int) -> int:
        """Return the first of so many producer IDs that nobody was given before."""
        self.apply(
            [
                ("INSERT OR IGNORE INTO numbers VALUES (?, '1')", (_PRODUCER_IDS,)),
                ("UPDATE numbers SET value = CAST(value AS INTEGER) + ? WHERE name = ?", (count, _PRODUCER_IDS)),
            ]
        )
        return int(self._number(_PRODUCER_IDS)) - count

    def _number(self, name: str) -> str:
        return str(self._reader.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()[0])

    def topics(self) -> list[StoredTopic]:
        """Return every topic."""
        rows = self._reader.execute("SELECT id, name, topic_id, partitions, config FROM topics")
        return [StoredTopic(row[0], row[1], UUID(row[2]), row[3], json.loads(row[4])) for row in rows]

    def next_topic_key(self) -> int:
        """Return a key that no topic has had."""
        found = self._reader.execute("SELECT seq FROM sqlite_sequence WHERE name = 'topics'").fetchone()
        return 1 if found is None else int(found[0]) + 1

    def extent(self, topic_key: int, partition: int) -> StoredExtent:
        """Return where a partition begins and ends."""
        place = (topic_key, partition)
        moved = self._reader.execute("SELECT start_offset FROM starts WHERE topic = ? AND partition = ?", place)
        (start,) = moved.fetchone() or (0,)
        (end,) = self._reader.execute(_END, place).fetchone() or (0,)
        heads = [bytes(row[0]) for row in self._reader.execute(_LAST, (*place, _RECENT))]
        return StoredExtent(start, max(start, end), heads[::-1])

    def read(self, topic_key: int, partition: int, offset: int, end: int, max_bytes: int) -> list[bytes]:
        """Return the batches from the one that has `offset` on, below `end`: as many as fit, and one at least."""
        found: list[bytes] = []
        size = 0
        rows = self._reader.execute(_FROM_OFFSET, (topic_key, partition, topic_key, partition, offset))
        try:
            for base_offset, next_offset, data in rows:
                if base_offset >= end:
                    break
                if next_offset <= offset:
                    continue
                size += len(data)
                if found and size > max_bytes:
                    break
                found.append(data)
        finally:
            rows.close()  # a statement that is left open would keep the file from being tidied
        return found

    def since(self, topic_key: int, partition: int, timestamp_ms: int) -> bytes | None:
        """Return the first batch with a record that is no older, or None."""
        row = self._reader.execute(_SINCE, (topic_key, partition, timestamp_ms)).fetchone()
        return None if row is None else bytes(row[0])

    def first_kept(self, topic_key: int, partition: int, timestamp_ms: int) -> int | None:
        """Return the offset of the first batch with a record that is no older, or None where all are older."""
        row = self._reader.execute(_FIRST_KEPT, (topic_key, partition, timestamp_ms)).fetchone()
        return None if row is None else int(row[0])

    def offsets(self) -> list[CommittedOffset]:
        """Return every committed offset."""
        rows = self._reader.execute("SELECT group_id, topic, partition, next_offset, metadata FROM offsets")
        return [CommittedOffset(*row) for row in rows]
