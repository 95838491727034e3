"""What Envoy answers by itself, in the one error shape: a row each, in the order in which they are tried."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.rpc import code_pb2, status_pb2

from mesh.errors import build_status


@dataclass(frozen=True, slots=True)
class EdgeAnswer:
    """The answer where Envoy refuses a request, or gets none from a gateway."""

    reason: str  # ErrorInfo.reason
    code: int  # google.rpc.Code
    message: str  # what happened and the remedy
    flags: Sequence[str] = ()  # Envoy's response flags that it stands for
    status: int | None = None  # without flags: the HTTP status that it stands for
    min_status: int = 400  # without either: every status from here on
    http_status: int | None = None  # replaces Envoy's own
    retry_delay_s: float | None = None
    has_grpc_code: bool = True  # False where Envoy tells gRPC clients another code: they get the words alone

    def status_json(self) -> str:
        """Return the body for HTTP clients: a google.rpc.Status as JSON, on one line."""
        fields = MessageToDict(
            self._status(), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return json.dumps(fields, separators=(",", ":"))

    def status_binary(self) -> bytes:
        """Return the value of `grpc-status-details-bin` for gRPC clients."""
        return bytes(self._status().SerializeToString())

    def _status(self) -> status_pb2.Status:
        return build_status(self.code, self.reason, self.message, retry_delay_s=self.retry_delay_s)


_DEADLINE_EXCEEDED: Final = EdgeAnswer(
    "DEADLINE_EXCEEDED",
    code_pb2.DEADLINE_EXCEEDED,
    "the gateway did not answer in time; a command may have been taken: send it again with the same request_id",
    flags=("UT", "DT", "UMSDR", "SI"),
    http_status=504,
)
EDGE_ANSWERS: Final = (
    EdgeAnswer(
        "GATEWAY_UNAVAILABLE",
        code_pb2.UNAVAILABLE,
        "no gateway answers; nothing was done, send the request again",
        flags=("UH", "UF", "NC", "LH"),
        retry_delay_s=1.0,
    ),
    EdgeAnswer(
        "EDGE_OVERLOADED",
        code_pb2.UNAVAILABLE,
        "too much is under way at the edge; nothing was done, send the request again later",
        flags=("UO", "OM"),
        http_status=503,
        retry_delay_s=1.0,
    ),
    EdgeAnswer(
        "RATE_LIMITED",
        code_pb2.RESOURCE_EXHAUSTED,
        "more requests a second than the edge admits; nothing was done, send the request again later",
        status=429,
        retry_delay_s=1.0,
    ),
    _DEADLINE_EXCEEDED,
    replace(_DEADLINE_EXCEEDED, flags=(), status=504),  # the longest stream's end leaves no flag
    EdgeAnswer(
        "GATEWAY_CONNECTION_LOST",
        code_pb2.UNAVAILABLE,
        "the connection to the gateway broke before its answer; a command may have been taken: "
        "send it again with the same request_id",
        flags=("UC", "UR", "LR", "UPE"),
        http_status=503,
        retry_delay_s=1.0,
    ),
    EdgeAnswer(
        "REQUEST_TIMEOUT",
        code_pb2.DEADLINE_EXCEEDED,
        "the request did not arrive whole in time; send it again",
        status=408,
        has_grpc_code=False,
    ),
    EdgeAnswer(
        "HEADERS_TOO_LARGE",
        code_pb2.INVALID_ARGUMENT,
        "the request's target or headers are too large; send less",
        status=431,
        has_grpc_code=False,
    ),
    EdgeAnswer(
        "EDGE_FAILED",
        code_pb2.INTERNAL,
        "the edge could not pass the request on or the answer back",
        min_status=500,
        http_status=500,
        has_grpc_code=False,
    ),
    EdgeAnswer(
        "MALFORMED_REQUEST",
        code_pb2.INVALID_ARGUMENT,
        "this is no HTTP request that the edge takes: it is malformed, or a header has an underscore in its name",
        http_status=400,
        has_grpc_code=False,
    ),
)
