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


# What a command and a refusal look like.
_ACCEPTED: Final = {
    "name": f"operations/{_SESSION_ID}",
    "correlation_id": _SESSION_ID,
    "command": "",
    "state": "ACCEPTED",
    "accept_time": "2026-01-31T12:00:00.125Z",
    "user_id": "1234",
    "receipts": [],
}
_REFUSED: Final = {
    "code": 3,
    "message": "a field of the request is not valid; see the field violations",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "INVALID_FIELD",
            "domain": "polystream.dev",
            "metadata": {},
        },
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "field_violations": [
                {"field": "email", "description": "must be a valid email address", "reason": "string.email"}
            ],
        },
    ],
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
    """Give parameters with a known name, bodies, what commands answer and errors their examples.

    `golden` has one file a command.
    """
    document["components"]["responses"]["Error"]["content"]["application/json"]["example"] = _REFUSED
    for _, _, operation in operations(document):
        rpc, responses = rpc_of(operation), operation["responses"]
        if "links" in responses["200"]:
            responses["200"]["content"]["application/json"]["example"] = _ACCEPTED | {"command": rpc}
        for parameter in operation.get("parameters", ()):
            if (parameter["in"] == "path" or parameter["name"] in {"page_size", "conteudo_id", "user_id"}) and (
                example := _PARAMETERS.get(parameter["name"])
            ):
                parameter["example"] = example
        if "requestBody" in operation:
            _add_body(document, operation, golden / f"{rpc}.json")


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
