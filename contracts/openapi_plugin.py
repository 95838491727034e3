"""A protoc plugin that writes the OpenAPI 3.1 document of the REST face.

Each binding of `google.api.http` is an operation, additional ones included. A path outside `/v1/` is one that
was there before this API, and is listed under a tag of its own.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from contracts.descriptors import COMMAND_OPTION, INHERITED_OPTION, Descriptors
from contracts.openapi_schema import Schema, Schemas
from contracts.plugin import PluginError, run_plugin

_HTTP_OPTION = "google.api.http"
_VERBS = ("get", "put", "post", "delete", "patch")
_VERSIONED = re.compile(r"^/v[0-9]+/")
_VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=[^}]*)?\}")
_FIRST_SENTENCE = re.compile(r"^(.*?)[.;:](?:\s|$)", re.DOTALL)
_INHERITED_TAG = "Inherited paths"
_QUERY_MESSAGES = ("google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask")
# How a command is followed, told so that clients can do it by themselves.
_FOLLOWED: Mapping[str, Any] = {
    name: {"operationId": name, "parameters": {"correlation_id": "$response.body#/correlation_id"}, "description": doc}
    for name, doc in (
        ("GetOperation", "Reads the operation as it stands."),
        ("WaitOperation", "Waits until the operation is done."),
    )
}
_ABOUT = (
    "Every command answers at once with an operation, which names the command by its `correlation_id`; read the "
    "operation until its `state` is `SUCCEEDED` or `FAILED`.\n\n"
    "Errors are `google.rpc.Status`, with a `google.rpc.ErrorInfo` among their details whose `reason` is stable.\n\n"
    "64-bit integers are strings in answers; requests may hold them as numbers or as strings.\n\n"
    "A POST to one of the inherited paths that has no more than identifiers is filled with demo data where that is on. "
    "On every other path a command says what it wants, or is refused with the reason `EMPTY_COMMAND`.\n\n"
    "Times are kept to the microsecond; finer digits are cut off.\n\n"
    "A field is given once: in the path, in the query or in the body. The header `Idempotency-Key` is another way to "
    "give a command's `request_id`. It is no parameter here, since a request that has both is refused."
)
_ERROR: Mapping[str, Any] = {
    "description": (
        "It did not work: the status says why.\n\n"
        "- 400: the request cannot be read, or the fields that are named are at fault\n"
        "- 403, 421: a browser asks on behalf of a page of elsewhere\n"
        "- 404: there is no such path, or nothing that the request names\n"
        "- 405: the path does not take this method; `allow` has those that it takes\n"
        "- 406, 415: the answer or the body is of a type or an encoding that is not spoken here\n"
        "- 408: the request did not arrive whole in time\n"
        "- 409: it is there already, or the `request_id` was used with another request\n"
        "- 413, 414, 431: the body, the path with its query, or the headers are too large\n"
        "- 429, 503: not now; try again after `retry-after`\n"
        "- 504: the time was over; a command may have been taken all the same\n"
        "- 500, 501: a mistake of the platform, or what it does not have"
    ),
    "headers": {
        "x-correlation-id": {
            "description": "Names the call in logs and traces.",
            "schema": {"type": "string", "format": "uuid"},
        },
        "retry-after": {
            "description": "After how many seconds the same request may work.",
            "schema": {"type": "integer", "minimum": 1},
        },
        "allow": {"description": "The methods that the path takes.", "schema": {"type": "string"}},
    },
}
_ERROR_NAME = "Error"
_STREAM_TYPES = ("application/x-ndjson", "text/event-stream")


def generate(request: CodeGeneratorRequest) -> dict[str, str]:
    """Return the document as `openapi.json`."""
    document = _Document(Descriptors(request)).build()
    return {"openapi.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"}


@dataclass(frozen=True, slots=True)
class _Binding:
    """One way to call a method over HTTP."""

    method: MethodDescriptor
    index: int  # 0 is the method's own, the others are additional
    verb: str
    template: str
    body: bool
    aliases: Mapping[str, str]  # the field of each query parameter that has another name on this path
    may_be_silent: bool  # whether demo data fills what says nothing

    @property
    def path(self) -> str:
        return _VARIABLE.sub(r"{\1}", self.template)

    @property
    def in_path(self) -> list[str]:
        return _VARIABLE.findall(self.template)

    @property
    def versioned(self) -> bool:
        return _VERSIONED.match(self.template) is not None

    @property
    def beside_body(self) -> dict[str, str]:
        """The field of each query parameter that this path's callers give beside a body: its identifiers."""
        if not self.aliases:
            return {}
        names = {field: alias for alias, field in self.aliases.items()}
        return {
            names.get(field.name, field.name): field.name
            for field in self.method.input_type.fields
            if field.name not in self.in_path and (field.name in names or _is_identifier(field))
        }


class _Document:
    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        self._schemas = Schemas(descriptors)

    def build(self) -> dict[str, Any]:
        bindings = [binding for method in self._descriptors.methods() for binding in self._bindings(method)]
        bindings.sort(key=lambda binding: (not binding.versioned, binding.path))
        # The schemas of requests come first: what a request may hold is wider than what an answer holds.
        requests = [(binding, self._request(binding)) for binding in bindings]
        paths: dict[str, dict[str, Any]] = {}
        for binding, request in requests:
            operations = paths.setdefault(binding.path, {})
            if binding.verb in operations:
                raise _refusal(binding.method, f"{binding.verb} {binding.path} is bound already")
            operations[binding.verb] = request | {"responses": self._responses(binding.method)}
        error = {**_ERROR, "content": _json(self._schemas.response(self._descriptors.message("google.rpc.Status")))}
        components = self._schemas.components
        return {
            "openapi": "3.1.0",
            "info": {"title": "Polystream", "version": "v1", "description": _ABOUT},
            "servers": [{"url": "/"}],
            "tags": self._tags(bindings),
            "paths": paths,
            "components": {
                "schemas": {name: components[name] for name in sorted(components)},
                "responses": {_ERROR_NAME: error},
            },
        }

    def _bindings(self, method: MethodDescriptor) -> Iterator[_Binding]:
        rule = self._descriptors.option(method, _HTTP_OPTION)
        if rule is None:
            return
        inherited = self._descriptors.option(method, INHERITED_OPTION) or []
        aliases = {path.path: dict(path.query_aliases) for path in inherited}
        for index, one in enumerate([rule, *rule.additional_bindings]):
            verb = one.WhichOneof("pattern")
            if verb not in _VERBS:
                raise _refusal(method, f"the binding {verb} has no place in OpenAPI")
            if one.body not in {"", "*"}:
                raise _refusal(method, 'only body: "*" and no body are written here')
            template = getattr(one, verb)
            may_be_silent = verb == "post" and template in aliases
            yield _Binding(method, index, verb, template, bool(one.body), aliases.get(template, {}), may_be_silent)

    def _tags(self, bindings: list[_Binding]) -> list[dict[str, str]]:
        services = {b.method.containing_service.full_name: b.method.containing_service.name for b in bindings}
        tags = [{"name": services[name], "description": self._descriptors.comment(name)} for name in sorted(services)]
        inherited = "Paths from before this API. Each does the same as the operation that it is named after."
        return [*tags, {"name": _INHERITED_TAG, "description": inherited}]

    def _request(self, binding: _Binding) -> dict[str, Any]:
        """Return all of an operation but its responses."""
        method = binding.method
        doc = self._descriptors.comment(method.full_name)
        first = _FIRST_SENTENCE.match(doc)
        operation: dict[str, Any] = {
            "operationId": f"{method.name}_{binding.index + 1}" if binding.index else method.name,
            "tags": [method.containing_service.name if binding.versioned else _INHERITED_TAG],
            "summary": first[1] if first else doc,
            "description": doc,
        }
        if parameters := [*self._path_parameters(binding), *self._query_parameters(binding)]:
            operation["parameters"] = parameters
        if binding.body:
            in_query = binding.beside_body.values()
            outside = frozenset([*binding.in_path, *in_query])
            suffix = "InheritedBody" if in_query else "Body"
            schema = self._schemas.request_body(method.input_type, outside, suffix, may_be_silent=binding.may_be_silent)
            is_command = self._descriptors.option(method, COMMAND_OPTION) is not None
            asks = self._schemas.asks_for_body(method.input_type, outside, may_be_silent=binding.may_be_silent)
            required = not is_command or asks
            operation["requestBody"] = {"required": required, "content": _json(schema)}
        return operation

    def _path_parameters(self, binding: _Binding) -> Iterator[dict[str, Any]]:
        for name in binding.in_path:
            yield self._parameter(name, "path", _field_at(binding.method, name), required=True)

    def _query_parameters(self, binding: _Binding) -> Iterator[dict[str, Any]]:
        if binding.body:
            for name, field_name in binding.beside_body.items():
                yield self._parameter(name, "query", _field_at(binding.method, field_name), required=True)
            return
        for name, field in _leaves(binding.method.input_type):
            if name not in binding.in_path:
                yield self._parameter(name, "query", field)

    def _parameter(self, name: str, where: str, field: FieldDescriptor, *, required: bool = False) -> dict[str, Any]:
        doc = self._schemas.describe(field)
        said = {"name": name, "in": where} | ({"required": True} if required else {}) | {"description": doc}
        return said | {"schema": self._schemas.parameter(field)}

    def _responses(self, method: MethodDescriptor) -> dict[str, Any]:
        done = "It worked."
        is_command = self._descriptors.option(method, COMMAND_OPTION) is not None
        content = _json(self._schemas.response(method.output_type))
        if method.server_streaming:
            done = "One JSON object a line, until the call ends; or an event for each, if events are accepted."
            content |= {kind: {"schema": {"type": "string"}} for kind in _STREAM_TYPES}
        return {
            "200": {"description": done, "content": content} | ({"links": _FOLLOWED} if is_command else {}),
            "default": {"$ref": f"#/components/responses/{_ERROR_NAME}"},
        }


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _field_at(method: MethodDescriptor, path: str) -> FieldDescriptor:
    """Return a field of a method's request by its dotted path."""
    *parents, last = path.split(".")
    message: Descriptor | None = method.input_type
    for name in parents:
        message = message.fields_by_name[name].message_type if message is not None else None
    if message is None:
        raise _refusal(method, f"the path's {path} is no field of the request")
    return message.fields_by_name[last]


def _leaves(message: Descriptor, prefix: str = "") -> Iterator[tuple[str, FieldDescriptor]]:
    """Yield what a query can set, by dotted name: scalars and enums, repeated or not, and times."""
    for field in message.fields:
        nested = field.message_type
        if nested is None or nested.full_name in _QUERY_MESSAGES:
            yield prefix + field.name, field
        elif not field.is_repeated and nested.file.package != "google.protobuf":
            yield from _leaves(nested, f"{prefix}{field.name}.")


def _is_identifier(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_INT64 and field.name.endswith("_id")


def _refusal(method: MethodDescriptor, why: str) -> PluginError:
    return PluginError(f"{method.containing_service.file.name}: {method.full_name}: {why}")


if __name__ == "__main__":
    run_plugin(generate)
