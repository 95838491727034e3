"""What is parked, in memory: for stores that tests stand in for."""

from collections.abc import Iterable
from dataclasses import replace

from polystream.v1.events_pb2 import CommandReceipt

from processor.model import ParkedRecord
from processor.parking import ParkedEntry


class MemoryParking:
    """See `processor.parking.Parking`."""

    def __init__(self) -> None:
        self._records: dict[str, ParkedRecord] = {}  # by ID, in order

    def queues(self, keys: Iterable[bytes]) -> dict[bytes, list[ParkedEntry]]:
        """Return what is parked under these keys, in order."""
        queues = {
            key: [ParkedEntry(one.id, one.correlation_id, one.receipt) for one in self.records(key)] for key in keys
        }
        return {key: queue for key, queue in queues.items() if queue}

    def add(self, parked: ParkedRecord) -> None:
        """Put a record behind those of its key; leave one that is there already."""
        self._records.setdefault(parked.id, parked)

    def give_up(self, key: bytes, id_: str, receipt: CommandReceipt) -> None:
        """Note of a record that is parked that it is given up, and with what answer."""
        del key
        self._records[id_] = replace(self._records[id_], receipt=receipt)

    def remove(self, ids: Iterable[str]) -> None:
        """Let go of records."""
        for id_ in ids:
            self._records.pop(id_, None)

    def records(self, key: bytes) -> list[ParkedRecord]:
        """Return what is parked under a key, in order."""
        return [one for one in self._records.values() if one.key == key]

    def count(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records."""
        return len({one.key for one in self._records.values()}), len(self._records)
