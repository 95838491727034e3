"""A walk through PostgreSQL's tables: whether each row is as the platform has written it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from mesh.settings import PostgresSettings
from processor.integrity.contents import ContentPage, ContentWalk
from processor.integrity.postgresql_statements import PAGES
from processor.stores.postgresql import store_errors

_STATEMENT_TIMEOUT_MS: Final = 5000
_CONNECT_TIMEOUT_S: Final = 5


class TableWalk:
    """A walk through a table of PostgreSQL, by `id`."""

    def __init__(self, connection: psycopg.Connection[Any], table: str) -> None:
        self.place = table
        self._connection = connection

    def page(self, after: Any, records_max: int) -> ContentPage:
        """Return the page behind `after`."""
        rows = self._connection.execute(PAGES[self.place], (after or 0, records_max)).fetchall()
        return ContentPage(
            len(rows),
            sum(known is None for _, known, _ in rows),
            [str(id_) for id_, known, made in rows if known is not None and known != made],
            rows[-1][0] if len(rows) == records_max else None,
        )

    def changed(self, key: str) -> bool:
        """Look at a row once more."""
        return bool(self.page(int(key) - 1, 1).changed == [key])


def table_walks(connection: psycopg.Connection[Any]) -> list[ContentWalk]:
    """Return the walks through PostgreSQL."""
    return [TableWalk(connection, table) for table in PAGES]


@contextmanager
def open_table_walks(settings: PostgresSettings) -> Iterator[Sequence[ContentWalk]]:
    """Give the walks on a connection of their own, which only reads. Raises PolystreamError with STORE_UNAVAILABLE."""
    with (
        store_errors(),
        psycopg.connect(
            settings.dsn,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="polystream-validator",
            options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c default_transaction_read_only=on",
        ) as connection,
    ):
        yield table_walks(connection)
