"""The edge's own errors: one row each, in the order in which they are tried."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.rpc import code_pb2

from mesh.errors import Reason, build_status


@dataclass(frozen=True, slots=True)
class EdgeError:
    """What is sent when Envoy itself refuses, or fails to pass on, a request."""

    reason: str  # ErrorInfo.reason
    code: int  # google.rpc.Code, as REST clients get it
    message: str  # what happened and the remedy
    status: int | None = None  # HTTP status that it stands for; any from `min_status` on when None
    min_status: int = 400
    flags: Sequence[str] = ()  # Envoy's response flags that it stands for; any when empty
    details: str = ""  # a part of Envoy's response code details; any when empty
    paths: str = ""  # regular expression of the paths that it is confined to
    http_status: int | None = None  # replaces Envoy's
    grpc_code: int | None = None  # what Envoy tells gRPC clients; None where it never answers one so
    retry_delay_s: float | None = None
    reworded: bool = False  # the Lua filter words it more exactly, from the transcoder's message

    def status_json(self) -> str:
        """Return the body for REST clients: a google.rpc.Status as JSON, on one line."""
        status = build_status(self.code, self.reason, self.message, retry_delay_s=self.retry_delay_s)
        fields = MessageToDict(status, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        return json.dumps(fields, separators=(",", ":"))

    def status_binary(self) -> bytes:
        """Return the value of `grpc-status-details-bin` for gRPC clients."""
        code = self.code if self.grpc_code is None else self.grpc_code
        status = build_status(code, self.reason, self.message, retry_delay_s=self.retry_delay_s)
        return bytes(status.SerializeToString())


_TRANSCODER: Final = "grpc_json_transcode_failure"
_MONITOR_PATHS: Final = "/(docs|openapi)([/.].*)?"

TOO_LARGE: Final = EdgeError(
    "REQUEST_TOO_LARGE",
    Reason.REQUEST_TOO_LARGE.value.code,
    "the body is larger than the edge takes; send less at once",
    status=413,
)
UNSUPPORTED_CONTENT_TYPE: Final = EdgeError(
    "UNSUPPORTED_CONTENT_TYPE",
    code_pb2.INVALID_ARGUMENT,
    "the body's content type is not supported; send JSON with the header content-type: application/json",
    status=415,
)

_DEADLINE_EXCEEDED: Final = EdgeError(
    "DEADLINE_EXCEEDED",
    code_pb2.DEADLINE_EXCEEDED,
    "the gateway did not answer in time; a command may have been taken: send it again with the same request_id",
    flags=("UT", "DT", "UMSDR", "SI"),
    http_status=504,
    grpc_code=code_pb2.DEADLINE_EXCEEDED,
)
EDGE_ERRORS: Final = (
    EdgeError(
        "MONITOR_UNAVAILABLE",
        code_pb2.UNAVAILABLE,
        "the monitor, which serves the documentation, does not answer; the API itself may work",
        min_status=500,
        paths=_MONITOR_PATHS,
        retry_delay_s=1.0,
    ),
    EdgeError(
        "GATEWAY_UNAVAILABLE",
        code_pb2.UNAVAILABLE,
        "no gateway answers; nothing was done, send the request again",
        flags=("UH", "UF", "NC", "LH"),
        grpc_code=code_pb2.UNAVAILABLE,
        retry_delay_s=1.0,
    ),
    EdgeError(
        "TOO_MANY_REQUESTS",
        code_pb2.RESOURCE_EXHAUSTED,
        "too many requests are under way; nothing was done, send the request again later",
        flags=("UO",),
        http_status=429,
        grpc_code=code_pb2.UNAVAILABLE,
        retry_delay_s=0.5,
    ),
    EdgeError(
        "RATE_LIMITED",
        code_pb2.RESOURCE_EXHAUSTED,
        "more requests a second than the edge admits; nothing was done, send the request again later",
        status=429,
        grpc_code=code_pb2.RESOURCE_EXHAUSTED,
        retry_delay_s=1.0,
    ),
    _DEADLINE_EXCEEDED,
    replace(_DEADLINE_EXCEEDED, flags=(), status=504),  # the caller's own deadline leaves no flag
    EdgeError(
        "GATEWAY_CONNECTION_LOST",
        code_pb2.UNAVAILABLE,
        "the connection to the gateway broke before its answer; a command may have been taken: "
        "send it again with the same request_id",
        flags=("UC", "UR", "LR", "UPE"),
        grpc_code=code_pb2.UNAVAILABLE,
        retry_delay_s=1.0,
    ),
    TOO_LARGE,
    UNSUPPORTED_CONTENT_TYPE,
    EdgeError(
        "UNKNOWN_PATH",
        code_pb2.NOT_FOUND,
        "there is no such path; see /docs for those that there are",
        status=404,
        details=_TRANSCODER,
        reworded=True,
    ),
    EdgeError(
        "MALFORMED_REQUEST",
        code_pb2.INVALID_ARGUMENT,
        "%LOCAL_REPLY_BODY%",  # the transcoder's message, from which the Lua filter takes what is at fault
        status=400,
        details=_TRANSCODER,
        reworded=True,
    ),
    EdgeError(
        "MALFORMED_REQUEST",
        code_pb2.INVALID_ARGUMENT,
        "this is no HTTP request that the edge understands; check its path and its headers",
        status=400,
    ),
    EdgeError(
        "REQUEST_TIMEOUT",
        code_pb2.DEADLINE_EXCEEDED,
        "the request did not arrive whole in time; send it again",
        status=408,
    ),
    EdgeError(
        "HEADERS_TOO_LARGE",
        code_pb2.INVALID_ARGUMENT,
        "the headers are larger than the edge takes; send fewer or shorter ones",
        status=431,
    ),
    EdgeError(
        "EDGE_FAILED",
        code_pb2.INTERNAL,
        "the edge could not pass the request on or the answer back",
        min_status=500,
    ),
    EdgeError(
        "REQUEST_REFUSED",
        code_pb2.INVALID_ARGUMENT,
        "the edge does not take this request; see /docs for its form",
    ),
)
