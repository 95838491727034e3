"""opensearch-py as the event store uses it: OpenSearch's answers, and Elasticsearch 7's, by the platform's classes.

The client sends each request once. Who may ask again, and after which pause, is for its callers to say: the spool
before the store does, and keeps meanwhile what was to be written.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import structlog
import urllib3
from opensearchpy import OpenSearch, Urllib3HttpConnection
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import SerializationError, TransportError
from opensearchpy.helpers import streaming_bulk

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
_CONNECTIONS_MAX: Final = 40  # kept open: a thread has one, and asyncio has no more threads than 32
_BULK_MAX_DOCUMENTS: Final = 5000  # of one request
_BULK_MAX_BYTES: Final = 32 * 1024 * 1024  # of one request; servers take 100 MB if they are not told otherwise
_BULK_ANSWER: Final = "items.*.status,items.*.error"  # what is read of the answer to a bulk


class SearchApi:
    """OpenSearch by its client. Thread-safe. Every call raises PolystreamError EVENT_LOG_UNAVAILABLE where it fails."""

    def __init__(self, settings: EventStoreSettings, on_set_apart: Callable[[], None] = lambda: None) -> None:
        """`on_set_apart` is called for each document that can never be written."""
        self._set_apart = SetApartFile(settings.data_dir, on_set_apart)
        host = settings.elasticsearch_host
        url = urlsplit(host if "://" in host else f"http://{host}")
        is_secure = url.scheme == "https"
        user = settings.user, settings.password.get_secret_value()
        if not settings.user and url.username:
            user = unquote(url.username), unquote(url.password or "")
        self._client = OpenSearch(
            hosts=[
                {
                    "host": url.hostname or "",
                    "port": url.port or (443 if is_secure else 80),
                    "url_prefix": url.path,
                    "use_ssl": is_secure,
                }
            ],
            connection_class=_SearchConnection,
            http_auth=user if user[0] else None,
            ca_certs=settings.ca_file or None,
            proxy_url=settings.proxy_url,
            timeout=settings.timeout_s,
            max_retries=0,
            pool_maxsize=_CONNECTIONS_MAX,
        )

    def call(self, ask: Callable[[OpenSearch], Any]) -> Answer:
        """Return the answer to a request of the client's; an empty one where what it names does not exist."""
        try:
            return _object(_sent(lambda: ask(self._client)))
        except TransportError as error:
            status, refusal = _refusal(error)
            if status == HTTPStatus.NOT_FOUND and _kind(refusal) in _MISSING:
                return {}
            verdict = classify_event_store(status, refusal)
            log.warning("the event store refuses", status=status, cause=verdict.cause)
            raise _unavailable(verdict) from error

    def takes(self, ask: Callable[[OpenSearch], Any]) -> bool:
        """Make a request of the client's; return False where it does not fit what is there, which is logged."""
        try:
            _object(_sent(lambda: ask(self._client)))
        except TransportError as error:
            status, refusal = _refusal(error)
            verdict = classify_event_store(status, refusal)
            log.warning("the event store refuses", status=status, cause=verdict.cause)
            if status != HTTPStatus.BAD_REQUEST:
                raise _unavailable(verdict) from error
            return False
        return True

    def bulk(self, actions: Sequence[Action]) -> list[int]:
        """Write documents and return the positions of those in conflict with what is there.

        Raises where any of them could not be written now. One that can never be is set apart: it would keep everything
        behind it waiting.
        """
        conflicts = []
        waits: ErrorVerdict | None = None
        for position, (action, result) in enumerate(zip(actions, self._results(actions), strict=True)):
            if not result:  # taken, or set apart already
                continue
            error = result.get("error")
            if _kind(error) == _CONFLICT:
                conflicts.append(position)
                continue
            verdict = classify_event_store(_status(result), error if isinstance(error, dict) else None)
            if verdict.waits:
                waits = waits or verdict
            else:
                self._set_apart_document(action, verdict)
        if waits is not None:
            raise _unavailable(waits)
        return conflicts

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _results(self, actions: Sequence[Action]) -> list[Answer]:
        """Return what was refused of each action, empty for what was taken.

        What is refused as a whole is sent in halves, to find what is at fault.
        """
        results: list[Answer] = []
        try:
            _sent(lambda: results.extend(self._sent_bulk(actions)))
        except TransportError as error:
            verdict = classify_event_store(*_refusal(error))
            if verdict.waits:
                raise _unavailable(verdict) from error
        else:
            if len(results) != len(actions):
                raise _unavailable(_NO_ANSWER)
            return results
        if len(actions) > 1:
            middle = len(actions) // 2
            return [*self._results(actions[:middle]), *self._results(actions[middle:])]
        self._set_apart_document(actions[0], verdict)
        return [{}]

    def _sent_bulk(self, actions: Sequence[Action]) -> Sequence[Answer]:
        told = streaming_bulk(
            self._client,
            actions,
            chunk_size=_BULK_MAX_DOCUMENTS,
            max_chunk_bytes=_BULK_MAX_BYTES,
            expand_action_callback=_as_it_is,
            raise_on_error=False,
            filter_path=_BULK_ANSWER,
        )
        return [{} if is_done else next(iter(item.values())) for is_done, item in told]

    def _set_apart_document(self, action: Action, verdict: ErrorVerdict) -> None:
        ((_, target),) = action[0].items()
        self._set_apart.keep(f"{target['_index']}/{target['_id']}", action[1], verdict.cause)


class _SearchConnection(Urllib3HttpConnection):
    """A connection that goes where the settings lead, says nothing by itself, and reads any refusal."""

    def __init__(self, *, proxy_url: str = "", **options: Any) -> None:
        """`proxy_url` is the proxy by which the server is reached, empty to reach it directly."""
        self._proxy_url = proxy_url
        super().__init__(**options)

    def log_request_success(self, *_: Any, **__: Any) -> None:
        """Log nothing: a request that succeeds is none of anybody's business."""

    def log_request_fail(self, *_: Any, **__: Any) -> None:
        """Log nothing: who asked does, in the platform's words."""

    def _create_urllib3_pool(self) -> None:
        super()._create_urllib3_pool()
        if self._proxy_url:
            self.pool = _ProxiedPool(self._proxy_url, self.host, self.pool)

    def _raise_warnings(self, warning_headers: Any) -> None:
        """Pass over the warnings of Elasticsearch 7, which come with every answer of a server without a login."""

    def _raise_error(self, status_code: int, raw_data: str | bytes, content_type: str | None = None) -> None:
        """Raise TransportError with what the server says; without it where that is no JSON object, as of a proxy."""
        del content_type
        try:
            info = json.loads(raw_data)
        except (ValueError, RecursionError):
            info = None
        raise TransportError(status_code, "", info)


class _ProxiedPool:
    """The connections to one server by way of a proxy, in the form of urllib3's pools."""

    def __init__(self, proxy_url: str, origin: str, direct: urllib3.HTTPConnectionPool) -> None:
        """`origin` is the server, without a path; `direct` has the options of the connections to it."""
        self._origin = origin
        tls: dict[str, Any] = {}
        if isinstance(direct, urllib3.HTTPSConnectionPool):
            tls = {"cert_reqs": direct.cert_reqs, "ca_certs": direct.ca_certs}
        self._manager = urllib3.ProxyManager(proxy_url, timeout=direct.timeout, maxsize=_CONNECTIONS_MAX, **tls)

    def urlopen(self, method: str, path: str, body: bytes | None, **options: Any) -> urllib3.BaseHTTPResponse:
        """Send a request to a path of the server."""
        return self._manager.urlopen(method, self._origin + path, body=body, **options)

    def close(self) -> None:
        """Close the connections."""
        self._manager.clear()


def _as_it_is(action: Action) -> Action:
    return action


def _sent(send: Callable[[], Any]) -> Any:
    """Return what a request returns. Raises TransportError for a refusal alone."""
    try:
        return send()
    except NoConnection as error:
        cause = type(error.info).__name__
        raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, metadata={"error": cause}) from error
    except (SerializationError, RecursionError, LookupError, TypeError, AttributeError) as error:
        # A success that is no JSON, or none of the form that the client's helpers read.
        raise _no_opensearch() from error


def _object(answer: Any) -> Answer:
    if not isinstance(answer, dict):
        raise _no_opensearch()
    return answer


def _no_opensearch() -> PolystreamError:
    return PolystreamError(
        Reason.EVENT_LOG_UNAVAILABLE,
        "ELASTICSEARCH_HOST is no OpenSearch",
        metadata={"error": "ELASTICSEARCH_HOST leads to what answers, but is no OpenSearch"},
    )


def _refusal(error: TransportError) -> tuple[int, Answer | None]:
    """Return the status of a refusal, and the error that the server names."""
    info = error.info
    named = info.get("error") if isinstance(info, dict) else None
    return int(error.status_code), named if isinstance(named, dict) else None


def _status(result: Answer) -> int:
    status = result.get("status")
    return status if isinstance(status, int) else HTTPStatus.INTERNAL_SERVER_ERROR


def _kind(error: object) -> str:
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def _unavailable(verdict: ErrorVerdict) -> PolystreamError:
    return PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, metadata={"error": verdict.cause})
