"""Metrics: what the code counts, read by OpenTelemetry's SDK, pushed by OTLP and told on `/metrics`.

All sums count from the start of the process (cumulative temporality): a push that is lost loses nothing, and whoever
reads both ways reads the same.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import grpc
import structlog
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, Exemplar, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from prometheus_client import CollectorRegistry

from mesh.direct import GRPC_OPTIONS
from mesh.settings import TelemetrySettings
from mesh.telemetry.metric_list import EXPORTS_FAILED, MetricKind, MetricSpec, Service
from mesh.telemetry.process_metrics import observe_process
from mesh.telemetry.prometheus import HistogramCollector
from mesh.telemetry.scrape_server import ScrapeServer
from mesh.telemetry.tallies import CounterTable, HistogramTable, HistogramTally

Observed = tuple[int | float, Mapping[str, str]]  # a value, and its attributes

_EXPORT_TIMEOUT_S: Final = 3.0
_SHUTDOWN_TIMEOUT_S: Final = 5.0
# No push is tried again: the next one tells all that it would have. An empty tuple would stand for the SDK's own codes.
_NONE: Final = (grpc.StatusCode.OK,)

_LOG = structlog.stdlib.get_logger(__name__)


class Metrics:
    """A service's metrics. Whatever becomes of them, the service goes on.

    `service` and `instance` become OpenTelemetry's resource attributes `service.name` and `service.instance.id`.
    Everything is to be registered before `start`; what is read is read on another thread.
    """

    def __init__(self, service: Service, instance: str, settings: TelemetrySettings) -> None:
        self._service = service
        self._instance = instance
        self._settings = settings
        self._exporters = frozenset() if settings.sdk_disabled else settings.metrics_exporters
        self._reads: dict[str, tuple[MetricSpec, Callable[[], Iterable[Observed]]]] = {}
        self._histograms: list[HistogramTable] = []
        self._failures = 0
        self._provider: MeterProvider | None = None
        self._scrapes: ScrapeServer | None = None

    def add(self, table: HistogramTable | CounterTable) -> None:
        """Have a table told that the code counts in."""
        if isinstance(table, CounterTable):
            self.observe(table.spec, lambda: [(count, attributes) for attributes, count in table.read()])
            return
        self._take(table.spec)
        self._histograms.append(table)

    def observe(self, spec: MetricSpec, read: Callable[[], Iterable[Observed]]) -> None:
        """Have the series of a metric read, each with its attributes, whenever metrics are collected."""
        self._take(spec)
        self._reads[spec.name] = (spec, read)

    def observe_one(
        self, spec: MetricSpec, read: Callable[[], float], attributes: Mapping[str, str] | None = None
    ) -> None:
        """Have one number read whenever metrics are collected."""
        told = dict(attributes or {})
        self.observe(spec, lambda: [(read(), told)])

    def start(self) -> None:
        """Begin to push, and to answer on `/metrics`, as the settings have it. Waits for nobody, and raises nothing."""
        self.observe_one(EXPORTS_FAILED, lambda: self._failures)
        observe_process(self.observe)
        readers: list[MetricReader] = []
        if "otlp" in self._exporters:
            readers.append(_PushReader(self._new_exporter(), self._read_histograms, self._settings.metric_interval_ms))
        registry = CollectorRegistry() if "prometheus" in self._exporters else None
        if registry is not None:
            readers.append(PrometheusMetricReader(scope_info_enabled=False, registry=registry))
            registry.register(HistogramCollector(self._histograms))
        if not readers:
            return
        self._provider = MeterProvider(
            readers,
            resource=Resource.create({SERVICE_NAME: self._service.value, SERVICE_INSTANCE_ID: self._instance}),
            exemplar_filter=AlwaysOffExemplarFilter(),  # it would be for histograms, which have theirs already
            shutdown_on_exit=False,
        )
        meter = self._provider.get_meter("polystream")
        for spec, read in self._reads.values():
            _create(meter, spec, read)
        if registry is not None:
            self._scrapes = ScrapeServer(registry, self._settings.prometheus_host, self._settings.prometheus_port)
            self._scrapes.start()

    def shutdown(self) -> None:
        """Push the last numbers, within five seconds, and stop."""
        if self._scrapes is not None:
            self._scrapes.stop()
        if self._provider is None:
            return
        try:
            self._provider.shutdown(_SHUTDOWN_TIMEOUT_S * 1000)
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing more exact; whoever stops goes on stopping
            _LOG.info("the last metrics were not pushed", error=type(error).__name__)

    def _take(self, spec: MetricSpec) -> None:
        """Raise ValueError where the list does not have the metric for this service, or it is registered already."""
        if self._service not in spec.services:
            raise ValueError(f"{spec.name} is no metric of the {self._service.value}")
        if spec.name in self._reads or any(table.spec is spec for table in self._histograms):
            raise ValueError(f"{spec.name} is registered twice")

    def _new_exporter(self) -> MetricExporter:
        endpoint = self._settings.otlp_endpoint
        exporter = OTLPMetricExporter(
            endpoint=endpoint,
            insecure=not endpoint.startswith("https"),
            timeout=_EXPORT_TIMEOUT_S,
            channel_options=GRPC_OPTIONS,  # type: ignore[arg-type] # gRPC takes numbers, too
            retryable_error_codes=_NONE,
        )
        return _MetricPusher(exporter, self._note_failure)

    def _note_failure(self) -> None:
        self._failures += 1

    def _read_histograms(self) -> list[Metric]:
        return [_metric(table) for table in self._histograms]


class _PushReader(PeriodicExportingMetricReader):
    """The SDK's reader, with the code's own histograms beside what the SDK has collected."""

    def __init__(self, exporter: MetricExporter, histograms: Callable[[], list[Metric]], interval_ms: int) -> None:
        self._own_histograms = histograms  # before a thread looks for them
        super().__init__(exporter, export_interval_millis=interval_ms, export_timeout_millis=_EXPORT_TIMEOUT_S * 1000)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> None:
        of_resource = metrics_data.resource_metrics[0]
        scope = of_resource.scope_metrics[0]
        scope = replace(scope, metrics=[*scope.metrics, *self._own_histograms()])
        whole = MetricsData([replace(of_resource, scope_metrics=[scope, *of_resource.scope_metrics[1:]])])
        super()._receive_metrics(whole, timeout_millis, **kwargs)


class _MetricPusher(MetricExporter):
    """An exporter whose failures are counted, and told once for as long as they last."""

    def __init__(self, inner: MetricExporter, on_failure: Callable[[], None]) -> None:
        super().__init__()  # cumulative, and histograms by explicit bounds, are the SDK's defaults
        self._inner = inner
        self._on_failure = on_failure
        self._is_failing = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> MetricExportResult:
        """Push once. What is not taken is dropped."""
        result = self._inner.export(metrics_data, timeout_millis, **kwargs)
        if result is MetricExportResult.SUCCESS:
            if self._is_failing:
                _LOG.info("metrics are taken again")
            self._is_failing = False
            return result
        self._on_failure()
        if not self._is_failing:
            _LOG.warning("metrics are not taken: they are dropped until somebody takes them")
        self._is_failing = True
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Do nothing: nothing is kept back."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """Close the connection."""
        self._inner.shutdown(timeout_millis, **kwargs)


def _create(meter: Meter, spec: MetricSpec, read: Callable[[], Iterable[Observed]]) -> None:
    """Have the SDK read a metric."""

    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for value, attributes in read():
            yield Observation(value, attributes)

    create = {
        MetricKind.COUNTER: meter.create_observable_counter,
        MetricKind.UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        MetricKind.GAUGE: meter.create_observable_gauge,
    }[spec.kind]
    create(spec.name, [observe], unit=spec.unit, description=spec.description)


_START_NS: Final = time.time_ns()  # of the process, or nearly so


def _metric(table: HistogramTable) -> Metric:
    """Return a histogram as the SDK exports it."""
    now_ns = time.time_ns()
    points = [_point(attributes, tally, table.spec.bounds, now_ns) for attributes, tally in table.read()]
    spec = table.spec
    return Metric(spec.name, spec.description, spec.unit, Histogram(points, AggregationTemporality.CUMULATIVE))


def _point(
    attributes: Mapping[str, str], tally: HistogramTally, bounds: tuple[float, ...], now_ns: int
) -> HistogramDataPoint:
    counts = list(tally.counts)
    exemplars = [
        Exemplar({}, traced.value, traced.time_ns, int(traced.span_id, 16), int(traced.trace_id, 16))
        for traced in list(tally.exemplars.values())
    ]
    # The smallest and the largest value are not kept: OTLP may leave them out, and readers have the buckets.
    return HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=_START_NS,
        time_unix_nano=now_ns,
        count=sum(counts),
        sum=tally.total,
        bucket_counts=counts,
        explicit_bounds=bounds,
        min=None,  # type: ignore[arg-type] # the encoder leaves it out, as the protocol allows
        max=None,  # type: ignore[arg-type] # likewise
        exemplars=exemplars,
    )
