"""The documentation, under `/docs`: what MkDocs has built in the checkout, or a page that says how to.

MkDocs comes with the tests' tools, and not with the platform.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from monitor.pages.page import DashboardPage, Shown

BUILT: Final = Path(__file__).parents[2] / "build" / "site"  # as mkdocs.yml has it
_INLINE_SCRIPT: Final = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_MAX_PAGES: Final = 1000  # whose policies are remembered


def page() -> DashboardPage:
    """Return the page that stands in its place where it has not been built."""
    return DashboardPage("docs", "/docs", _view)


def routes(built: Path = BUILT) -> list[Route | Mount]:
    """Return the routes of the documentation; none where it has not been built."""
    if not (built / "index.html").is_file():
        return []
    return [Route("/docs", _to_start), Mount("/docs", _BuiltDocs(built))]


async def _view(_: Request) -> Shown:
    return Shown()


async def _to_start(_: Request) -> Response:
    return RedirectResponse("/docs/index.html")


class _BuiltDocs(StaticFiles):
    """The files. Its theme has small scripts within its pages: each is allowed by its hash, and no other."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True)
        self._folder = folder
        self._policies: dict[tuple[str, float], str] = {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, and the policy that its scripts need."""
        response = await super().get_response(path, scope)
        file = self._folder / path
        if response.headers.get("content-type", "").startswith("text/html") and file.is_file():
            response.headers["content-security-policy"] = self._policy(file)
        return response

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
