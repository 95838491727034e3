"""Faults that are records: such as no lane can read, and such as come twice."""

import random
from collections.abc import Sequence
from typing import Final

from cli.verify.fault_world import FaultWorld, Inject
from cli.verify.image import ForeignRecord
from mesh import topics
from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS
from mesh.envelope import KafkaRecord
from mesh.ids import new_correlation_id
from mesh.topic_reader import TopicReader

_FOREIGN_BYTES: Final = b"\xde\xad\xbe\xef" * 4


def foreign_records(world: FaultWorld, rng: random.Random) -> str:
    """Write records that no lane can read, under keys that are nobody's."""
    kinds: Sequence[tuple[str, str | None, tuple[str, ...]]] = (
        ("undecodable bytes for postgresql", "CreatePayment", ("POSTGRESQL",)),
        ("undecodable bytes for mongodb", "RecordView", ("MONGODB",)),
        ("undecodable bytes for redis", "CacheContent", ("REDIS",)),
        ("undecodable bytes for all", "DeleteUser", ("POSTGRESQL", "MONGODB", "REDIS")),
        ("an unknown command", "DropTables", (LANE_OF_UNKNOWN_COMMANDS,)),
        ("no headers", None, (LANE_OF_UNKNOWN_COMMANDS,)),
    )
    records: list[KafkaRecord] = []
    for _, command, _ in kinds:
        headers = [] if command is None else [(topics.CORRELATION_ID, new_correlation_id()), (topics.COMMAND, command)]
        records.append(
            KafkaRecord(
                *(topics.COMMANDS, rng.randrange(topics.PARTITIONS), 0, 0, 0),
                *(f"nobody-{rng.randrange(10**9)}".encode(), _FOREIGN_BYTES, headers),
            )
        )
    for (kind, _, stores), (partition, offset) in zip(kinds, world.produce(records), strict=True):
        world.foreign.append(ForeignRecord(kind, partition, offset, stores))
    return f"{len(kinds)} foreign records"


def records_again(records: int) -> Inject:
    """Write acknowledged commands' records once more, as a producer does that did not hear of the first."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        chosen = [entry.correlation_id for entry in list(world.load.entries) if entry.is_acknowledged]
        wanted = rng.sample(chosen, min(records, len(chosen)))
        found: dict[str, KafkaRecord] = {}
        with TopicReader(world.kafka) as reader:
            for record in reader.read(topics.COMMANDS, reader.extents(topics.COMMANDS)):
                correlation_id = record.read_headers().correlation_id
                found.setdefault(correlation_id, record)
        # In the order in which they were drawn: a late repetition is behind commands that came after the first.
        again = [found[correlation_id] for correlation_id in wanted if correlation_id in found]
        world.produce(again)
        return f"{len(again)} acknowledged records written again"

    return inject
