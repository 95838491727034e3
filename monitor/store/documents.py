"""Events and spans as JSON documents, and back: one form in OpenSearch and in the spool file."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status
from polystream.v1.operations_pb2 import Event, Span

from mesh.errors import rebuild_status
from mesh.proto_json import from_dict, to_dict
from mesh.telemetry.names import CONVERSATION_ID
from monitor.listing.fields import event_reason
from monitor.records import TracedEvent

Document = dict[str, Any]

_TEXT = FieldDescriptor.TYPE_STRING
# A field that is empty is left out, but for numbers and flags: 0 is a partition, an offset, a duration.
_EVENT_TEXTS = tuple(f.name for f in Event.DESCRIPTOR.fields if f.type == _TEXT)
_EVENT_VALUES = tuple(
    f.name for f in Event.DESCRIPTOR.fields if f.type != _TEXT and f.message_type is None and not f.has_presence
)
_EVENT_OPTIONAL = tuple(f.name for f in Event.DESCRIPTOR.fields if f.message_type is None and f.has_presence)
_ATTRIBUTE_TYPES = {Span.AttributeType.Name(number): number for number in (Span.BOOL, Span.INT64, Span.FLOAT64)}
_SPAN_TEXTS = tuple(f.name for f in Span.DESCRIPTOR.fields if f.type == _TEXT)


def event_document(traced: TracedEvent) -> Document:
    """Return an event's document: the fields of `polystream.v1.Event`, and whether its trace was sampled.

    Beside an error stands its reason, by which failures are counted.
    """
    event = traced.event
    document: Document = {name: value for name in _EVENT_TEXTS if (value := getattr(event, name))}
    document |= {name: getattr(event, name) for name in _EVENT_VALUES}
    document |= {name: getattr(event, name) for name in _EVENT_OPTIONAL if event.HasField(name)}
    document["timestamp"] = event.timestamp.ToJsonString()
    document["sampled"] = traced.sampled
    if event.error:
        document["reason"] = event_reason(event)
    if event.HasField("error_status"):
        document["error_status"] = to_dict(event.error_status)
    return document


def read_event(document: Mapping[str, Any]) -> TracedEvent:
    """Return the event of a document. Raises ValueError or TypeError where it is none."""
    fields = {name: document[name] for name in (*_EVENT_TEXTS, *_EVENT_VALUES, *_EVENT_OPTIONAL) if name in document}
    event = Event(timestamp=_timestamp(document["timestamp"]), **fields)
    if "error_status" in document:
        event.error_status.CopyFrom(rebuild_status(from_dict(document["error_status"], Status())))
    return TracedEvent(event, bool(document["sampled"]))


def span_document(span: Span) -> Document:
    """Return a span's document: the fields of `polystream.v1.Span`, and the correlation ID to find it by."""
    document: Document = {name: value for name in _SPAN_TEXTS if (value := getattr(span, name))}
    document["start_time"] = span.start_time.ToJsonString()
    document["duration_ms"] = span.duration_ms
    document["error"] = span.error
    document["attributes"] = dict(span.attributes)
    if span.attribute_types:
        document["attribute_types"] = {
            name: Span.AttributeType.Name(number) for name, number in span.attribute_types.items()
        }
    if span.links:
        document["links"] = [{"trace_id": link.trace_id, "span_id": link.span_id} for link in span.links]
    if correlation_id := span.attributes.get(CONVERSATION_ID):
        document["correlation_id"] = correlation_id
    return document


def read_span(document: Mapping[str, Any]) -> Span:
    """Return the span of a document. Raises ValueError or TypeError where it is none."""
    return Span(
        start_time=_timestamp(document["start_time"]),
        duration_ms=document["duration_ms"],
        error=document["error"],
        attributes=document["attributes"],
        attribute_types={name: _ATTRIBUTE_TYPES[said] for name, said in document.get("attribute_types", {}).items()},
        links=[Span.Link(trace_id=link["trace_id"], span_id=link["span_id"]) for link in document.get("links", ())],
        **{name: document[name] for name in _SPAN_TEXTS if name in document},
    )


def _timestamp(text: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp
