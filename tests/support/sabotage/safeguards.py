"""The safeguards, each with what takes it away from the process of a service. To add one is to add a row."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

GATEWAY: Final = "gateway"
LAUNCHER: Final = "tests.support.sabotage"


def launcher_without(*safeguards: str) -> str:
    """Return the launcher of services without these safeguards."""
    unknown = set(safeguards) - set(SAFEGUARDS)
    assert not unknown, unknown
    return f"{LAUNCHER} {','.join(safeguards)}"


def switch_off(safeguards: Sequence[str], service: Sequence[str]) -> None:
    """Take safeguards away from this process, as far as they are this service's; `service` is its command line."""
    where = service[service.index("--store") + 1] if "--store" in service else service[0]
    for name in safeguards:
        concerned, take_away = SAFEGUARDS[name]
        if concerned == where:
            take_away()


def _no_inbox() -> None:
    """PostgreSQL has no marks: what comes again under another offset is new to it."""
    from processor.stores import postgresql  # noqa: PLC0415 - of this lane alone

    module: Any = postgresql
    module._read_inbox = lambda *_: {}
    module._write_inbox = lambda *_: None


def _no_positions() -> None:
    """PostgreSQL does not know how far the lane has come: what comes again under its offset is new, but for marks."""
    from processor.stores.postgresql import PostgresStore  # noqa: PLC0415

    store: Any = PostgresStore
    store._lock_positions = lambda *_: {}


def _no_redis_marks() -> None:
    """No mark in Redis is found again."""
    from processor.stores import redis  # noqa: PLC0415

    module: Any = redis
    module.marker_key = lambda _: f"comando:{uuid.uuid4()}"


def _no_redis_fence() -> None:
    """The script that writes to Redis does not look at the position: a lane that lost its partitions writes on."""
    from processor.stores.redis import RedisStore  # noqa: PLC0415
    from processor.stores.redis_parking import position_field  # noqa: PLC0415

    store: Any = RedisStore
    prepare = store._prepare

    def prepare_without(self: Any, decided: Any, plan: Any, topic_id: str) -> Any:
        words, applied, refused = prepare(self, decided, plan, topic_id)
        position = position_field(topic_id, decided.delivery.partition)
        return [b"" if word == position else word for word in words], applied, refused

    store._prepare = prepare_without


def _no_mongodb_marks() -> None:
    """MongoDB has no marks: a repetition runs its handlers again."""
    from mesh.store_names.mongodb import INBOX  # noqa: PLC0415
    from processor.stores import mongodb  # noqa: PLC0415

    module: Any = mongodb
    find_by_id = module.find_by_id
    module.find_by_id = lambda collection, *rest: [] if collection.name == INBOX else find_by_id(collection, *rest)


def _no_parking() -> None:
    """What comes behind a command that was given up is applied before it."""
    from processor import parking  # noqa: PLC0415

    sorting: Any = parking._Sorting

    def take(self: Any, delivery: Any, _queue: object) -> None:
        if delivery.offset < self._known.positions.get(delivery.partition, 0):
            self.found.passed.add(delivery.correlation_id)
        else:
            self.found.go.append(delivery)

    sorting._take_from_topic = take


def _commit_early() -> None:
    """The lane commits what it has only read."""
    from confluent_kafka import TopicPartition  # noqa: PLC0415

    from mesh.topics import COMMANDS  # noqa: PLC0415
    from processor.lanes.source import KafkaSource  # noqa: PLC0415

    source: Any = KafkaSource
    read = source.read

    def read_and_commit(self: Any, *arguments: Any) -> Any:
        records = read(self, *arguments)
        if records:
            after = {record.partition: record.offset + 1 for record in records}
            offsets = [TopicPartition(COMMANDS, partition, offset) for partition, offset in after.items()]
            self._member.consumer.commit(offsets=offsets, asynchronous=False)
        return records

    source.read = read_and_commit


def _answer_early() -> None:
    """The gateway answers before Kafka has the command."""
    from gateway.commands import CommandPath  # noqa: PLC0415

    path: Any = CommandPath
    send = path._send

    def send_and_answer(self: Any, command: Any, request: Any, pending: Any) -> None:
        send(self, command, request, pending)
        self._waiting.leave(pending)
        pending.succeed(pending.operation)

    path._send = send_and_answer


def _no_fingerprints() -> None:
    """Any request is taken for the one that its request ID stands for."""
    from gateway.operations import redis_store, tracker  # noqa: PLC0415

    modules: tuple[Any, ...] = (redis_store, tracker)
    for module in modules:
        module.agree = lambda *_: True


SAFEGUARDS: Final[Mapping[str, tuple[str, Callable[[], None]]]] = {
    "inbox": ("postgresql", _no_inbox),
    "position": ("postgresql", _no_positions),
    "marker-redis": ("redis", _no_redis_marks),
    "fence": ("redis", _no_redis_fence),
    "marker-mongodb": ("mongodb", _no_mongodb_marks),
    "parking": ("postgresql", _no_parking),
    "offset-order": ("mongodb", _commit_early),
    "ack": (GATEWAY, _answer_early),
    "fingerprint": (GATEWAY, _no_fingerprints),
}
