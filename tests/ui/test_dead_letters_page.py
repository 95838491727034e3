"""The page of dead letters: one is found, redriven or discarded after a dry run, and its followers go on."""

from typing import Final

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import watched_page
from tests.support.platform import Platform
from tests.support.scene import operation, park_payments, story
from tests.support.waiting import eventually
from tests.ui.conftest import Screen

_FAR_MS: Final = 60_000  # the admin service starts when it is needed
_TIMEOUT_S: Final = 30.0
_WHY: Final = "the check is gone"


def test_a_dead_letter_is_redriven(browser: Browser, platform: Platform, screen: Screen) -> None:
    """The list of its user has it with what waits; the dry run chooses it alone; then both are applied, in order."""
    parked = park_payments(platform)
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/dead-letters?user_id={parked.user_id}&lang={screen.language}")
        row = page.locator("#found tbody tr", has=page.get_by_role("link", name=parked.broken))
        expect(row).to_contain_text("HANDLER_FAILED", timeout=_FAR_MS)
        row.locator("summary").click()
        expect(row.get_by_role("link", name=parked.waiting[0])).to_be_visible()
        _settle(page, parked.broken, "redrive")
        eventually(lambda: operation(platform, parked.broken)["state"] == "SUCCEEDED", _TIMEOUT_S)
        eventually(lambda: operation(platform, parked.waiting[0])["state"] == "SUCCEEDED", _TIMEOUT_S)


def test_a_dead_letter_is_discarded_for_a_reason(browser: Browser, platform: Platform, screen: Screen) -> None:
    """It is given up for good, its story says who did it and why, and what waited behind it is applied."""
    parked = park_payments(platform)
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/dead-letters?user_id={parked.user_id}&lang={screen.language}")
        expect(page.locator("#found")).to_contain_text(parked.broken, timeout=_FAR_MS)
        _settle(page, parked.broken, "discard")
        eventually(lambda: operation(platform, parked.waiting[0])["state"] == "SUCCEEDED", _TIMEOUT_S)
        assert operation(platform, parked.broken)["state"] == "FAILED"

        def told() -> list[tuple[str, str]]:
            hops = [hop for hop in story(platform, parked.broken)["hops"] if hop["event_type"] == "command.discarded"]
            return [(hop["principal"], hop["justification"]) for hop in hops]

        assert eventually(told, _TIMEOUT_S) == [("ana", _WHY)]


def _settle(page: Page, correlation_id: str, action: str) -> None:
    """Make a dry run for one dead letter, look at what it chooses, and confirm it; wait until all is done."""
    page.locator("[name=names]").fill(correlation_id)
    page.locator("form", has=page.locator("[name=names]")).locator(f"button[value={action}]").click()
    run = page.locator("#run")
    expect(run.locator("tbody tr")).to_have_count(1, timeout=_FAR_MS)
    expect(run).to_contain_text(correlation_id)
    run.locator("[name=principal]").fill("ana")
    run.locator("[name=justification]").fill(_WHY)
    run.locator("form button").click()
    expect(page.locator("#end")).to_be_visible(timeout=_FAR_MS)
    expect(page.locator("#run")).to_contain_text(correlation_id)
