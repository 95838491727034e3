"""The registry's file: schemas, subjects' versions and compatibility levels, in SQLite.

Every write is one transaction that is synced to disk before the method returns. `transaction` takes SQLite's
write lock, so what is read inside it holds until it ends, between processes too.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BUSY_TIMEOUT_S = 10.0
_GLOBAL = ""  # the global level's row; no subject has an empty name

_TABLES = """
CREATE TABLE IF NOT EXISTS schemas (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, whatever is deleted
    digest BLOB NOT NULL UNIQUE,           -- SHA-256 of `canonical`
    canonical TEXT NOT NULL,
    text TEXT NOT NULL                     -- as it was first registered
);
CREATE TABLE IF NOT EXISTS versions (
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema_id INTEGER NOT NULL REFERENCES schemas (id),
    deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, version)
);
CREATE INDEX IF NOT EXISTS versions_by_schema ON versions (schema_id);
CREATE TABLE IF NOT EXISTS levels (subject TEXT PRIMARY KEY, level TEXT NOT NULL);
"""
_SELECT_VERSION = """
SELECT v.subject, v.version, v.schema_id, v.deleted, s.canonical, s.text
FROM versions v JOIN schemas s ON s.id = v.schema_id
"""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of a subject."""

    subject: str
    version: int
    schema_id: int
    deleted: bool
    canonical: str
    text: str


class RegistryStore:
    """Keeps everything in `data_dir`, which is made where it is missing."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(data_dir / "registry.sqlite3", timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it returns
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock; commit at the end, or roll back on any exception."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def subjects(self) -> list[tuple[str, bool]]:
        """Return each subject's name and whether all its versions are deleted, in order."""
        rows = self._db.execute("SELECT subject, min(deleted) FROM versions GROUP BY subject ORDER BY subject")
        return [(subject, bool(deleted)) for subject, deleted in rows]

    def versions(self, subject: str) -> list[StoredVersion]:
        """Return a subject's versions, deleted ones included, oldest first."""
        return self._select("WHERE v.subject = ? ORDER BY v.version", subject)

    def versions_of_schema(self, schema_id: int) -> list[StoredVersion]:
        """Return the versions that have a schema, deleted ones included."""
        return self._select("WHERE v.schema_id = ? ORDER BY v.subject, v.version", schema_id)

    def _select(self, where: str, parameter: str | int) -> list[StoredVersion]:
        rows = self._db.execute(_SELECT_VERSION + where, (parameter,))
        return [StoredVersion(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) for row in rows]

    def schema_id(self, canonical: str) -> int | None:
        """Return the identifier of a schema by its canonical text."""
        row = self._db.execute("SELECT id FROM schemas WHERE digest = ?", (_digest(canonical),)).fetchone()
        return None if row is None else int(row[0])

    def count_schemas(self) -> int:
        """Return how many schemas there are."""
        return int(self._db.execute("SELECT count(*) FROM schemas").fetchone()[0])

    def max_schema_id(self) -> int:
        """Return the greatest identifier given so far; 0 when there is none."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM schemas").fetchone()[0])

    def add_schema(self, canonical: str, text: str) -> int:
        """Keep a schema and return its new identifier."""
        cursor = self._db.execute(
            "INSERT INTO schemas (digest, canonical, text) VALUES (?, ?, ?)", (_digest(canonical), canonical, text)
        )
        return int(cursor.lastrowid or 0)

    def add_version(self, subject: str, version: int, schema_id: int) -> None:
        """Give a subject a version."""
        self._db.execute(
            "INSERT INTO versions (subject, version, schema_id) VALUES (?, ?, ?)", (subject, version, schema_id)
        )

    def mark_deleted(self, subject: str, versions: list[int]) -> None:
        """Take versions out of use; their schemas stay readable by their identifiers."""
        self._db.executemany(
            "UPDATE versions SET deleted = 1 WHERE subject = ? AND version = ?", [(subject, v) for v in versions]
        )

    def remove(self, subject: str, versions: list[int]) -> None:
        """Forget versions for good."""
        self._db.executemany("DELETE FROM versions WHERE subject = ? AND version = ?", [(subject, v) for v in versions])

    def level(self, subject: str | None) -> str | None:
        """Return a subject's compatibility level, or the global one for None; None where it is not set."""
        row = self._db.execute("SELECT level FROM levels WHERE subject = ?", (subject or _GLOBAL,)).fetchone()
        return None if row is None else str(row[0])

    def set_level(self, subject: str | None, level: str | None) -> None:
        """Set or, with None, unset a compatibility level."""
        if level is None:
            self._db.execute("DELETE FROM levels WHERE subject = ?", (subject or _GLOBAL,))
        else:
            self._db.execute(
                "INSERT INTO levels (subject, level) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET level = ?",
                (subject or _GLOBAL, level, level),
            )


def _digest(canonical: str) -> bytes:
    return hashlib.sha256(canonical.encode()).digest()
