"""What surrounds every page: its routes, its language and theme, the navigation, and the stream that keeps it live."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from mesh.errors import PolystreamError
from mesh.http_status import http_status
from monitor.pages import language as languages
from monitor.pages.live import Fragment, LivePages, TooManyStreamsError
from monitor.pages.page import DashboardPage, Shown

LIVE_PREFIX: Final = "/live"
THEMES: Final = ("system", "light", "dark")
_FOLDER: Final = Path(__file__).parent / "templates"
_COOKIE_MAX_AGE_S: Final = 365 * 24 * 3600
_RETRY_AFTER_S: Final = 10
# Names of addresses that are pages of a browser, in the order in which they are linked.
LINKS: Final = (
    "docs",
    "schema_registry",
    "jaeger",
    "opensearch",
    "dashboards",
    "kafka_ui",
    "adminer",
    "mongo_express",
    "redis_commander",
)


class Frame:
    """Renders pages, whole and in part."""

    def __init__(self, pages: Sequence[DashboardPage], endpoints: Mapping[str, str | None], live: LivePages) -> None:
        """`endpoints` are the addresses of the platform's parts, by name."""
        self._pages = pages
        self._links = {name: url for name in LINKS if (url := endpoints.get(name)) and url.startswith("http")}
        self._live = live
        self._languages = languages.load_languages()
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["iso"] = _iso
        self._templates.filters["iso_ms"] = _iso_ms
        self._templates.filters["pretty"] = _pretty

    def routes(self) -> list[Route]:
        """Return the routes of the pages, and of their streams."""
        routes = []
        for page in self._pages:
            routes.append(Route(page.path, self._shower(page), methods=list(page.methods)))
            if page.interval_s is not None:
                routes.append(Route(f"{LIVE_PREFIX}{page.path.rstrip('/')}/stream", self._streamer(page)))
        return routes

    async def show(self, page: DashboardPage, request: Request) -> Response:
        """Answer with a page, or with what is wrong."""
        try:
            shown = await page.view(request)
        except PolystreamError as error:
            return self.fault(request, error)
        return self.answer(page.template, request, shown, page)

    def fault(self, request: Request, error: PolystreamError) -> Response:
        """Answer with the page of an error."""
        status = error.to_status()
        code = http_status(status.code, error.reason.name)
        values = {"reason": error.reason.name, "message": status.message, "faults": error.faults}
        return self.answer("error.html", request, Shown(values, code))

    def not_found(self, request: Request, _: Exception) -> Response:
        """Answer for an address that is no page's."""
        values = {"reason": "NOT_FOUND", "message": HTTPStatus.NOT_FOUND.phrase, "faults": ()}
        return self.answer("error.html", request, Shown(values, HTTPStatus.NOT_FOUND))

    def answer(self, template: str, request: Request, shown: Shown, page: DashboardPage | None = None) -> Response:
        """Render a template as a page, in the language and theme that the request asks for, and remember these."""
        values = {**self._values(request, page), **shown.values}
        values["has_ended"] = shown.has_ended
        response = HTMLResponse(self._templates.get_template(template).render(values), shown.status)
        # Its state is of this moment, and depends on what the browser prefers.
        response.headers["cache-control"] = "no-cache"
        response.headers["vary"] = "accept-language, cookie"
        for name, choices in (("lang", tuple(languages.NAMES)), ("theme", THEMES)):
            if (chosen := request.query_params.get(name)) in choices:
                response.set_cookie(name, str(chosen), max_age=_COOKIE_MAX_AGE_S, samesite="lax", httponly=True)
        return response

    def _shower(self, page: DashboardPage) -> Any:
        async def show(request: Request) -> Response:
            return await self.show(page, request)

        return show

    def _streamer(self, page: DashboardPage) -> Any:
        async def stream(request: Request) -> Response:
            return self._stream(page, request)

        return stream

    def _stream(self, page: DashboardPage, request: Request) -> Response:
        assert page.interval_s is not None  # noqa: S101 # else it has no such route
        language = self._language(request)
        query = sorted((name, value) for name, value in request.query_params.multi_items() if name != "lang")
        key = f"{language.tag} {request.url.path}?{urlencode(query)}"

        async def render() -> Fragment:
            shown = await page.view(request)
            values = {**self._values(request, page), **shown.values, "has_ended": shown.has_ended}
            values["layout"] = "fragment.html"
            return Fragment(self._templates.get_template(page.template).render(values), shown.has_ended)

        try:
            stream = self._live.open(key, render, page.interval_s)
        except TooManyStreamsError:
            headers = {"retry-after": str(_RETRY_AFTER_S)}
            return PlainTextResponse("too many pages are open", HTTPStatus.SERVICE_UNAVAILABLE, headers)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})

    def _values(self, request: Request, page: DashboardPage | None) -> dict[str, Any]:
        language = self._language(request)
        path = request.url.path
        if path.startswith(f"{LIVE_PREFIX}/"):
            path = path.removeprefix(LIVE_PREFIX).removesuffix("/stream") or "/"
        query = {name: value for name, value in request.query_params.items() if name not in {"lang", "theme"}}

        def address(**changes: object) -> str:
            """Return this page's address, with parameters changed, and those that are None left out."""
            changed = {name: value for name, value in (query | changes).items() if value not in (None, "")}
            return f"{path}?{urlencode(changed)}" if changed else path

        return {
            "layout": "base.html",
            "language": language,
            "languages": languages.NAMES,
            "t": language.text,
            "counted": language.counted,
            "word": language.word,
            "theme": _choice(request, "theme", THEMES) or THEMES[0],
            "themes": THEMES,
            "navigation": [each for each in self._pages if each.in_navigation],
            "section": (page.section or page.name) if page else "",
            "links": self._links,
            "address": address,
            "live_address": f"{LIVE_PREFIX}{path.rstrip('/')}/stream" if page and page.interval_s else "",
            "live_query": urlencode(query | {"lang": language.tag}),
        }

    def _language(self, request: Request) -> languages.Language:
        chosen = _choice(request, "lang", tuple(languages.NAMES))
        return self._languages[chosen or languages.preferred(request.headers.get("accept-language", ""))]


def _choice(request: Request, name: str, choices: Sequence[str]) -> str | None:
    """Return what the address says, or else the cookie."""
    for said in (request.query_params.get(name), request.cookies.get(name)):
        if said in choices:
            return said
    return None


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _iso(timestamp: Timestamp) -> str:
    """Write a time for machines, in UTC with milliseconds."""
    return f"{timestamp.ToDatetime():%Y-%m-%dT%H:%M:%S}.{timestamp.nanos // 1_000_000:03d}Z"


def _iso_ms(since_epoch_ms: int) -> str:
    timestamp = Timestamp()
    timestamp.FromMilliseconds(since_epoch_ms)
    return _iso(timestamp)
