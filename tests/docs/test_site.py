"""The documentation is built without a warning, every page of it is found, and it needs no other host."""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urldefrag, urljoin

import pytest

from contracts.reference.api import api_pages
from contracts.reference.protos import read_protos
from contracts.reference.tables import UndocumentedError, settings_tables

_BUILD_TIMEOUT_S: Final = 100
_WITHOUT_LINKS: Final = {"404.html"}
_NOT_LOADED: Final = {"canonical", "prev", "next"}
_ASSETS: Final = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")}


@dataclass
class _Html(HTMLParser):
    """What a page of the site refers to."""

    path: str
    links: set[str] = field(default_factory=set)
    in_nav: set[str] = field(default_factory=set)
    assets: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)
    _navs: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what the tag refers to."""
        values = {name: value for name, value in attrs if value is not None}
        self._navs += tag == "nav"
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
            if self._navs:
                self.in_nav.add(values["href"])
        if tag == "link" and values.get("rel") in _NOT_LOADED:
            return
        self.assets |= {values[name] for name in ("href", "src") if (tag, name) in _ASSETS and name in values}

    def handle_endtag(self, tag: str) -> None:
        """Leave a navigation."""
        self._navs -= tag == "nav"


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as CI does: whatever MkDocs warns of fails it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=repository,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # the theme's own announcement
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stderr, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, _Html]:
    """Return the parsed pages by their paths."""
    return {page.path: page for page in _read(site)}


def _read(site: Path) -> Iterator[_Html]:
    for path in sorted(site.rglob("*.html")):
        page = _Html(path.relative_to(site).as_posix())
        page.feed(path.read_text(encoding="utf-8"))
        yield page


def _is_elsewhere(reference: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]*:|//", reference) is not None


def _target(page: _Html, reference: str) -> tuple[str, str]:
    """Return the path and the anchor that a reference leads to."""
    path, anchor = urldefrag(urljoin(page.path, reference))
    return unquote(path), unquote(anchor)


def test_every_link_leads_somewhere(site: Path, pages: dict[str, _Html]) -> None:
    """Pages and anchors that are linked to are there, in the navigation and in the footer too."""
    for page in pages.values():
        for link in page.links if page.path not in _WITHOUT_LINKS else ():
            if _is_elsewhere(link):
                continue
            path, anchor = _target(page, link)
            assert (site / path).exists(), f"{page.path} links to {link}"
            assert not anchor or not path.endswith(".html") or anchor in pages[path].anchors, f"{page.path}: {link}"


def test_every_page_is_in_the_navigation(pages: dict[str, _Html]) -> None:
    """A reader who begins at the start finds each page."""
    start = pages["index.html"]
    found = {_target(start, link)[0] for link in start.in_nav if not _is_elsewhere(link)}
    assert set(pages) - found - _WITHOUT_LINKS == set()


def test_every_include_is_included(site: Path) -> None:
    """No page shows the mark of an include in place of the file: also not as a formatter may have spaced it."""
    pages = {page.relative_to(site).as_posix(): page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    shown = {path: html.unescape(re.sub(r"<[^>]+>", "", content)) for path, content in pages.items()}
    assert [path for path, text in shown.items() if re.search(r"--\s*8", text)] == []
    assert "RenameUserRequest" in shown["adding-a-command.html"]
    assert "novo.nome" in shown["adding-a-command.html"], "the handler stands on the page"


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, _Html]) -> None:
    """Styles, scripts, fonts and pictures are files of the site: it is read without a network."""
    for page in pages.values():
        for asset in page.assets:
            assert not _is_elsewhere(asset), f"{page.path} loads {asset}"
            if page.path not in _WITHOUT_LINKS:
                assert (site / _target(page, asset.partition("?")[0])[0]).exists(), f"{page.path} lacks {asset}"
    for style in site.rglob("*.css"):
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")) == [], style.name
    # The theme would fetch Mermaid for pages that have such a diagram: none has.
    assert not [page for page in pages if 'class="mermaid"' in (site / page).read_text(encoding="utf-8")]


def test_the_reference_has_everything_that_the_protos_declare(repository: Path, pages: dict[str, _Html]) -> None:
    """Each RPC, message and enum has its place, with its path, its rules, and what it is."""
    descriptors = read_protos(repository)
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    for method in descriptors.methods():
        assert method.full_name.replace(".", "-").lower() in anchors
    for message in descriptors.messages():
        assert message.GetOptions().map_entry or message.full_name.replace(".", "-").lower() in anchors
    users = api_pages(descriptors)["reference/users.md"]
    assert "`POST /usuarios`" in users
    assert "at least 1 character; at most 200 characters" in users
    assert "| command of | `POSTGRESQL`, `MONGODB`, `REDIS` |" in users


def test_a_setting_without_words_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has described stops the build, and the message says where to describe it."""
    monkeypatch.setattr("contracts.reference.tables.comments_in", lambda *_: {})
    with pytest.raises(UndocumentedError, match=r"PostgresSettings\.host in mesh/settings\.py"):
        settings_tables()
