"""The operations that this gateway has in memory: the newest ones, as bytes, and who waits for them.

Belongs to one event loop: nothing here is called from another thread.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from gateway.operations.accepted import AcceptedOperation
from gateway.operations.assembly import assemble
from gateway.operations.fingerprints import first_fingerprint
from mesh.catalog import Command
from mesh.dead_letters.dead_letter import RecordPosition
from mesh.operation import answered_position, is_of_another
from mesh.store_errors import is_unsettled

_MAX_RECEIPTS_BYTES: Final = 64 * 1024 * 1024
_MAX_FOREIGN: Final = 16  # of the receipts of one operation: anybody may write records with its correlation ID


class _Entry:
    """What is known of one operation. Messages are kept serialized: that takes a fifth of their memory."""

    __slots__ = ("accepted", "fingerprint", "position", "receipts")

    def __init__(self) -> None:
        self.accepted: bytes | None = None  # set when this gateway accepted the command
        self.fingerprint: bytes | None = None  # of the request that was accepted, where it had a `request_id`
        self.position: RecordPosition | None = None  # of the record that Kafka acknowledged, where it told so
        self.receipts: tuple[bytes, ...] = ()


class OperationMemory:
    """Operations by correlation ID, within a number of them and of their receipts' bytes: the oldest give way.

    Receipts are a few hundred bytes each, and as large as a record may be where somebody else writes them.
    """

    def __init__(
        self, commands: Mapping[str, Command], max_operations: int, max_receipts_bytes: int = _MAX_RECEIPTS_BYTES
    ) -> None:
        self._commands = commands
        self._max_operations = max_operations
        self._max_receipts_bytes = max_receipts_bytes
        self._receipts_bytes = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._watchers: dict[str, set[asyncio.Event]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def accept(self, operation: AcceptedOperation | Operation) -> None:
        """Keep an operation that this gateway has just accepted. On every command's path: cheap."""
        entry = self._entry(operation.correlation_id)
        if entry.accepted is None:
            entry.accepted = operation.SerializeToString()
            if isinstance(operation, AcceptedOperation):
                entry.position = _position(operation)
                entry.fingerprint = operation.fingerprint

    def accepted_here(self, correlation_id: str) -> bool:
        """Whether this gateway accepted the command, and so has seen every receipt since."""
        entry = self._entries.get(correlation_id)
        return entry is not None and entry.accepted is not None

    def add(self, receipt: CommandReceipt) -> bool:
        """Keep a receipt and wake who waits for it; False when it says nothing new of the command."""
        entry = self._entry(receipt.correlation_id)
        if is_unsettled(receipt) and is_of_another(answered_position(receipt), entry.position):
            return False
        known = list(map(CommandReceipt.FromString, entry.receipts))
        if any(_repeats(receipt, earlier) for earlier in known):
            return False
        if self._may_be_foreign(receipt) and sum(map(self._may_be_foreign, known)) >= _MAX_FOREIGN:
            return False
        content = receipt.SerializeToString()
        entry.receipts = (*entry.receipts, content)
        self._receipts_bytes += len(content)
        while self._receipts_bytes > self._max_receipts_bytes and len(self._entries) > 1:
            self._forget_oldest()
        self.wake(receipt.correlation_id)
        return True

    def receipts(self, correlation_id: str) -> list[CommandReceipt]:
        """Return the receipts that came, the first one first."""
        entry = self._entries.get(correlation_id)
        return [] if entry is None else list(map(CommandReceipt.FromString, entry.receipts))

    def receipt_count(self, correlation_id: str) -> int:
        """Return how many receipts came."""
        entry = self._entries.get(correlation_id)
        return 0 if entry is None else len(entry.receipts)

    def accepted(self, correlation_id: str) -> Operation | None:
        """Return the operation as this gateway accepted it."""
        entry = self._entries.get(correlation_id)
        return None if entry is None or entry.accepted is None else Operation.FromString(entry.accepted)

    def fingerprint(self, correlation_id: str) -> bytes | None:
        """Return the fingerprint of the request that a request ID stands for; None where that is not known here."""
        entry = self._entries.get(correlation_id)
        if entry is None or entry.fingerprint is not None:
            return None if entry is None else entry.fingerprint
        return first_fingerprint(map(CommandReceipt.FromString, entry.receipts))

    def position(self, correlation_id: str) -> RecordPosition | None:
        """Return where Kafka has the record of a command that this gateway accepted, where it told so."""
        entry = self._entries.get(correlation_id)
        return None if entry is None else entry.position

    def get(self, correlation_id: str) -> Operation | None:
        """Return the operation as far as memory knows it."""
        receipts = self.receipts(correlation_id)
        return assemble(self._commands, self.accepted(correlation_id), receipts, self.position(correlation_id))

    @contextmanager
    def watching(self, correlation_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the operation changes, while the block runs."""
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(correlation_id, set())
        watchers.add(changed)
        try:
            yield changed
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop(correlation_id, None)

    def wake(self, correlation_id: str) -> None:
        """Set the events of those who watch the operation."""
        for changed in self._watchers.get(correlation_id, ()):
            changed.set()

    def _may_be_foreign(self, receipt: CommandReceipt) -> bool:
        """Whether there may be any number of such receipts; of the others there is one for each command and store."""
        return is_unsettled(receipt) or receipt.command not in self._commands

    def _entry(self, correlation_id: str) -> _Entry:
        entry = self._entries.get(correlation_id)
        if entry is None:
            entry = self._entries[correlation_id] = _Entry()
            if len(self._entries) > self._max_operations:
                self._forget_oldest()
        return entry

    def _forget_oldest(self) -> None:
        _, oldest = self._entries.popitem(last=False)
        self._receipts_bytes -= sum(map(len, oldest.receipts))


def _repeats(receipt: CommandReceipt, earlier: CommandReceipt) -> bool:
    """Whether a receipt says nothing that an earlier one has not said. Of another record's dead letter, it does.

    That a command waits, or was given up, is over with the answer that settles it.
    """
    if (receipt.store, receipt.command) != (earlier.store, earlier.command):
        return False
    if not is_unsettled(earlier):
        return True
    return _said(receipt) == _said(earlier)


def _said(receipt: CommandReceipt) -> tuple[bool, str, RecordPosition | None]:
    return receipt.dead_lettered, receipt.waits_behind, answered_position(receipt)


def _position(operation: AcceptedOperation) -> RecordPosition | None:
    if operation.partition is None or operation.offset is None or operation.offset < 0:
        return None
    return RecordPosition(operation.partition, operation.offset)
