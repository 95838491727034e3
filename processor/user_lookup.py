"""Asks PostgreSQL which users exist, on behalf of the other lanes, without ever making them wait for long."""

import os
import socket
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from mesh.settings import PostgresSettings
from mesh.telemetry.logs import describe

_LOG = structlog.get_logger(__name__)

_CONNECT_TIMEOUT_S = 1  # libpq makes it two
_STATEMENT_TIMEOUT_MS = 1000
_ANSWER_TIMEOUT_S = 1.5  # for a server that stopped without closing its connections
_MIN_PAUSE_S = 1.0
_PAUSE_FACTOR = 4  # a server that makes each attempt slow takes a fifth of the lane's time at the most

# One statement is one snapshot: the rows are as the positions say.
_ASK = """
WITH posicoes AS (SELECT partition, next_offset FROM lane_positions WHERE topic_id = %(topic_id)s)
SELECT (SELECT coalesce(array_agg(user_id), '{}') FROM usuarios WHERE user_id = ANY(%(user_ids)s::bigint[])),
       (SELECT coalesce(array_agg(ARRAY[partition, next_offset]), '{}') FROM posicoes),
       (SELECT coalesce(array_agg(DISTINCT key), '{}') FROM parked_records WHERE key = ANY(%(keys)s::bytea[]))
"""


@dataclass(frozen=True, slots=True)
class UserSnapshot:
    """What PostgreSQL said of users, all at one moment."""

    found: AbstractSet[int]  # of the users asked for, those that are there
    next_offsets: Mapping[int, int]  # by partition: every command below is in the rows, or parked
    parked: AbstractSet[int] = frozenset()  # those with commands that PostgreSQL has yet to apply, or to discard


class PostgresUsers:
    """One connection, opened when it is needed, one caller at a time."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._dsn = settings.dsn
        self._connection: psycopg.Connection[Any] | None = None
        self._closed_until_s = 0.0
        self._failing = False

    def ask(self, user_ids: Collection[int], topic_id: str) -> UserSnapshot | None:
        """Return which of the users exist, and how far the lane has come on the topic; None when it is not told."""
        started_s = time.monotonic()
        if started_s < self._closed_until_s:
            return None
        try:
            keys = {str(user_id).encode(): user_id for user_id in user_ids}
            row = self._query({"user_ids": list(user_ids), "keys": list(keys), "topic_id": topic_id})
        except psycopg.Error as error:
            self.close()
            now_s = time.monotonic()
            self._closed_until_s = now_s + max(_MIN_PAUSE_S, _PAUSE_FACTOR * (now_s - started_s))
            self._note(error)
            return None
        self._note(None)
        found, positions, parked = row
        return UserSnapshot(
            frozenset(found),
            {int(partition): next_offset for partition, next_offset in positions},
            frozenset(keys[key] for key in parked),
        )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _note(self, error: psycopg.Error | None) -> None:
        """Log a change for the worse or the better, not every attempt."""
        if error is not None and not self._failing:
            _LOG.warning("postgresql does not tell which users exist: unknown ones wait", error=describe(error))
        if error is None and self._failing:
            _LOG.info("postgresql tells again which users exist")
        self._failing = error is not None

    def _query(self, arguments: Mapping[str, Any]) -> tuple[list[int], list[list[int]], list[bytes]]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name="polystream-lane-users",
                options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c default_transaction_read_only=on",
            )
        with _cut_after(self._connection, _ANSWER_TIMEOUT_S):
            row: tuple[list[int], list[list[int]], list[bytes]] | None = self._connection.execute(
                _ASK, arguments
            ).fetchone()
        if row is None:
            raise psycopg.DataError("a statement that always has a row had none")
        return row


@contextmanager
def _cut_after(connection: psycopg.Connection[Any], timeout_s: float) -> Iterator[None]:
    """Cut the connection when the block takes too long: the server's own timeout needs a server that runs."""
    timer = threading.Timer(timeout_s, _shut_down, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connection: psycopg.Connection[Any]) -> None:
    # The connection may be closed at this very moment.
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)
