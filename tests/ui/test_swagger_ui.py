"""Swagger UI at /docs: every operation is there, and can be tried out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import new_page
from tests.support.platform import Platform

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def described(platform: Platform) -> dict[str, Any]:
    """Return the OpenAPI document that is served."""
    document: dict[str, Any] = httpx.get(f"{platform.endpoints['rest']}/openapi.json").raise_for_status().json()
    return document


@dataclass(frozen=True, slots=True)
class Opened:
    """The page, what went wrong in it, and what it has asked for."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def docs(browser: Browser, platform: Platform) -> Iterator[Opened]:
    """Open the page once for all: it takes a browser seconds."""
    with new_page(browser) as page:
        opened = Opened(page)
        page.on("pageerror", lambda error: opened.wrong.append(str(error)))
        page.on("request", lambda request: opened.asked.append(request.url))
        page.goto(platform.endpoints["docs"])
        expect(page.locator(".opblock").first).to_be_visible()
        yield opened


def _operation(page: Page, operation_id: str) -> Locator:
    """Open an operation's block and return it."""
    block = page.locator(f'.opblock[id$="-{operation_id}"]')
    block.locator(".opblock-summary-control").click()
    return block


def _answer(block: Locator) -> tuple[Locator, Locator]:
    """Return where the answer's status and its body and headers stand; the first row has the titles."""
    live = block.locator(".live-responses-table")
    return live.locator("td.response-col_status").nth(1), live.locator("td.response-col_description").nth(1)


def test_every_operation_is_shown(docs: Opened, described: dict[str, Any]) -> None:
    """Each path and verb of the document has its block, and nothing goes wrong in the page."""
    shown = docs.page.locator(".opblock").evaluate_all(
        "blocks => blocks.map(block => [block.querySelector('.opblock-summary-method').innerText,"
        " block.querySelector('.opblock-summary-path').dataset.path])"
    )
    expected = [[verb.upper(), path] for path, verbs in described["paths"].items() for verb in verbs]
    assert sorted(shown) == sorted(expected)
    expect(docs.page.locator(".opblock-tag", has_text="Inherited paths")).to_be_visible()
    assert docs.wrong == []


def test_no_file_comes_from_elsewhere(docs: Opened, platform: Platform) -> None:
    """The page needs no content-delivery network: every file comes from the platform."""
    own = platform.endpoints["rest"]
    assert any(url.startswith(own) for url in docs.asked)
    assert [url for url in docs.asked if not url.startswith((own, "data:"))] == []


@pytest.mark.parametrize("operation_id", ["CacheContent", "CreateSubscription", "RecordView_3", "GetUser"])
def test_try_it_out_returns_a_correlation_id(docs: Opened, operation_id: str) -> None:
    """What stands in the form works as it stands: a command is accepted, a query answered."""
    block = _operation(docs.page, operation_id)
    block.get_by_role("button", name="Execute").click()
    status, details = _answer(block)
    expect(status).to_have_text(re.compile("^200"))
    expect(details).to_contain_text(re.compile(f"x-correlation-id: {_UUID.pattern}"))
    if operation_id != "GetUser":
        expect(details).to_contain_text('"state": "ACCEPTED"')


def test_try_it_out_shows_what_was_wrong(docs: Opened) -> None:
    """An answer that is an error has its reason."""
    block = _operation(docs.page, "CreateUser")
    block.locator("textarea").fill('{"name": ""}')
    block.get_by_role("button", name="Execute").click()
    status, details = _answer(block)
    expect(status).to_have_text(re.compile("^400"))
    expect(details).to_contain_text("INVALID_FIELD")
