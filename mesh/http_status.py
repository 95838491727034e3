"""The HTTP status of an error."""

from typing import Final

from google.rpc import code_pb2

from mesh.errors import Reason

# The mapping in the comments of google/rpc/code.proto.
_OF_CODE: Final = {
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
_OF_REASON: Final = {
    Reason.METHOD_NOT_ALLOWED.name: 405,
    Reason.NOT_ACCEPTABLE.name: 406,
    Reason.REQUEST_TIMEOUT.name: 408,
    Reason.REQUEST_TOO_LARGE.name: 413,
    Reason.HEADERS_TOO_LARGE.name: 414,  # of the target; the HTTP server itself tells of headers, by 431
    Reason.UNSUPPORTED_CONTENT_TYPE.name: 415,
    Reason.UNSUPPORTED_ENCODING.name: 415,
    Reason.FOREIGN_HOST.name: 421,
}


def http_status(code: int, reason: str) -> int:
    """Return the HTTP status of a `google.rpc.Code`, or the reason's own where that is more exact."""
    return _OF_REASON.get(reason) or _OF_CODE.get(code, 500)
