"""What the live store has answered, of every command: read once from `response_events`, and kept in a file.

The file is in the system's folder for temporary files, takes some 400 bytes a command, and goes with the replay. So
memory stays as it is, however long the topic.
"""

import json
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.sessions_pb2 import Session

from mesh import topics
from mesh.codec import Decoder
from mesh.topic_reader import TopicReader
from processor.integrity.effects import read_receipt
from processor.integrity.told_effects import result_of

_BATCH_RECEIPTS: Final = 1000
_CACHE_KIB: Final = 16_384  # of the file, in memory
_TABLE: Final = (
    "CREATE TABLE answers (id TEXT PRIMARY KEY, weight INTEGER, time_ns INTEGER, receipt BLOB) WITHOUT ROWID"
)
_ADD: Final = """
INSERT INTO answers VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
SET weight = excluded.weight, time_ns = excluded.time_ns, receipt = excluded.receipt
WHERE (excluded.weight, excluded.time_ns) > (weight, time_ns)
"""
# A session's later commands have its ID for their key, and so no order with what creates it, which has the user's.
_SESSIONS: Final = "CREATE TABLE sessions (id TEXT PRIMARY KEY, time_ns INTEGER, receipt BLOB) WITHOUT ROWID"
_ADD_SESSION: Final = """
INSERT INTO sessions VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE
SET time_ns = excluded.time_ns, receipt = excluded.receipt WHERE excluded.time_ns > time_ns
"""
_FIND_SESSIONS: Final = "SELECT id, receipt FROM sessions WHERE id IN (SELECT value FROM json_each(?))"
_SESSION_COMMANDS: Final = frozenset({"UpdateSession", "DeleteSession"})
_FIND: Final = "SELECT id, receipt FROM answers WHERE id IN (SELECT value FROM json_each(?))"


class AnswerIndex:
    """The answer that counts of each command, by correlation ID. A context manager, which removes the file."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="polystream-replay-")
        self._db = sqlite3.connect(Path(self._folder.name) / "answers", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute(_TABLE)
        self._db.execute(_SESSIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def read(self, reader: TopicReader, decoder: Decoder, store: str, ends: Mapping[int, int]) -> None:
        """Take all that a store has answered to what is below these offsets, by partition of `user_events`.

        Raises TopicError, and PolystreamError where no schema can be had.
        """
        answers = (one for one in _answers_of(reader, decoder, store) if _is_below(one, ends))
        while batch := list(islice(answers, _BATCH_RECEIPTS)):
            self.add(batch)

    def add(self, receipts: Sequence[CommandReceipt]) -> None:
        """Take receipts. Of several of a command, the last one of those that say how it ended counts."""
        rows = [
            (one.correlation_id, _weight(one), one.complete_time.ToNanoseconds(), one.SerializeToString())
            for one in receipts
        ]
        self._db.execute("BEGIN")
        self._db.executemany(_ADD, rows)
        self._db.executemany(_ADD_SESSION, _session_rows(receipts))
        self._db.execute("COMMIT")

    def find(self, correlation_ids: Collection[str]) -> dict[str, CommandReceipt]:
        """Return what was answered to these commands, without those that have no answer."""
        found = self._db.execute(_FIND, (json.dumps(sorted(correlation_ids)),))
        return {id_: CommandReceipt.FromString(receipt) for id_, receipt in found}

    def last_of_sessions(self, session_ids: Collection[str]) -> dict[str, CommandReceipt]:
        """Return what was last done to these sessions after they were created: prolonged, or deleted."""
        found = self._db.execute(_FIND_SESSIONS, (json.dumps(sorted(session_ids)),))
        return {id_: CommandReceipt.FromString(receipt) for id_, receipt in found}


def _session_rows(receipts: Sequence[CommandReceipt]) -> Iterator[tuple[str, int, bytes]]:
    for one in receipts:
        result = result_of(one) if one.command in _SESSION_COMMANDS else None
        if isinstance(result, Session):
            yield result.session_id, one.complete_time.ToNanoseconds(), one.SerializeToString()


def _is_below(receipt: CommandReceipt, ends: Mapping[int, int]) -> bool:
    return not receipt.HasField("command_offset") or receipt.command_offset < ends.get(receipt.command_partition, 0)


def _weight(receipt: CommandReceipt) -> int:
    """Return how much an answer says: that a command was given up gives way to what a redrive brought."""
    if receipt.waits_behind:
        return 0
    return 1 if receipt.dead_lettered else 2


def _answers_of(reader: TopicReader, decoder: Decoder, store: str) -> Iterator[CommandReceipt]:
    for record in reader.read(topics.RECEIPTS, reader.extents(topics.RECEIPTS)):
        headers = record.read_headers()
        if headers.text(topics.STORE) != store or not headers.correlation_id:
            continue
        receipt = read_receipt(record, decoder, store)
        if receipt is not None:
            yield receipt
