"""Reads everything in the end: the stores, the topics, and each operation at every door."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pymongo
from polystream.options.v1 import options_pb2
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from pymongo.errors import PyMongoError
from redis import Redis
from redis.exceptions import RedisError

from cli.verify import image
from cli.verify.fault_world import FaultWorld
from cli.verify.image import (
    DeadLetterAt,
    Image,
    ReceiptAt,
    RecordAt,
    StoredItem,
    Table,
)
from cli.verify.platform import VerifiedPlatform, VerifyError
from cli.verify.stamps import stamp_of
from cli.verify.told_operations import ReadOperations
from cli.verify.workload import has_personal_data
from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Decoder
from mesh.dead_letters.reader import DeadLetterReader
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings, RegistrySettings
from mesh.store_errors import is_waiting
from mesh.store_names import redis as keys
from mesh.store_names.mongodb import RECOMMENDATIONS, VIEWS
from mesh.topic_reader import TopicError, TopicReader

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def collect(
    platform: VerifiedPlatform,
    operations: ReadOperations,
    before: Mapping[str, Table],
    faults: FaultWorld,
    unwell: Sequence[str],
) -> Image:
    """Read all else, once everything is quiet.

    `before` is what the tables had before the load: it is left out where it is still the same. Raises VerifyError where
    something can't be read.
    """
    with _readable(unwell):
        records, receipts, dead_letters = _read_topics(platform, faults.given_up)
        tables = read_tables(platform)
    return Image(
        tables=changed_since(tables, before),
        records=records,
        receipts=receipts,
        dead_letters=dead_letters,
        foreign=faults.foreign,
        given_up=faults.given_up,
        told=operations.told,
        missing=operations.missing,
        exposed=[*sorted(operations.exposed), *(f"a receipt of {one}" for one in _exposed(receipts))],
        unwell=unwell,
    )


@contextmanager
def _readable(unwell: Sequence[str]) -> Iterator[None]:
    """Raise VerifyError for a store or a topic that can't be read, with all that is not well."""
    try:
        yield
    except (psycopg.Error, PyMongoError, RedisError, TopicError) as error:
        raise VerifyError("; ".join((f"what there is in the end can't be read: {error}", *unwell))) from error


def _read_topics(
    platform: VerifiedPlatform, given_up: AbstractSet[str]
) -> tuple[dict[str, list[RecordAt]], dict[str, list[ReceiptAt]], list[DeadLetterAt]]:
    catalog = load_catalog()
    records: dict[str, list[RecordAt]] = defaultdict(list)
    receipts: dict[str, list[ReceiptAt]] = defaultdict(list)
    with (
        TopicReader(KafkaSettings(bootstrap_servers=platform.endpoint("kafka"))) as reader,
        closing(RegistryClient(RegistrySettings(url=platform.endpoint("schema_registry")))) as registry,
    ):
        for record in reader.read(topics.COMMANDS, reader.extents(topics.COMMANDS)):
            headers = record.read_headers()
            key = (record.key or b"").decode("utf-8", "replace")
            records[headers.correlation_id].append(RecordAt(record.partition, record.offset, key, headers.command))
        decoder = Decoder(CommandReceipt, load_schema(str(CommandReceipt.DESCRIPTOR.full_name)), registry)
        for record in reader.read(topics.RECEIPTS, reader.extents(topics.RECEIPTS)):
            receipt = decoder.decode(record.value, record.receive_time_ns)
            assert isinstance(receipt, CommandReceipt)  # noqa: S101 - what the decoder is of
            # That it waits is no answer yet, nor that it was given up, where a fault had the store do so.
            was_given_up = receipt.dead_lettered and receipt.correlation_id in given_up
            if not (is_waiting(receipt) or was_given_up):
                receipts[receipt.correlation_id].append(_receipt_at(record.partition, record.offset, receipt))
        dead_letters, _ = DeadLetterReader(reader, catalog.commands).read_dead_letters()
    found = [
        DeadLetterAt(one.source.partition, one.source.offset, one.store, one.correlation_id, one.reason)
        for one in dead_letters
    ]
    return dict(records), dict(receipts), found


def _exposed(receipts: Mapping[str, Sequence[ReceiptAt]]) -> list[str]:
    """Return the correlation IDs of receipts that hold personal data."""
    return [
        correlation_id
        for correlation_id, of_one in receipts.items()
        if any(has_personal_data(bytes.fromhex(receipt.result)) for receipt in of_one)
    ]


def _receipt_at(partition: int, offset: int, receipt: CommandReceipt) -> ReceiptAt:
    return ReceiptAt(
        partition,
        offset,
        options_pb2.Store.Name(receipt.store),
        Operation.State.Name(receipt.state),
        receipt.error.reason,
        receipt.duplicate,
        receipt.result.value.hex(),
        stamp_of(receipt.result.type_url, receipt.result.value),
    )


def read_tables(platform: VerifiedPlatform) -> dict[str, Table]:
    """Return all that the stores have, by table."""
    tables: dict[str, dict[str, list[StoredItem]]] = {name: defaultdict(list) for name in image.STORE_OF}
    _read_postgresql(platform.endpoint("postgresql"), tables)
    _read_mongodb(platform.endpoint("mongodb"), tables)
    _read_redis(platform.endpoint("redis"), tables)
    return {name: dict(table) for name, table in tables.items()}


def changed_since(tables: Mapping[str, Table], before: Mapping[str, Table]) -> dict[str, Table]:
    """Return tables without the entities that are as they were before; one that has changed is nobody's work."""
    return {
        name: {entity: items for entity, items in table.items() if before[name].get(entity) != items}
        for name, table in tables.items()
    }


Tables = Mapping[str, dict[str, list[StoredItem]]]


def _read_postgresql(dsn: str, tables: Tables) -> None:
    with psycopg.connect(dsn, connect_timeout=10) as db:

        def each(statement: str, take: Callable[..., None]) -> None:
            for row in db.execute(statement):
                take(*row)

        def user(user_id: int, name: str, email: str, cpf: str, created: datetime) -> None:
            item = StoredItem(_user(user_id), (name, email, cpf), _microseconds(created))
            tables[image.USERS][_user(user_id)].append(item)

        def subscription(row_id: int, user_id: int, plan: str, state: str) -> None:
            tables[image.SUBSCRIPTIONS][_user(user_id)].append(StoredItem(row_id, (plan, state), row_id))

        def payment(row_id: int, user_id: int, amount: Any, method: str, state: str) -> None:
            item = StoredItem(int(amount * 100), (method, state), row_id)
            tables[image.PAYMENTS][_user(user_id)].append(item)

        def preferences(user_id: int, language: str, notifications: bool, theme: str, updated: datetime) -> None:
            item = StoredItem(_user(user_id), (language, notifications, theme), _microseconds(updated))
            tables[image.PREFERENCES][_user(user_id)].append(item)

        each("SELECT user_id, nome, email, cpf, data_criacao FROM usuarios ORDER BY id", user)
        each("SELECT id, user_id, plano, status FROM assinaturas ORDER BY id", subscription)
        each("SELECT id, user_id, valor, forma_pagamento, status FROM pagamentos ORDER BY id", payment)
        each("SELECT user_id, idioma, notificacoes, tema, data_atualizacao FROM preferencias ORDER BY id", preferences)


def _read_mongodb(url: str, tables: Tables) -> None:
    with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=10_000) as client:
        db = client.get_default_database()
        for document in db[VIEWS].find({}):
            values = (int(document["conteudo_id"]), document["titulo"])
            tables[image.VIEWS][_user(document["user_id"])].append(StoredItem(document["_id"], values))
        for document in db[RECOMMENDATIONS].find({}, {"user_id": 1}):
            tables[image.RECOMMENDATIONS][_user(document["user_id"])].append(StoredItem(document["_id"]))


def _read_redis(url: str, tables: Tables) -> None:
    with Redis.from_url(url, socket_timeout=10, decode_responses=True) as client:
        indexed: dict[str, str] = {}  # the user in whose index a session is, by its ID
        for key in client.scan_iter(match=f"{keys.USER_SESSIONS_PREFIX}*"):
            for session_id in client.zrange(key, 0, -1):
                indexed[session_id] = key.removeprefix(keys.USER_SESSIONS_PREFIX)
        for key in client.scan_iter(match=f"{keys.SESSION_PREFIX}*"):
            session_id = key.removeprefix(keys.SESSION_PREFIX)
            fields: Any = client.hgetall(key)
            user_id = fields.get("user_id", "")
            values = (fields.get("dispositivo"), "indexed" if indexed.pop(session_id, "") == user_id else "not indexed")
            item = StoredItem(session_id, values, int(fields.get("expira_em", 0)))
            tables[image.SESSIONS][_user(user_id)].append(item)
        for session_id, user_id in indexed.items():
            tables[image.SESSIONS][_user(user_id)].append(StoredItem(session_id, ("no hash", "indexed")))
        for key in client.scan_iter(match=f"{keys.CONTENT_PREFIX}*"):
            content: Any = client.hgetall(key)
            entity = f"content {key.removeprefix(keys.CONTENT_PREFIX)}"
            cached = (content.get("titulo"), content.get("tipo"), content.get("duracao_segundos"))
            tables[image.CONTENTS][entity].append(StoredItem(entity, cached, int(content.get("cacheado_em", 0))))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _user(user_id: object) -> str:
    return f"user {user_id}"
