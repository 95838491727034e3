"""Puts examples into the OpenAPI document: the golden ones of the commands, and the fixtures that a first start has."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

Document = dict[str, Any]

_VERBS: Final = ("get", "put", "post", "delete", "patch")
_SESSION_ID: Final = "01920000-0000-7000-8000-000000000001"
# What parameters are called with, by name: user 1234 and contents 5678 and 1001 are there after a first start.
_PARAMETERS: Final[Mapping[str, Any]] = {
    "user_id": 1234,
    "content_id": 1001,
    "conteudo_id": 5678,
    "subscription_id": 1,
    "payment_id": 1,
    "view_id": _SESSION_ID,
    "session_id": _SESSION_ID,
    "correlation_id": _SESSION_ID,
    "page_size": 10,
}


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each operation's verb, path and description, in the document's order."""
    for path, verbs in document["paths"].items():
        for verb in _VERBS:
            if verb in verbs:
                yield verb, path, verbs[verb]


def rpc_of(operation: Mapping[str, Any]) -> str:
    """Return the name of an operation's RPC; additional bindings have a number behind it."""
    return str(operation["operationId"]).partition("_")[0]


def add_examples(document: Document, golden: Path) -> None:
    """Give every parameter with a known name, and every command's body, an example. `golden` has one file a command."""
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if (parameter["in"] == "path" or parameter["name"] in {"page_size", "conteudo_id", "user_id"}) and (
                example := _PARAMETERS.get(parameter["name"])
            ):
                parameter["example"] = example
        if "requestBody" in operation:
            _add_body(document, operation, golden / f"{rpc_of(operation)}.json")


def _add_body(document: Document, operation: dict[str, Any], golden: Path) -> None:
    content = operation["requestBody"]["content"]["application/json"]
    if not golden.exists():
        content["example"] = {}
        return
    request: dict[str, Any] = json.loads(golden.read_text(encoding="utf-8"))["good"][0]
    allowed = _properties(document, content["schema"])
    content["example"] = {name: value for name, value in request.items() if name in allowed}


def _properties(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    properties: dict[str, Any] = schema["properties"]
    return properties
