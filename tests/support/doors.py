"""The three doors of the platform, for tests: gRPC, gRPC-Web and REST, each with its answer or its error."""

import base64
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import grpc
import httpx
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

# Any's JSON form needs the types of the details to be known.
_DETAILS = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, or a `google.rpc.Status`, in JSON's form, whatever door it came through."""

    body: dict[str, Any]
    error: dict[str, Any] | None = None

    @property
    def code(self) -> int:
        """google.rpc.Code; 0 for an answer."""
        return int(self.error["code"]) if self.error else 0

    @property
    def reason(self) -> str:
        """The ErrorInfo's reason."""
        return str(self._detail("ErrorInfo").get("reason", ""))

    @property
    def fields(self) -> list[str]:
        """The fields at fault."""
        violations: list[dict[str, Any]] = self._detail("BadRequest").get("field_violations", [])
        return [str(violation["field"]) for violation in violations]

    @property
    def retry_delay(self) -> str:
        """RetryInfo's delay; empty where there is none."""
        return str(self._detail("RetryInfo").get("retry_delay", ""))

    def _detail(self, name: str) -> dict[str, Any]:
        for detail in (self.error or {}).get("details", []):
            if detail["@type"].endswith(f".{name}"):
                return dict(detail)
        return {}


def call_grpc(
    channel: grpc.Channel, method: str, request: Message, answer: type[Message], timeout_s: float = 10
) -> Answer:
    """Call `package.Service/Method` by gRPC."""
    call = channel.unary_unary(
        f"/{method}", request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
    )
    try:
        return Answer(_plain(call(request, timeout=timeout_s)))
    except grpc.RpcError as error:
        return Answer({}, _grpc_error(error))


def call_grpc_web(base_url: str, method: str, request: Message, answer: type[Message]) -> Answer:
    """Call `package.Service/Method` by gRPC-Web: one frame out, frames in, the last one with the trailers."""
    payload = request.SerializeToString()
    response = httpx.post(
        f"{base_url}/{method}",
        content=b"\0" + struct.pack(">I", len(payload)) + payload,
        headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1"},
        timeout=10,
    )
    message, trailers = web_frames(response.content)
    trailers = {**dict(response.headers), **trailers}
    code = int(trailers.get("grpc-status", "2"))
    if code:
        details = trailers.get("grpc-status-details-bin", "")
        status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
        if not details:
            status = status_pb2.Status(code=code, message=unquote(trailers.get("grpc-message", "")))
        return Answer({}, _plain(status))
    return Answer(_plain(answer.FromString(message)))


def call_rest(client: httpx.Client, verb: str, path: str, **arguments: Any) -> Answer:
    """Call by REST. An error must be JSON."""
    response = client.request(verb, path, **arguments)
    body = response.json()
    return Answer(body) if response.is_success else Answer({}, body)


def _plain(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _grpc_error(error: grpc.RpcError) -> dict[str, Any]:
    trailing: Any = error.trailing_metadata() or ()  # pairs, whatever the stub says
    for key, value in trailing:
        if key == "grpc-status-details-bin":
            return _plain(status_pb2.Status.FromString(value))
    return {"code": error.code().value[0], "message": error.details(), "details": []}


def web_frames(content: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the message and the trailers of a gRPC-Web answer."""
    message, trailers = b"", {}
    while content:
        flag, length = content[0], struct.unpack(">I", content[1:5])[0]
        frame, content = content[5 : 5 + length], content[5 + length :]
        if flag & 0x80:
            pairs = (line.split(":", 1) for line in frame.decode().strip().split("\r\n") if ":" in line)
            trailers = {name.strip().lower(): value.strip() for name, value in pairs}
        else:
            message = frame
    return message, trailers
