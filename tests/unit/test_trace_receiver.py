"""What the monitor answers to spans: they are sent again where it can't keep them now, and only there."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from polystream.v1.operations_pb2 import Span

from mesh.errors import PolystreamError, Reason
from monitor.otlp import TraceReceiver


class _Context:
    """As much of a call as is asked of."""

    async def abort(self, code: grpc.StatusCode, _details: str) -> None:
        """End the call."""
        raise _CallAbortedError(code)


class _CallAbortedError(Exception):
    pass


class _Store:
    """Keeps spans in memory."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans."""
        self.spans += spans


def _receiver(reason: Reason) -> TraceReceiver:
    def add_spans(_spans: object) -> None:
        raise PolystreamError(reason)

    store: Any = SimpleNamespace(add_spans=add_spans)
    return TraceReceiver(store, None)


def _request() -> bytes:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"1" * 16, span_id=b"2" * 8, name="send")
    return request.SerializeToString()


async def test_spans_for_which_there_is_no_room_now_are_sent_again() -> None:
    """An exporter sends again what it is told is UNAVAILABLE; of a partial success it thinks no more."""
    context: Any = _Context()
    receiver = _receiver(Reason.EVENT_LOG_UNAVAILABLE)
    for _ in range(2):
        with pytest.raises(_CallAbortedError) as caught:
            await receiver.export(_request(), context)
        assert caught.value.args == (grpc.StatusCode.UNAVAILABLE,)


async def test_spans_that_can_never_be_kept_are_refused() -> None:
    """And counted."""
    context: Any = _Context()
    answer = await _receiver(Reason.INTERNAL).export(_request(), context)
    assert answer.partial_success.rejected_spans == 1


TRACE, SPAN = b"t" * 16, b"s" * 8
INVALID = {
    "no trace": (b"", SPAN),
    "no span": (TRACE, b""),
    "a trace of zeros": (bytes(16), SPAN),
    "a span of zeros": (TRACE, bytes(8)),
    "a short trace": (TRACE[:8], SPAN),
    "a short span": (TRACE, SPAN[:4]),
    "a long trace": (TRACE + b"t", SPAN),
    "a long span": (TRACE, SPAN + b"s"),
}


@pytest.mark.parametrize("ids", INVALID.values(), ids=INVALID.keys())
async def test_spans_without_valid_ids_are_refused(ids: tuple[bytes, bytes]) -> None:
    """No page can lead to them. Those beside them are kept, and need not come again."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(trace_id=ids[0], span_id=ids[1], name="invalid")
    spans.add(trace_id=TRACE, span_id=SPAN, name="valid")
    store: Any = _Store()
    context: Any = _Context()
    receiver = TraceReceiver(store, None)
    answer = await receiver.export(request.SerializeToString(), context)
    assert [span.name for span in store.spans] == ["valid"]
    assert answer.partial_success.rejected_spans == 1
    assert "16 bytes" in answer.partial_success.error_message
    assert (receiver.received_spans, receiver.refused_spans) == (2, 1)


@pytest.mark.parametrize(
    ("parent", "kept"),
    [(b"p" * 8, "70" * 8), (b"", ""), (bytes(8), ""), (b"p" * 4, ""), (b"p" * 9, "")],
    ids=["valid", "none", "zeros", "short", "long"],
)
async def test_only_a_valid_parent_is_kept(parent: bytes, kept: str) -> None:
    """A span with another one is a root, and nothing is refused."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(trace_id=TRACE, span_id=SPAN, parent_span_id=parent)
    store: Any = _Store()
    context: Any = _Context()
    answer = await TraceReceiver(store, None).export(request.SerializeToString(), context)
    assert [span.parent_span_id for span in store.spans] == [kept]
    assert not answer.HasField("partial_success")
