"""What holds for every answer.

- No 5xx but 503 with UNAVAILABLE, 504 with DEADLINE_EXCEEDED where the request set a deadline, and, for what is no
  proper HTTP/1.1, 501 (RFC 9112, 6.1: a transfer coding that the server does not know; RFC 9110, 9.1: a method) and
  505 (RFC 9110, 15.6.6).
- Every error has the one shape: a `google.rpc.Status` with an ErrorInfo of the platform's domain. Over gRPC-Web it is
  in `grpc-status-details-bin`. An answer to HEAD has no body, and so no error in it.
- 405 names the methods that there are (RFC 9110, 15.5.6).
- No error repeats a value of the request.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.rpc import code_pb2, error_details_pb2, status_pb2

from tests.support.fuzz.answers import Answer
from tests.support.fuzz.cases import Case, Kind

DOMAIN: Final = "polystream.dev"
_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_KEYS: Final = {"code", "message", "details"}
_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{2,62}")
_NEVER: Final = frozenset({code_pb2.UNKNOWN, code_pb2.INTERNAL, code_pb2.DATA_LOSS})
_CODE_OF_5XX: Final = {503: code_pb2.UNAVAILABLE, 504: code_pb2.DEADLINE_EXCEEDED, 501: code_pb2.UNIMPLEMENTED}
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_STATUS_OF_CODE: Final = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 16: 401}
_TRAILERS: Final = 0x80
_NUMBER: Final = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*")  # decimal, or an ID: another one in each answer
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={1,2}|[A-Za-z0-9+/]+")


def fault(case: Case, answer: Answer) -> str | None:
    """Return what is wrong with an answer, in words that are the same for the same fault; None for nothing."""
    content_type = answer.headers.get("content-type", "")
    if content_type.startswith("application/grpc-web") and answer.status == 200:
        return _grpc_web_fault(case, answer, is_text=content_type.startswith("application/grpc-web-text"))
    if answer.status >= 500 and (found := _server_error_fault(case, answer.status)):
        return f"{found}: {_without_numbers(answer.body[:200].decode('utf-8', 'replace'))}"
    if answer.status >= 400:
        return None if case.is_head else _error_fault(case, answer)
    return None


def _server_error_fault(case: Case, status: int) -> str | None:
    if status == 503 or (status == 504 and b"timeout" in case.data):
        return None
    if status in {501, 505} and case.kind in {Kind.RAW, Kind.GRAMMAR}:
        return None
    return f"{status}"


def _error_fault(case: Case, answer: Answer) -> str | None:
    status, content_type = answer.status, answer.headers.get("content-type", "of no type")
    found = None
    if not content_type.startswith("application/json"):
        found = f"whose body is no JSON but {content_type}"
    elif (code := _code_in_shape(answer.body)) is None:
        found = "not in the one error shape"
    elif code in _NEVER or _CODE_OF_5XX.get(status, code) != code or _is_mistaken(status, code):
        found = f"with the code {code}"
    elif status == 405 and "allow" not in answer.headers:
        found = "without allow"
    elif case.secret and case.secret in answer.body:
        found = "that repeats a value of the request"
    return found and f"{status} {found}"


def _is_mistaken(status: int, code: int) -> bool:
    return status in {401, 404, 409, 429} and _STATUS_OF_CODE.get(code) != status


def _code_in_shape(body: bytes) -> int | None:
    try:
        error: dict[str, Any] = json.loads(body)
        code = int(error["code"])
        infos = [detail for detail in error["details"] if detail["@type"] == _ERROR_INFO]
        shaped = set(error) == _KEYS and bool(error["message"]) and len(infos) == 1
        shaped = shaped and _is_of_platform(infos[0]["reason"], infos[0]["domain"])
    except (ValueError, LookupError, TypeError):
        return None
    return code if shaped and code_pb2.OK < code <= code_pb2.UNAUTHENTICATED else None


def _grpc_web_fault(case: Case, answer: Answer, *, is_text: bool) -> str | None:
    trailers: Mapping[str, str] = answer.headers
    if "grpc-status" not in answer.headers:
        body = answer.body
        if is_text:
            body = b"".join(base64.b64decode(part) for part in _BASE64.findall(body))
        frames = list(_frames(body))
        if not frames or frames[-1][0] & _TRAILERS == 0 or any(flags & _TRAILERS for flags, _ in frames[:-1]):
            return "gRPC-Web without trailers at its end"
        rows = [row.partition(":") for row in frames[-1][1].decode("latin-1").strip().split("\r\n")]
        trailers = {name.strip().lower(): value.strip() for name, _, value in rows}
    return _grpc_status_fault(case, trailers)


def _grpc_status_fault(case: Case, trailers: Mapping[str, str]) -> str | None:
    code = int(trailers.get("grpc-status", "-1"))
    if code == code_pb2.OK:
        return None
    encoded = trailers.get("grpc-status-details-bin", "")
    status = status_pb2.Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
    info = error_details_pb2.ErrorInfo()
    found = None
    if code in _NEVER or not code_pb2.OK < code <= code_pb2.UNAUTHENTICATED:
        found = f"with {_without_numbers(trailers.get('grpc-message', '')[:200])}"
    elif not encoded:
        found = "without details"
    elif status.code != code or not any(detail.Unpack(info) for detail in status.details):
        found = "whose details are not its own"
    elif not _is_of_platform(info.reason, info.domain):
        found = "not in the one error shape"
    elif case.secret and case.secret in status.SerializeToString():
        found = "that repeats a value of the request"
    return found and f"grpc-status {code} {found}"


def _frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    while body:
        end = 5 + int.from_bytes(body[1:5], "big")
        yield body[0], body[5:end]
        body = body[end:]


def _without_numbers(text: str) -> str:
    return _NUMBER.sub("N", text)


def _is_of_platform(reason: str, domain: str) -> bool:
    return _REASON.fullmatch(reason) is not None and domain == DOMAIN
