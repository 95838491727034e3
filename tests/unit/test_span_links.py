"""Links between spans: which ones are read, and how they stand in a document and in Jaeger's form."""

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from polystream.v1.operations_pb2 import Span

from monitor.jaeger.model import trace
from monitor.otlp import read_spans
from monitor.store.documents import read_span, span_document
from monitor.store.port import FoundSpans
from tests.support.traces import span, trace_id

_LINKS_MAX = 16


def _read(*links: tuple[bytes, bytes]) -> Span:
    """Return the span that is read of one with these links, each a trace ID and a span ID."""
    sent = trace_pb2.Span(trace_id=b"1" * 16, span_id=b"2" * 8, name="send")
    for linked_trace, linked_span in links:
        sent.links.add(trace_id=linked_trace, span_id=linked_span, trace_state="a=b")
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.append(sent)
    (found,) = read_spans(request)
    return found


def test_links_are_read_in_their_order() -> None:
    """To this trace and to others."""
    found = _read((b"\xab" * 16, b"\x01" * 8), (b"1" * 16, b"3" * 8))
    assert list(found.links) == [
        Span.Link(trace_id="ab" * 16, span_id="01" * 8),
        Span.Link(trace_id="31" * 16, span_id="33" * 8),
    ]


@pytest.mark.parametrize(
    "link",
    [(b"", b"3" * 8), (b"4" * 16, b""), (bytes(16), b"3" * 8), (b"4" * 16, bytes(8)), (b"4" * 17, b"3" * 8)],
    ids=["no trace", "no span", "a trace of zeros", "a span of zeros", "too long"],
)
def test_what_leads_nowhere_is_no_link(link: tuple[bytes, bytes]) -> None:
    """And takes none of the room of the others."""
    good = [(b"4" * 16, bytes([number]) * 8) for number in range(1, _LINKS_MAX + 1)]
    assert _read(link, *good).links == _read(*good).links
    assert len(_read(*good).links) == _LINKS_MAX


def test_only_the_first_links_are_kept() -> None:
    """A span may be sent with any number of them."""
    sent = [(b"4" * 16, number.to_bytes(8, "big")) for number in range(1, 1000)]
    assert [int(link.span_id, 16) for link in _read(*sent).links] == list(range(1, _LINKS_MAX + 1))


def test_a_document_has_them() -> None:
    """One of an earlier version has none."""
    linked = span(1, 0, links=[Span.Link(trace_id=trace_id(2), span_id="a" * 16)])
    document = span_document(linked)
    assert document["links"] == [{"trace_id": trace_id(2), "span_id": "a" * 16}]
    assert read_span(document) == linked
    assert "links" not in span_document(span(1, 0))
    assert not read_span({name: value for name, value in document.items() if name != "links"}).links


def test_jaeger_is_told_of_them_behind_the_parent() -> None:
    """As references of another type, with trace IDs as short as Jaeger writes them."""
    links = [Span.Link(trace_id="a" * 32, span_id="b" * 16), Span.Link(trace_id="c".zfill(32), span_id="d" * 16)]
    told = trace(trace_id(1), FoundSpans([span(1, 0, links=links), span(1, 1, parent=0, links=links)], 0))
    follows = [
        {"refType": "FOLLOWS_FROM", "traceID": "a" * 32, "spanID": "b" * 16},
        {"refType": "FOLLOWS_FROM", "traceID": "c".zfill(16), "spanID": "d" * 16},
    ]
    parent = {"refType": "CHILD_OF", "traceID": trace_id(1)[16:], "spanID": f"{1:08x}{0:08x}"}
    assert [each["references"] for each in told["spans"]] == [follows, [parent, *follows]]
