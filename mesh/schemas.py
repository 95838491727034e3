"""The Avro schemas of the platform, and a client of the schema registry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx

from mesh.direct import http_options
from mesh.errors import PolystreamError, Reason
from mesh.settings import RegistrySettings

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_SCHEMA_NOT_FOUND = 40403
_REFUSALS = (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY)  # of a schema: no repetition mends it
_AVRO = "AVRO"
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
            base_url=settings.url,
            timeout=settings.timeout_s,
            headers={"content-type": _CONTENT_TYPE},
            **http_options(ca_file=settings.ca_file, proxy_url=settings.proxy_url),
        )

    def register(self, topic: str, record: str, schema: Mapping[str, Any]) -> int:
        """Register a schema, or find it registered, and return its ID.

        Raises PolystreamError: REGISTRY_UNAVAILABLE when no registry answers, INTERNAL when it refuses the schema as
        invalid or as incompatible with an earlier version.
        """
        path, body = f"/subjects/{subject(topic, record)}/versions", {"schema": json.dumps(schema)}
        for _ in range(_CONFLICTS_MAX):
            response = self._send("POST", path, body)
            # A registry may answer so to one of two that register at the same moment, too.
            if response.status_code != httpx.codes.CONFLICT:
                break
        schema_id = _read(response).get("id")
        if not isinstance(schema_id, int):
            raise _unavailable(response)
        return schema_id

    def schema_by_id(self, schema_id: int) -> str:
        """Return the JSON text of an Avro schema that needs no other.

        Raises PolystreamError: UNDECODABLE when there is no such ID, or it is another kind of schema's,
        REGISTRY_UNAVAILABLE when no registry answers.
        """
        response = self._send("GET", f"/schemas/ids/{schema_id}", None)
        answer = _read(response)
        if answer.get("schemaType") not in {None, _AVRO} or answer.get("references"):
            raise PolystreamError(Reason.UNDECODABLE, f"schema {schema_id} is not an Avro schema that stands alone")
        text = answer.get("schema")
        if not isinstance(text, str):
            raise _unavailable(response)
        return text

    def set_compatibility(self, level: str) -> None:
        """Set the level that every subject is held to. Raises PolystreamError as `register` does."""
        _read(self._send("PUT", "/config", {"compatibility": level}))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            return self._http.request(method, path, content=None if body is None else json.dumps(body))
        except httpx.RequestError as error:
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE) from error


def _read(response: httpx.Response) -> Mapping[str, Any]:
    """Return what a response says, or raise what it means.

    Only Confluent's own code says that there is no schema. Anything else may be a proxy's word, or that of a registry
    that starts or has too much to do: whoever asked waits.
    """
    answer = _body(response)
    if response.is_success and answer is not None:
        return answer
    if response.status_code == httpx.codes.NOT_FOUND and (answer or {}).get("error_code") == _SCHEMA_NOT_FOUND:
        raise PolystreamError(Reason.UNDECODABLE, "the registry has no schema with the record's schema ID")
    if response.status_code in _REFUSALS:
        asked = f"{response.request.method} {response.request.url.path}"
        why = (answer or {}).get("message") or f"HTTP status {response.status_code}"
        raise PolystreamError(Reason.INTERNAL, f"the schema registry refused {asked}: {why}")
    raise _unavailable(response)


def _body(response: httpx.Response) -> Mapping[str, Any] | None:
    """Return the JSON object that a response brought; None where it brought something else, such as a proxy's page."""
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _unavailable(response: httpx.Response) -> PolystreamError:
    status = response.status_code
    return PolystreamError(
        Reason.REGISTRY_UNAVAILABLE,
        f"SCHEMA_REGISTRY_URL leads to what answers HTTP status {status}, but not as a schema registry; try again",
        metadata={"http_status": str(status)},
    )
