"""The API's documentation: Swagger UI at /docs, and the OpenAPI document that it shows."""

import asyncio
import gzip
import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import structlog

from gateway.doors.content import accepts_gzip
from gateway.doors.statuses import CORRELATION_ID, Header, as_http
from gateway.doors.tasks import CallTasks
from gateway.http.exchange import Exchange
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.look import LOGO, TOKENS

HOME: Final = "/docs"  # where `/` leads

_OWN: Final = Path(__file__).parent / "docs"
_ROOT: Final = Path(__file__).parents[2]
# In a checkout the document stands beside the packages; in the wheel it is inside `mesh`.
_OPENAPI: Final = (_ROOT / "gen" / "openapi" / "openapi.json", _ROOT / "mesh" / "_openapi" / "openapi.json")
PAGE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_GZIP_LEVEL: Final = 6
_REVALIDATED: Final = "no-cache"  # kept, and asked for again with its tag each time
_KEPT: Final = "public, max-age=86400"  # Swagger UI's files change with its release alone
_HTML: Final = "text/html; charset=utf-8"
_CSS: Final = "text/css; charset=utf-8"
_JAVASCRIPT: Final = "text/javascript; charset=utf-8"
# The page's own files alone run; Swagger UI writes styles into its elements, and has icons as data.
_GUARDS: Final[tuple[Header, ...]] = (
    (
        "content-security-policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)
_LINKS_PLACE: Final = b"<!-- links -->"
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file that is served: where it may be, the first that is there, and what its answers say of it."""

    paths: tuple[Path, ...]
    content_type: str
    cache_control: str = _REVALIDATED
    links: str = ""  # HTML, for the place that the file has for links


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A file in memory, plain and compressed once for all, each form with a tag of its own (RFC 9110, 8.8.3)."""

    content_type: str
    cache_control: str
    plain: bytes
    packed: bytes
    tag: str

    def form(self, *, packed: bool) -> tuple[bytes, str]:
        """Return the bytes of one form, and its entity tag."""
        return (self.packed, f'"{self.tag}-gzip"') if packed else (self.plain, f'"{self.tag}"')


class Documentation:
    """Serves the documentation. A file is read and compressed when it is first asked for, in a thread."""

    def __init__(self, dashboard_url: str = "") -> None:
        """`dashboard_url` is where the dashboard is, to link to it; empty for no link."""
        swagger = _swagger_ui()
        home = PageFile((_OWN / "index.html",), _HTML, links=_links(dashboard_url))
        self._files: Mapping[str, PageFile] = {
            HOME: home,
            f"{HOME}/": home,
            f"{HOME}/assets/docs.css": PageFile((_OWN / "docs.css",), _CSS),
            f"{HOME}/assets/docs.js": PageFile((_OWN / "docs.js",), _JAVASCRIPT),
            f"{HOME}/assets/swagger-ui.css": PageFile((swagger / "swagger-ui.css",), _CSS, _KEPT),
            f"{HOME}/assets/swagger-ui-bundle.js": PageFile((swagger / "swagger-ui-bundle.js",), _JAVASCRIPT, _KEPT),
            f"{HOME}/assets/tokens.css": PageFile((TOKENS,), _CSS),
            f"{HOME}/assets/logo.svg": PageFile((LOGO,), "image/svg+xml"),
            "/openapi.json": PageFile(_OPENAPI, "application/json"),
            "/openapi.yaml": PageFile(_OPENAPI, "application/yaml"),  # JSON is YAML too (YAML 1.2, section 1.3)
        }
        self._stored: dict[str, StoredPage] = {}
        self._tasks = CallTasks()

    def allowed(self, path: str) -> tuple[str, ...]:
        """Return the methods that a path takes; none where it is no page."""
        return PAGE_METHODS if path in self._files or path == "/" else ()

    def send(self, exchange: Exchange, answer_headers: tuple[Header, ...]) -> None:
        """Answer a GET or HEAD of a page."""
        path = exchange.request.path
        if path == "/":
            exchange.respond(302, (("location", HOME), *answer_headers), b"")
        elif (stored := self._stored.get(path)) is not None:
            _send(exchange, stored, answer_headers)
        else:
            self._tasks.run(self._load_and_send(exchange, path, answer_headers), exchange)

    async def _load_and_send(self, exchange: Exchange, path: str, answer_headers: tuple[Header, ...]) -> None:
        try:
            stored = await asyncio.to_thread(_load, self._files[path])
        except OSError as error:
            log.error("a page of the documentation cannot be read", path=path, error=type(error).__name__)
            refused = PolystreamError(
                Reason.INTERNAL, "the page cannot be read; generate the contracts, or look in the logs"
            )
            http_status, headers, body = as_http(refused.to_status())
            exchange.respond(http_status, (*headers, (CORRELATION_ID, new_correlation_id()), *answer_headers), body)
            return
        self._stored[path] = stored
        _send(exchange, stored, answer_headers)


class PageCall:
    """A request for a page."""

    __slots__ = ("_answer_headers", "_pages", "exchange")

    def __init__(self, exchange: Exchange, answer_headers: tuple[Header, ...], pages: Documentation) -> None:
        self.exchange = exchange
        self._answer_headers = answer_headers
        self._pages = pages

    @property
    def route(self) -> str:
        """The page's path, which has no variables."""
        return self.exchange.request.path

    def received(self) -> None:
        """Go on: the request is whole."""
        self._pages.send(self.exchange, self._answer_headers)


def _send(exchange: Exchange, page: StoredPage, answer_headers: tuple[Header, ...]) -> None:
    headers = exchange.request.headers
    packed = accepts_gzip(headers.get("accept-encoding")) and len(page.packed) < len(page.plain)
    body, tag = page.form(packed=packed)
    # What a 304 repeats of the 200 (RFC 9110, section 15.4.5).
    common = [("etag", tag), ("cache-control", page.cache_control), ("vary", "accept-encoding, origin")]
    common += [header for header in answer_headers if header[0] != "vary"]
    if _has(headers.get("if-none-match"), tag):
        exchange.respond(304, common, b"")
        return
    coding = [("content-encoding", "gzip")] if packed else []
    exchange.respond(200, [("content-type", page.content_type), *coding, *_GUARDS, *common], body)


def _has(if_none_match: str | None, tag: str) -> bool:
    """Whether the client has this form already (RFC 9110, section 13.1.2: tags are compared weakly)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)


def _load(file: PageFile) -> StoredPage:
    """Read and compress a file. Raises OSError."""
    path = next((path for path in file.paths if path.exists()), file.paths[0])
    plain = path.read_bytes()
    if file.links:
        plain = plain.replace(_LINKS_PLACE, file.links.encode())
    tag = hashlib.sha256(plain).hexdigest()[:32]
    packed = gzip.compress(plain, _GZIP_LEVEL, mtime=0)
    return StoredPage(file.content_type, file.cache_control, plain, packed, tag)


def _links(dashboard_url: str) -> str:
    """Return links to the dashboard, and to the documentation that it serves."""
    if not dashboard_url:
        return ""
    base = html.escape(dashboard_url.rstrip("/"))
    return f'<a href="{base}/">Dashboard</a> <a href="{base}/docs">Documentation</a>'


def _swagger_ui() -> Path:
    """Return the folder of Swagger UI's files. The package is only looked up: importing it brings a web framework's."""
    spec = find_spec("swagger_ui")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("swagger-ui-py is not installed, which has the files of /docs")
    return Path(spec.origin).parent / "static"
