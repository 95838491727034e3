"""Builds the monitor's objects."""

from dataclasses import dataclass

import grpc
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import add_TraceServiceServicer_to_server
from polystream.monitor.v1.event_log_pb2_grpc import add_EventLogServiceServicer_to_server
from polystream.v1.events_pb2 import CommandReceipt

from mesh.catalog import load_catalog
from mesh.codec import Decoder
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import EventStoreSettings, KafkaSettings, MonitorSettings, RegistrySettings
from monitor.ingest import Ingest
from monitor.otlp import TraceReceiver
from monitor.pages import Pages
from monitor.records import EventReader
from monitor.retention import Retention
from monitor.service import EventLog, EventLogServicer
from monitor.store.local import LocalEventStore
from monitor.store.port import EventStore

_MAX_OTLP_MESSAGE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Monitor:
    """The monitor's parts, in the order in which they start."""

    store: EventStore
    grpc_server: grpc.aio.Server
    gateway: grpc.aio.Channel
    http_server: uvicorn.Server
    ingest: Ingest
    retention: Retention


def build() -> Monitor:
    """Build the monitor from the environment. Call it in the event loop that will run it."""
    settings = MonitorSettings()
    catalog = load_catalog()
    store = LocalEventStore(EventStoreSettings().data_dir, catalog)
    log = EventLog(store, catalog)

    grpc_server = grpc.aio.server(options=[("grpc.max_receive_message_length", _MAX_OTLP_MESSAGE_BYTES)])
    add_TraceServiceServicer_to_server(TraceReceiver(store), grpc_server)  # type: ignore[no-untyped-call] # generated
    add_EventLogServiceServicer_to_server(EventLogServicer(log), grpc_server)
    grpc_server.add_insecure_port(f"{settings.host}:{settings.otlp_port}")

    gateway = grpc.aio.insecure_channel(settings.gateway_address)
    pages = Pages(log, catalog, settings, gateway)
    http_server = uvicorn.Server(
        uvicorn.Config(
            pages.app(), host=settings.host, port=settings.http_port, log_config=None, access_log=False, lifespan="off"
        )
    )
    receipts = Decoder(
        CommandReceipt, load_schema(CommandReceipt.DESCRIPTOR.full_name), RegistryClient(RegistrySettings())
    )
    ingest = Ingest(KafkaSettings(), EventReader(catalog, receipts), store)
    return Monitor(store, grpc_server, gateway, http_server, ingest, Retention(store, settings))
