"""The spans of a command in a lane: one tree, from the command's own span to the receipt's."""

import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import CreateUserRequest

from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError, Reason
from mesh.settings import TelemetrySettings
from mesh.telemetry.context import trace_context
from mesh.telemetry.sampling import HeadSampler, RateLimit
from mesh.telemetry.tracing import Tracing
from mesh.topics import COMMANDS
from processor.lanes.spans import LaneSpans, Step
from processor.model import Outcome, refuse
from processor.receipts import make_receipt
from tests.support.lanes import delivery

PARENT = trace_context("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
RECEIVED_NS = 1_700_000_000_000_000_000
STEP = Step(RECEIVED_NS + 1000, RECEIVED_NS + 2000, commands=3)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Return where the spans end up."""
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> LaneSpans:
    """Return a lane's spans, without a collector."""
    tracing = Tracing("processor", "lane-0", TelemetrySettings(OTEL_SDK_DISABLED=True))
    provider = TracerProvider(id_generator=tracing._ids)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing._provider, tracing._tracer = provider, provider.get_tracer("test")
    tracing._head_sampler = HeadSampler(RateLimit(1, lambda: 0.0), None)
    return LaneSpans(tracing, "POSTGRESQL", "processor-postgresql")


def record() -> KafkaRecord:
    """Return the record of the command."""
    return KafkaRecord(COMMANDS, 4, 17, 0, RECEIVED_NS, b"5", b"", [])


def receipt(outcome: Outcome) -> CommandReceipt:
    """Return the command's receipt."""
    return make_receipt(delivery(CreateUserRequest(user_id=5)), outcome, "POSTGRESQL", time.time_ns())


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Return the finished spans."""
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_command_makes_three_spans_in_one_tree(spans: LaneSpans, exporter: InMemorySpanExporter) -> None:
    """The consumer's is a child of the command's, the store's and the producer's are children of the consumer's."""
    answer = receipt(Outcome())
    opened = spans.open(record(), PARENT, answer, cause=None, step=STEP)
    assert opened is not None
    context = opened.context
    opened.end()
    found = by_name(exporter)
    assert set(found) == {"process user_events", "CreateUser postgresql", "send response_events"}
    process, write, send = (
        found[name] for name in ("process user_events", "CreateUser postgresql", "send response_events")
    )
    assert (process.kind, write.kind, send.kind) == (SpanKind.CONSUMER, SpanKind.CLIENT, SpanKind.PRODUCER)
    assert process.parent is not None
    assert f"{process.parent.span_id:016x}" == PARENT.span_id
    for child in (write, send):
        assert child.parent is not None
        assert child.parent.span_id == process.context.span_id
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {PARENT.trace_id}
    assert (context.trace_id, context.span_id) == (PARENT.trace_id, f"{send.context.span_id:016x}")
    assert (process.start_time, write.start_time, write.end_time) == (RECEIVED_NS, STEP.start_ns, STEP.end_ns)
    assert dict(process.attributes or {}) == {
        "messaging.message.conversation_id": answer.correlation_id,
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "user_events",
        "messaging.destination.partition.id": "4",
        "messaging.kafka.offset": 17,
        "messaging.consumer.group.name": "processor-postgresql",
        "polystream.command": "CreateUser",
        "polystream.store": "POSTGRESQL",
        "polystream.state": "SUCCEEDED",
        "polystream.duplicate": False,
    }
    assert write.attributes is not None
    assert (write.attributes["db.system.name"], write.attributes["db.operation.batch.size"]) == ("postgresql", 3)


def test_a_refusal_is_told_but_is_no_fault(spans: LaneSpans, exporter: InMemorySpanExporter) -> None:
    """Its reason is an attribute; the span's status stays unset."""
    opened = spans.open(record(), PARENT, receipt(refuse(Reason.EMAIL_ALREADY_EXISTS, "email")), cause=None, step=STEP)
    assert opened is not None
    opened.end()
    process = by_name(exporter)["process user_events"]
    assert process.attributes is not None
    assert (process.attributes["error.type"], process.attributes["polystream.state"]) == (
        "EMAIL_ALREADY_EXISTS",
        "FAILED",
    )
    assert process.status.status_code is StatusCode.UNSET


def test_a_dead_letter_is_a_fault_without_a_write(spans: LaneSpans, exporter: InMemorySpanExporter) -> None:
    """A record that never came to the store has no store's span."""
    cause = PolystreamError(Reason.UNDECODABLE)
    opened = spans.open(record(), PARENT, receipt(Outcome(refusal=cause)), cause=cause, step=None)
    assert opened is not None
    opened.end()
    found = by_name(exporter)
    assert set(found) == {"process user_events", "send response_events"}
    assert found["process user_events"].status.status_code is StatusCode.ERROR
    assert found["process user_events"].status.description == "UNDECODABLE"


def test_a_command_that_is_not_sampled_makes_no_span(spans: LaneSpans, exporter: InMemorySpanExporter) -> None:
    """The decision is made where it enters the platform."""
    unsampled = trace_context(PARENT.trace_id, PARENT.span_id, sampled=False)
    assert spans.open(record(), unsampled, receipt(Outcome()), cause=None, step=STEP) is None
    assert exporter.get_finished_spans() == ()


def test_commands_of_producers_without_traces_are_admitted_within_the_limit(
    spans: LaneSpans, exporter: InMemorySpanExporter
) -> None:
    """One a second here: the second one in the same instant is not traced."""
    opened = [spans.open(record(), None, receipt(Outcome()), cause=None, step=STEP) for _ in range(2)]
    assert opened[0] is not None
    assert opened[1] is None
    opened[0].end()
    assert by_name(exporter)["process user_events"].parent is None


def test_what_is_delivered_again_has_the_spans_of_the_first_time(
    spans: LaneSpans, exporter: InMemorySpanExporter
) -> None:
    """They may never have left a process that was killed, while the receipt that names one of them as parent has."""
    for _ in range(2):
        opened = spans.open(record(), PARENT, receipt(Outcome()), cause=None, step=STEP)
        assert opened is not None
        opened.end()
    told = [(span.name, span.context.span_id) for span in exporter.get_finished_spans() if span.context]
    assert told[:3] == told[3:]
    assert len(set(told)) == 3
    refused = spans.open(record(), PARENT, receipt(refuse(Reason.EMAIL_ALREADY_EXISTS, "email")), cause=None, step=STEP)
    assert refused is not None
    refused.end()
    others = [(span.name, span.context.span_id) for span in exporter.get_finished_spans()[6:] if span.context]
    assert len(others) == 3
    assert not {*others} & {*told}
