"""Passing spans on to Jaeger: as they came, bounded, and at nobody's cost."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from structlog.testing import CapturingLogger

from mesh.catalog import load_catalog
from mesh.env_file import SettingsError
from mesh.health.part import WAIT_GRACE_S, PartHealth
from mesh.health.report import HealthState
from mesh.settings import JaegerSettings
from mesh.telemetry.names import CONVERSATION_ID
from monitor import forwarder as forwarder_module
from monitor.forwarder import FORWARDED_KEY, TraceForwarder
from monitor.otlp import TraceReceiver
from monitor.store.local import LocalEventStore
from tests.support.ports import free_port_run
from tests.support.waiting import eventually_async

_HEALTH = PartHealth("monitor", "monitor")

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_EXPORT = f"/{_SERVICE}/Export"
_TIMEOUT_S = 20.0


class Receiver:
    """An OTLP server in this process, which keeps what it gets and fails as it is told."""

    def __init__(self) -> None:
        self.port = free_port_run(1)
        self.taken: list[bytes] = []
        self.attempts = 0
        self.marks: list[str] = []
        self.refusals: list[grpc.StatusCode] = []  # for the next attempts, one each
        self.answer = ExportTraceServiceResponse()
        self.held: asyncio.Event | None = None  # answers only when it is set
        self._server: grpc.aio.Server | None = None

    async def start(self) -> Self:
        """Listen."""
        self._server = grpc.aio.server()
        handler: grpc.RpcMethodHandler[bytes, ExportTraceServiceResponse] = grpc.unary_unary_rpc_method_handler(
            self._export, response_serializer=ExportTraceServiceResponse.SerializeToString
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": handler}),))
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return self

    async def stop(self) -> None:
        """Close the port, and every connection."""
        if self._server is not None:
            await self._server.stop(None)

    async def _export(self, content: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> ExportTraceServiceResponse:
        self.attempts += 1
        if self.held is not None:
            await self.held.wait()
        if self.refusals:
            await context.abort(self.refusals.pop(0), "as told")
        self.marks += [str(value) for key, value in context.invocation_metadata() or () if key == FORWARDED_KEY]
        self.taken.append(content)
        return self.answer


def _settings(receiver: Receiver, **others: float) -> JaegerSettings:
    variables: dict[str, Any] = {"JAEGER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}"}
    variables |= {f"JAEGER_{name.upper()}": value for name, value in others.items()}
    return JaegerSettings(**variables)


def _request(name: str, padding: int = 0) -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    span = scope.spans.add(name=name + "." * padding, trace_id=bytes(15) + b"\1", span_id=bytes(7) + b"\1")
    span.attributes.add(key=CONVERSATION_ID).value.string_value = "c"
    return request.SerializeToString()


@pytest.fixture
async def jaeger() -> AsyncIterator[Receiver]:
    """An OTLP server that does not listen yet."""
    receiver = Receiver()
    yield receiver
    await receiver.stop()


async def test_a_request_arrives_byte_for_byte(jaeger: Receiver) -> None:
    """What this code knows nothing of arrives too, and whoever gets it can tell that it was passed on."""
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger), _HEALTH)
    forwarder.start()
    content = _request("new") + b"\xfa\x3f\x03any"  # field 1023, of a later version
    forwarder.offer(content, 1)
    await eventually_async(lambda: _is(jaeger.taken == [content]), _TIMEOUT_S)
    assert jaeger.marks == ["1"]
    await forwarder.stop()
    assert forwarder.dropped_spans == 0


async def _is(condition: bool) -> bool:
    return condition


async def test_while_jaeger_is_down_the_newest_wait_within_the_bound(jaeger: Receiver) -> None:
    """Offering never waits, the queue never exceeds its bytes, and what is left arrives in its order later."""
    requests = [_request(f"{number:04}", padding=1000) for number in range(500)]
    bound = 50 * (len(requests[0]) + 200)  # what a request takes beside its content
    forwarder = TraceForwarder(_settings(jaeger, queue_max_bytes=bound), _HEALTH)
    forwarder.start()
    for number, request in enumerate(requests):
        forwarder.offer(request, 1)
        assert forwarder.waiting_bytes <= bound
        if number % 100 == 0:
            await asyncio.sleep(0)  # lets it try
    assert forwarder.dropped_spans >= 450
    await jaeger.start()
    await eventually_async(lambda: _is(len(jaeger.taken) >= 50), _TIMEOUT_S)
    await forwarder.stop()
    assert jaeger.taken[-49:] == requests[-49:]
    assert jaeger.taken == sorted(jaeger.taken)  # the one that was in hand in the burst may have come before
    assert len(jaeger.taken) + forwarder.dropped_spans == 500


async def test_one_that_exceeds_the_whole_bound_is_dropped_alone(jaeger: Receiver) -> None:
    """It takes nothing else with it that is still to come."""
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger, queue_max_bytes=500), _HEALTH)
    forwarder.start()
    forwarder.offer(_request("large", padding=1000), 7)
    forwarder.offer(_request("small"), 1)
    await forwarder.stop()
    assert jaeger.taken == [_request("small")]
    assert forwarder.dropped_spans == 7


async def test_what_is_not_taken_now_is_sent_again_in_order(jaeger: Receiver) -> None:
    """Any answer that OTLP calls transient is no loss."""
    jaeger.refusals = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED]
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger), _HEALTH)
    forwarder.start()
    requests = [_request(str(number)) for number in range(3)]
    for request in requests:
        forwarder.offer(request, 1)
    await eventually_async(lambda: _is(jaeger.taken == requests), _TIMEOUT_S)
    await forwarder.stop()
    assert jaeger.attempts == 6
    assert forwarder.dropped_spans == 0


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_what_jaeger_refuses_holds_nothing_up(jaeger: Receiver, code: grpc.StatusCode) -> None:
    """It is sent once, counted as lost, and the next one follows."""
    jaeger.refusals = [code]
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger), _HEALTH)
    forwarder.start()
    forwarder.offer(_request("bad"), 3)
    forwarder.offer(_request("good"), 1)
    await eventually_async(lambda: _is(jaeger.taken == [_request("good")]), _TIMEOUT_S)
    await forwarder.stop()
    assert (jaeger.attempts, forwarder.dropped_spans) == (2, 3)


async def test_spans_that_jaeger_takes_not_are_counted(jaeger: Receiver) -> None:
    """A partial success is a loss of those that it names."""
    jaeger.answer = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=2))
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger), _HEALTH)
    forwarder.start()
    forwarder.offer(_request("three"), 3)
    await forwarder.stop()
    assert (jaeger.attempts, forwarder.dropped_spans) == (1, 2)


async def test_it_stops_within_its_bound_where_jaeger_hangs(jaeger: Receiver) -> None:
    """What could not be sent by then is counted, that in hand too."""
    jaeger.held = asyncio.Event()
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger, drain_timeout_s=0.3), _HEALTH)
    forwarder.start()
    for _ in range(3):
        forwarder.offer(_request("stuck"), 1)
    await eventually_async(lambda: _is(jaeger.attempts == 1), _TIMEOUT_S)
    began = time.monotonic()
    await forwarder.stop()
    assert time.monotonic() - began < 3
    assert forwarder.dropped_spans == 3


async def test_losses_are_told_now_and_then(jaeger: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many spans are lost, there is a line about it at once and one at the end, with their number."""
    told = CapturingLogger()
    monkeypatch.setattr(forwarder_module, "log", told)
    forwarder = TraceForwarder(
        _settings(jaeger, queue_max_bytes=1, drain_timeout_s=0), PartHealth("monitor", "monitor")
    )
    for _ in range(1000):
        forwarder.offer(_request("lost"), 2)
    await forwarder.stop()
    assert [(call.args, call.kwargs["spans"], call.kwargs["total"]) for call in told.calls] == [
        (("spans not passed on",), 2, 2),
        (("spans not passed on",), 1998, 2000),
    ]


async def test_a_jaeger_that_comes_and_goes_is_told_of_now_and_then(
    jaeger: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has its first absence and that one's end, not each of many."""
    told = CapturingLogger()
    monkeypatch.setattr(forwarder_module, "log", told)
    monkeypatch.setattr(forwarder_module, "_BACKOFF_FIRST_S", 0.001)
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger), _HEALTH)
    forwarder.start()
    for number in range(10):
        jaeger.refusals = [grpc.StatusCode.UNAVAILABLE]
        forwarder.offer(_request(str(number)), 1)
        await eventually_async(lambda: _is(len(jaeger.taken) == number + 1), _TIMEOUT_S)  # noqa: B023 - in this round
    await forwarder.stop()
    assert [call.args for call in told.calls] == [
        ("Jaeger takes no spans now: they wait",),
        ("Jaeger takes spans again",),
    ]


class Monitor:
    """A monitor's OTLP port on a store of its own."""

    def __init__(self, folder: Path, forwarder: TraceForwarder | None) -> None:
        self.store = LocalEventStore(folder, load_catalog())
        self._server = grpc.aio.server()
        TraceReceiver(self.store, forwarder).add_to(self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()
        await self._server.stop(None)
        self.store.close()

    async def export(self, content: bytes, **metadata: str) -> ExportTraceServiceResponse:
        """Send an export request."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, ExportTraceServiceResponse] = self._channel.unary_unary(
            _EXPORT, response_deserializer=ExportTraceServiceResponse.FromString
        )
        pairs = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        return await call(content, metadata=pairs, timeout=_TIMEOUT_S)


async def test_the_monitor_keeps_spans_and_passes_them_on_once(jaeger: Receiver, tmp_path: Path) -> None:
    """What was passed on already is kept, and goes no further: two that lead to each other make no circle."""
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger), _HEALTH)
    forwarder.start()
    async with Monitor(tmp_path, forwarder) as monitor:
        await monitor.export(_request("round"), polystream_forwarded="1")
        await monitor.export(_request("first"))
        assert {span.name for span in monitor.store.spans_of("c").spans} & {"first", "round"}
    await forwarder.stop()
    assert jaeger.taken == [_request("first")]


async def test_a_jaeger_that_is_down_or_hangs_harms_no_ingest(jaeger: Receiver, tmp_path: Path) -> None:
    """Every request is answered and kept at once all the same."""
    jaeger.held = asyncio.Event()
    forwarder = TraceForwarder(_settings(jaeger, drain_timeout_s=0), _HEALTH)
    forwarder.start()
    async with Monitor(tmp_path, forwarder) as monitor:
        for phase in ("down", "hangs"):
            if phase == "hangs":
                await jaeger.start()
            answers = await asyncio.wait_for(
                asyncio.gather(*(monitor.export(_request(phase)) for _ in range(100))), _TIMEOUT_S
            )
            assert not any(answer.partial_success.rejected_spans for answer in answers)
    await forwarder.stop()
    assert forwarder.dropped_spans == 200


async def test_what_is_no_export_request_is_refused(tmp_path: Path) -> None:
    """Whoever sends it is told, with a code that says not to send it again."""
    async with Monitor(tmp_path, None) as monitor:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await monitor.export(b"\xff\xff")
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("endpoint", ["jaeger:4317", "http://jaeger:4317", "https://jaeger:4317/", ""])
def test_the_endpoint_is_an_address_or_a_url(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenTelemetry's own exporters take it; empty is off."""
    monkeypatch.setenv("JAEGER_OTLP_ENDPOINT", endpoint)
    assert JaegerSettings().otlp_endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["jaeger", "http://jaeger:4317/v1/traces", "ftp://jaeger:4317"])
def test_a_malformed_endpoint_is_told_by_its_name(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor does not start without forwarding in silence."""
    monkeypatch.setenv("JAEGER_OTLP_ENDPOINT", endpoint)
    with pytest.raises(SettingsError, match="JAEGER_OTLP_ENDPOINT"):
        JaegerSettings()


async def test_a_jaeger_that_hangs_is_told_while_it_does(jaeger: Receiver) -> None:
    """The monitor has waited since it asked, not since it gave the answer up."""
    now_s = 0.0
    health = PartHealth("monitor", "monitor", clock_s=lambda: now_s)
    health.ready()
    jaeger.held = asyncio.Event()
    await jaeger.start()
    forwarder = TraceForwarder(_settings(jaeger, drain_timeout_s=0), health)
    forwarder.start()
    forwarder.offer(_request("held"), 1)

    async def asked() -> bool:
        return jaeger.attempts > 0

    await eventually_async(asked, _TIMEOUT_S)
    assert health.report().waits == ()
    now_s += WAIT_GRACE_S + 0.1
    report = health.report()
    assert (report.state, [wait.dependency for wait in report.waits]) == (HealthState.DEGRADED, ["jaeger"])
    await forwarder.stop()
