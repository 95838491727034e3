"""Schemas and calls that the tests of schema registries share."""

import json
from typing import Any

import httpx

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
LONG_A = {"name": "a", "type": "long"}
LONG_B = {"name": "b", "type": "long"}
LONG_B_DEFAULT = {"name": "b", "type": "long", "default": 0}
LONG_C_DEFAULT = {"name": "c", "type": "long", "default": 0}


def record(*fields: dict[str, Any], name: str = "test.Record", **attributes: Any) -> str:
    """A record schema's text."""
    return json.dumps({"type": "record", "name": name, "fields": list(fields), **attributes})


def register(api: httpx.Client, subject: str, schema: str) -> httpx.Response:
    """Register a schema under a subject."""
    return api.post(f"/subjects/{subject}/versions", json={"schema": schema})


def register_persistently(api: httpx.Client, subject: str, schema: str, tries: int = 10) -> int:
    """Register a schema that fits, as the platform's client does: again where others came between. Return its ID."""
    for _ in range(tries):
        response = register(api, subject, schema)
        if response.status_code != 409:
            break
    return int(response.json()["id"])


def set_level(api: httpx.Client, subject: str, level: str) -> None:
    """Give a subject a compatibility level of its own."""
    assert api.put(f"/config/{subject}", json={"compatibility": level}).status_code == 200


def assert_error(response: httpx.Response, status: int, code: int) -> None:
    """The response is an error with Confluent's code and a sentence."""
    assert response.status_code == status, response.text
    assert response.json()["error_code"] == code
    assert response.json()["message"]
