"""The documentation in the dashboard: the built website, and the ways into it, through it and back."""

from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import open_documentation, watched_page
from tests.support.platform import Platform
from tests.ui.conftest import Screen

_FAR_MS: Final = 20_000


@pytest.mark.timeout(300)
def test_the_documentation_is_read(browser: Browser, platform: Platform, screen: Screen) -> None:
    """The navigation leads to it, its search finds a page, and its header leads back."""
    with watched_page(browser, screen.width) as page:
        open_documentation(page, platform.endpoints["dashboard"])
        page.goto(f"{platform.endpoints['dashboard']}/?lang={screen.language}")
        page.locator("nav.side a[href='/docs']").click()
        expect(page.locator("h1")).to_contain_text("Polystream")
        page.locator("article a[href='tour.html']").click()
        expect(page.locator("h1")).to_contain_text("Tour")
        if screen.width < 1000:
            page.locator("label.md-header__button[for=__search]").click()
        page.locator("[data-md-component=search-query]").fill("parked keys")
        expect(page.locator(".md-search-result__item").first).to_be_visible(timeout=_FAR_MS)
        page.keyboard.press("Escape")
        page.locator(".md-header__dashboard").click()
        expect(page.locator("#health")).to_be_visible()
