"""gRPC-Web: frames in and out, binary and text."""

import asyncio
import base64
from collections.abc import Sequence

import pytest
from google.protobuf.message import Message
from google.rpc import status_pb2
from polystream.v1.operations_pb2 import Operation, WatchOperationRequest
from polystream.v1.users_pb2 import CreateUserRequest, GetUserRequest, User

from gateway.doors import grpc_web
from gateway.doors.grpc_web import GrpcWebDoor
from mesh.errors import PolystreamError, Reason
from tests.support.exchanges import RecordedExchange, exchange
from tests.support.scripted_calls import CORRELATION_ID, MAX_REQUEST_BYTES, ScriptedCalls

BINARY = "application/grpc-web+proto"
TEXT = "application/grpc-web-text+proto"
SERVICE = "/polystream.v1.UserService"
CREATE, GET = f"{SERVICE}/CreateUser", f"{SERVICE}/GetUser"
WATCH = "/polystream.v1.OperationService/WatchOperation"


def frame(data: bytes, flags: int = 0) -> bytes:
    """Return a frame."""
    return bytes([flags]) + len(data).to_bytes(4, "big") + data


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """Return the frames of an answer, flags and bytes."""
    found = []
    while body:
        end = 5 + int.from_bytes(body[1:5], "big")
        assert end <= len(body), "a frame is cut off"
        found.append((body[0], body[5:end]))
        body = body[end:]
    return found


def from_text(body: bytes) -> bytes:
    """Undo base64 that was written in several pieces, four characters at a time."""
    return b"".join(base64.b64decode(body[at : at + 4]) for at in range(0, len(body), 4))


def trailers(asked: RecordedExchange) -> dict[str, str]:
    """Return the trailers, which are the last frame."""
    body = from_text(asked.body) if asked.headers["content-type"] == TEXT else asked.body
    flags, lines = frames(body)[-1]
    assert flags == 0x80
    return dict(line.split(":", 1) for line in lines.decode().splitlines())


async def answered(
    calls: ScriptedCalls, path: str, body: bytes, media_type: str = BINARY, **headers: str
) -> RecordedExchange:
    """Send a request through the door, and wait for the end of its answer."""
    asked = exchange("POST", path, {"content-type": media_type, **headers}, body)
    door = GrpcWebDoor(calls.as_calls, max_request_bytes=MAX_REQUEST_BYTES)
    if door.head(asked.as_exchange, media_type, ()) is not None:
        asked.context.received()
    await asyncio.wait_for(asked.done.wait(), 5)
    return asked


def operations(count: int) -> Sequence[Message]:
    """Return some messages of a stream."""
    return [Operation(correlation_id=str(number)) for number in range(count)]


@pytest.mark.parametrize("media_type", sorted(grpc_web.BINARY))
async def test_a_message_and_its_trailers(media_type: str) -> None:
    """One frame each, in the type that was sent."""
    calls = ScriptedCalls([User(user_id=7, name="Ana")])
    asked = await answered(calls, GET, frame(GetUserRequest(user_id=7).SerializeToString()), media_type)
    assert (asked.status, asked.headers["content-type"]) == (200, media_type)
    (first, message), _ = frames(asked.body)
    assert (first, User.FromString(message).name) == (0, "Ana")
    assert trailers(asked) == {"grpc-status": "0"}
    assert calls.taken[0][1] == GetUserRequest(user_id=7)


@pytest.mark.parametrize("pieces", [1, 2, 3, 7])
async def test_text_is_base64_in_any_number_of_pieces(pieces: int) -> None:
    """Each with padding of its own."""
    data = frame(CreateUserRequest(name="Ana Maria").SerializeToString())
    size = -(-len(data) // pieces)
    body = b"".join(base64.b64encode(data[at : at + size]) for at in range(0, len(data), size))
    calls = ScriptedCalls()
    asked = await answered(calls, CREATE, body, TEXT)
    assert trailers(asked)["grpc-status"] == "0"
    assert calls.taken[0][1] == CreateUserRequest(name="Ana Maria")


@pytest.mark.parametrize("body", [b"!", b"AAA", b"A===", b"AAAA AAAA", b"====", "é".encode()])
async def test_what_is_no_base64_is_told(body: bytes) -> None:
    """By the request's error."""
    asked = await answered(ScriptedCalls(), CREATE, body, TEXT)
    assert trailers(asked)["grpc-status"] == "3"


@pytest.mark.parametrize("media_type", [BINARY, TEXT])
async def test_a_stream_is_many_frames(media_type: str) -> None:
    """Sent as they come, the trailers last."""
    body = frame(WatchOperationRequest().SerializeToString())
    body = base64.b64encode(body) if media_type == TEXT else body
    asked = await answered(ScriptedCalls(operations(3)), WATCH, body, media_type)
    assert len(asked.parts) == 4
    sent = from_text(asked.body) if media_type == TEXT else asked.body
    assert [Operation.FromString(data).correlation_id for flags, data in frames(sent) if not flags] == ["0", "1", "2"]
    assert trailers(asked)["grpc-status"] == "0"


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_an_error_is_in_the_trailers(count: int) -> None:
    """After no message, or after some, with its details."""
    error = PolystreamError(Reason.DEADLINE_EXCEEDED, "100 % é\n")
    asked = await answered(ScriptedCalls(operations(count), error), WATCH, frame(b""))
    told = trailers(asked)
    assert (told["grpc-status"], told["grpc-message"]) == ("4", "100 %25 %C3%A9%0A")
    details = told["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
    assert status == error.to_status()
    assert told["x-correlation-id"] == CORRELATION_ID


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1n", 0),
        ("999999u", 1),
        ("300m", 0.3),
        ("5S", 5),
        ("2M", 120),
        ("1H", 3600),
        ("99999999H", 99999999 * 3600),
        ("0S", 0),
    ],
)
async def test_a_timeout_is_a_deadline(text: str, seconds: float) -> None:
    """However short or long; 0 has passed already."""
    calls = ScriptedCalls()
    await answered(calls, CREATE, frame(b""), **{"grpc-timeout": text})
    assert calls.taken[0][2].time_remaining() == pytest.approx(seconds, abs=0.3)


@pytest.mark.parametrize("text", ["", "1", "S", "1s", "1 S", "-1S", "+1S", "1.5S", "123456789S", "1S1S", "\u0661S"])
async def test_a_malformed_timeout_is_told(text: str) -> None:
    """It is no timeout of any length."""
    calls = ScriptedCalls()
    asked = await answered(calls, CREATE, frame(b""), **{"grpc-timeout": text})
    assert trailers(asked)["grpc-status"] == "3"
    assert isinstance(calls.taken[0][1], PolystreamError)


async def test_a_query_without_a_timeout_has_a_bound() -> None:
    """A stream a longer one."""
    calls = ScriptedCalls([User()])
    await answered(calls, GET, frame(b""))
    assert calls.taken[-1][2].time_remaining() == pytest.approx(15, abs=1)
    await answered(calls, WATCH, frame(b""))
    assert calls.taken[-1][2].time_remaining() == pytest.approx(3600, abs=1)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", "3"),
        (b"\0\0\0\0", "3"),
        (b"\0\0\0\0\x01", "3"),
        (b"\0\xff\xff\xff\xff", "3"),
        (frame(b"") + b"\0", "3"),
        (frame(b"") + frame(b""), "3"),
        (frame(b"", 0x80), "3"),
        (frame(b"", 2), "3"),
        (frame(b"", 1), "12"),
        (frame(b"\xff"), "3"),
        (frame(b"x" * (MAX_REQUEST_BYTES + 1)), "3"),
    ],
)
async def test_a_body_that_is_no_message_is_told(body: bytes, status: str) -> None:
    """With no code that asks for the same again."""
    told = trailers(await answered(ScriptedCalls(), CREATE, body))
    assert told["grpc-status"] == status
    assert told["grpc-status-details-bin"]


@pytest.mark.parametrize(
    "media_type",
    ["application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc-web+json",
     "application/grpc-web+thrift", "application/grpc-web-text+json"],
)  # fmt: skip
def test_other_types_of_grpc_are_refused(media_type: str) -> None:
    """Before their body comes."""
    assert grpc_web.is_grpc(media_type)
    asked = exchange("POST", CREATE, {"content-type": media_type}, frame(b""))
    door = GrpcWebDoor(ScriptedCalls().as_calls, max_request_bytes=MAX_REQUEST_BYTES)
    with pytest.raises(PolystreamError) as refused:
        door.head(asked.as_exchange, media_type, ())
    assert refused.value.reason is Reason.UNSUPPORTED_CONTENT_TYPE


@pytest.mark.parametrize("media_type", ["application/grpcfoo", "application/json", "text/grpc", "application/x-grpc"])
def test_what_is_no_type_of_grpc(media_type: str) -> None:
    """Its name only looks like one."""
    assert not grpc_web.is_grpc(media_type)
