"""The Avro schemas of the platform, and a client of the schema registry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx

from mesh.errors import PolystreamError, Reason
from mesh.settings import RegistrySettings

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_SCHEMA_NOT_FOUND = 40403
_CONFLICTS_MAX = 4  # tries of a registration that meets one
# In a checkout the schemas stand beside the packages; in the wheel they are inside this one.
_FOLDERS = (Path(__file__).parent.parent / "schemas" / "avro", Path(__file__).parent / "_schemas")


def load_schema(record: str) -> Mapping[str, Any]:
    """Return the committed schema of a record, by its full name. Raises FileNotFoundError."""
    for folder in _FOLDERS:
        path = folder / f"{record}.avsc"
        if path.exists():
            return cast(Mapping[str, Any], json.loads(path.read_text(encoding="utf-8")))
    raise FileNotFoundError(f"no schema of {record}: generate the contracts")


def subject(topic: str, record: str) -> str:
    """Return the registry's subject of a record on a topic (TopicRecordNameStrategy)."""
    return f"{topic}-{record}"


class RegistryClient:
    """The part of the Confluent API that producers and consumers use. Thread-safe."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._http = httpx.Client(
            base_url=settings.url, timeout=settings.timeout_s, headers={"content-type": _CONTENT_TYPE}
        )

    def register(self, topic: str, record: str, schema: Mapping[str, Any]) -> int:
        """Register a schema, or find it registered, and return its ID.

        Raises PolystreamError: REGISTRY_UNAVAILABLE when nobody answers, INTERNAL when the registry finds the
        schema incompatible with an earlier version.
        """
        path, body = f"/subjects/{subject(topic, record)}/versions", {"schema": json.dumps(schema)}
        for _ in range(_CONFLICTS_MAX):
            response = self._send("POST", path, body)
            # A registry may answer so to one of two that register at the same moment, too.
            if response.status_code != httpx.codes.CONFLICT:
                break
        return int(_read(response)["id"])

    def schema_by_id(self, schema_id: int) -> str:
        """Return the JSON text of a schema.

        Raises PolystreamError: UNDECODABLE when there is no such ID, REGISTRY_UNAVAILABLE when nobody answers.
        """
        return str(self._call("GET", f"/schemas/ids/{schema_id}")["schema"])

    def set_compatibility(self, level: str) -> None:
        """Set the level that every subject is held to. Raises PolystreamError."""
        self._call("PUT", "/config", {"compatibility": level})

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        return _read(self._send(method, path, body))

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            return self._http.request(method, path, content=None if body is None else json.dumps(body))
        except httpx.TransportError as error:
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE) from error


def _read(response: httpx.Response) -> Mapping[str, Any]:
    """Return what a response says, or raise what it means."""
    if response.is_success:
        return cast(Mapping[str, Any], response.json())
    if response.status_code >= 500:
        raise PolystreamError(Reason.REGISTRY_UNAVAILABLE)
    answer = _error_body(response)
    if answer.get("error_code") == _SCHEMA_NOT_FOUND:
        raise PolystreamError(Reason.UNDECODABLE, "the registry has no schema with the record's schema ID")
    asked = f"{response.request.method} {response.request.url.path}"
    raise PolystreamError(Reason.INTERNAL, f"the schema registry refused {asked}: {answer.get('message')}")


def _error_body(response: httpx.Response) -> Mapping[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": f"HTTP status {response.status_code}"}
