"""Builds the gateway's objects, and starts and stops them in their order."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from google.protobuf.descriptor import Descriptor
from polystream.v1.operations_pb2 import Operation

from gateway.boundary import Boundary
from gateway.commands import CommandPath, Encoders
from gateway.demo import DemoData
from gateway.operations.shelf import Claim
from gateway.producer import CommandProducer
from gateway.server import GatewayServer
from mesh import topics
from mesh.catalog import Catalog, load_catalog
from mesh.codec import Encoder
from mesh.errors import PolystreamError, Reason
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import GatewaySettings, KafkaSettings, RegistrySettings
from mesh.telemetry.tracing import Tracing

_BACKOFF_MIN_S = 0.1
_BACKOFF_MAX_S = 2.0
_QUERY_GRACE_S = 0.5  # for the queries that run when the port closes
_CLOSE_TIMEOUT_S = 2.0

log = structlog.stdlib.get_logger(__name__)


class _NoOperations:
    def accepted(self, operation: Operation) -> None:
        pass

    async def find(self, correlation_id: str) -> Operation | None:
        return None

    async def claim_request(self, correlation_id: str, fingerprint: bytes) -> Claim:
        return Claim.UNKNOWN


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway's parts."""

    settings: GatewaySettings
    catalog: Catalog
    registry: RegistryClient
    producer: CommandProducer
    commands: CommandPath
    server: GatewayServer

    async def start(self) -> None:
        """Listen, then take commands as soon as the registry has given the schemas' IDs.

        Raises PolystreamError INTERNAL where the registry refuses a schema: the contracts are at fault then.
        """
        self.producer.start()
        await self.server.start()
        log.info("listening", host=self.settings.host, port=self.server.port, server=self.settings.server)
        self.commands.use_encoders(await self._registered_encoders())
        await self.server.serve()
        log.info("serving")

    async def stop(self) -> None:
        """Refuse new commands, wait for those that Kafka has yet to acknowledge, and close everything."""
        give_up_s = time.monotonic() + self.settings.drain_timeout_s
        self.commands.refuse_new()
        await self.server.leave()
        drained = await self.producer.drain(self.settings.drain_timeout_s)
        if not drained:
            log.warning("commands were still waiting for kafka", commands=self.producer.in_flight)
        await self.server.stop(_QUERY_GRACE_S)
        await self.producer.close(max(_CLOSE_TIMEOUT_S, give_up_s - time.monotonic()) if drained else _CLOSE_TIMEOUT_S)
        self.registry.close()

    async def _registered_encoders(self) -> Encoders:
        """Register every command's schema; a registry that does not answer yet is asked again."""
        backoff_s = _BACKOFF_MIN_S
        while True:
            try:
                return await asyncio.to_thread(_register, self.catalog, self.registry)
            except PolystreamError as error:
                if error.reason is not Reason.REGISTRY_UNAVAILABLE:
                    raise
                log.warning("the schema registry does not answer", retry_in_s=backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)


def build(settings: GatewaySettings, tracing: Tracing) -> Gateway:
    """Build the gateway. Nothing is connected before `start`."""
    catalog = load_catalog()
    operations = _NoOperations()
    producer = CommandProducer(
        KafkaSettings().client_config(settings.name),
        topics.COMMANDS,
        max_in_flight=settings.max_in_flight_commands,
        ack_timeout_s=settings.kafka_ack_timeout_s,
    )
    commands = CommandPath(
        producer,
        operations,
        tracing,
        service=settings.name,
        ack_timeout_s=settings.kafka_ack_timeout_s,
        demo=DemoData() if settings.demo_data else None,
    )
    server = GatewayServer(catalog, commands, {}, Boundary(tracing), settings)
    return Gateway(settings, catalog, RegistryClient(RegistrySettings()), producer, commands, server)


def _register(catalog: Catalog, registry: RegistryClient) -> Mapping[str, Encoder]:
    encoders: dict[str, Encoder] = {}
    for command in catalog.commands.values():
        record, schema = command.request_type, load_schema(command.request_type)
        descriptor: Descriptor = command.request_class.DESCRIPTOR  # type: ignore[assignment] # upb's own class
        encoders[record] = Encoder(descriptor, schema, registry.register(topics.COMMANDS, record, schema))
    return encoders
