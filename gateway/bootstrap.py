"""Builds the gateway's objects, and starts and stops them in their order."""

import asyncio
import time
from dataclasses import dataclass

import structlog
from google.longrunning import operations_proto_pb2
from google.protobuf.descriptor import Descriptor, ServiceDescriptor

from gateway.admission import Admissions
from gateway.calls import Calls
from gateway.commands import CommandPath, Encoders
from gateway.doors.grpc_server import GrpcServer
from gateway.doors.http_door import HttpDoor
from gateway.http.limits import HttpLimits
from gateway.http.server import HttpServer
from gateway.metrics import register_metrics
from gateway.operations.event_log import EventLogClient
from gateway.operations.marks import StoreMarks
from gateway.operations.tracker import OperationTracker
from gateway.own_health import GatewayHealth
from gateway.producer import CommandProducer
from gateway.queries import build_queries
from gateway.queries.health import HealthQueries, PlatformProbes
from gateway.queries.stores import Stores
from gateway.rest.routes import Routes
from gateway.topic_watch import TopicWatch
from mesh import topics
from mesh.backoff import Backoff
from mesh.catalog import Catalog, load_catalog
from mesh.codec import Encoder
from mesh.errors import PolystreamError, Reason
from mesh.health.file import HealthFile
from mesh.health.part import PartHealth
from mesh.health.pusher import HealthPusher
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import (
    GatewaySettings,
    KafkaSettings,
    LaneSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
)
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.tracing import Tracing
from mesh.threads import CriticalThreads

LONG_RUNNING: ServiceDescriptor = operations_proto_pb2.DESCRIPTOR.services_by_name["Operations"]

_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 2.0
# Where this machine reaches a port of its own that listens on every address.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens by this
_QUERY_GRACE_S = 0.5  # for the queries that run when the port closes
_HAND_OVER_MAX_S = 2.0  # for the last request on each HTTP connection: an idle one is kept for 1 s, until a sweep
_UNHEARD_MAX_S = 5.0  # how long the registry may take before a gateway that shares its ports says that it is away
_MIN_CLOSE_S = 1.0  # for the producer, whatever the drain has left of its time

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway's parts. A command goes from a door by calls, commands and producer, and back by the tracker.

    The doors are gRPC at `server`, and those behind the port of `http`.
    """

    settings: GatewaySettings
    catalog: Catalog
    registry: RegistryClient
    stores: Stores
    event_log: EventLogClient
    probes: PlatformProbes
    tracker: OperationTracker
    producer: CommandProducer
    topic_watch: TopicWatch
    commands: CommandPath
    calls: Calls
    server: GrpcServer
    http: HttpServer
    threads: CriticalThreads
    health: PartHealth
    own_health: GatewayHealth
    metrics: Metrics
    health_file: HealthFile
    health_pusher: HealthPusher

    async def start(self) -> None:
        """Listen, then take commands as soon as the registry has given the schemas' IDs, however long that takes.

        Where others share the ports, listen only then, or after five seconds: what comes meanwhile is theirs, and they
        need not refuse it.
        Raises OSError where a port cannot be had, and PolystreamError INTERNAL where the registry refuses a schema: the
        contracts are at fault then.
        """
        self.health_file.start()
        self.health_pusher.start()
        self.producer.start()
        self.topic_watch.start()
        await self.tracker.start()
        self.own_health.start(self.threads)
        self.metrics.start()
        registered = asyncio.create_task(self._registered_encoders())
        try:
            if self.settings.shares_ports:
                await asyncio.wait((registered,), timeout=_UNHEARD_MAX_S)
            await self._listen()
            self.commands.use_encoders(await registered)
            self.health.going_on("schema_registry")
        finally:
            registered.cancel()
        self.calls.serving = True
        await self.server.serve()
        self.health.doing("serves")
        self.health.ready()
        log.info("serving")

    async def stop(self) -> None:
        """Take the last requests, wait for the commands that Kafka has yet to acknowledge, and close everything.

        No connection is taken any more, and each over HTTP ends with its next answer, within two seconds: its client
        then comes to another gateway, and was refused nothing. After that, commands are. Kafka gets `drain_timeout_s`
        of the settings, in seconds; closing takes some seconds more where an engine does not answer.
        """
        give_up_s = time.monotonic() + self.settings.drain_timeout_s
        self.own_health.stop()
        await asyncio.to_thread(self.topic_watch.stop)
        await asyncio.to_thread(self.health_file.stop)
        await asyncio.to_thread(self.health_pusher.stop)
        self.calls.serving = False
        self.http.leave()
        await self.server.leave()
        await self.http.handed_over(min(_HAND_OVER_MAX_S, self.settings.drain_timeout_s))
        self.calls.refuse_commands()
        if not await self.commands.drain(max(0.0, give_up_s - time.monotonic())):
            log.warning("commands were still waiting for kafka", commands=self.producer.in_flight)
        self.calls.interrupt_queries()
        await self.calls.quiet(_QUERY_GRACE_S)
        await self.server.stop(_QUERY_GRACE_S)
        await self.http.stop(_QUERY_GRACE_S)
        await self.producer.close(max(_MIN_CLOSE_S, give_up_s - time.monotonic()))
        await self.tracker.close()
        await asyncio.to_thread(self.metrics.shutdown)
        await asyncio.gather(self.probes.close(), self.event_log.close(), self.stores.close())
        self.registry.close()

    async def _listen(self) -> None:
        await self.server.start()
        await self.http.start()
        log.info(
            "listening",
            host=self.settings.host,
            port=self.server.port,
            http_port=self.http.port,
            server=self.server.kind,
        )

    async def _registered_encoders(self) -> Encoders:
        """Register every command's schema; a registry that does not answer yet is asked again."""
        backoff = Backoff(_BACKOFF_FIRST_S, _BACKOFF_MAX_S)
        while True:
            try:
                return await asyncio.to_thread(_register, self.catalog, self.registry)
            except PolystreamError as error:
                if error.reason is not Reason.REGISTRY_UNAVAILABLE:
                    raise
                self.health.waiting("schema_registry", error.reason.name, error.message)
                pause_s = backoff.next_s()
                log.warning("waiting for the schema registry", error=error.message, retry_in_s=pause_s)
            await asyncio.sleep(pause_s)


def build(settings: GatewaySettings, tracing: Tracing, metrics: Metrics) -> Gateway:
    """Build the gateway. Nothing is connected before `start`. Raises OSError where the port cannot be had."""
    catalog, kafka, redis = load_catalog(), KafkaSettings(), RedisSettings()
    threads = CriticalThreads()
    health = PartHealth(settings.name, "gateway")
    registry = RegistryClient(RegistrySettings())
    stores = Stores(PostgresSettings(), MongoSettings(), redis)
    event_log = EventLogClient(settings.monitor_address)
    probes = PlatformProbes(stores, kafka, RegistrySettings())
    producer = CommandProducer(
        kafka.client_config(settings.name),
        topics.COMMANDS,
        threads,
        max_in_flight=settings.max_in_flight_commands,
        ack_timeout_s=settings.kafka_ack_timeout_s,
    )
    topic_watch = TopicWatch(kafka, f"{settings.name}-topics", threads, producer)
    notes = {"kafka": lambda: topic_watch.risk}
    platform = HealthQueries(probes.by_name(), event_log.parts, health, notes)
    tracker = OperationTracker(
        settings=settings,
        catalog=catalog,
        kafka=kafka,
        redis_settings=redis,
        redis_client=stores.redis_client,
        marks=StoreMarks(stores),
        marks_ttl_s=LaneSettings().marker_ttl_s,
        schemas=registry,
        event_log=event_log,
        tracing=tracing,
        threads=threads,
    )
    commands = CommandPath(
        producer,
        tracker,
        tracing,
        service=settings.name,
        ack_timeout_s=settings.kafka_ack_timeout_s,
        max_claims=settings.max_in_flight_commands,
    )
    calls = Calls(
        catalog,
        (*catalog.services, LONG_RUNNING),
        commands,
        build_queries(stores, tracker, event_log, platform),
        admissions=Admissions(max_request_bytes=settings.max_request_bytes, demo_data=settings.demo_data),
        tracing=tracing,
        max_streams=settings.max_streams,
    )
    server = GrpcServer(calls, settings, platform)
    http = HttpServer(
        HttpDoor(calls, Routes(catalog.services), settings),
        HttpLimits(connections=settings.http_max_connections),
        host=settings.host,
        port=settings.http_port,
        reuse_port=settings.shares_ports,
        grpc_address=(_LOOPBACK.get(settings.host, settings.host), server.port),
    )
    register_metrics(metrics, calls=calls, producer=producer, tracker=tracker, health=health, tracing=tracing)
    return Gateway(
        settings=settings,
        catalog=catalog,
        registry=registry,
        stores=stores,
        event_log=event_log,
        probes=probes,
        tracker=tracker,
        producer=producer,
        topic_watch=topic_watch,
        commands=commands,
        calls=calls,
        server=server,
        http=http,
        threads=threads,
        health=health,
        own_health=GatewayHealth(health, producer, topic_watch, tracker, probes.ask_kafka),
        metrics=metrics,
        health_file=HealthFile(settings.ready_file, health, threads),
        health_pusher=HealthPusher(settings.monitor_address, health, threads),
    )


def _register(catalog: Catalog, registry: RegistryClient) -> Encoders:
    """Register every command's schema. Raises PolystreamError where the registry does not answer, or refuses one."""
    encoders: dict[str, Encoder] = {}
    for command in catalog.commands.values():
        record, schema = command.request_type, load_schema(command.request_type)
        descriptor: Descriptor = command.request_class.DESCRIPTOR  # type: ignore[assignment] # upb's own class
        encoders[record] = Encoder(descriptor, schema, registry.register(topics.COMMANDS, record, schema))
    return encoders
