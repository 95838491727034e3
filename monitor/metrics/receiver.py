"""Receives metrics by OTLP over gRPC, and has them kept. A sender is never made to wait for more than that."""

import asyncio
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from monitor.metrics.points import read_points
from monitor.metrics.store import BUSY, UNFIT, MetricStore

_SERVICE: Final = "opentelemetry.proto.collector.metrics.v1.MetricsService"
_MAX_WAITING_BYTES: Final = 16 * 1024 * 1024  # beyond this, what arrives is dropped rather than kept in memory


class MetricReceiver:
    """`opentelemetry.proto.collector.metrics.v1.MetricsService`."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._waiting_bytes = 0

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve on `server`."""
        export: grpc.RpcMethodHandler[bytes, ExportMetricsServiceResponse] = grpc.unary_unary_rpc_method_handler(
            self.export, response_serializer=ExportMetricsServiceResponse.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": export}),))

    async def export(self, content: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> ExportMetricsServiceResponse:
        """Keep the points of a serialized request, or say how many were dropped: they need not be sent again."""
        try:
            request = ExportMetricsServiceRequest.FromString(content)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not an ExportMetricsServiceRequest")
        if self._waiting_bytes + len(content) > _MAX_WAITING_BYTES:
            points = sum(
                len(getattr(metric, metric.WhichOneof("data") or "gauge").data_points)
                for of_resource in request.resource_metrics
                for of_scope in of_resource.scope_metrics
                for metric in of_scope.metrics
            )
            self._store.drop(points, BUSY)
            return _dropped(points, "too many points wait to be written")
        self._waiting_bytes += len(content)
        try:
            dropped = await asyncio.to_thread(self._keep, request)
        finally:
            self._waiting_bytes -= len(content)
        if dropped:
            return _dropped(dropped, "of a kind that is not kept, too many series, or too old")
        return ExportMetricsServiceResponse()

    def _keep(self, request: ExportMetricsServiceRequest) -> int:
        taken = read_points(request)
        if taken.unfit:
            self._store.drop(taken.unfit, UNFIT)
        return taken.unfit + self._store.add(taken.readings)


def _dropped(points: int, why: str) -> ExportMetricsServiceResponse:
    return ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(rejected_data_points=points, error_message=why)
    )
