"""Builds the monitor's objects."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc
import uvicorn
from polystream.monitor.v1.event_log_pb2_grpc import add_EventLogServiceServicer_to_server
from polystream.monitor.v1.integrity_runs_pb2_grpc import add_IntegrityRunServiceServicer_to_server
from polystream.monitor.v1.lane_control_pb2_grpc import add_LaneControlServiceServicer_to_server
from polystream.monitor.v1.part_health_pb2_grpc import add_PartHealthServiceServicer_to_server
from polystream.v1.events_pb2 import CommandReceipt

from mesh.catalog import Catalog, load_catalog
from mesh.codec import Decoder
from mesh.direct import GRPC_OPTIONS
from mesh.health.file import HealthFile
from mesh.health.lag import LagWatch
from mesh.health.part import PartHealth
from mesh.hosts import host_and_port
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import (
    EventStoreSettings,
    JaegerSettings,
    KafkaSettings,
    MonitorSettings,
    RegistrySettings,
    TelemetrySettings,
)
from mesh.telemetry.metric_list import Service
from mesh.telemetry.metrics import Metrics
from mesh.threads import CriticalThreads
from monitor.activity import Activity
from monitor.admin import Admin, AdminProcess
from monitor.admin_api import AdminApi
from monitor.forwarder import TraceForwarder
from monitor.ingest import Ingest
from monitor.integrity_job import IntegrityJob
from monitor.integrity_runs import IntegrityRuns, IntegrityRunServicer
from monitor.lane_control import LaneControls, LaneControlServicer
from monitor.metrics.receiver import MetricReceiver
from monitor.metrics.store import MetricStore
from monitor.otlp import TraceReceiver
from monitor.own_health import MonitorHealth
from monitor.own_metrics import register_metrics
from monitor.pages.app import Pages
from monitor.pages.record_lookup import RecordLookup
from monitor.pages.shown_record import RecordRenderer
from monitor.part_health import KnownParts, PartHealthServicer
from monitor.records import EventReader
from monitor.retention import Retention
from monitor.service import EventLog, EventLogServicer
from monitor.store.local import LocalEventStore
from monitor.store.port import EventStore
from monitor.store.spool import SpooledEventStore
from monitor.store.spool_file import SpoolFile
from monitor.traces import Traces

_MAX_OTLP_MESSAGE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Monitor:
    """The monitor's parts, in the order in which they start."""

    store: EventStore
    forwarder: TraceForwarder | None
    grpc_server: grpc.aio.Server
    gateway: grpc.aio.Channel
    admin: AdminProcess
    pages: Pages
    http_server: uvicorn.Server
    ingest: Ingest
    metrics: Metrics
    metric_store: MetricStore
    lag: LagWatch
    own_health: MonitorHealth
    health_file: HealthFile
    retention: Retention
    threads: CriticalThreads


def build() -> Monitor:
    """Build the monitor from the environment. Call it in the event loop that will run it."""
    settings, event_store = MonitorSettings(), EventStoreSettings()
    catalog = load_catalog()
    health = PartHealth("monitor", "monitor")
    store = _event_store(event_store, catalog, lambda: health.count("set_apart"))
    log = EventLog(store, catalog)
    jaeger = JaegerSettings()
    forwarder = TraceForwarder(jaeger, health) if jaeger.otlp_endpoint else None

    grpc_server = grpc.aio.server(options=[("grpc.max_receive_message_length", _MAX_OTLP_MESSAGE_BYTES)])
    traces = TraceReceiver(store, forwarder)
    traces.add_to(grpc_server)
    metric_store = MetricStore(event_store.data_dir)
    MetricReceiver(metric_store).add_to(grpc_server)
    add_EventLogServiceServicer_to_server(EventLogServicer(log), grpc_server)
    known = KnownParts(health)
    data_dir = event_store.data_dir
    controls, runs = LaneControls(data_dir), IntegrityRuns(data_dir)
    add_PartHealthServiceServicer_to_server(PartHealthServicer(known, controls), grpc_server)
    add_LaneControlServiceServicer_to_server(LaneControlServicer(controls), grpc_server)
    add_IntegrityRunServiceServicer_to_server(IntegrityRunServicer(runs), grpc_server)
    grpc_server.add_insecure_port(host_and_port(settings.host, settings.otlp_port))

    receipts = Decoder(
        CommandReceipt, load_schema(CommandReceipt.DESCRIPTOR.full_name), RegistryClient(RegistrySettings())
    )
    threads = CriticalThreads()
    activity = Activity()
    ingest = Ingest(
        *(KafkaSettings(), EventReader(catalog, receipts), store, threads, health),
        system="opensearch" if event_store.elasticsearch_host else "sqlite",
        on_kept=activity.add,
    )
    telemetry = TelemetrySettings()
    metrics = Metrics(Service.MONITOR, "monitor", telemetry)
    register_metrics(
        metrics,
        health=health,
        ingest=ingest,
        store=store,
        traces=traces,
        forwarder=forwarder,
        kept=metric_store,
    )

    gateway = grpc.aio.insecure_channel(settings.gateway_address, options=GRPC_OPTIONS)
    admin_process = AdminProcess(data_dir)
    admin = Admin(admin_process, runs)
    pages = Pages(
        log,
        Traces(store),
        catalog,
        settings,
        gateway,
        is_following=ingest.is_following,
        parts=known.parts,
        activity=activity,
        metrics=metric_store,
        metric_interval_s=telemetry.metric_interval_ms / 1000,
        controls=controls,
        integrity_job=IntegrityJob(admin, runs),
        admin=admin,
        records=RecordLookup(KafkaSettings(), RecordRenderer(catalog, RegistryClient(RegistrySettings()))),
        admin_routes=AdminApi(admin, runs, controls).routes(),
    )
    http_server = uvicorn.Server(
        uvicorn.Config(
            pages.app(), host=settings.host, port=settings.http_port, log_config=None, access_log=False, lifespan="off"
        )
    )
    return Monitor(
        store=store,
        forwarder=forwarder,
        grpc_server=grpc_server,
        gateway=gateway,
        admin=admin_process,
        pages=pages,
        http_server=http_server,
        ingest=ingest,
        metrics=metrics,
        metric_store=metric_store,
        lag=LagWatch(ingest, health, threads),
        own_health=MonitorHealth(health, ingest, store, forwarder),
        health_file=HealthFile(settings.ready_file, health, threads),
        retention=Retention(store, settings),
        threads=threads,
    )


def _event_store(settings: EventStoreSettings, catalog: Catalog, on_set_apart: Callable[[], None]) -> EventStore:
    """Return OpenSearch behind a spool where the settings name one, else a file of this machine's.

    `on_set_apart` is called for each event or span that can never be kept.
    """
    if not settings.elasticsearch_host:
        return LocalEventStore(settings.data_dir, catalog, on_set_apart)
    # Not before it is needed: opensearch-py takes a third of a second to import.
    from monitor.store.opensearch import OpenSearchEventStore  # noqa: PLC0415
    from monitor.store.search_api import SearchApi  # noqa: PLC0415

    spool = SpoolFile(settings.data_dir / "spool", settings.spool_max_bytes)
    inner = OpenSearchEventStore(SearchApi(settings, on_set_apart), catalog)
    return SpooledEventStore(inner, spool, catalog, on_set_apart)
