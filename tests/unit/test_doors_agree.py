"""The same fault is the same error by REST and by gRPC-Web: code, message, reason, fields, and what is said of them.

The faults are made from the descriptors, for every RPC and field. Behind the port are the gateway's own calls, which
gRPC ends in as well.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2, status_pb2
from polystream.v1.operations_pb2 import Operation

from gateway.admission import Admissions
from gateway.calls import Calls
from gateway.commands import CommandPath, PendingCommand
from gateway.rest.bindings import Binding
from gateway.rest.routes import Routes
from gateway.rest.templates import parse_template
from mesh.catalog import Command, load_catalog
from mesh.settings import TelemetrySettings
from mesh.telemetry.tracing import Tracing
from tests.support.door_wire import DoorWire, WireAnswer
from tests.support.doors import web_frames

CATALOG = load_catalog()
ROUTES = Routes(CATALOG.services)
METHODS = {f"{m.containing_service.full_name}/{m.name}": m for service in CATALOG.services for m in service.methods}
WEB = {"content-type": "application/grpc-web+proto"}
JSON = {"content-type": "application/json"}
_LONG = "x" * 600
_VALUES: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.TYPE_INT32: (-1, 1, 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-1, 1, 2**53, 2**63 - 1),
    FieldDescriptor.TYPE_DOUBLE: (-1.5, 1e300, float("nan"), float("inf")),
    FieldDescriptor.TYPE_BOOL: (True,),
    FieldDescriptor.TYPE_STRING: ("a\0b", "x", _LONG, "\u202e\ufffe"),
    FieldDescriptor.TYPE_ENUM: (1, 99, -1),
}


class AcceptingPath(CommandPath):
    """Stands where Kafka is, and accepts every command."""

    def __init__(self) -> None:
        pass

    def submit(self, command: Command, request: Any, pending: PendingCommand) -> None:
        """Accept one."""
        del command, request
        pending.succeed(Operation(state=Operation.ACCEPTED))


@pytest.fixture(scope="module")
def wire() -> Iterator[DoorWire]:
    """Open the port. Commands are accepted, and queries find nothing."""
    queries = {name: _query(method) for name, method in METHODS.items() if method.name not in CATALOG.commands}
    calls = Calls(
        CATALOG,
        CATALOG.services,
        AcceptingPath(),
        queries,
        admissions=Admissions(max_request_bytes=65_536, demo_data=False),
        tracing=Tracing("gateway", "test", TelemetrySettings(OTEL_SDK_DISABLED=True)),
        max_streams=1,
    )
    port = DoorWire(calls, ROUTES, max_request_bytes=65_536)
    yield port
    port.close()


@pytest.mark.parametrize("binding", ROUTES.bindings, ids=lambda binding: f"{binding.method} {binding.template}")
def test_a_fault_is_the_same_error_at_every_door(wire: DoorWire, binding: Binding) -> None:
    """A request that one door takes, the other takes too."""
    refused = 0
    for request in _requests(METHODS[binding.rpc]):
        answer = _by_rest(wire, binding, request)
        if answer is None:
            continue
        told = _rest_status(answer)
        assert told == _by_web(wire, binding.rpc, request), request
        refused += told.code == code_pb2.INVALID_ARGUMENT
    assert refused or not METHODS[binding.rpc].input_type.fields


def _query(method: MethodDescriptor) -> Any:
    response = GetMessageClass(method.output_type)

    async def answer(_request: Any, _caller: Any) -> Message:
        return response()

    async def stream(_request: Any, _caller: Any) -> AsyncIterator[Message]:
        yield response()

    return stream if method.server_streaming else answer


def _requests(method: MethodDescriptor) -> Iterator[Any]:
    """Yield an empty request, and some with one field each, at its bounds and beyond."""
    make: Any = GetMessageClass(method.input_type)
    yield make()
    for field in method.input_type.fields:
        below = field.message_type
        for value in _VALUES[field.type] if below is None else ():
            yield make(**{field.name: [value] * 60 if field.is_repeated else value})
        if below is not None and below.GetOptions().map_entry:
            for key, value in (("", "v"), ("k", "a\0b"), (_LONG, "v"), ("k", _LONG)):
                yield make(**{field.name: {key: value}})
        elif below is not None and not field.is_repeated:
            for part in below.fields:
                for value in _VALUES[part.type]:
                    yield make(**{field.name: {part.name: value}})


def _by_rest(wire: DoorWire, binding: Binding, request: Any) -> WireAnswer | None:
    """Send a request by REST, with a value in each field of the path; None where JSON cannot say it."""
    try:
        fields = json_format.MessageToDict(request, preserving_proto_field_name=True)
    except (ValueError, json_format.SerializeToJsonError):
        return None  # a time of no calendar
    path = binding.template
    for variable in parse_template(binding.template).variables:
        (name,) = variable.field_path
        if not getattr(request, name):  # a path always says something
            field = request.DESCRIPTOR.fields_by_name[name]
            setattr(request, name, _VALUES[field.type][1])
        fields.pop(name, None)
        path = path.replace(f"{{{name}}}", quote(str(getattr(request, name)), safe=""))
    if binding.takes_body:
        return wire.ask(binding.method, path, JSON, json.dumps(fields).encode())
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in fields.items())
    return wire.ask(binding.method, f"{path}?{query}")


def _rest_status(answer: WireAnswer) -> status_pb2.Status:
    if answer.status == 200:
        return status_pb2.Status()
    return json_format.ParseDict(answer.json, status_pb2.Status())


def _by_web(wire: DoorWire, rpc: str, request: Any) -> status_pb2.Status:
    data = request.SerializeToString()
    answer = wire.ask("POST", f"/{rpc}", WEB, b"\0" + len(data).to_bytes(4, "big") + data)
    _, trailers = web_frames(answer.body)
    if trailers["grpc-status"] == "0":
        return status_pb2.Status()
    details = trailers["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
    assert trailers["grpc-status"] == str(status.code)
    return status
