"""What a request says: its JSON body, within bounds, and the flags of its query."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request

from registry import errors
from registry.errors import RegistryError

_TRUE = "true"
_JSON_TYPES = ("application/json", "application/octet-stream", "+json")
# What a schema may carry elsewhere and this registry would have to drop in silence.
_UNSUPPORTED = ("references", "metadata", "ruleSet", "schemaTags")


@dataclass(frozen=True, slots=True)
class ListSlice:
    """A slice of a list, as the query asks for it."""

    offset: int
    limit: int  # negative: no limit

    def of(self, items: list[Any]) -> list[Any]:
        """Return the slice of these items."""
        return items[self.offset :] if self.limit < 0 else items[self.offset : self.offset + self.limit]


def subject_of(request: Request) -> str:
    """Return the path's subject, decoded: it may hold slashes."""
    return unquote(request.path_params["subject"])


def flag(request: Request, name: str) -> bool:
    """Return a boolean of the query; false when it is not given."""
    return request.query_params.get(name, "").lower() == _TRUE


def slice_of(request: Request) -> ListSlice:
    """Return the query's `offset` and `limit`."""
    try:
        offset, limit = (int(request.query_params.get(name, default)) for name, default in _SLICE_DEFAULTS)
    except ValueError:
        raise errors.bad_request("offset and limit are whole numbers") from None
    return ListSlice(max(offset, 0), limit)


_SLICE_DEFAULTS = (("offset", "0"), ("limit", "-1"))


async def json_body(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the body's JSON object.

    Raises RegistryError: 413 when it is longer than `max_bytes`, 415 when it is declared as something else,
    400 when it is no JSON object.
    """
    declared = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if not declared.endswith(_JSON_TYPES):
        raise RegistryError(415, 415, f"HTTP 415 Unsupported Media Type: {declared}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise RegistryError(413, 413, f"The body is longer than {max_bytes} bytes")
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise errors.bad_request("The body is not JSON") from None
    if not isinstance(parsed, dict):
        raise errors.bad_request("The body is not a JSON object")
    return parsed


async def schema_body(request: Request, max_bytes: int) -> str:
    """Return the schema's text from a body that carries one.

    Raises RegistryError: 42201 when there is none, when it is not Avro, or when it comes with parts that this
    registry does not keep.
    """
    body = await json_body(request, max_bytes)
    kind = body.get("schemaType") or "AVRO"
    if kind != "AVRO":
        raise errors.invalid_schema(f"schemaType {kind} is not supported: this registry keeps AVRO only")
    for name in _UNSUPPORTED:
        if body.get(name):
            raise errors.invalid_schema(f"{name} are not supported by this registry")
    if body.get("id", -1) not in (None, -1) or body.get("version", -1) not in (None, -1, 0):
        raise errors.not_permitted(
            "An id or version of the caller's own needs mode IMPORT; this registry has READWRITE"
        )
    text = body.get("schema")
    if not isinstance(text, str) or not text.strip():
        raise errors.invalid_schema("Empty schema")
    return text
