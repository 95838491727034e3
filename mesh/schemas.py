"""The Avro schemas of the platform, and a client of the schema registry."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

from mesh.direct import http_options
from mesh.error_classes.classes import ErrorClass
from mesh.error_classes.registry import classify_registry
from mesh.errors import PolystreamError, Reason
from mesh.settings import RegistrySettings

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_AVRO = "AVRO"
_MAX_ANSWER_BYTES = 8_000_000  # far more than the longest schema that records may have
_NO_ANSWER = "an answer without what was asked for"
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


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """A version of a subject of the registry's."""

    subject: str
    version: int


class RegistryClient:
    """The part of the Confluent API that producers and consumers use. Thread-safe."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._http = httpx.Client(
            base_url=settings.url,
            timeout=settings.timeout_s,
            headers={"content-type": _CONTENT_TYPE},
            **http_options(ca_file=settings.ca_file, proxy_url=settings.proxy_url),
        )
        self._timeout_s = settings.timeout_s  # of a whole answer, too

    def register(self, topic: str, record: str, schema: Mapping[str, Any]) -> int:
        """Register a schema, or find it registered, and return its ID.

        Raises PolystreamError: REGISTRY_UNAVAILABLE when no registry answers, INTERNAL when it refuses the schema as
        invalid or as incompatible with an earlier version.
        """
        path, body = f"/subjects/{subject(topic, record)}/versions", {"schema": json.dumps(schema)}
        for _ in range(_CONFLICTS_MAX):
            answer = self._ask("POST", path, body)
            # A registry may answer so to one of two that register at the same moment, too.
            if answer.status != httpx.codes.CONFLICT:
                break
        schema_id = answer.read().get("id")
        if not isinstance(schema_id, int):
            raise _unavailable(answer.status, _NO_ANSWER)
        return schema_id

    def schema_by_id(self, schema_id: int) -> str:
        """Return the JSON text of an Avro schema that needs no other.

        Raises PolystreamError: UNDECODABLE when there is no such ID, or it is another kind of schema's,
        REGISTRY_UNAVAILABLE when no registry answers.
        """
        answer = self._ask("GET", f"/schemas/ids/{schema_id}", None)
        schema = answer.read()
        if schema.get("schemaType") not in {None, _AVRO} or schema.get("references"):
            raise PolystreamError(Reason.UNDECODABLE, f"schema {schema_id} is not an Avro schema that stands alone")
        text = schema.get("schema")
        if not isinstance(text, str):
            raise _unavailable(answer.status, _NO_ANSWER)
        return text

    def versions_of(self, schema_id: int) -> list[SchemaVersion]:
        """Return every subject that has the schema with an ID, and as which version.

        Raises PolystreamError: UNDECODABLE when there is no such ID, REGISTRY_UNAVAILABLE when no registry answers.
        """
        answer = self._ask("GET", f"/schemas/ids/{schema_id}/versions", None)
        found = []
        for entry in answer.read_list():
            subject, version = (entry.get("subject"), entry.get("version")) if isinstance(entry, dict) else (None, None)
            if not isinstance(subject, str) or not isinstance(version, int):
                raise _unavailable(answer.status, _NO_ANSWER)
            found.append(SchemaVersion(subject, version))
        return found

    def set_compatibility(self, level: str) -> None:
        """Set the level that every subject is held to. Raises PolystreamError as `register` does."""
        self._ask("PUT", "/config", {"compatibility": level}).read()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> "_RegistryAnswer":
        """Return what comes in time, and is not too long to be an answer. Raises PolystreamError."""
        content, give_up_s = bytearray(), time.monotonic() + self._timeout_s
        try:
            with self._http.stream(method, path, content=None if body is None else json.dumps(body)) as response:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _MAX_ANSWER_BYTES or time.monotonic() > give_up_s:
                        raise _without_end(response.is_success, response.status_code, content)
        except (httpx.RequestError, httpx.StreamError) as error:
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE, metadata={"error": type(error).__name__}) from error
        return _RegistryAnswer(f"{method} {path}", response.status_code, response.is_success, _document(bytes(content)))


@dataclass(frozen=True, slots=True)
class _RegistryAnswer:
    asked: str
    status: int
    is_success: bool
    content: Mapping[str, Any] | list[Any] | None  # None where it is no such JSON, but a proxy's page for one

    def read(self) -> Mapping[str, Any]:
        """Return the object that the answer is, or raise what it means."""
        if self.is_success and isinstance(self.content, dict):
            return self.content
        raise self._error()

    def read_list(self) -> list[Any]:
        """Return the list that the answer is, or raise what it means."""
        if self.is_success and isinstance(self.content, list):
            return self.content
        raise self._error()

    def _error(self) -> PolystreamError:
        said = self.content if isinstance(self.content, dict) else None
        verdict = classify_registry(self.status, said)
        if verdict.error_class is ErrorClass.SET_APART:
            return PolystreamError(Reason.UNDECODABLE, verdict.cause)
        if verdict.error_class is ErrorClass.REFUSE:
            why = (said or {}).get("message") or verdict.cause
            return PolystreamError(Reason.INTERNAL, f"the schema registry refused {self.asked}: {why}")
        return _unavailable(self.status, verdict.cause)


def _without_end(is_success: bool, status: int, content: bytearray) -> PolystreamError:
    if is_success and len(content) > _MAX_ANSWER_BYTES and content.startswith(b"{"):
        return PolystreamError(Reason.UNDECODABLE, f"the registry's answer has over {_MAX_ANSWER_BYTES:,} bytes")
    return _unavailable(status, "an answer that does not end")


def _document(content: bytes) -> Mapping[str, Any] | list[Any] | None:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict | list) else None


def _unavailable(status: int, cause: str) -> PolystreamError:
    return PolystreamError(
        Reason.REGISTRY_UNAVAILABLE,
        f"SCHEMA_REGISTRY_URL leads to what answers HTTP status {status}, but not as a schema registry; try again",
        metadata={"http_status": str(status), "error": cause},
    )
