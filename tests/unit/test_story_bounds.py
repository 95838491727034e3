"""However much there is of a command, its story, and every list, fits into one message of gRPC's."""

from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from polystream.v1 import operations_pb2 as pb
from polystream.v1.operations_pb2 import Event, Span

from mesh.catalog import Catalog, load_catalog
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.telemetry.names import CONVERSATION_ID
from monitor.otlp import read_spans
from monitor.records import TracedEvent
from monitor.service import EventLog
from monitor.store.local import LocalEventStore
from monitor.story import tell

_MESSAGE_MAX_BYTES = 4 * 1024 * 1024  # what gRPC's clients take, if they are not told otherwise


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The platform's own catalog."""
    return load_catalog()


def event(correlation_id: str, number: int, kind: str, store: str = "") -> Event:
    """Return an event of a command with as large an error as an event may have."""
    made = Event(
        event_id=f"{correlation_id}:{kind}:{number}",
        correlation_id=correlation_id,
        event_type=f"command.{kind}",
        timestamp=Timestamp(seconds=number),
        store=store,
        command="DeleteUser",
        error="é" * 1000 if store else "",
    )
    if store:
        faults = [FieldFault("f" * 100, "x" * 500, "r" * 100) for _ in range(10)]
        made.error_status.CopyFrom(PolystreamError(Reason.USER_NOT_FOUND, "m" * 1000, faults=faults).to_status())
    return made


def large_span(number: int, attributes: int = 100) -> Span:
    """Return a span of a command as it comes in, with huge attributes before the one that names the command."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for position in range(attributes):
        resource.resource.attributes.add(key=f"r{position}").value.string_value = "x" * 10_000
    resource.resource.attributes.add(key="service.name").value.string_value = "gateway"
    span = resource.scope_spans.add().spans.add(
        name="n" * 10_000, trace_id=b"t" * 16, span_id=number.to_bytes(8, "big")
    )
    span.attributes.add(key="k" * 100_000).value.string_value = "x"
    for position in range(attributes):
        span.attributes.add(key=f"a{position}").value.string_value = "é" * 10_000
    for position in range(1, 1000):
        span.links.add(trace_id=b"t" * 16, span_id=position.to_bytes(8, "big"))
    span.attributes.add(key=CONVERSATION_ID).value.string_value = "c"
    (read,) = read_spans(request)
    return read


def test_a_span_with_huge_attributes_is_cut_and_keeps_what_names_it() -> None:
    """The command's ID and the service are kept, wherever they stand; the rest within a bound."""
    span = large_span(1)
    assert span.attributes[CONVERSATION_ID] == "c"
    assert span.service == "gateway"
    assert (len(span.name), len(span.trace_id), len(span.span_id)) == (200, 32, 16)
    assert span.ByteSize() < 20_000
    assert len(span.attributes) > 10


def test_an_ordinary_span_is_kept_as_it_is() -> None:
    """Every attribute of it."""
    assert len(large_span(1, attributes=12).attributes) == 14


def test_a_story_of_huge_hops_and_spans_is_cut_and_says_so(catalog: Catalog) -> None:
    """Its first and its last hops are in it, its first spans, and how many more there are."""
    hops = [event("c", 0, "accepted"), *(event("c", number, "failed", "POSTGRESQL") for number in range(1, 500))]
    spans = [large_span(number) for number in range(1, 301)]
    story = tell(hops, spans, catalog, sampled=True, events_left_out=4500)
    assert story.ByteSize() < _MESSAGE_MAX_BYTES
    assert (story.hops[0], story.hops[-1]) == (hops[0], hops[-1])
    assert story.operation.state == pb.Operation.FAILED
    assert f"{5000 - len(story.hops)} more hops are left out: a story has its first and its last ones" in story.missing
    spans_left_out = 300 - len(story.spans)
    said = f"{spans_left_out} more spans name the command: a story has its first {len(story.spans)}"
    assert said in story.missing
    assert 0 < spans_left_out < 300
    assert not any("has not arrived" in line for line in story.missing)


def test_an_ordinary_story_is_whole(catalog: Catalog) -> None:
    """Nothing is left out of it, and nothing said of that."""
    hops = [event("c", number, "received" if number else "accepted") for number in range(30)]
    story = tell(hops, [large_span(1)], catalog, sampled=False)
    assert (len(story.hops), len(story.spans)) == (30, 1)
    assert not any("more" in line for line in story.missing)


def test_what_the_event_log_answers_fits_into_a_message(tmp_path: Path, catalog: Catalog) -> None:
    """A page of a hundred operations that three stores refused at length; a story of thousands of forged receipts."""
    store = LocalEventStore(tmp_path, catalog)
    log = EventLog(store, catalog)
    stores = ("POSTGRESQL", "MONGODB", "REDIS")
    for number in range(100):
        id_ = new_correlation_id()
        refusals = [event(id_, at, "failed", name) for at, name in enumerate(stores, start=number + 1)]
        store.append([TracedEvent(made, True) for made in (event(id_, number, "accepted"), *refusals)])
    page = log.operations_page(pb.ListOperationsRequest(page_size=100))
    assert page.ByteSize() < _MESSAGE_MAX_BYTES
    assert 0 < len(page.operations) < 100, "the rest does not fit, and is on the next page"
    rest = log.operations_page(pb.ListOperationsRequest(page_size=100, page_token=page.next_page_token))
    assert len({one.correlation_id for one in (*page.operations, *rest.operations)}) == 100
    assert not rest.next_page_token
    forged = new_correlation_id()
    answers = [event(forged, number, "failed", stores[number % 3]) for number in range(1, 10_001)]
    for start in range(0, 10_000, 2500):
        store.append([TracedEvent(made, True) for made in answers[start : start + 2500]])
    for number in range(0, 3000, 1000):
        store.add_spans(
            [
                Span(trace_id="t", span_id=str(number + n), name="n", attributes={CONVERSATION_ID: forged})
                for n in range(1000)
            ]
        )
    story = log.story(forged)
    assert story.ByteSize() < _MESSAGE_MAX_BYTES
    assert log.operation(forged).ByteSize() < 100_000
    assert any("more hops are left out" in line for line in story.missing)
    assert "2000 more spans name the command: a story has its first 1000" in story.missing
    store.close()
