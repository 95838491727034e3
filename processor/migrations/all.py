"""Every store's schema, one after the other: `python -m processor migrate`."""

import time
from collections.abc import Callable

import structlog

from mesh.backoff import Backoff
from mesh.errors import PolystreamError, Reason
from mesh.settings import LaneSettings, MigrationSettings, MongoSettings, PostgresSettings, RedisSettings
from processor.fixtures import put_fixtures
from processor.migrations.runner import load_migrations, migrate
from processor.stores.mongodb import connect, database_of, ensure_indexes
from processor.stores.mongodb import store_errors as mongodb_errors
from processor.stores.mongodb_views import move_marks
from processor.stores.postgresql import store_errors as postgresql_errors

_LOG = structlog.get_logger(__name__)
_FIRST_RETRY_S = 0.1
_MAX_RETRY_S = 1.0


def migrate_stores(settings: MigrationSettings) -> None:
    """Bring the stores up to date, waiting for those that are starting. Safe to repeat, and to run side by side.

    Raises MigrationError, or PolystreamError with STORE_UNAVAILABLE when a store does not answer in time.
    """
    give_up_s = time.monotonic() + settings.store_wait_max_s
    _retry("postgresql", _migrate_postgresql, give_up_s)
    _retry("mongodb", _index_mongodb, give_up_s)
    if settings.demo_data:
        _retry("a store", _put_demo_data, give_up_s)


def _migrate_postgresql() -> None:
    with postgresql_errors():
        applied = migrate(PostgresSettings().dsn, load_migrations())
    _LOG.info("postgresql is up to date", applied=[migration.name for migration in applied])


def _index_mongodb() -> None:
    with mongodb_errors(), connect(MongoSettings()) as client:
        db = database_of(client)
        ensure_indexes(db, LaneSettings().marker_ttl_s)
        moved = move_marks(db)
    _LOG.info("mongodb is up to date", marks_moved=moved)


def _put_demo_data() -> None:
    put_fixtures(PostgresSettings(), MongoSettings(), RedisSettings())


def _retry(store: str, step: Callable[[], None], give_up_s: float) -> None:
    """Take a step, again as long as its store does not answer, until `give_up_s` of the monotonic clock."""
    backoff = Backoff(_FIRST_RETRY_S, _MAX_RETRY_S)
    while True:
        try:
            step()
        except PolystreamError as error:
            if error.reason is not Reason.STORE_UNAVAILABLE:
                raise
            if time.monotonic() > give_up_s:
                cause = error.metadata.get("error", "it does not answer")
                raise PolystreamError(
                    Reason.STORE_UNAVAILABLE, f"{store} does not answer: start it, or check its settings ({cause})"
                ) from error
        else:
            return
        time.sleep(backoff.next_s())
