"""The Postman collection: complete, in the folders that people know, with tests in each request."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_DOCUMENT: dict[str, Any] = json.loads((_ROOT / "gen" / "openapi" / "openapi.json").read_text(encoding="utf-8"))
_COLLECTION: dict[str, Any] = json.loads(
    (_ROOT / "Plataforma de Streaming API.postman_collection.json").read_text(encoding="utf-8")
)


def _requests() -> Iterator[tuple[str, dict[str, Any]]]:
    for folder in _COLLECTION["item"]:
        for item in folder["item"]:
            yield folder["name"], item


def _script(item: dict[str, Any], listen: str) -> str:
    return "\n".join(line for event in item["event"] if event["listen"] == listen for line in event["script"]["exec"])


def test_folders_and_variables_are_those_that_people_know() -> None:
    """Status, users, history and cache, in that order; the base URL and a user are to be set."""
    names = [folder["name"] for folder in _COLLECTION["item"]]
    assert names == [
        "🔍 Status Endpoints",
        "👥 PostgreSQL - Usuários",
        "📺 MongoDB - Histórico",
        "⚡ Redis - Cache",
    ]
    variables = {variable["key"]: variable["value"] for variable in _COLLECTION["variable"]}
    assert variables.items() >= {"base_url": "http://localhost:8000", "user_id": "1234"}.items()


def test_every_operation_is_a_request() -> None:
    """The collection has each operation of the OpenAPI document once."""
    described = [f"{verb.upper()} {path}" for path, verbs in _DOCUMENT["paths"].items() for verb in verbs]
    assert sorted(item["name"].rpartition(" · ")[2] for _, item in _requests()) == sorted(described)


def test_every_request_has_tests_and_commands_are_followed() -> None:
    """Status and correlation ID are asserted; a command's operation is followed until it has succeeded."""
    for _, item in _requests():
        script = _script(item, "test")
        assert "status(200)" in script
        assert "x-correlation-id" in script
        is_command = item["request"]["method"] != "GET" and ":wait" not in item["request"]["url"]["raw"]
        assert ("the operation succeeds" in script) is is_command, item["name"]


def test_every_variable_has_a_value() -> None:
    """A variable is declared, or set by the request's own script."""
    declared = {variable["key"] for variable in _COLLECTION["variable"]}
    for _, item in _requests():
        used = set(re.findall(r"\{\{(\w+)\}\}", json.dumps(item["request"], ensure_ascii=False)))
        made = set(re.findall(r'collectionVariables\.set\("(\w+)"', _script(item, "prerequest")))
        assert used <= declared | made, item["name"]


def test_requests_known_from_before_need_no_body() -> None:
    """Paths from before this API are called as they were: what they say is in the path and the query."""
    for _, item in _requests():
        if not item["request"]["url"]["raw"].startswith("{{base_url}}/v1/"):
            assert "body" not in item["request"]
