"""Faults that are records: such as no lane can read, and such as come twice."""

import random
from collections.abc import Sequence
from typing import Final

from cli.verify.fault_world import FaultWorld, Inject
from cli.verify.image import ForeignRecord
from cli.verify.platform import VerifyError
from mesh import topics
from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS
from mesh.envelope import KafkaRecord
from mesh.ids import new_correlation_id
from mesh.topic_reader import TopicReader

_FOREIGN_BYTES: Final = b"\xde\xad\xbe\xef" * 4
_ABSENT_SCHEMA: Final = b"\0" + (987_654_321).to_bytes(4, "big")
_HUGE_BYTES: Final = 900_000


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


def poison(world: FaultWorld, rng: random.Random) -> str:
    """Write records that are nearly commands, under the keys of users who have others: they must hold up nobody."""
    good = _good_records(world)
    if not good:
        raise VerifyError("there is no acknowledged command's record yet to spoil")
    chosen = rng.choice(good)
    own = chosen.read_headers().command
    other, store = ("CreatePayment", "POSTGRESQL") if own == "RecordView" else ("RecordView", "MONGODB")
    value, command, now = chosen.value or b"", (topics.COMMAND, other), (topics.CORRELATION_ID, new_correlation_id)
    kinds: Sequence[tuple[str, bytes | None, Sequence[tuple[str, str]]]] = (
        ("another command's value", value, [(now[0], now[1]()), command]),
        ("another command's value without a correlation ID", value, [command]),
        ("a correlation ID that is no UUID", value, [(now[0], "<b>1</b>"), command]),
        ("a schema ID that nobody has given", _ABSENT_SCHEMA + value[5:], [(now[0], now[1]()), command]),
        ("half a schema ID", value[:3], [(now[0], now[1]()), command]),
        ("no bytes behind a schema ID", value[:5], [(now[0], now[1]()), command]),
        ("no value", None, [(now[0], now[1]()), command]),
        ("JSON", b'{"user_id": 5}', [(now[0], now[1]()), command]),
        ("900,000 bytes", b"\xff" * _HUGE_BYTES, [(now[0], now[1]()), command]),
    )
    records = [
        KafkaRecord(topics.COMMANDS, one.partition, 0, 0, 0, one.key, spoiled, list(headers))
        for (_, spoiled, headers), one in zip(kinds, rng.choices(good, k=len(kinds)), strict=True)
    ]
    for (kind, _, _), (partition, offset) in zip(kinds, world.produce(records), strict=True):
        world.foreign.append(ForeignRecord(kind, partition, offset, (store,)))
    return f"{len(kinds)} records that are nearly a {other}"


def _good_records(world: FaultWorld) -> list[KafkaRecord]:
    """Return the records of acknowledged commands, in their order."""
    acknowledged = {entry.correlation_id for entry in list(world.load.entries) if entry.is_acknowledged}
    with TopicReader(world.kafka) as reader:
        read = list(reader.read(topics.COMMANDS, reader.extents(topics.COMMANDS)))
    return [record for record in read if record.read_headers().correlation_id in acknowledged]


def records_again(records: int) -> Inject:
    """Write acknowledged commands' records once more, as a producer does that did not hear of the first."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        good = {record.read_headers().correlation_id: record for record in reversed(_good_records(world))}
        # In the order in which they are drawn: a late repetition is behind commands that came after the first.
        again = rng.sample(list(good.values()), min(records, len(good)))
        world.produce(again)
        return f"{len(again)} acknowledged records written again"

    return inject
