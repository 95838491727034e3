"""The documentation, under `/docs`: the website that MkDocs builds, or a page that says how it stands with it."""

import base64
import hashlib
import os
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from monitor.pages.docs_build import DocsBuild
from monitor.pages.page import DashboardPage, Shown

_PAGE: Final = "/docs"
START: Final = "/docs/index.html"
_INTERVAL_S: Final = 1.0  # while it is being built
_INLINE_SCRIPT: Final = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_MAX_PAGES: Final = 1000  # whose policies are remembered


def page(build: DocsBuild) -> DashboardPage:
    """Return the page that stands in its place while there is none."""

    async def view(_: Request) -> Shown:
        values = {
            "is_there": build.is_there,
            "is_being_built": build.is_being_built,
            "fault": build.fault,
            "start": START,
        }
        return Shown(values, has_ended=not build.is_being_built and (build.is_there or bool(build.fault)))

    return DashboardPage("docs", _PAGE, view, _INTERVAL_S)


def routes(build: DocsBuild, show: Callable[[Request], Awaitable[Response]]) -> list[Route | Mount]:
    """Return the routes of the documentation. `show` answers with the page of `page`."""

    async def to_start(request: Request) -> Response:
        build.want()
        if build.is_there and not build.is_being_built:
            return RedirectResponse(START)
        return await show(request)

    return [Route(_PAGE, to_start), Mount(_PAGE, _BuiltDocs(build))]


class _BuiltDocs(StaticFiles):
    """The files. Its theme has small scripts within its pages: each is allowed by its hash, and no other."""

    def __init__(self, build: DocsBuild) -> None:
        super().__init__(directory=build.folder, html=True, check_dir=False)  # it may be built later
        self._build = build
        self._policies: dict[tuple[str, float], str] = {}

    async def check_config(self) -> None:
        """Find no fault with a folder that is not there."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file. While there are none, lead to the page."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != HTTPStatus.NOT_FOUND or self._build.is_there:
                raise
            return RedirectResponse(_PAGE)
        if isinstance(response, FileResponse):  # among them the website's own page of what there is not
            self._allow_scripts(response, Path(response.path))
        return response

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = HTTPStatus.OK
    ) -> Response:
        """Answer with a file, or say that the browser has it: the headers of that take the place of what it has."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        self._allow_scripts(response, Path(os.fspath(full_path)))
        return response

    def _allow_scripts(self, response: Response, file: Path) -> None:
        if file.suffix == ".html":
            response.headers["content-security-policy"] = self._policy(file)

    def _policy(self, file: Path) -> str:
        key = str(file), file.stat().st_mtime
        if key not in self._policies:
            if len(self._policies) >= _MAX_PAGES:
                self._policies.clear()
            self._policies[key] = _policy(file.read_text(encoding="utf-8"))
        return self._policies[key]


def _policy(html: str) -> str:
    scripts = " ".join(sorted({f"'sha256-{_digest(script)}'" for script in _INLINE_SCRIPT.findall(html)}))
    return (
        f"default-src 'none'; script-src 'self' {scripts}; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
