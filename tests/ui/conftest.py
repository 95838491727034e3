"""One platform and one browser for the tests that look at pages."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import new_page, running_browser
from tests.support.platform import Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, until_group_ends: ExitStack) -> Iterator[Platform]:
    """Run the whole platform on free ports and its own data."""
    with Platform(tmp_path_factory.mktemp("platform")) as running:
        until_group_ends.callback(running.stop)
        yield running


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
