"""Every page of the navigation as nobody else looks at it: narrow in English, and wide in Portuguese."""

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import watched_page
from tests.support.platform import Platform


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("width", "language"), [(390, "en"), (1440, "pt-BR")])
def test_every_page_fits_the_screen(browser: Browser, platform: Platform, width: int, language: str) -> None:
    """Nothing is wider than the screen, no error, no failed request; where one is, is in sight in the navigation."""
    dashboard = platform.endpoints["dashboard"]
    with watched_page(browser, width) as page:
        page.goto(f"{dashboard}/?lang={language}")
        links = page.locator("nav.side ul:not(.elsewhere) a")
        paths = links.evaluate_all("links => links.map(link => link.getAttribute('href'))")
        assert len(paths) >= 8
        for path in paths[:-1]:  # the last is the documentation's, a website of its own
            page.goto(f"{dashboard}{path}")
            expect(page.locator("h1")).to_be_visible()
            assert page.locator("html").get_attribute("lang") == language
            expect(page.locator("nav.side [aria-current]")).to_be_in_viewport(ratio=0.9)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
