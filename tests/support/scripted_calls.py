"""Stands for the gateway's calls before a door: takes what comes, and answers as it is told."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from polystream.v1.operations_pb2 import Operation

from gateway.admission import Admissions
from gateway.calls import Caller, CallError, Calls, Responder, Rpc, RpcKind
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError

CORRELATION_ID = "01a20000-0000-7000-8000-000000000000"
MAX_REQUEST_BYTES = 4096


@dataclass
class ScriptedCalls:
    """Every RPC of the API. An answer is what `messages` has, or the error where the request or `error` is one."""

    messages: Sequence[Message] = ()
    error: PolystreamError | None = None  # after the messages
    serving: bool = True
    taken: list[tuple[str, Any, Caller]] = field(default_factory=list)
    rpcs: dict[str, Rpc] = field(default_factory=dict)
    _responses: dict[str, type[Message]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        catalog = load_catalog()
        admissions = Admissions(max_request_bytes=MAX_REQUEST_BYTES, demo_data=False)
        for service in catalog.services:
            for method in service.methods:
                kind = RpcKind.STREAM if method.server_streaming else RpcKind.QUERY
                kind = RpcKind.COMMAND if method.name in catalog.commands else kind
                name = f"{service.full_name}/{method.name}"
                admission = admissions.of_query(GetMessageClass(method.input_type))
                self.rpcs[name] = Rpc(name, kind, admission)
                self._responses[name] = GetMessageClass(method.output_type)

    def command(self, rpc: Rpc, decoded: Any, caller: Caller, responder: Responder) -> None:
        """Answer at once."""
        self.taken.append((rpc.name, decoded, caller))
        error = decoded if isinstance(decoded, PolystreamError) else self.error
        if error is not None:
            responder.fail(CORRELATION_ID, error.to_status())
        else:
            responder.succeed(CORRELATION_ID, Operation(correlation_id=CORRELATION_ID, state=Operation.ACCEPTED))

    async def query(self, rpc: Rpc, decoded: Any, caller: Caller) -> tuple[str, Message]:
        """Answer with the first message."""
        async for answer in self.stream(rpc, decoded, caller):
            return answer
        return CORRELATION_ID, self._responses[rpc.name]()

    async def stream(self, rpc: Rpc, decoded: Any, caller: Caller) -> AsyncIterator[tuple[str, Message]]:
        """Answer with all messages."""
        self.taken.append((rpc.name, decoded, caller))
        if isinstance(decoded, PolystreamError):
            raise CallError(decoded.to_status(), CORRELATION_ID)
        for message in self.messages:
            yield CORRELATION_ID, message
        if self.error is not None:
            raise CallError(self.error.to_status(), CORRELATION_ID)

    @property
    def as_calls(self) -> Calls:
        """The same, for what asks for the type."""
        return cast(Calls, self)
