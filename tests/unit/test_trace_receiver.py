"""What the monitor answers to spans: they are sent again where it can't keep them now, and only there."""

from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mesh.errors import PolystreamError, Reason
from monitor.otlp import TraceReceiver


class _Context:
    """As much of a call as is asked of."""

    async def abort(self, code: grpc.StatusCode, _details: str) -> None:
        """End the call."""
        raise _CallAbortedError(code)


class _CallAbortedError(Exception):
    pass


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
