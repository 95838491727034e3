"""A `google.rpc.Status` as each protocol has it: an HTTP status with JSON, or gRPC's trailers."""

import base64
import math
from typing import Final
from urllib.parse import quote

from google.rpc import status_pb2

from gateway.rest.json_writer import status_json
from mesh.errors import ErrorDetails, PolystreamError, Reason, read_details
from mesh.http_status import http_status

Header = tuple[str, str]

CORRELATION_ID: Final = "x-correlation-id"
STATUS_DETAILS: Final = "grpc-status-details-bin"  # a google.rpc.Status, as every gRPC library reads it
JSON: Final[Header] = ("content-type", "application/json")

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


def grpc_trailers(status: status_pb2.Status, correlation_id: str) -> list[Header]:
    """Return the trailers of a gRPC call that failed. `status` is in `grpc-status-details-bin`, without padding."""
    details = base64.b64encode(status.SerializeToString()).rstrip(b"=").decode()
    return [
        ("grpc-status", str(status.code)),
        ("grpc-message", quote(status.message, safe=_PLAIN)),
        (STATUS_DETAILS, details),
        (CORRELATION_ID, correlation_id),
    ]


def unknown_method() -> PolystreamError:
    """Return the error of a gRPC or gRPC-Web call of a method that no service declares."""
    return PolystreamError(
        Reason.UNIMPLEMENTED, "there is no such method; list the services and their methods by reflection"
    )


def allow_header(error: PolystreamError) -> list[Header]:
    """Return the header `allow` of a path that does not take the request's method; nothing for another error."""
    allow: tuple[str, ...] | None = getattr(error, "allow", None)
    return [("allow", ", ".join(allow))] if allow else []


def _retry_after(details: ErrorDetails) -> list[Header]:
    """Return RetryInfo's delay as HTTP has it, in whole seconds (RFC 9110, section 10.2.3)."""
    if details.retry_delay_s is None:
        return []
    return [("retry-after", str(max(1, math.ceil(details.retry_delay_s))))]
