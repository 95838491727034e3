"""The page of parts: each process with its state and age; one is started again, and the end of its log is read."""

import re
from typing import Final

from playwright.sync_api import Browser, expect

from tests.support.browser import watched_page
from tests.support.platform import Platform
from tests.support.scene import send
from tests.ui.conftest import Screen

_PART: Final = "lane-redis-0"
_FAR_MS: Final = 60_000  # until a process is ready again, on a busy machine


def test_a_part_is_started_again(browser: Browser, platform: Platform, screen: Screen) -> None:
    """It comes back as another process, with who asked for it and why, and has run for a moment only."""
    before = platform.pid(_PART)
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/parts?lang={screen.language}")
        row = page.locator(f"#supervised [data-key='{_PART}']")
        expect(row.locator(".HEALTHY")).to_be_visible(timeout=_FAR_MS)
        expect(row).to_contain_text(str(before))
        page.locator("[name=part]").select_option(_PART)
        page.locator("[name=principal]").fill("ana")
        page.locator("[name=justification]").fill("it has a new setting")
        page.locator("form:has([name=part]) button").click()
        asked = page.locator(f"#restarts [data-key='restart-{_PART}']")
        expect(asked).to_have_class("SUCCEEDED", timeout=_FAR_MS)
        expect(asked).to_contain_text("ana: it has a new setting")
        expect(row.locator(".HEALTHY")).to_be_visible(timeout=_FAR_MS)
        expect(row).not_to_contain_text(str(before), timeout=_FAR_MS)
        expect(row).to_contain_text(re.compile(r"\d s|\d ms"))
    assert platform.is_back(_PART, before)


def test_the_end_of_a_log_is_read_and_filtered(browser: Browser, platform: Platform, screen: Screen) -> None:
    """By a part's name its lines are found, by a correlation ID those that name it; that of nothing finds none."""
    unknown = send(platform, "/cache/conteudo/1001")["correlation_id"]  # what goes well leaves no line
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/parts?lang={screen.language}")
        page.locator("#supervised").get_by_role("link", name="gateway-0").click()
        page.wait_for_url("**/parts/gateway-0**")
        expect(page.locator("#log pre")).to_contain_text('"service": "gateway"', timeout=_FAR_MS)
        page.locator("main [name=correlation_id]").fill(unknown)
        page.locator("main form button").click()
        expect(page.locator("#log pre")).to_have_count(0, timeout=_FAR_MS)
        expect(page.locator("#log .soft")).to_be_visible()
