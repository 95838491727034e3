"""Builds a lane's objects."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event
from typing import cast

import structlog
from google.protobuf.descriptor import Descriptor
from polystream.v1.events_pb2 import CommandReceipt

from mesh.backoff import Backoff
from mesh.catalog import load_catalog
from mesh.codec import Encoder
from mesh.errors import PolystreamError, Reason
from mesh.health.file import HealthFile
from mesh.health.lag import LagWatch
from mesh.health.part import PartHealth
from mesh.health.pusher import HealthPusher
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import (
    KafkaSettings,
    LaneSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
    TelemetrySettings,
)
from mesh.telemetry.metric_list import Service
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.tracing import Tracing
from mesh.threads import CriticalThreads
from mesh.topics import RECEIPTS, lane_group
from processor.handlers import AnyHandler, find_handlers
from processor.incarnation import TopicIncarnation
from processor.lanes.control import LaneControl
from processor.lanes.decoding import CommandDecoder
from processor.lanes.deferral import Deferral
from processor.lanes.lag import LaneBacklog
from processor.lanes.lane import Lane, Limits
from processor.lanes.metrics import LaneMetrics
from processor.lanes.receipts import ReceiptProducer, ReceiptSender
from processor.lanes.source import KafkaSource
from processor.lanes.spans import LaneSpans
from processor.lanes.validation import OpenWalks, Validator
from processor.model import Store
from processor.parking import ParkingBounds

_LOG = structlog.get_logger(__name__)

SERVICE = Service.PROCESSOR.value
_FIRST_REGISTRY_RETRY_S = 0.1
_MAX_REGISTRY_RETRY_S = 1.0


@contextmanager
def open_lane(
    store_name: str, settings: LaneSettings, telemetry: TelemetrySettings, stop: Event, threads: CriticalThreads
) -> Iterator[Lane]:
    """Build the lane of a store, and close what it is made of afterwards. Its health is told from the first moment.

    Waits for the schema registry, for as long as `stop` is not set. Raises PolystreamError when it refuses.
    """
    group = lane_group(store_name)
    kafka = KafkaSettings()
    client_config = kafka.client_config(settings.name)
    catalog = load_catalog()
    with ExitStack() as closing:
        health = PartHealth(settings.name, f"lane-{store_name.lower()}")
        control = LaneControl(hears=bool(settings.monitor_address))
        pusher = HealthPusher(settings.monitor_address, health, threads, control.take)
        pusher.start()
        closing.callback(pusher.stop)
        file = HealthFile(settings.ready_file, health, threads)
        file.add(lambda: {"partitions": None})
        file.start()
        closing.callback(file.stop)
        tracing = Tracing(SERVICE, settings.name, telemetry)
        closing.callback(tracing.shutdown)
        registry = RegistryClient(RegistrySettings())
        closing.callback(registry.close)
        encoder = _receipt_encoder(registry, stop, health)
        incarnation = TopicIncarnation(client_config)
        store = _open_store(store_name, find_handlers(catalog, store_name), incarnation, settings)
        closing.callback(store.close)
        own = LaneMetrics(store_name, group)
        producer = ReceiptProducer(client_config, on_retry=lambda: own.retries.add(1, "kafka"))
        closing.callback(producer.close)
        source = KafkaSource(kafka, settings.name, group, lambda: health.count("passed_over"))
        closing.callback(source.close)
        file.add(lambda: {"partitions": _sorted(source.partitions())})
        spans = LaneSpans(tracing, store_name, group)
        receipts = ReceiptSender(
            *(producer, encoder, spans, store_name, settings.name),
            on_sent=lambda records, topic: own.sent.add(records, topic, ""),
        )
        lane = Lane(
            source=source,
            decoder=CommandDecoder(store_name, catalog, registry),
            store=store,
            receipts=receipts,
            deferral=Deferral(
                settings.max_deferred_bytes,
                settings.user_wait_max_s,
                settings.max_batch_records,
                max_overtaking_bytes=settings.redis_marks_max_bytes / 2 if store_name == "REDIS" else math.inf,
            ),
            health=health,
            control=control,
            stop=stop,
            limits=Limits(settings.max_batch_records, settings.max_batch_wait_s, settings.store_backoff_max_s),
            on_doubt=incarnation.forget,
            metrics=own,
            spans=tracing.losses,
        )
        metrics = Metrics(Service.PROCESSOR, settings.name, telemetry)
        own.register(metrics, health=health, tracing=tracing, deferred=lane.deferred)
        metrics.start()
        closing.callback(metrics.shutdown)
        watch = LagWatch(LaneBacklog(source, lane), health, threads)
        watch.start()
        closing.callback(watch.stop)
        validator = Validator(_walks_of(store_name), health, settings.validate_records_per_s)
        validator.start()
        closing.callback(validator.stop)
        yield lane


def _open_store(
    name: str, handlers: Mapping[str, AnyHandler], incarnation: TopicIncarnation, settings: LaneSettings
) -> Store:
    """Return a store. Raises ValueError for an unknown name."""
    parking = ParkingBounds(settings.max_parked_keys, settings.max_parked_commands)
    # Each lane loads the client of its own store alone: the others' would take memory for nothing.
    if name == "POSTGRESQL":
        from processor.stores.postgresql import PostgresStore  # noqa: PLC0415

        return PostgresStore(
            PostgresSettings(),
            handlers,
            incarnation,
            inbox_ttl_s=settings.marker_ttl_s,
            max_batch=settings.max_batch_records,
            parking_bounds=parking,
        )
    if name == "MONGODB":
        from processor.stores.mongodb import MongoStore  # noqa: PLC0415

        return MongoStore(MongoSettings(), PostgresSettings(), handlers, incarnation, parking)
    if name == "REDIS":
        from processor.stores.redis import RedisStore  # noqa: PLC0415
        from processor.stores.redis_markers import MarkerBounds  # noqa: PLC0415

        markers = MarkerBounds(settings.marker_ttl_s, settings.redis_marks_max_bytes, parking)
        return RedisStore(RedisSettings(), PostgresSettings(), handlers, incarnation, markers)
    raise ValueError(f"there is no store {name}")


def _walks_of(name: str) -> OpenWalks:
    """Return what opens the walks through a store, on a connection of their own. Raises ValueError as `_open_store`."""
    if name == "POSTGRESQL":
        from processor.integrity.contents_postgresql import open_table_walks  # noqa: PLC0415 - as above

        return partial(open_table_walks, PostgresSettings())
    if name == "MONGODB":
        from processor.integrity.contents_mongodb import open_collection_walks  # noqa: PLC0415 - as above

        return partial(open_collection_walks, MongoSettings())
    if name == "REDIS":
        from processor.integrity.contents_redis import open_key_walks  # noqa: PLC0415 - as above

        return partial(open_key_walks, RedisSettings())
    raise ValueError(f"there is no store {name}")


def _sorted(partitions: frozenset[int] | None) -> list[int] | None:
    return None if partitions is None else sorted(partitions)


def _receipt_encoder(registry: RegistryClient, stop: Event, health: PartHealth) -> Encoder:
    descriptor = cast(Descriptor, CommandReceipt.DESCRIPTOR)
    schema = load_schema(descriptor.full_name)
    backoff = Backoff(_FIRST_REGISTRY_RETRY_S, _MAX_REGISTRY_RETRY_S)
    while True:
        health.beat()
        with health.calling("schema_registry"):
            try:
                schema_id = registry.register(RECEIPTS, descriptor.full_name, schema)
            except PolystreamError as error:
                if error.reason is not Reason.REGISTRY_UNAVAILABLE:
                    raise
                _LOG.warning("waiting for the schema registry", reason=error.reason.name)
                health.waiting("schema_registry", error.reason.name, error.message)
            else:
                health.going_on("schema_registry")
                return Encoder(descriptor, schema, schema_id)
        if stop.wait(backoff.next_s()):
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE)
