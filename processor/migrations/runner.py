"""PostgreSQL's migrations: numbered SQL files, each applied once and in order."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

# Any fixed number will do: it keeps two processes from migrating at the same time.
_LOCK_ID = 7_063_205_001
_LOCK_TIMEOUT_S = 60

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    apply_time timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The database's schema can't be brought up to date. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The digest that tells whether the file is the one that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load_migrations() -> list[Migration]:
    """Return the migrations of `processor/migrations/postgresql`, by number."""
    files = [f for f in resources.files(__package__).joinpath("postgresql").iterdir() if f.name.endswith(".sql")]
    return sorted(
        (Migration(int(f.name.split("_")[0]), f.name, f.read_text(encoding="utf-8")) for f in files),
        key=lambda migration: migration.version,
    )


def migrate(dsn: str, migrations: Sequence[Migration]) -> list[Migration]:
    """Apply what is missing, in one transaction, and return it.

    Raises MigrationError where the database has been migrated by other files, psycopg.Error otherwise.
    """
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_ID,))
        cursor.execute(_CREATE_TABLE)
        missing = _missing(cursor, migrations)
        for migration in missing:
            cursor.execute(migration.sql.encode())
            cursor.execute(
                "INSERT INTO schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.sha256),
            )
    return missing


def _missing(cursor: psycopg.Cursor[Any], migrations: Sequence[Migration]) -> list[Migration]:
    cursor.execute("SELECT version, sha256 FROM schema_migrations")
    applied: dict[int, str] = dict(cursor.fetchall())
    for migration in migrations:
        if applied.get(migration.version, migration.sha256) != migration.sha256:
            raise MigrationError(
                f"{migration.name} was changed after this database was migrated by it: restore the file, and put "
                "the change in a new one"
            )
    ahead = set(applied) - {migration.version for migration in migrations}
    if ahead:
        raise MigrationError(
            f"the database has migration {max(ahead)}, which this version of Polystream does not know: "
            "start the version that made it, or use another database"
        )
    return [migration for migration in migrations if migration.version not in applied]
