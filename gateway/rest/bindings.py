"""One way to call an RPC over HTTP: from path, query, body and header to the request, and from the response to JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import MethodDescriptor

from gateway.operations.accepted import Serializable
from gateway.rest.bodies import body_reader
from gateway.rest.idempotency import HEADER, REQUEST_ID, read_key, refused_key, takes_key
from gateway.rest.json_writer import JsonWriter
from gateway.rest.percent import decode_percent, decode_segments
from gateway.rest.query import read_query
from gateway.rest.request_fields import RequestField, RequestFields, path_field
from gateway.rest.sources import PATH, QUERY, Sourced, check_sources
from gateway.rest.templates import PathTemplate
from gateway.rest.text_fields import TextField, text_field
from mesh.errors import MAX_FAULTS, FieldFault, PolystreamError, Reason

# HTTP gives a body of these no meaning (RFC 9110, sections 9.3.1, 9.3.2 and 9.3.5).
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "DELETE"})


class Reading(NamedTuple):
    """A request, read."""

    data: bytes  # serialized protobuf
    named: frozenset[str]  # proto names of the request's own fields that were given a value, even an empty one


class _Variable(NamedTuple):
    """A field that the path sets."""

    field: RequestField
    setter: TextField
    is_single: bool


class Binding:
    """A binding of `google.api.http`, compiled when the gateway starts.

    `http_method` is "*" where the rule leaves it open, `body` and `response_body` are those of the rule, and
    `query_aliases` are further names of query parameters: alias to proto name.

    Raises ValueError for what google/api/http.proto does not allow.
    """

    def __init__(
        self,
        method: MethodDescriptor,
        http_method: str,
        template: PathTemplate,
        *,
        body: str = "",
        response_body: str = "",
        is_inherited: bool = False,
        query_aliases: Mapping[str, str] | None = None,
    ) -> None:
        if method.client_streaming:
            raise ValueError("a stream of requests has no form in REST")
        if body and http_method in _WITHOUT_BODY:
            raise ValueError(f"{http_method} has no body")
        request, response = method.input_type, method.output_type
        if response_body and response_body not in response.fields_by_name:
            raise ValueError(f"the response body is {response_body}, which is no field of {response.full_name}")
        self.rpc = f"{method.containing_service.full_name}/{method.name}"
        self.method = http_method
        self.template = template.text
        self.streams = bool(method.server_streaming)
        self.takes_body = bool(body)
        self.is_inherited = is_inherited
        self._request = request.full_name
        self._variables = tuple(
            _Variable(field, text_field(request.full_name, field.names), variable.is_single)
            for variable in template.variables
            for field in (path_field(request, variable.field_path),)
        )
        self._body = body_reader(request, body)
        self._fields = RequestFields(request, query_aliases or {})
        self._key = takes_key(method)
        self._path_keys = frozenset(variable.field.key for variable in self._variables)
        self._path_named = frozenset(variable.field.names[0] for variable in self._variables)
        if self._body.field in self._path_keys:
            raise ValueError(f"{self._body.field} is both in the path and the body")
        # A message of which the path sets a part may be in the body with its other parts, and a oneof in both.
        self._looks_into_body = any(len(v.field.names) > 1 or v.field.rivals for v in self._variables)
        self._writer = JsonWriter(response.full_name)
        self._response_field = response_body

    def read(self, variables: Sequence[str], query: str, body: bytes, request_id: str | None) -> Reading:
        """Return the request that the parts of an HTTP request make. Each field has one source.

        `variables` are the path's, percent-encoded, `query` is without its question mark, and `request_id` is the
        header `Idempotency-Key`, None without one.

        Raises PolystreamError UNKNOWN_FIELD, INVALID_FIELD, MALFORMED_REQUEST and HEADERS_TOO_LARGE.
        """
        parameters = read_query(query, self._fields) if query else ()
        key = None if request_id is None or self._key is None else self._read_key(request_id)
        read = self._body.read(body)
        message, named = read.message, read.named
        if parameters or key is not None or self._looks_into_body or not named.isdisjoint(self._path_named):
            fields = [Sourced(variable.field, PATH) for variable in self._variables]
            fields += [Sourced(parameter.field, QUERY) for parameter in parameters]
            if key is not None:
                fields.append(Sourced(self._fields.find(REQUEST_ID), f"the header {HEADER}"))
            in_body = self._body.paths(body) if self._looks_into_body else named
            check_sources(fields, in_body, self._body.field)
        faults: list[FieldFault] = []
        for variable, text in zip(self._variables, variables, strict=True):
            _set(message, variable, text, faults)
        for field, values in parameters:
            _set_values(message, text_field(self._request, field.names), values, faults)
        if faults:
            raise PolystreamError(Reason.INVALID_FIELD, faults=faults[:MAX_FAULTS])
        named = self._path_named | named if named else self._path_named
        if parameters:
            named = named.union([parameter.field.names[0] for parameter in parameters])
        if key is not None:
            setattr(message, REQUEST_ID, key)
            named |= {REQUEST_ID}
        return Reading(message.to_binary(), named)

    def write(self, message: Serializable) -> bytes:
        """Return the JSON of a response, or of that field of it which the rule makes the response's body."""
        data = self._writer.write(message.SerializeToString())
        if not self._response_field:
            return data
        field = json.loads(data).get(self._response_field, {})  # a message that is not set is an empty one
        return json.dumps(field, ensure_ascii=False, separators=(",", ":")).encode()

    def _read_key(self, header: str) -> str:
        if not self._key:
            raise refused_key("is not taken: this command has no request_id, and may be applied twice if sent twice")
        return read_key(header)


def _set(message: Any, variable: _Variable, text: str, faults: list[FieldFault]) -> None:
    try:
        value = decode_percent(text) if variable.is_single else decode_segments(text)
    except ValueError as error:
        faults.append(FieldFault(variable.field.key, str(error)))
    else:
        _set_values(message, variable.setter, (value,), faults)


def _set_values(message: Any, setter: TextField, values: Sequence[str], faults: list[FieldFault]) -> None:
    try:
        setter.set(message, values)
    except PolystreamError as error:
        faults.extend(error.faults)
