"""A `google.rpc.Status` as each protocol has it: an HTTP status with JSON, or gRPC's trailers."""

import base64
import math
from typing import Final
from urllib.parse import quote

from google.rpc import code_pb2, status_pb2

from gateway.rest.json_writer import status_json
from mesh.errors import ErrorDetails, PolystreamError, Reason, read_details

Header = tuple[str, str]

CORRELATION_ID: Final = "x-correlation-id"
JSON: Final[Header] = ("content-type", "application/json")

# The mapping in the comments of google/rpc/code.proto.
_HTTP_STATUS: Final = {
    code_pb2.OK: 200,
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
}
# Where RFC 9110, section 15.5, has a status that says more than the code's.
_MORE_EXACTLY: Final = {
    "METHOD_NOT_ALLOWED": 405,
    Reason.NOT_ACCEPTABLE.name: 406,
    Reason.REQUEST_TOO_LARGE.name: 413,
    Reason.HEADERS_TOO_LARGE.name: 414,  # of the target; the HTTP server itself tells of headers
    Reason.UNSUPPORTED_CONTENT_TYPE.name: 415,
    Reason.UNSUPPORTED_ENCODING.name: 415,
    Reason.FOREIGN_HOST.name: 421,
}
# Headers that say the remedy in HTTP's own words.
_REMEDIES: Final[dict[str, tuple[Header, ...]]] = {
    Reason.UNSUPPORTED_CONTENT_TYPE.name: (("accept-post", "application/json"),),
    Reason.UNSUPPORTED_ENCODING.name: (("accept-encoding", "gzip"),),
}
# What a `grpc-message` holds as it is: "space to tilde, without percent" (PROTOCOL-HTTP2.md of gRPC).
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def as_http(status: status_pb2.Status) -> tuple[int, list[Header], bytes]:
    """Return an error's HTTP status, the headers that belong to it, and its body in JSON."""
    details = read_details(status)
    headers = [JSON, *_REMEDIES.get(details.reason, ()), *_retry_after(details)]
    return http_status(status.code, details.reason), headers, status_json(status.SerializeToString())


def http_status(code: int, reason: str) -> int:
    """Return the HTTP status of a `google.rpc.Code`, or the reason's own where that is more exact."""
    return _MORE_EXACTLY.get(reason) or _HTTP_STATUS.get(code, 500)


def grpc_trailers(status: status_pb2.Status, correlation_id: str) -> list[Header]:
    """Return the trailers of a gRPC call that failed. `status` is in `grpc-status-details-bin`, without padding."""
    details = base64.b64encode(status.SerializeToString()).rstrip(b"=").decode()
    return [
        ("grpc-status", str(status.code)),
        ("grpc-message", quote(status.message, safe=_PLAIN)),
        ("grpc-status-details-bin", details),
        (CORRELATION_ID, correlation_id),
    ]


def allow_header(error: PolystreamError) -> list[Header]:
    """Return the header `allow` of a path that does not take the request's method; nothing for another error."""
    allow: tuple[str, ...] | None = getattr(error, "allow", None)
    return [("allow", ", ".join(allow))] if allow else []


def _retry_after(details: ErrorDetails) -> list[Header]:
    """Return RetryInfo's delay as HTTP has it, in whole seconds (RFC 9110, section 10.2.3)."""
    if details.retry_delay_s is None:
        return []
    return [("retry-after", str(max(1, math.ceil(details.retry_delay_s))))]
