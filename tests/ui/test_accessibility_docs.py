"""axe-core finds nothing serious in Swagger UI and in the documentation, light and dark, wide and narrow."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.support.accessibility import serious_faults
from tests.support.browser import open_documentation, watched_page
from tests.support.platform import Platform

# One of each kind: prose, commands with their output, wide tables, generated reference, a decision.
_PAGES: Final = (
    *("index", "tour", "glossary", "errors", "running/settings", "running/dashboard", "reference/users"),
    *("adr/index", "adr/0016-bounds"),
)
_OPENED: Final = ("CacheContent", "CreateUser", "ListViews")  # a body, a body with an answer, parameters alone

# What is wide or narrow does not depend on the colours: two of the four pairs find what all would.
looks = pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])


@looks
def test_nothing_keeps_anybody_from_trying_the_api(
    browser: Browser, platform: Platform, width: int, scheme: Literal["light", "dark"]
) -> None:
    """As it opens, and with operations unfolded and one of them sent."""
    with watched_page(browser, width) as page:
        page.emulate_media(color_scheme=scheme)
        page.goto(platform.endpoints["docs"])
        expect(page.locator(".opblock").first).to_be_visible()
        assert serious_faults(page) == []
        for operation_id in _OPENED:
            page.locator(f'.opblock[id$="-{operation_id}"] .opblock-summary-control').click()
        sent = page.locator('.opblock[id$="-CacheContent"]')
        sent.get_by_role("button", name="Execute").click()
        expect(sent.locator(".live-responses-table").first).to_be_visible()
        assert serious_faults(page) == []


@pytest.mark.timeout(360)
@looks
def test_nothing_keeps_anybody_from_reading(
    browser: Browser, platform: Platform, width: int, scheme: Literal["light", "dark"]
) -> None:
    """Every kind of page."""
    found: dict[str, Sequence[Any]] = {}
    with watched_page(browser, width) as page:
        page.emulate_media(color_scheme=scheme)
        open_documentation(page, platform.endpoints["dashboard"])
        for name in _PAGES:
            page.goto(f"{platform.endpoints['dashboard']}/docs/{name}.html")
            expect(page.locator("h1")).to_be_visible()
            found[name] = serious_faults(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert {name: serious for name, serious in found.items() if serious} == {}
