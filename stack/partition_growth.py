"""More partitions for the commands' topic, without a command of one user overtaking an earlier one.

A key's partition follows from how many there are, so that a topic which grows gives many keys another one. Two
partitions have no order between them. So all that is in the old partitions has to be done before the new ones exist:
nothing new comes, and every lane has applied what there is and has ended. What is parked waits in its store, by its
key, whichever partition that is in.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from mesh.catalog import STORES
from mesh.settings import KafkaSettings
from mesh.topic_reader import Extent, GroupPosition, TopicError, TopicReader
from mesh.topics import COMMANDS, lane_group

_TIMEOUT_S: Final = 30.0
_QUIET_S: Final = 2.0  # within which a gateway that is at work would have sent something
_LED_MAX_S: Final = 10.0  # until new partitions have leaders
_LOOK_INTERVAL_S: Final = 0.2
_COORDINATOR_MAX_S: Final = 20.0  # until a broker that has just started knows of its groups
_NOT_YET: Final = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)

_LOG = structlog.stdlib.get_logger(__name__)


class GrowthRefusedError(Exception):
    """The commands' topic must not grow now; says what to do first."""


class PartitionGrowth:
    """Grows the commands' topic to the number of partitions that the settings say."""

    def __init__(self, kafka: KafkaSettings, client_config: Mapping[str, str | int | bool]) -> None:
        self._kafka = kafka
        self._wanted = kafka.command_partitions
        self._admin = AdminClient(dict(client_config))

    def grow(self) -> None:
        """Add the partitions, and return once they are told of.

        Raises GrowthRefusedError, with what to do, where the order could suffer; KafkaException and TopicError where no
        broker answers.
        """
        self._require_stopped_lanes()
        with TopicReader(self._kafka) as reader:
            before = reader.extents(COMMANDS)
            self._require_applied(before)
            time.sleep(_QUIET_S)
            if _ends_of(reader.extents(COMMANDS)) != _ends_of(before):
                raise self._refused("commands still come in: stop every gateway")
            after = self._add(reader)
            if not _ends_of(before).items() <= _ends_of(after).items():
                raise GrowthRefusedError(
                    f"commands came in while {COMMANDS} grew to {self._wanted} partitions: a gateway still runs. Stop "
                    "it, start the lanes, and start a gateway only when they have applied what there is"
                )
        _LOG.info("topic grown", topic=COMMANDS, partitions_before=len(before), partitions=self._wanted)

    def _refused(self, why: str) -> GrowthRefusedError:
        return GrowthRefusedError(f"{COMMANDS} cannot grow to {self._wanted} partitions yet: {why}, then try again")

    def _require_stopped_lanes(self) -> None:
        counts = {store: self._members_of(lane_group(store)) for store in STORES}
        running = [f"{store} ({count})" for store, count in counts.items() if count]
        if running:
            raise self._refused(f"lanes still run, of {', '.join(running)}: stop them")

    def _members_of(self, group: str) -> int:
        give_up_s = time.monotonic() + _COORDINATOR_MAX_S
        while True:
            asked = self._admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)
            try:
                return len(asked[group].result(_TIMEOUT_S).members)
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.GROUP_ID_NOT_FOUND:
                    return 0
                if code not in _NOT_YET or time.monotonic() > give_up_s:
                    raise
            time.sleep(_LOOK_INTERVAL_S)

    def _require_applied(self, there: Mapping[int, Extent]) -> None:
        behind = []
        for store in STORES:
            with GroupPosition(self._kafka, lane_group(store)) as group:
                done = group.committed(COMMANDS, there)
            records = sum(max(0, extent.end - done.get(p, extent.begin)) for p, extent in there.items())
            if records:
                behind.append(f"the lane of {store} has {records} records to read")
        if behind:
            raise self._refused(
                f"{'; '.join(behind)}: set KAFKA_COMMAND_PARTITIONS={len(there)}, start the lanes, wait until they "
                "have read them, and stop them"
            )

    def _add(self, reader: TopicReader) -> Mapping[int, Extent]:
        """Add the partitions; return what there is once each has a leader."""
        added = self._admin.create_partitions([NewPartitions(COMMANDS, self._wanted)], request_timeout=_TIMEOUT_S)
        for future in added.values():
            future.result(_TIMEOUT_S)
        give_up_s = time.monotonic() + _LED_MAX_S
        while True:
            with suppress(TopicError):
                there = reader.extents(COMMANDS)
                if len(there) == self._wanted:
                    return there
            if time.monotonic() > give_up_s:
                raise GrowthRefusedError(f"the new partitions of {COMMANDS} have no leader yet: look at the brokers")
            time.sleep(_LOOK_INTERVAL_S)


def _ends_of(there: Mapping[int, Extent]) -> dict[int, int]:
    return {partition: extent.end for partition, extent in there.items()}
