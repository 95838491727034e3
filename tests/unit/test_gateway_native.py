"""The parts of the native server that are its own affair are as the gateway needs them, or it does without them."""

import re
from pathlib import Path
from typing import Any

import pygrpc_native
import pytest
from google.rpc import status_pb2
from polystream.v1.operations_pb2 import Operation

from gateway.doors import grpc_server, native
from gateway.doors.native import NativeCommand, misfit
from mesh.ids import new_correlation_id

METADATA = (("te", "trailers"), ("traceparent", "00-1-2-01"), ("tracestate", "a=b"), ("x-bin", b"\0"))


class Front:
    """Keeps what it is told to answer."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, ...]] = []

    def respond(self, *answer: Any, initial_metadata: Any) -> bool:
        """Keep an answer."""
        self.answers.append((*answer, dict(initial_metadata)))
        return True

    def fail(self, *answer: Any, trailing_metadata: Any) -> bool:
        """Keep an error."""
        self.answers.append((*answer, dict(trailing_metadata)))
        return True


def test_the_installed_server_is_the_one_that_was_read() -> None:
    """And the project asks for no other."""
    assert misfit() is None
    project = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    assert re.search(r'"pygrpc-native==([\d.]+)"', project).group(1) == native._VERSION  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("owner", "part", "value", "words"),
    [
        (pygrpc_native, "__version__", "9.9", "9.9"),
        (pygrpc_native.aio.Server, "_on_events", None, "_on_events"),
        (pygrpc_native.aio.Server, "_on_events", lambda self: self, "_on_events takes other arguments"),
        (pygrpc_native.aio.Server, "__init__", lambda *_: None, "no _front"),
    ],
)
def test_another_server_is_told_from_it(
    monkeypatch: pytest.MonkeyPatch, owner: Any, part: str, value: Any, words: str
) -> None:
    """What is missing is named, and commands are taken in tasks then."""
    monkeypatch.setattr(owner, part, value)
    assert words in (misfit() or "")
    assert grpc_server._fitting("native") == "native-tasks"
    assert grpc_server._fitting("grpcio") == "grpcio"


def test_a_command_knows_its_caller() -> None:
    """Trace and deadline are all that the gateway asks of gRPC's metadata."""
    caller = NativeCommand(Front(), 7, (METADATA, "127.0.0.1:1", 60.0))
    assert (caller.traceparent, caller.tracestate) == ("00-1-2-01", "a=b")
    remaining_s = caller.time_remaining()
    assert remaining_s is not None
    assert 50 < remaining_s <= 60
    other = NativeCommand(Front(), 8, ((), "127.0.0.1:1", None))
    assert (other.traceparent, other.tracestate, other.deadline_s, other.time_remaining()) == (None, None, None, None)
    assert (other.named, other.may_fill, other.attributes) == (frozenset(), False, None)


def test_a_command_is_answered_by_its_number() -> None:
    """With the correlation ID, and an error with all of its status."""
    front = Front()
    caller = NativeCommand(front, 7, (METADATA, "127.0.0.1:1", None))
    correlation_id, operation = new_correlation_id(), Operation(command="CreateUser")
    status = status_pb2.Status(code=5, message="nothing")
    caller.succeed(correlation_id, operation)
    caller.fail(correlation_id, status)
    assert front.answers == [
        (7, operation.SerializeToString(), {"x-correlation-id": correlation_id}),
        (7, 5, "nothing", {"grpc-status-details-bin": status.SerializeToString(), "x-correlation-id": correlation_id}),
    ]
