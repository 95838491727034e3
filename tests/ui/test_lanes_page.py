"""The page of lanes: a lane is paused, falls behind, and catches up once it is resumed."""

from typing import Final

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import watched_page
from tests.support.platform import Platform
from tests.support.scene import control_lane, operation, send
from tests.support.waiting import eventually
from tests.ui.conftest import Screen

_LANE: Final = "lane-redis"
_FAR_MS: Final = 20_000
_TIMEOUT_S: Final = 20.0
_COMMANDS: Final = 4


def test_a_paused_lane_falls_behind_and_catches_up(browser: Browser, platform: Platform, screen: Screen) -> None:
    """Its lag grows by each command that is sent, and is gone soon after it is resumed; all of them are applied."""
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/lanes?lang={screen.language}")
        lane = page.locator(f"#{_LANE}")
        lag = lane.locator(".lag")
        try:
            _control(page, "pause")
            expect(lane.locator(".paused")).to_contain_text("ana")
            expect(lane.locator("td .DEGRADED")).to_be_visible(timeout=_FAR_MS)  # the process has heard of it
            sent = []
            for behind in range(1, _COMMANDS + 1):
                sent.append(send(platform, "/cache/conteudo/1001")["correlation_id"])
                expect(lag).to_have_text(str(behind), timeout=_FAR_MS)
            assert {operation(platform, each)["state"] for each in sent} == {"ACCEPTED"}
            _control(page, "resume")
            expect(lag).to_have_text("0", timeout=_FAR_MS)
            expect(lane.locator(".paused")).to_have_count(0)
            eventually(lambda: {operation(platform, each)["state"] for each in sent} == {"SUCCEEDED"}, _TIMEOUT_S)
        finally:
            control_lane(platform, _LANE, "resume", "the test is over")


def test_a_change_without_a_reason_is_refused_at_its_field(browser: Browser, platform: Platform) -> None:
    """The browser asks for it before anything is sent."""
    with watched_page(browser, 1440) as page:
        page.goto(f"{platform.endpoints['dashboard']}/lanes?lang=en")
        page.locator("[name=lane]").select_option(_LANE)
        page.locator("[name=principal]").fill("ana")
        page.get_by_role("button", name="Pause", exact=True).last.click()
        assert page.locator("[name=justification]").evaluate("field => field.validity.valueMissing")
        expect(page.locator(f"#{_LANE} .paused")).to_have_count(0)


def _control(page: Page, action: str) -> None:
    page.locator("[name=lane]").select_option(_LANE)
    page.locator("[name=principal]").fill("ana")
    page.locator("[name=justification]").fill("a new disk")
    page.locator(f"button[value={action}]").click()
