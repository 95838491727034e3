"""The few calls of OpenSearch's HTTP API that the event store makes; Elasticsearch 7 answers them too."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx
import structlog

from mesh.direct import http_options
from mesh.errors import PolystreamError, Reason
from mesh.settings import EventStoreSettings

log = structlog.stdlib.get_logger(__name__)

Answer = Mapping[str, Any]
Action = tuple[Mapping[str, Any], Mapping[str, Any]]  # what is done with a document, and the document

_CONFLICT = 409
_TOO_MANY_REQUESTS = 429


class SearchApi:
    """OpenSearch by HTTP. Thread-safe. Every call raises PolystreamError with EVENT_LOG_UNAVAILABLE where it fails."""

    def __init__(self, settings: EventStoreSettings) -> None:
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
        return self._send(method, path, None if body is None else json.dumps(body), parameters)

    def bulk(self, actions: Sequence[Action]) -> list[int]:
        """Write documents and return the positions of those in conflict with what is there.

        Raises where any of them could not be written now. One that can never be is told of and passed over: it would
        keep everything behind it waiting.
        """
        lines = "".join(f"{json.dumps(part)}\n" for action in actions for part in action)
        answer = self._send("POST", "/_bulk", lines, {})
        if len(answer.get("items", ())) != len(actions):
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)
        conflicts = []
        for position, item in enumerate(answer["items"]):
            ((_, result),) = item.items()
            status = result["status"]
            if status == _CONFLICT:
                conflicts.append(position)
            elif status == _TOO_MANY_REQUESTS or status >= 500:
                raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)
            elif status >= 400:
                # The reason quotes the document: its kind says enough.
                log.error("a document is refused", index=result["_index"], kind=result["error"]["type"])
        return conflicts

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, method: str, path: str, content: str | None, parameters: Mapping[str, str | int]) -> Answer:
        try:
            response = self._http.request(method, path, content=content, params=dict(parameters))
        except httpx.TransportError as error:
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return {}
        if not response.is_success:
            log.warning("the event store refuses", method=method, path=path, status=response.status_code)
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)
        try:
            answer = response.json()
        except ValueError as error:
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, "ELASTICSEARCH_HOST is no OpenSearch") from error
        return cast(Answer, answer)
