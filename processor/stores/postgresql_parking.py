"""What is parked in PostgreSQL: the table `parked_records`."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg
from polystream.v1.events_pb2 import CommandReceipt

from mesh.packed_records import pack_record, unpack_record
from processor.model import ParkedRecord
from processor.parking import ParkedEntry

_ENTRIES: Final = """
SELECT key, id, correlation_id, receipt FROM parked_records WHERE key = ANY(%s::bytea[]) ORDER BY place
"""
_ADD: Final = """
INSERT INTO parked_records (id, key, correlation_id, command, record, receipt) VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (id) DO NOTHING
"""
_GIVE_UP: Final = "UPDATE parked_records SET receipt = %s WHERE id = %s"
_REMOVE: Final = "DELETE FROM parked_records WHERE id = ANY(%s::text[])"
_RECORDS: Final = """
SELECT id, key, record, correlation_id, command, receipt FROM parked_records WHERE key = %s ORDER BY place
"""
_ALL: Final = "SELECT id, key, record, correlation_id, command, receipt FROM parked_records ORDER BY place LIMIT %s"
_COUNT: Final = "SELECT count(DISTINCT key), count(*) FROM parked_records"


class PostgresParking:
    """What is parked, as the caller's transaction sees it."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    def queues(self, keys: Iterable[bytes]) -> dict[bytes, list[ParkedEntry]]:
        """Return what is parked under these keys, in order."""
        queues: dict[bytes, list[ParkedEntry]] = {}
        for key, id_, correlation_id, receipt in self._cursor.execute(_ENTRIES, (list(set(keys)),)).fetchall():
            queues.setdefault(key, []).append(ParkedEntry(id_, correlation_id, _receipt(receipt)))
        return queues

    def add(self, parked: ParkedRecord) -> None:
        """Put a record behind those of its key; leave one that is there already."""
        given_up = None if parked.receipt is None else parked.receipt.SerializeToString()
        packed = pack_record(parked.record)
        self._cursor.execute(_ADD, (parked.id, parked.key, parked.correlation_id, parked.command, packed, given_up))

    def give_up(self, key: bytes, id_: str, receipt: CommandReceipt) -> None:
        """Note of a record that is parked that it is given up, and with what answer."""
        del key
        self._cursor.execute(_GIVE_UP, (receipt.SerializeToString(), id_))

    def remove(self, ids: Sequence[str]) -> None:
        """Let go of records."""
        if ids:
            self._cursor.execute(_REMOVE, (list(ids),))

    def records(self, key: bytes) -> list[ParkedRecord]:
        """Return what is parked under a key, in order."""
        return list(map(_record, self._cursor.execute(_RECORDS, (key,)).fetchall()))

    def all_records(self, records_max: int) -> list[ParkedRecord]:
        """Return what is parked, the oldest first, `records_max` at the most."""
        return list(map(_record, self._cursor.execute(_ALL, (records_max,)).fetchall()))

    def count(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records."""
        keys, records = self._cursor.execute(_COUNT).fetchone() or (0, 0)
        return keys, records


def _record(row: Sequence[Any]) -> ParkedRecord:
    id_, key, record, correlation_id, command, receipt = row
    return ParkedRecord(id_, key, unpack_record(record), correlation_id, command, _receipt(receipt))


def _receipt(content: bytes | None) -> CommandReceipt | None:
    return None if content is None else CommandReceipt.FromString(content)
