"""`/metrics`: both formats, exemplars, and what a client may not do."""

import contextlib
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from mesh.settings import TelemetrySettings
from mesh.telemetry.context import trace_context
from mesh.telemetry.metric_list import LAG, RPC_DURATION, Service
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.tallies import HistogramTable
from tests.support.ports import free_port_run

_TRACE = trace_context("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


def metrics_on(port: int) -> Metrics:
    """Return a gateway's metrics, told on a port alone."""
    settings = TelemetrySettings(
        OTEL_SDK_DISABLED=False, OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=port,
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
    )  # fmt: skip
    metrics = Metrics(Service.GATEWAY, "gateway-0", settings)
    durations = HistogramTable(RPC_DURATION)
    durations.of("p.S/GetUser", "grpc", "OK").record(0.003, _TRACE)
    metrics.add(durations)
    metrics.observe_one(LAG, lambda: 3)
    return metrics


@pytest.fixture
def port() -> Iterator[int]:
    """Return the port that metrics are told on."""
    port = free_port_run(1)
    metrics = metrics_on(port)
    metrics.start()
    yield port
    metrics.shutdown()


def ask(port: int, request: bytes) -> bytes:
    """Send bytes, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while received := connection.recv(65536):
            answer += received
    return answer


def test_prometheus_reads_every_metric(port: int) -> None:
    """As plain text, which has no exemplars."""
    with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = {family.name: family for family in parse(text)}
    assert families["polystream_lag_records"].samples[0].value == 3
    counted = [s for s in families["rpc_server_call_duration_seconds"].samples if s.name.endswith("_count")]
    assert [(sample.labels["rpc_method"], sample.value) for sample in counted] == [("p.S/GetUser", 1)]
    assert families["target_info"].samples[0].labels["service_instance_id"] == "gateway-0"


def test_openmetrics_has_the_traces_of_exemplars(port: int) -> None:
    """Where the reader asks for that form."""
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    with urllib.request.urlopen(
        urllib.request.Request(f"http://localhost:{port}/metrics", headers=accept), timeout=10
    ) as answer:
        text = answer.read().decode()
    families = list(parse_openmetrics(text))  # type: ignore[no-untyped-call]
    (family,) = [family for family in families if family.name == "rpc_server_call_duration_seconds"]
    (exemplar,) = [sample.exemplar for sample in family.samples if sample.exemplar]
    assert (exemplar.labels["trace_id"], exemplar.value) == (_TRACE.trace_id, 0.003)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nhost: evil.example.com\r\n\r\n", b"421"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"HEAD /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n", b"200"),
        (b"GET /metrics?x=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"200"),
    ],
)
def test_each_request_has_its_status(port: int, request_: bytes, status: bytes) -> None:
    """A page of elsewhere reads nothing, and an error is a google.rpc.Status."""
    head, _, body = ask(port, request_).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert bool(body) == (not request_.startswith(b"HEAD"))
    assert (b'"reason"' in body) == (status != b"200")


def test_too_much_is_not_read(port: int) -> None:
    """A head without an end is cut off, and the next client is answered."""
    with contextlib.suppress(ConnectionError):  # the rest of what was sent may come to a closed connection
        assert not ask(port, b"GET /metrics HTTP/1.1\r\nx: " + b"x" * 200_000)
    assert ask(port, b"HEAD /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_port_that_is_taken_stops_nothing(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and the service goes on."""
    second = metrics_on(port)
    second.start()
    assert "no /metrics" in capsys.readouterr().out
    second.shutdown()


def test_a_metric_of_another_service_cannot_be_registered() -> None:
    """Nor one twice: the list is all that there is."""
    metrics = Metrics(Service.MONITOR, "monitor", TelemetrySettings(OTEL_METRICS_EXPORTER="none"))
    with pytest.raises(ValueError, match="no metric of the monitor"):
        metrics.add(HistogramTable(RPC_DURATION))
    metrics.observe_one(LAG, lambda: 0)
    with pytest.raises(ValueError, match="twice"):
        metrics.observe_one(LAG, lambda: 0)
