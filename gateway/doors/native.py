"""The gRPC server in Rust, and commands taken from it as they come: no task, no future, no context a command.

`pygrpc_native.aio.Server` runs each call in a task. What is here leans on parts of it that are its own affair, so its
version is pinned, and `misfit` tells whether they are as they were.
"""

import inspect
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pygrpc_native
import pygrpc_native.aio
from google.rpc import status_pb2

from gateway.call_metrics import GRPC
from gateway.calls import NOTHING_NAMED, Caller, Calls, Rpc
from gateway.doors.statuses import CORRELATION_ID, STATUS_DETAILS
from gateway.operations.accepted import Serializable
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id

_VERSION: Final = "0.5.0"  # whose source was read
_SERVER_PARTS: Final = ("_on_events", "_dispatch", "start", "stop")
_FRONT_PARTS: Final = ("respond", "fail", "recv_batch_details", "add_methods", "close")


def misfit() -> str | None:
    """Return what of `pygrpc_native` is not as `EventServer` needs it; None where all is."""
    version = str(pygrpc_native.__version__)
    if version != _VERSION:
        return f"pygrpc-native is {version}, and {_VERSION} was expected"
    server, front = pygrpc_native.aio.Server, pygrpc_native.NativeGrpcFront
    for part in _SERVER_PARTS:
        if not callable(getattr(server, part, None)):
            return f"pygrpc_native.aio.Server has no {part}"
    for part in _FRONT_PARTS:
        if not callable(getattr(front, part, None)):
            return f"pygrpc_native.NativeGrpcFront has no {part}"
    if list(inspect.signature(server._on_events).parameters) != ["self", "events"]:  # noqa: SLF001
        return "pygrpc_native.aio.Server._on_events takes other arguments"
    attributes = vars(server())
    for attribute in ("_front", "_table", "_stopping"):
        if attribute not in attributes:
            return f"pygrpc_native.aio.Server has no {attribute}"
    return None


def read_trace(metadata: Iterable[tuple[str, Any]]) -> tuple[str | None, str | None]:
    """Return `traceparent` and `tracestate` of a call's metadata, each None where it is not there."""
    traceparent = tracestate = None
    for key, value in metadata:
        if key == "traceparent":
            traceparent = value
        elif key == "tracestate":
            tracestate = value
    return traceparent, tracestate


class NativeCommand(Caller):
    """A command that came over gRPC: what is known of its caller, and the way back."""

    __slots__ = ("_call_id", "_front")

    def __init__(self, front: Any, call_id: int, details: tuple[Any, str, float | None]) -> None:
        self._front = front
        self._call_id = call_id
        metadata, _, remaining_s = details
        self.traceparent, self.tracestate = read_trace(metadata)
        self.deadline_s = None if remaining_s is None else time.monotonic() + remaining_s
        self.named = NOTHING_NAMED
        self.may_fill = False
        self.attributes = None
        self.door = GRPC

    def succeed(self, correlation_id: str, response: Serializable) -> None:
        """Answer. One who has left gets nothing."""
        self._front.respond(
            self._call_id,
            response.SerializeToString(),
            initial_metadata=((CORRELATION_ID, correlation_id),),
        )

    def fail(self, correlation_id: str, status: status_pb2.Status) -> None:
        """Answer with an error. One who has left gets nothing."""
        self._front.fail(
            self._call_id,
            status.code,
            status.message,
            trailing_metadata=(
                (STATUS_DETAILS, status.SerializeToString()),
                (CORRELATION_ID, correlation_id),
            ),
        )


class EventServer(pygrpc_native.aio.Server):
    """The native server, with the commands of `calls` taken at once; all else runs in tasks."""

    def __init__(self, calls: Calls, commands: Mapping[str, Rpc], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._command_calls = calls
        self._commands = {f"/{name}": rpc for name, rpc in commands.items()}
        self._command_table: list[Rpc | None] = []  # by the front's number of the method

    async def start(self) -> None:
        """Listen."""
        await super().start()
        self._command_table = [self._commands.get(path) for path, _ in self._table]

    def _on_events(self, events: list[tuple[Any, ...]]) -> None:
        """Take what has come, on the event loop.

        That a command's caller left is of no concern: Kafka has the command, and the front drops the answer.
        """
        others = []
        for event in events:
            kind, call_id, method_id, payload, _, details = event
            if kind == pygrpc_native.EVENT_CALL and (rpc := self._command_table[method_id]) is not None:
                command = NativeCommand(self._front, call_id, details)
                if self._stopping:
                    command.fail(new_correlation_id(), PolystreamError(Reason.GATEWAY_DRAINING).to_status())
                else:
                    self._command_calls.command(rpc, rpc.admission.decode(payload), command, command)
            else:
                others.append(event)
        if others:
            super()._on_events(others)
