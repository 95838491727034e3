"""A browser for tests: Chromium from Debian, driven by Playwright's own driver."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.support.debian import install
from tests.support.unavailable import UnavailableError, once

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_PAGE_TIMEOUT_MS: Final = 20_000
_BUILDING_MS: Final = 240_000
# What a browser does by itself needs a network, which tests do not have.
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@once
def chromium() -> str:
    """Return the path of a browser, installed where this is root on Debian.

    Raises UnavailableError, with the command to run, where there is none.
    """
    if _installed() is None:
        install("chromium")
    found = _installed()
    if found is None:
        raise UnavailableError("Chromium: install it, for instance with `sudo apt-get install chromium`")
    return found


def _installed() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a headless browser with a profile of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS), headless=True)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_page(browser: Browser) -> Iterator[Page]:
    """Open a page in a profile of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(_PAGE_TIMEOUT_MS)
    try:
        yield context.new_page()
    finally:
        context.close()


@contextmanager
def watched_page(browser: Browser, width: int) -> Iterator[Page]:
    """Open a page of a width in pixels. An error in it, or a request that fails, fails the test when it is closed.

    What a page breaks off when it is left, such as its stream, is no failure.
    """
    wrong: list[str] = []
    with new_page(browser) as page:
        page.set_viewport_size({"width": width, "height": 900})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
        page.on("requestfailed", lambda asked: wrong.append(f"{asked.url} {asked.failure}") if _failed(asked) else None)
        yield page
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "it is wider than the screen"
    assert wrong == [], wrong  # said here: this is no test module, in which pytest would say it


def open_documentation(page: Page, dashboard: str) -> None:
    """Open the documentation that a dashboard serves. The first who asks for it waits until it is built."""
    page.goto(f"{dashboard}/docs")
    if page.url.endswith("/docs"):
        page.locator("#live a[href='/docs/index.html']").click(timeout=_BUILDING_MS)
    page.wait_for_url("**/docs/index.html")


def _failed(asked: Request) -> bool:
    return "ERR_ABORTED" not in (asked.failure or "")
