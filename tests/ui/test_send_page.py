"""The page that sends: a command's receipt is on the screen within two seconds, as the page itself measures it."""

import time
from typing import Final

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import watched_page
from tests.support.platform import Platform
from tests.ui.conftest import Screen

_WITHIN_MS: Final = 2000
_TRIES: Final = 3  # another test's load may be in the way of one; a page that is slow by itself is so each time
_FAR_MS: Final = 20_000
# Notes when the form was sent and when the receipt first was there; the first is kept over the form's answer.
_STOPWATCH: Final = """
const restart = () => { sessionStorage.setItem("sent", Date.now()); sessionStorage.removeItem("seen"); };
addEventListener("submit", restart, true);
const look = () => {
  if (!sessionStorage.getItem("seen") && document.querySelector("[data-key=receipts] tbody .SUCCEEDED"))
    sessionStorage.setItem("seen", Date.now());
};
new MutationObserver(look).observe(document, { childList: true, subtree: true, attributes: true });
"""


def test_a_receipt_is_seen_within_two_seconds(browser: Browser, platform: Platform, screen: Screen) -> None:
    """From the button to the store's receipt on the same page."""
    with watched_page(browser, screen.width) as page:
        page.add_init_script(_STOPWATCH)
        took_ms = []
        for _ in range(_TRIES):
            took_ms.append(_send(page, f"{platform.endpoints['dashboard']}/send/RecordView?lang={screen.language}"))
            if took_ms[-1] <= _WITHIN_MS:
                break
        assert min(took_ms) <= _WITHIN_MS, took_ms


def test_a_query_is_answered_on_the_same_page(browser: Browser, platform: Platform, screen: Screen) -> None:
    """With its JSON, and no personal data in it."""
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/send/GetUser?lang={screen.language}")
        page.locator("form.fields button").click()
        answer = page.locator("[data-key=code-answer] code")
        expect(answer).to_contain_text('"user_id": "1234"')
        expect(answer).not_to_contain_text("@example")


def _send(page: Page, url: str) -> int:
    """Send what stands in the form, and return how many milliseconds later its receipt was there."""
    page.goto(url)
    began = time.monotonic()
    page.locator("form.fields button").click()
    expect(page.locator("[data-key=receipts] tbody .SUCCEEDED").first).to_be_visible(timeout=_FAR_MS)
    seen = page.evaluate("Number(sessionStorage.getItem('seen')) - Number(sessionStorage.getItem('sent'))")
    assert 0 < seen <= (time.monotonic() - began) * 1000 + 50, "the page's clock and this one tell the same"
    return int(seen)
