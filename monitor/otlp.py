"""Receives spans by OTLP over gRPC, keeps them, and has them passed on."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from polystream.v1.operations_pb2 import Span

from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError
from mesh.telemetry.names import CONVERSATION_ID
from monitor.forwarder import FORWARDED_KEY, TraceForwarder
from monitor.store.port import EventStore

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_MAX_WAITING_SPANS = 20_000  # beyond this, what arrives is refused rather than kept in memory
_MAX_ATTRIBUTES = 64
_MAX_ATTRIBUTE_CHARACTERS = 500
_MAX_ATTRIBUTES_CHARACTERS = 8000  # of all of a span's, with their names
_MAX_NAME_CHARACTERS = 200  # of a span, a service, an attribute
_MAX_VALUES = 100  # of an attribute that is a list
_MAX_LINKS = 16  # of a span
_SERVICE_NAME = "service.name"
_OWN_ATTRIBUTES = frozenset({CONVERSATION_ID, _SERVICE_NAME})
_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_KINDS = {
    trace_pb2.Span.SPAN_KIND_INTERNAL: "INTERNAL",
    trace_pb2.Span.SPAN_KIND_SERVER: "SERVER",
    trace_pb2.Span.SPAN_KIND_CLIENT: "CLIENT",
    trace_pb2.Span.SPAN_KIND_PRODUCER: "PRODUCER",
    trace_pb2.Span.SPAN_KIND_CONSUMER: "CONSUMER",
}
# By the name that OTLP has for a value's kind.
_TYPES = {"bool_value": Span.BOOL, "int_value": Span.INT64, "double_value": Span.FLOAT64}
_INVALID_IDS = f"trace IDs have {_TRACE_ID_BYTES} bytes and span IDs {_SPAN_ID_BYTES}, not all of them zero"

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Attribute:
    """What is kept of an attribute's value."""

    text: str
    type: "Span.AttributeType | None" = None  # None for a text, and what is kept as one


_NO_ATTRIBUTE = _Attribute("")


class TraceReceiver:
    """`opentelemetry.proto.collector.trace.v1.TraceService`."""

    def __init__(self, store: EventStore, forwarder: TraceForwarder | None) -> None:
        self._store = store
        self._forwarder = forwarder
        self._waiting_spans = 0
        self.received_spans = 0  # since the start
        self.refused_spans = 0  # of them, those that are not kept and need not come again

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve on `server`. Requests are taken as bytes, so that they can be passed on as they came."""
        export: grpc.RpcMethodHandler[bytes, ExportTraceServiceResponse] = grpc.unary_unary_rpc_method_handler(
            self.export, response_serializer=ExportTraceServiceResponse.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": export}),))

    async def export(self, content: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> ExportTraceServiceResponse:
        """Keep the spans of a serialized request, or say how many were refused.

        Those for which there is no room now, or no store, are to be sent again: UNAVAILABLE says so, and a partial
        success the contrary.
        """
        try:
            request = ExportTraceServiceRequest.FromString(content)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not an ExportTraceServiceRequest")
        spans = list(read_spans(request))
        sent = sum(
            len(of_scope.spans) for of_resource in request.resource_spans for of_scope in of_resource.scope_spans
        )
        self.received_spans += sent
        if self._forwarder is not None and not _was_forwarded(context):
            self._forwarder.offer(content, sent)
        if self._waiting_spans + len(spans) > _MAX_WAITING_SPANS:
            return self._rejected(sent, "too many spans wait to be written")
        self._waiting_spans += len(spans)
        try:
            await asyncio.to_thread(self._store.add_spans, spans)
        except PolystreamError as error:
            log.warning("spans not kept", reason=error.reason.name)
            if error.reason.value.error_class is ErrorClass.WAIT:
                await context.abort(grpc.StatusCode.UNAVAILABLE, error.message)
            return self._rejected(sent, error.message)
        finally:
            self._waiting_spans -= len(spans)
        if len(spans) < sent:
            return self._rejected(sent - len(spans), _INVALID_IDS)
        return ExportTraceServiceResponse()

    def _rejected(self, count: int, why: str) -> ExportTraceServiceResponse:
        self.refused_spans += count
        return ExportTraceServiceResponse(
            partial_success=ExportTracePartialSuccess(rejected_spans=count, error_message=why)
        )


def _was_forwarded(context: grpc.aio.ServicerContext[Any, Any]) -> bool:
    return any(key == FORWARDED_KEY for key, _ in context.invocation_metadata() or ())


def read_spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Yield the request's spans in the platform's own form, those that have valid IDs."""
    for of_resource in request.resource_spans:
        service = _attributes(of_resource.resource.attributes).get(_SERVICE_NAME, _NO_ATTRIBUTE).text
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                if _is_valid(span.trace_id, _TRACE_ID_BYTES) and _is_valid(span.span_id, _SPAN_ID_BYTES):
                    yield _span(span, service)


def _span(span: trace_pb2.Span, service: str) -> Span:
    start = Timestamp()
    start.FromNanoseconds(span.start_time_unix_nano)
    has_parent = _is_valid(span.parent_span_id, _SPAN_ID_BYTES)
    attributes = _attributes(span.attributes)
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() if has_parent else "",
        name=span.name[:_MAX_NAME_CHARACTERS],
        service=service[:_MAX_NAME_CHARACTERS],
        kind=_KINDS.get(span.kind, "INTERNAL"),
        start_time=start,
        duration_ms=max(0, span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
        error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes={name: each.text for name, each in attributes.items()},
        attribute_types={name: each.type for name, each in attributes.items() if each.type is not None},
        links=islice(_links(span), _MAX_LINKS),
    )


def _links(span: trace_pb2.Span) -> Iterator[Span.Link]:
    """Yield the links that lead to a span."""
    for link in span.links:
        if _is_valid(link.trace_id, _TRACE_ID_BYTES) and _is_valid(link.span_id, _SPAN_ID_BYTES):
            yield Span.Link(trace_id=link.trace_id.hex(), span_id=link.span_id.hex())


def _is_valid(id_: bytes, length_bytes: int) -> bool:
    """Whether OTLP has an ID as valid: one of another length, or of zeros alone, is none."""
    return len(id_) == length_bytes and id_ != bytes(length_bytes)


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, _Attribute]:
    """Return the attributes that are kept: those that the monitor reads itself, then the first ones.

    Of several with one name, which OTLP forbids, or with names that are cut to one, it is the last one.
    """
    if len(pairs) <= _MAX_ATTRIBUTES:
        kept, are_all = _first_within(pairs)
        if are_all:
            return kept
    own_first = sorted(pairs, key=lambda pair: pair.key not in _OWN_ATTRIBUTES)
    return _first_within(own_first[:_MAX_ATTRIBUTES])[0]


def _first_within(pairs: Iterable[KeyValue]) -> tuple[dict[str, _Attribute], bool]:
    """Return the first attributes, for which there is room, and whether they are all."""
    kept: dict[str, _Attribute] = {}
    room = _MAX_ATTRIBUTES_CHARACTERS
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        name, text = pair.key[:_MAX_NAME_CHARACTERS], _text(value, kind)[:_MAX_ATTRIBUTE_CHARACTERS]
        room -= len(name) + len(text)
        if room < 0:
            return kept, False
        kept[name] = _Attribute(text, _TYPES.get(kind or ""))
    return kept, True


def _text(value: AnyValue, kind: str | None) -> str:
    if kind is None:
        return ""
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "array_value":
        return ",".join(_text(item, item.WhichOneof("value")) for item in value.array_value.values[:_MAX_VALUES])
    return str(getattr(value, kind))
