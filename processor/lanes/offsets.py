"""How far a lane has come in each partition."""

from collections.abc import Collection, Mapping, Sequence

from processor.lanes.records import Record


class Offsets:
    """The next offset of each partition that the lane has, as the records read so far tell it."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def advance(self, records: Sequence[Record]) -> bool:
        """Take note of what was read. Returns whether offsets went back: the topic may be another one now."""
        went_back = False
        for record in records:
            went_back |= record.offset < self._next.get(record.partition, 0)
            self._next[record.partition] = record.offset + 1
        return went_back

    def committable(self, lowest_deferred: Mapping[int, int]) -> dict[int, int]:
        """Return the offsets below which every command is answered."""
        return {p: min(offset, lowest_deferred.get(p, offset)) for p, offset in self._next.items()}

    def drop(self, partitions: Collection[int]) -> None:
        """Forget partitions that were taken away."""
        for partition in partitions:
            self._next.pop(partition, None)
