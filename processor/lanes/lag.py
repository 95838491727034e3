"""A lane as its lag is measured: what it has yet to read, and what it has read and not answered."""

from collections.abc import Mapping

from mesh.health.lag import AtHand, Place
from mesh.topics import COMMANDS
from processor.lanes.lane import Lane
from processor.lanes.source import KafkaSource


class LaneBacklog:
    """See `mesh.health.lag.Followed`."""

    def __init__(self, source: KafkaSource, lane: Lane) -> None:
        self._source = source
        self._lane = lane

    def unread(self) -> int:
        """Return how many records the lane has yet to read. Raises KafkaException where the broker does not tell."""
        return self._source.backlog(self.position())

    def position(self) -> Mapping[Place, int]:
        """Return the next offset of each partition that anything was read of."""
        return {(COMMANDS, partition): offset for partition, offset in self._lane.next_offsets().items()}

    def at_hand(self) -> AtHand:
        """Return what was read and is not answered yet."""
        return self._lane.at_hand()

    def is_member(self) -> bool:
        """Whether the group has said which partitions are the lane's, be it none."""
        return self._source.is_member()

    def take_error(self) -> str:
        """Return the name of the last error of reading since the last call; empty where there was none."""
        return self._source.take_error()

    def read_anew(self) -> None:
        """Have another consumer read, soon."""
        self._source.read_anew()

    def is_paused(self) -> bool:
        """Whether somebody has paused the lane."""
        return self._lane.is_paused()
