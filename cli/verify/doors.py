"""The doors that a client sends commands through: what it sends, and what it makes of the answer."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol
from urllib.parse import quote

import grpc
import httpx
from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from polystream.v1.operations_pb2 import Operation

from cli.verify.history import Answer
from mesh.catalog import Catalog
from mesh.direct import GRPC_OPTIONS
from mesh.errors import read_details

# What says nothing of whether the command was taken, or that it was not: the same request is sent again.
_AGAIN: Final = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED", "ABORTED"})
# From a connection that broke; with a reason, they are the platform's own.
_BROKEN: Final = frozenset({"UNKNOWN", "INTERNAL"})
_RECONNECT_MAX_MS: Final = 500  # else a client waits longer and longer for a gateway that is started again
_VARIABLE: Final = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What came of one call."""

    answer: Answer
    code: str = ""
    reason: str = ""
    correlation_id: str = ""


class CommandDoor(Protocol):
    """A way in for commands. For one thread."""

    name: str

    def send(self, command: str, fields: Mapping[str, Any], timeout_s: float) -> CallAnswer:
        """Send one command, its request ID among its fields, and return what came of it. Raises nothing."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class GrpcCommandDoor:
    """gRPC, at the gateway's own port for it."""

    name = "grpc"

    def __init__(self, address: str, catalog: Catalog) -> None:
        self._catalog = catalog
        self._channel = open_channel(address)

    def send(self, command: str, fields: Mapping[str, Any], timeout_s: float) -> CallAnswer:
        """Call the command's RPC."""
        declared = self._catalog.commands[command]
        call: Any = self._channel.unary_unary(
            f"/{declared.service}/{command}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=Operation.FromString,
        )
        try:
            operation = call(json_format.ParseDict(dict(fields), declared.request_class()), timeout=timeout_s)
        except grpc.RpcError as error:
            return _of_status(error.code().name, _details(error))
        return CallAnswer(Answer.ACKNOWLEDGED, correlation_id=operation.correlation_id)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class RestCommandDoor:
    """REST, by each command's first binding."""

    name = "rest"

    def __init__(self, url: str, catalog: Catalog) -> None:
        self._http = httpx.Client(base_url=url, trust_env=False)
        self._bindings = {method.name: _binding(method) for service in catalog.services for method in service.methods}

    def send(self, command: str, fields: Mapping[str, Any], timeout_s: float) -> CallAnswer:
        """Send the command's HTTP request."""
        binding = self._bindings[command]
        rest = dict(fields)
        path = _VARIABLE.sub(lambda found: quote(str(rest.pop(found[1])), safe=""), binding.path)
        body, query = (rest, None) if binding.has_body else (None, rest)
        try:
            answer = self._http.request(binding.method, path, json=body, params=query, timeout=timeout_s)
            told = answer.json()
        except (httpx.TransportError, json.JSONDecodeError) as error:
            return CallAnswer(Answer.UNKNOWN, "UNAVAILABLE", type(error).__name__)
        if answer.is_success:
            return CallAnswer(Answer.ACKNOWLEDGED, correlation_id=str(told["correlation_id"]))
        status = json_format.ParseDict(told, status_pb2.Status(), ignore_unknown_fields=True)
        return _of_status(code_pb2.Code.Name(status.code), status)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def open_channel(address: str) -> grpc.Channel:
    """Return a channel that comes back quickly to a gateway that was started again."""
    reconnect = [(f"grpc.{bound}_reconnect_backoff_ms", _RECONNECT_MAX_MS) for bound in ("initial", "min", "max")]
    return grpc.insecure_channel(address, options=[*GRPC_OPTIONS, *reconnect])


@dataclass(frozen=True, slots=True)
class _HttpBinding:
    method: str
    path: str
    has_body: bool


@cache
def _binding(method: MethodDescriptor) -> _HttpBinding:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    kind = rule.WhichOneof("pattern")
    return _HttpBinding(kind.upper(), getattr(rule, kind), rule.body == "*")


def _details(error: grpc.RpcError) -> status_pb2.Status | None:
    try:
        return rpc_status.from_call(error)  # type: ignore[arg-type] # the error is the call too
    except ValueError:  # the details are of another error: they did not all come
        return None


def _of_status(code: str, status: status_pb2.Status | None) -> CallAnswer:
    reason = read_details(status).reason if status is not None else ""
    is_unknown = code in _AGAIN or (code in _BROKEN and not reason)
    return CallAnswer(Answer.UNKNOWN if is_unknown else Answer.REFUSED, code, reason)
