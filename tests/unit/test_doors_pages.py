"""The documentation: compressed when asked for, not sent again while it stays the same, and guarded."""

import asyncio
import gzip
from pathlib import Path

import pytest

from gateway.doors.http_door import HttpDoor
from gateway.doors.pages import Documentation
from gateway.rest.routes import Routes
from mesh.settings import GatewaySettings
from tests.support.exchanges import RecordedExchange, exchange
from tests.support.scripted_calls import ScriptedCalls

PAGES = ("/docs", "/docs/", "/docs/assets/docs.js", "/docs/assets/swagger-ui-bundle.js", "/openapi.json")
DOCUMENT = Path(__file__).parents[2] / "gen" / "openapi" / "openapi.json"


async def sent(pages: Documentation, path: str, method: str = "GET", **headers: str) -> RecordedExchange:
    """Ask for a page."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = exchange(method, path, named)
    pages.send(asked.as_exchange, (("vary", "origin"), ("x-request-id", "r")))
    await asyncio.wait_for(asked.done.wait(), 30)
    return asked


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_its_guards(path: str) -> None:
    """No script but the gateway's own runs in it, and no other page frames it."""
    asked = await sent(Documentation(), path)
    assert asked.status == 200
    policy = asked.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert asked.headers["x-content-type-options"] == "nosniff"
    assert asked.headers["vary"] == "accept-encoding, origin"
    assert asked.headers["x-request-id"] == "r"


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_compressed_when_asked_for(path: str) -> None:
    """It is the same page, under a tag of its own."""
    pages = Documentation()
    plain, packed = await sent(pages, path), await sent(pages, path, accept_encoding="gzip, br")
    assert "content-encoding" not in plain.headers
    if len(gzip.compress(plain.body, 6, mtime=0)) < len(plain.body):
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize(
    ("form", "same"),
    [("{}", True), ("W/{}", True), ('"other", {}', True), ("*", True), ('"other"', False), ("", False), ("{}x", True)],
)
async def test_a_page_that_the_client_has_is_not_sent_again(form: str, same: bool) -> None:
    """It is named by its tag."""
    pages = Documentation()
    tag = (await sent(pages, "/openapi.json")).headers["etag"]
    asked = await sent(pages, "/openapi.json", if_none_match=form.format(tag))
    assert asked.status == (304 if same else 200)
    assert asked.headers["etag"] == tag
    assert (asked.body == b"") is same


async def test_the_page_links_to_the_dashboard_where_it_knows_it() -> None:
    """By its address, which is escaped; without one, there is no link."""
    told = (await sent(Documentation('http://localhost:8089/"><b>'), "/docs")).body.decode()
    assert 'href="http://localhost:8089/&quot;&gt;&lt;b&gt;/docs"' in told
    assert "Dashboard" not in (await sent(Documentation(), "/docs")).body.decode()


async def test_the_document_is_the_generated_one() -> None:
    """By both of its names; each with its type."""
    pages = Documentation()
    as_json, as_yaml = await sent(pages, "/openapi.json"), await sent(pages, "/openapi.yaml")
    assert as_json.body == as_yaml.body == DOCUMENT.read_bytes()
    assert as_json.headers["content-type"] == "application/json"
    assert as_yaml.headers["content-type"] == "application/yaml"


async def test_a_document_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And looked for again the next time."""
    pages = Documentation()
    file = pages._files["/openapi.json"]
    monkeypatch.setattr(pages, "_files", {"/openapi.json": type(file)((Path("/nowhere"),), file.content_type)})
    asked = await sent(pages, "/openapi.json")
    assert (asked.status, asked.reason) == (500, "INTERNAL")
    monkeypatch.setattr(pages, "_files", {"/openapi.json": file})
    assert (await sent(pages, "/openapi.json")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", *PAGES])
def test_a_page_is_only_read(method: str, path: str) -> None:
    """Any other method is refused, with what it takes."""
    door = HttpDoor(ScriptedCalls().as_calls, Routes(()), GatewaySettings())
    asked = exchange(method, path)
    assert door.head(asked.as_exchange) is None
    assert (asked.status, asked.reason, asked.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "GET, HEAD, OPTIONS")


def test_the_root_leads_to_the_documentation() -> None:
    """And what is beside it is unknown."""
    door = HttpDoor(ScriptedCalls().as_calls, Routes(()), GatewaySettings())
    asked = exchange("GET", "/")
    door.head(asked.as_exchange)
    door.request(asked.as_exchange)
    assert (asked.status, asked.headers["location"]) == (302, "/docs")
    for path in ("/docsx", "/docs/assets", "/docs/assets/../index.html", "/docs/assets/swagger-editor.js", "/openapi"):
        asked = exchange("GET", path)
        assert door.head(asked.as_exchange) is None
        assert (asked.status, asked.reason) == (404, "UNKNOWN_PATH")
