"""Sends the foreign records of a run: each by a producer that keeps the others from harm."""

import time
from collections.abc import Sequence
from typing import Final

import httpx
from google.protobuf.message import Message
from polystream.options.v1 import options_pb2
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Encoder
from mesh.ids import new_correlation_id
from mesh.schemas import RegistryClient, load_schema
from tests.support.foreign_records import RawRecord
from tests.support.fuzz.records import RecordGenerator, Templates
from tests.support.raw_producer import RawProducer

TOPICS: Final = (topics.COMMANDS, topics.RECEIPTS, topics.DEAD_LETTERS)
_BATCH_RECORDS: Final = 500
_FOREIGN_SCHEMAS: Final = (
    {"schemaType": "PROTOBUF", "schema": 'syntax = "proto3"; message Foreign { string name = 1; }'},
    {"schemaType": "JSON", "schema": '{"type": "object"}'},
    {"schema": '"long"'},
    {"schema": '{"type": "record", "name": "polystream.v1.CommandReceipt", "fields": []}'},
)
_BOMB_BYTES: Final = 120_000_000  # of zeros, which zstd makes eleven thousand of: librdkafka unpacks a hundred million
_FAR_FUTURE_MS: Final = 3_000_000  # a broker may refuse a batch for one such record: those go by themselves


def send_records(servers: str, generator: RecordGenerator, count: int) -> int:
    """Send a run's records, and one batch to each topic that cannot be unpacked; return how many all are."""
    with RawProducer(servers, {"compression.type": "zstd", "message.max.bytes": "200000000"}) as bombs:
        for topic in TOPICS:
            bombs.send(topic, 0, None, bytes(_BOMB_BYTES), ())
            bombs.flush()
    with RawProducer(servers) as producer, RawProducer(servers, {"batch.num.messages": "1"}) as careful:
        for number in range(count):
            case = generator.case(number)
            record = case.record
            chosen = careful if _is_refusable(record) else producer
            chosen.send(case.topic, case.partition, record.key, record.value, record.headers, record.timestamp_ms)
            if number % _BATCH_RECORDS == 0:
                producer.flush()
                careful.flush()
    return count + len(TOPICS)


def make_templates(registry: RegistryClient, registry_url: str) -> Templates:
    """Return good values and schema IDs, the registry's own among them, and those of foreign schemas."""
    commands: list[tuple[str, bytes]] = []
    ids: list[int] = []
    for name, command in load_catalog().commands.items():
        ids.append(registry.register(topics.COMMANDS, command.request_type, load_schema(command.request_type)))
        commands.append((name, _encode(command.request_class(), ids[-1])))
    receipt = CommandReceipt(
        correlation_id=new_correlation_id(),
        command="DeleteUser",
        store=options_pb2.POSTGRESQL,
        state=Operation.SUCCEEDED,
        user_id=7,
    )
    for moment in (receipt.accept_time, receipt.receive_time, receipt.complete_time):
        moment.GetCurrentTime()
    name = str(CommandReceipt.DESCRIPTOR.full_name)
    ids.append(registry.register(topics.RECEIPTS, name, load_schema(name)))
    return Templates(commands, _encode(receipt, ids[-1]), [*ids, *_foreign_ids(registry_url)])


def _foreign_ids(registry_url: str) -> Sequence[int]:
    """Have the registry take schemas of others; those of a kind that it takes none of are left out."""
    answers = [
        httpx.post(f"{registry_url}/subjects/foreign-{number}/versions", json=schema)
        for number, schema in enumerate(_FOREIGN_SCHEMAS)
    ]
    return [int(answer.json()["id"]) for answer in answers if answer.is_success]


def _encode(message: Message, schema_id: int) -> bytes:
    name = str(message.DESCRIPTOR.full_name)
    return Encoder(message.DESCRIPTOR, load_schema(name), schema_id).encode(message)  # type: ignore[arg-type] # upb's


def _is_refusable(record: RawRecord) -> bool:
    is_late = record.timestamp_ms > time.time() * 1000 + _FAR_FUTURE_MS
    return is_late or record.timestamp_ms < 0
