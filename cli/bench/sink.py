"""Takes the services' spans and drops them: they are exported in the benchmark as they are in earnest."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_EMPTY_RESPONSE = b""  # ExportTraceServiceResponse with nothing rejected


@contextmanager
def span_sink(address: str) -> Iterator[None]:
    """Serve OTLP over gRPC on `address` while the block runs."""
    export: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: _EMPTY_RESPONSE
    )
    server = grpc.server(ThreadPoolExecutor(1, "span-sink"))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": export}),))
    server.add_insecure_port(address)
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()
