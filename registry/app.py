"""The registry over HTTP, by the routes, bodies and error codes of the Confluent API."""

import logging
import sqlite3
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from registry import errors
from registry.errors import RegistryError
from registry.host_guard import HostGuard
from registry.registry import Registry
from registry.requests import flag, json_body, schema_body, slice_of, subject_of
from registry.store import StoredVersion

_MODE = "READWRITE"
_MAX_ID_DIGITS = 18
_log = logging.getLogger(__name__)

_Handler = Callable[[Request], Awaitable[Response]]


class _Answer(JSONResponse):
    media_type = "application/vnd.schemaregistry.v1+json"


def build_app(registry: Registry, max_body_bytes: int, guard: HostGuard) -> ASGIApp:
    """Return the ASGI application over a registry. What `guard` refuses does not reach it."""
    subjects, schemas = _Subjects(registry, max_body_bytes), _Schemas(registry)
    policies = _Policies(registry, max_body_bytes)
    table: list[tuple[str, str, _Handler]] = [
        ("GET", "/", _root),
        ("GET", "/subjects", subjects.list),
        ("POST", "/subjects/{subject}", subjects.lookup),
        ("DELETE", "/subjects/{subject}", subjects.delete),
        ("POST", "/subjects/{subject}/versions", subjects.register),
        ("GET", "/subjects/{subject}/versions", subjects.versions),
        ("GET", "/subjects/{subject}/versions/{version}", subjects.version),
        ("DELETE", "/subjects/{subject}/versions/{version}", subjects.delete_version),
        ("GET", "/subjects/{subject}/versions/{version}/schema", subjects.version_text),
        ("GET", "/subjects/{subject}/versions/{version}/referencedby", subjects.referenced_by),
        ("POST", "/compatibility/subjects/{subject}/versions", subjects.test),
        ("POST", "/compatibility/subjects/{subject}/versions/{version}", subjects.test),
        ("GET", "/schemas/types", schemas.types),
        ("GET", "/schemas/ids/{id}", schemas.by_id),
        ("GET", "/schemas/ids/{id}/schema", schemas.text_by_id),
        ("GET", "/schemas/ids/{id}/versions", schemas.versions_by_id),
        ("GET", "/schemas/ids/{id}/subjects", schemas.subjects_by_id),
        ("GET", "/config", policies.level),
        ("PUT", "/config", policies.set_level),
        ("DELETE", "/config", policies.reset_level),
        ("GET", "/config/{subject}", policies.level),
        ("PUT", "/config/{subject}", policies.set_level),
        ("DELETE", "/config/{subject}", policies.reset_level),
        ("GET", "/mode", policies.mode),
        ("PUT", "/mode", policies.set_mode),
        ("GET", "/mode/{subject}", policies.mode),
        ("PUT", "/mode/{subject}", policies.set_mode),
    ]
    app = Starlette(
        routes=[Route(path, handler, methods=[method]) for method, path, handler in table],
        exception_handlers={
            RegistryError: _registry_error,
            HTTPException: _http_error,
            sqlite3.Error: _store_error,
        },
    )
    return _GuardedByRawPath(app, guard)


class _GuardedByRawPath:
    """Refuses what the guard does, and routes on the path as it was sent: a subject may hold an encoded slash."""

    def __init__(self, app: ASGIApp, guard: HostGuard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if (error := self._guard.fault(scope)) is not None:
                await _error_answer(error)(scope, receive, send)
                return
            path = scope["raw_path"].decode("latin-1")
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)


async def _root(_request: Request) -> Response:
    return _Answer({})


class _Subjects:
    """Routes below /subjects and /compatibility."""

    def __init__(self, registry: Registry, max_body_bytes: int) -> None:
        self._registry = registry
        self._max_body_bytes = max_body_bytes

    async def list(self, request: Request) -> Response:
        names = self._registry.subjects(
            prefix=request.query_params.get("subjectPrefix", ""),
            deleted=flag(request, "deleted"),
            deleted_only=flag(request, "deletedOnly"),
        )
        return _Answer(slice_of(request).of(names))

    async def register(self, request: Request) -> Response:
        text = await schema_body(request, self._max_body_bytes)
        return _Answer({"id": self._registry.register(subject_of(request), text).schema_id})

    async def lookup(self, request: Request) -> Response:
        text = await schema_body(request, self._max_body_bytes)
        version = self._registry.lookup(subject_of(request), text, deleted=flag(request, "deleted"))
        return _Answer(_version_json(version))

    async def versions(self, request: Request) -> Response:
        found = self._registry.versions(
            subject_of(request),
            deleted=flag(request, "deleted"),
            deleted_only=flag(request, "deletedOnly") or flag(request, "deleted_only"),
        )
        return _Answer(slice_of(request).of([version.version for version in found]))

    async def version(self, request: Request) -> Response:
        return _Answer(_version_json(self._version(request)))

    async def version_text(self, request: Request) -> Response:
        return _schema_text(self._version(request).text)

    async def referenced_by(self, request: Request) -> Response:
        self._version(request)
        return _Answer([])  # this registry keeps no schema with references

    async def delete(self, request: Request) -> Response:
        return _Answer(self._registry.delete_subject(subject_of(request), permanent=flag(request, "permanent")))

    async def delete_version(self, request: Request) -> Response:
        number = self._registry.delete_version(
            subject_of(request), request.path_params["version"], permanent=flag(request, "permanent")
        )
        return _Answer(number)

    async def test(self, request: Request) -> Response:
        text = await schema_body(request, self._max_body_bytes)
        reasons = self._registry.test(subject_of(request), text, request.path_params.get("version"))
        answer: dict[str, object] = {"is_compatible": not reasons}
        return _Answer(answer | {"messages": reasons} if flag(request, "verbose") else answer)

    def _version(self, request: Request) -> StoredVersion:
        return self._registry.version(
            subject_of(request), request.path_params["version"], deleted=flag(request, "deleted")
        )


class _Schemas:
    """Routes below /schemas."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def types(self, _request: Request) -> Response:
        return _Answer(["AVRO"])

    async def by_id(self, request: Request) -> Response:
        answer: dict[str, object] = {"schema": self._registry.schema_by_id(_schema_id(request)).text}
        if flag(request, "fetchMaxId"):
            answer["maxId"] = self._registry.max_schema_id()
        return _Answer(answer)

    async def text_by_id(self, request: Request) -> Response:
        return _schema_text(self._registry.schema_by_id(_schema_id(request)).text)

    async def versions_by_id(self, request: Request) -> Response:
        found = self._versions(request)
        return _Answer(slice_of(request).of([{"subject": v.subject, "version": v.version} for v in found]))

    async def subjects_by_id(self, request: Request) -> Response:
        names = list(dict.fromkeys(version.subject for version in self._versions(request)))
        return _Answer(slice_of(request).of(names))

    def _versions(self, request: Request) -> list[StoredVersion]:
        subject = request.query_params.get("subject")
        found = self._registry.versions_by_id(_schema_id(request), deleted=flag(request, "deleted"))
        return [version for version in found if subject in (None, "", version.subject)]


class _Policies:
    """Routes below /config and /mode."""

    def __init__(self, registry: Registry, max_body_bytes: int) -> None:
        self._registry = registry
        self._max_body_bytes = max_body_bytes

    async def level(self, request: Request) -> Response:
        subject = _optional_subject(request)
        level = self._registry.level(subject)
        if level is None and flag(request, "defaultToGlobal"):
            level = self._registry.level(None)
        if level is None:
            raise errors.level_not_configured(subject or "")
        return _Answer({"compatibilityLevel": level.value})

    async def set_level(self, request: Request) -> Response:
        body = await json_body(request, self._max_body_bytes)
        level = self._registry.set_level(_optional_subject(request), str(body.get("compatibility")))
        return _Answer({"compatibility": level.value})

    async def reset_level(self, request: Request) -> Response:
        return _Answer({"compatibilityLevel": self._registry.reset_level(_optional_subject(request)).value})

    async def mode(self, request: Request) -> Response:
        subject = _optional_subject(request)
        if subject is not None and not flag(request, "defaultToGlobal"):
            raise errors.mode_not_configured(subject)
        return _Answer({"mode": _MODE})

    async def set_mode(self, request: Request) -> Response:
        mode = str((await json_body(request, self._max_body_bytes)).get("mode"))
        if mode != _MODE:
            raise errors.invalid_mode(mode)
        return _Answer({"mode": _MODE})


def _optional_subject(request: Request) -> str | None:
    return subject_of(request) if "subject" in request.path_params else None


def _schema_id(request: Request) -> int:
    text = str(request.path_params["id"])
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_ID_DIGITS):
        raise RegistryError(404, 404, "HTTP 404 Not Found")
    return int(text)


def _version_json(version: StoredVersion) -> dict[str, object]:
    return {
        "subject": version.subject,
        "version": version.version,
        "id": version.schema_id,
        "schema": version.text,
    }


def _schema_text(text: str) -> Response:
    return Response(text, media_type=_Answer.media_type)


def _error_answer(error: RegistryError) -> Response:
    return _Answer({"error_code": error.code, "message": error.message}, status_code=error.status)


async def _registry_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RegistryError):
        raise error
    return _error_answer(error)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = error.status_code
    return await _registry_error(request, RegistryError(status, status, f"HTTP {status} {error.detail}"))


async def _store_error(request: Request, error: Exception) -> Response:
    _log.error("the registry's file failed: %s", error)
    return await _registry_error(request, errors.store_failed())
