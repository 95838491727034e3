"""The Postman collection of the REST face, made from the OpenAPI document.

Each request stands on its own: its pre-request script makes what its path names. A command's test follows the
operation until it has succeeded.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.openapi_examples import operations, rpc_of
from contracts.postman_scripts import preparation, tests

FILE_NAME: Final = "Plataforma de Streaming API.postman_collection.json"

Json = dict[str, Any]

_SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_ABOUT: Final = (
    "Every command answers at once with a correlation ID; its test follows the operation until it has succeeded.\n\n"
    "Set `base_url` to where the API listens, and `user_id` to a user who exists."
)
# The folders that people know, each with the services whose paths are in it.
_FOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "🔍 Status Endpoints": ("SystemService", "OperationService"),
    "👥 PostgreSQL - Usuários": ("UserService", "SubscriptionService", "PaymentService", "PreferencesService"),
    "📺 MongoDB - Histórico": ("ViewService", "RecommendationService"),
    "⚡ Redis - Cache": ("ContentService", "SessionService"),
}
_VARIABLES: Final = {
    "base_url": "http://localhost:8000",
    "user_id": "1234",
    "content_id": "1001",
    "conteudo_id": "5678",
}
# What is deleted, or has to be unlike all others, is made for the purpose.
_INSTEAD: Final[Mapping[str, Mapping[str, str]]] = {
    "DeleteUser": {"user_id": "new_user_id"},
    "DeleteContent": {"content_id": "new_content_id"},
    "CreateUser": {"email": "new_email", "cpf": "new_cpf"},
    "ExplainOperation": {"correlation_id": "told_correlation_id"},
}


def collection(document: Json) -> Json:
    """Return the collection of an OpenAPI document that has examples."""
    services = {
        rpc_of(operation): operation["tags"][0]
        for _, _, operation in operations(document)
        if operation["tags"][0].endswith("Service")
    }
    return {
        "info": {"name": "Plataforma de Streaming API", "description": _ABOUT, "schema": _SCHEMA},
        "item": [
            {"name": folder, "item": list(_items(document, services, names))} for folder, names in _FOLDERS.items()
        ],
        "variable": [{"key": key, "value": value, "type": "string"} for key, value in _VARIABLES.items()],
    }


def _items(document: Json, services: Mapping[str, str], folder: tuple[str, ...]) -> Iterator[Json]:
    found = [entry for entry in operations(document) if services[rpc_of(entry[2])] in folder]
    # What people know comes first.
    for verb, path, operation in sorted(found, key=lambda entry: entry[1].startswith("/v1/")):
        yield _item(verb, path, operation)


def _item(verb: str, path: str, operation: Json) -> Json:
    rpc = rpc_of(operation)
    instead = _INSTEAD.get(rpc, {})
    body = _body(path, operation, instead)
    used = re.findall(r"\{(\w+)\}", path) + re.findall(r"\{\{(\w+)\}\}", body or "")
    variables = [instead.get(name, name) for name in used]
    events = [_event("prerequest", preparation(variables)), _event("test", tests(_answer(operation)))]
    return {
        "name": f"{operation['summary']} · {verb.upper()} {path}",
        "event": [event for event in events if event["script"]["exec"]],
        "request": {
            "method": verb.upper(),
            "header": [{"key": "content-type", "value": "application/json"}] if body else [],
            **({"body": {"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}} if body else {}),
            "url": _url(path, operation, instead),
            "description": operation["description"],
        },
    }


def _body(path: str, operation: Json, instead: Mapping[str, str]) -> str | None:
    """Return an operation's body. Paths from before are called without, as they always were: demo data fills them."""
    if "requestBody" not in operation or not path.startswith("/v1/"):
        return None
    example: Json = operation["requestBody"]["content"]["application/json"]["example"]
    placed = {name: f"{{{{{instead.get(name, name)}}}}}" for name in example if name in {*instead, *_VARIABLES}}
    return json.dumps(example | placed, indent=2, ensure_ascii=False)


def _url(path: str, operation: Json, instead: Mapping[str, str]) -> Json:
    placed = re.sub(r"\{(\w+)\}", lambda match: f"{{{{{instead.get(match[1], match[1])}}}}}", path)
    query = [_parameter(parameter) for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    asked = "&".join(f"{one['key']}={one['value']}" for one in query if not one["disabled"])
    return {
        "raw": f"{{{{base_url}}}}{placed}" + (f"?{asked}" if asked else ""),
        "host": ["{{base_url}}"],
        "path": placed.removeprefix("/").split("/"),
        **({"query": query} if query else {}),
    }


def _parameter(parameter: Json) -> Json:
    required = parameter.get("required", False)
    value = f"{{{{{parameter['name']}}}}}" if required else str(parameter.get("example", ""))
    said = {"key": parameter["name"], "value": value, "description": parameter["description"]}
    return said | {"disabled": not required}


def _answer(operation: Json) -> str:
    """Return the kind of answer that the tests expect: `command`, `stream` or `query`."""
    content = operation["responses"]["200"]["content"]
    if "text/event-stream" in content:
        return "stream"
    rpc = rpc_of(operation)
    schema = content["application/json"]["schema"]
    is_operation = schema.get("$ref", "").endswith("/Operation")
    return "command" if is_operation and not rpc.endswith("Operation") else "query"


def _event(listen: str, script: str) -> Json:
    return {"listen": listen, "script": {"type": "text/javascript", "exec": script.splitlines()}}
