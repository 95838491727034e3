"""One browser for the tests that look at pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import new_page, running_browser


@dataclass(frozen=True, slots=True)
class Screen:
    """Who uses a page: how wide the screen is, in pixels, and in which language."""

    width: int
    language: str


# Each page is used at a desk and on a phone, and in both languages; test_every_page.py looks at the other two pairs.
_SCREENS: Final = (Screen(1440, "en"), Screen(390, "pt-BR"))


@pytest.fixture(params=_SCREENS, ids=lambda screen: f"{screen.width}-{screen.language}")
def screen(request: pytest.FixtureRequest) -> Screen:
    """Return the width and the language that a page is used with."""
    found: Screen = request.param
    return found


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
