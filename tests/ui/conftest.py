"""One browser for the tests that look at pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import new_page, running_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a browser. It keeps an event loop running in this thread, which no test of another module may meet."""
    with running_browser() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a page in a profile of its own."""
    with new_page(browser) as opened:
        yield opened
