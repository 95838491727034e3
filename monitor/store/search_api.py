"""The few calls of OpenSearch's HTTP API that the event store makes; Elasticsearch 7 answers them too."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx
import structlog

from mesh.direct import http_options
from mesh.error_classes.classes import ErrorClass, ErrorVerdict
from mesh.error_classes.event_store import classify_event_store
from mesh.errors import PolystreamError, Reason
from mesh.settings import EventStoreSettings
from monitor.store.set_apart import SetApartFile

log = structlog.stdlib.get_logger(__name__)

Answer = Mapping[str, Any]
Action = tuple[Mapping[str, Any], Mapping[str, Any]]  # what is done with a document, and the document

_CONFLICT: Final = "version_conflict_engine_exception"
# Of what is asked by a path. Another 404 is a proxy's, or nobody's.
_MISSING: Final = ("index_not_found_exception", "resource_not_found_exception")
_NO_ANSWER: Final = ErrorVerdict(ErrorClass.WAIT, "an answer without what was asked for")


class SearchApi:
    """OpenSearch by HTTP. Thread-safe. Every call raises PolystreamError with EVENT_LOG_UNAVAILABLE where it fails."""

    def __init__(self, settings: EventStoreSettings, on_set_apart: Callable[[], None] = lambda: None) -> None:
        """`on_set_apart` is called for each document that can never be written."""
        self._set_apart = SetApartFile(settings.data_dir, on_set_apart)
        host = settings.elasticsearch_host
        self._http = httpx.Client(
            base_url=host if "://" in host else f"http://{host}",
            timeout=settings.timeout_s,
            auth=(settings.user, settings.password.get_secret_value()) if settings.user else None,
            headers={"content-type": "application/json"},
            **http_options(ca_file=settings.ca_file, proxy_url=settings.proxy_url),
        )

    def call(self, method: str, path: str, body: Answer | None = None, **parameters: str | int) -> Answer:
        """Return the answer to a request; an empty one where what it names does not exist."""
        status, answer = self._send(method, path, None if body is None else json.dumps(body), parameters)
        if httpx.codes.is_success(status):
            return answer
        error = _error_of(answer)
        if status == httpx.codes.NOT_FOUND and _kind(error) in _MISSING:
            return {}
        verdict = classify_event_store(status, error)
        log.warning("the event store refuses", method=method, path=path, status=status, cause=verdict.cause)
        raise _unavailable(verdict)

    def bulk(self, actions: Sequence[Action]) -> list[int]:
        """Write documents and return the positions of those in conflict with what is there.

        Raises where any of them could not be written now. One that can never be is set apart: it would keep everything
        behind it waiting.
        """
        conflicts = []
        waits: ErrorVerdict | None = None
        for position, (action, result) in enumerate(zip(actions, self._results(actions), strict=True)):
            status, error = result.get("status"), result.get("error")
            if not isinstance(status, int) or status < httpx.codes.BAD_REQUEST:
                continue
            if _kind(error) == _CONFLICT:
                conflicts.append(position)
                continue
            verdict = classify_event_store(status, error if isinstance(error, dict) else None)
            if verdict.waits:
                waits = waits or verdict
            else:
                self._set_apart_document(action, verdict)
        if waits is not None:
            raise _unavailable(waits)
        return conflicts

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _results(self, actions: Sequence[Action]) -> list[Answer]:
        """Return what became of each action. What is refused as a whole is sent in halves, to find what is at fault."""
        lines = "".join(f"{json.dumps(part)}\n" for action in actions for part in action)
        status, answer = self._send("POST", "/_bulk", lines, {})
        if httpx.codes.is_success(status):
            items = answer.get("items")
            if not isinstance(items, list) or len(items) != len(actions):
                raise _unavailable(_NO_ANSWER)
            return [next(iter(item.values())) for item in items]
        verdict = classify_event_store(status, _error_of(answer))
        if verdict.waits:
            raise _unavailable(verdict)
        if len(actions) > 1:
            middle = len(actions) // 2
            return [*self._results(actions[:middle]), *self._results(actions[middle:])]
        self._set_apart_document(actions[0], verdict)
        return [{}]

    def _set_apart_document(self, action: Action, verdict: ErrorVerdict) -> None:
        ((_, target),) = action[0].items()
        self._set_apart.keep(f"{target['_index']}/{target['_id']}", action[1], verdict.cause)

    def _send(
        self, method: str, path: str, content: str | None, parameters: Mapping[str, str | int]
    ) -> tuple[int, Answer]:
        """Return the status, and the JSON object that came with it; an empty one where none did."""
        try:
            response = self._http.request(method, path, content=content, params=dict(parameters))
        except httpx.TransportError as error:
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, metadata={"error": type(error).__name__}) from error
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            answer = None
        if response.is_success and not isinstance(answer, dict):
            raise PolystreamError(
                Reason.EVENT_LOG_UNAVAILABLE,
                "ELASTICSEARCH_HOST is no OpenSearch",
                metadata={"error": "ELASTICSEARCH_HOST leads to what answers, but is no OpenSearch"},
            )
        return response.status_code, answer if isinstance(answer, dict) else {}


def _error_of(answer: Answer) -> Answer | None:
    error = answer.get("error")
    return error if isinstance(error, dict) else None


def _kind(error: object) -> str:
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def _unavailable(verdict: ErrorVerdict) -> PolystreamError:
    return PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, metadata={"error": verdict.cause})
