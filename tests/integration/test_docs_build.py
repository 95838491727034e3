"""The documentation under /docs: built when somebody asks for it, from a checkout that has what it takes."""

import argparse
import os
from pathlib import Path
from typing import Final

import httpx
import pytest

from cli.commands import docs
from tests.support.monitor_pages import opened_pages
from tests.support.waiting import eventually_async

_TIMEOUT_S: Final = 60.0
_CONFIG: Final = "site_name: Small\nstrict: true\nuse_directory_urls: false\n"
_BUILDING: Final = {"en": "is being built", "pt-BR": "está sendo gerada"}
_COMMAND: Final = "python3 start.py docs"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Lay out a checkout with one page."""
    folder = tmp_path / "checkout"
    (folder / "docs").mkdir(parents=True)
    (folder / "mkdocs.yml").write_text(_CONFIG)
    (folder / "docs" / "index.md").write_text("# The first words")
    return folder


async def _read(client: httpx.AsyncClient) -> str | None:
    """Return the start of the documentation, once it is there."""
    answer = await client.get("/docs")
    if answer.status_code != 307:
        return None
    assert answer.headers["location"] == "/docs/index.html"
    return (await client.get("/docs/index.html")).raise_for_status().text


async def test_it_is_built_for_the_first_who_asks(tmp_path: Path, checkout: Path) -> None:
    """The page says so in the reader's language, then leads to it; what was built is not built again."""
    async with opened_pages(tmp_path, docs_checkout=checkout) as opened:
        for language, words in _BUILDING.items():
            assert words in (await opened.client.get("/docs", params={"lang": language})).text
        assert "The first words" in await eventually_async(lambda: _read(opened.client), _TIMEOUT_S)
        for path, status in (("/docs/index.html", 200), ("/docs/", 200), ("/docs/nowhere.html", 404)):
            answer = await opened.client.get(path)
            assert answer.status_code == status
            assert "sha256-" in answer.headers["content-security-policy"], f"the scripts in {path} may run"
        first = await opened.client.get("/docs/index.html")
        again = await opened.client.get("/docs/index.html", headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304
        assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    built = (checkout / "build" / "site" / "index.html").stat()
    async with opened_pages(tmp_path, docs_checkout=checkout) as opened:
        assert "The first words" in (await _read(opened.client) or "")
    assert (checkout / "build" / "site" / "index.html").stat() == built


async def test_what_is_older_than_its_sources_is_built_anew(tmp_path: Path, checkout: Path) -> None:
    """As after an update of the checkout; what was there goes."""
    before = checkout / "build" / "site"
    before.mkdir(parents=True)
    (before / "index.html").write_text("old words")
    os.utime(before / "index.html", (0, 0))
    async with opened_pages(tmp_path, docs_checkout=checkout) as opened:
        waiting = (await opened.client.get("/docs?lang=en")).text
        assert _BUILDING["en"] in waiting
        assert "data-live=" in waiting, "the page shows by itself when it is there"
        assert "The first words" in await eventually_async(lambda: _read(opened.client), _TIMEOUT_S)
    assert [each.name for each in before.parent.iterdir()] == ["site"]


async def test_what_cannot_be_built_is_told(tmp_path: Path, checkout: Path) -> None:
    """With what MkDocs says of it, and the command to try it with."""
    (checkout / "mkdocs.yml").write_text(f"{_CONFIG}plugins: [nowhere]\n")
    async with opened_pages(tmp_path, docs_checkout=checkout) as opened:

        async def told() -> str | None:
            page = (await opened.client.get("/docs")).text
            return None if _BUILDING["en"] in page else page

        page = await eventually_async(told, _TIMEOUT_S)
        assert "nowhere" in page
        assert _COMMAND in page


async def test_without_its_sources_the_page_says_how(tmp_path: Path) -> None:
    """An installed package has none, and nothing is started."""
    async with opened_pages(tmp_path) as opened:
        answer = await opened.client.get("/docs")
        assert answer.status_code == 200
        assert _COMMAND in answer.text
        for path in ("/docs/", "/docs/index.html", "/docs/nowhere/else.html", "/docs/%00", f"/docs/{'x' * 300}"):
            answer = await opened.client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (307, "/docs"), path
        assert (await opened.client.post("/docs/index.html")).status_code == 405


def test_the_command_builds_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`docs` puts the website where the dashboard reads it, and says where that is."""
    monkeypatch.setattr(docs, "CHECKOUT", checkout)
    assert docs.run(argparse.Namespace()) == 0
    index = checkout / "build" / "site" / "index.html"
    assert "The first words" in index.read_text()
    assert str(index) in capfd.readouterr().out


def test_the_command_says_where_it_can_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installed package has no sources to build from."""
    monkeypatch.setattr(docs, "CHECKOUT", tmp_path)
    assert docs.run(argparse.Namespace()) == 2
    assert "in a checkout of the repository" in capsys.readouterr().err
