"""Attributes of spans: which ones are kept, with their types, and what Jaeger's page is told of them."""

import math

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from polystream.v1.operations_pb2 import Span

from monitor.jaeger.model import trace
from monitor.otlp import read_spans
from monitor.store.port import FoundSpans

_ATTRIBUTES_MAX = 64
_NAME_MAX = 200
Value = bool | int | float | str


def _pair(key: str, value: Value) -> KeyValue:
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return KeyValue(key=key, value=AnyValue(**{kinds[type(value)]: value}))  # type: ignore[arg-type]


def _read(*pairs: tuple[str, Value]) -> Span:
    """Return the span that is read of one with these attributes."""
    request = ExportTraceServiceRequest()
    sent = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    sent.attributes.extend(_pair(*pair) for pair in pairs)
    (found,) = read_spans(request)
    return found


def _tags(span: Span) -> dict[str, tuple[str, Value]]:
    """Return what Jaeger is told of a span's attributes: the type and the value of each."""
    (told,) = trace(span.trace_id, FoundSpans([span], 0))["spans"]
    return {tag["key"]: (tag["type"], tag["value"]) for tag in told["tags"] if tag["key"] != "span.kind"}


def test_attributes_keep_their_types() -> None:
    """As Jaeger has them."""
    assert _tags(_read(("a", True), ("b", -5), ("c", 0.5), ("d", "5"))) == {
        "a": ("bool", True),
        "b": ("int64", -5),
        "c": ("float64", 0.5),
        "d": ("string", "5"),
    }


LONG = "k" * _NAME_MAX
FILLING = [(f"f{number}", "") for number in range(_ATTRIBUTES_MAX - 1)]
TWICE: dict[str, tuple[list[tuple[str, Value]], str, tuple[str, Value]]] = {
    "number, then text": ([("k", 5), ("k", "abc")], "k", ("string", "abc")),
    "text, then number": ([("k", "abc"), ("k", 5)], "k", ("int64", 5)),
    "number, then truth": ([("k", 0.5), ("k", True)], "k", ("bool", True)),
    "cut to one name": ([(LONG + "x", 5), (LONG + "y", "abc")], LONG, ("string", "abc")),
    "beyond those that are kept": ([("k", "abc"), *FILLING, ("k", 5)], "k", ("string", "abc")),
    "a name that is cut": ([(LONG + "x", 5)], LONG, ("int64", 5)),
}


@pytest.mark.parametrize("case", TWICE)
def test_the_type_is_that_of_the_value_that_is_kept(case: str) -> None:
    """Of an attribute that comes twice, the last one that there is room for."""
    pairs, name, told = TWICE[case]
    assert _tags(_read(*pairs))[name] == told


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Span.INT64, "abc"),
        (Span.INT64, "9" * 5000),
        (Span.INT64, ""),
        (Span.FLOAT64, "abc"),
        (Span.FLOAT64, str(math.inf)),
        (Span.BOOL, "maybe"),
        (99, "1"),
    ],
    ids=["no number", "digits", "empty", "no float", "infinite", "no truth", "unknown"],
)
def test_what_is_not_of_its_type_is_told_as_text(kind: Span.AttributeType, value: str) -> None:
    """A store may hold anything, and its trace can be read all the same."""
    stored = Span(trace_id="a" * 32, span_id="b" * 16, attributes={"k": value}, attribute_types={"k": kind})
    assert _tags(stored) == {"k": ("string", value)}


def test_no_span_is_told_as_its_own_child() -> None:
    """Jaeger's page would look for its root in vain."""
    own = Span(trace_id="a" * 32, span_id="b" * 16, parent_span_id="b" * 16)
    assert trace(own.trace_id, FoundSpans([own], 0))["spans"][0]["references"] == []
