"""What the tour and the README say of the dashboard and no other test uses: each sentence is tried in a browser."""

from typing import Final, Literal

from playwright.sync_api import Browser, expect

from tests.support.browser import watched_page
from tests.support.platform import Platform
from tests.support.scene import operation, send, story
from tests.support.waiting import eventually
from tests.ui.conftest import Screen

_FAR_MS: Final = 30_000
_TIMEOUT_S: Final = 30.0
_TERMS: Final = {"en": ("Rate", "p50", "p99", "Lag"), "pt-BR": ("Taxa", "p50", "p99", "Atraso")}
_BACKGROUNDS: Final[dict[Literal["dark", "light"], str]] = {"dark": "rgb(16, 20, 28)", "light": "rgb(244, 246, 250)"}
_BACKGROUND: Final = "getComputedStyle(document.body).backgroundColor"


def test_the_picture_has_rate_latency_and_lag(browser: Browser, platform: Platform, screen: Screen) -> None:
    """Of the gateway and of a lane, once they have something to do."""
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/?lang={screen.language}")
        send(platform, "/usuarios/1234/pagamento")
        for box in (page.locator("#health .stage:nth-child(2) .box").first, page.locator("#health .lanes .box").first):
            for term in _TERMS[screen.language]:
                expect(box.locator("dt", has_text=term)).to_be_visible(timeout=_FAR_MS)


def test_charts_show_five_minutes_to_a_day(browser: Browser, platform: Platform, screen: Screen) -> None:
    """Each span is a click, and the charts' axes span it, from five minutes ago to a day."""
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/?lang={screen.language}")
        spans = page.locator("[data-key=charts] .switch a")
        spanned_s = []
        for number in range(spans.count()):
            spans.nth(number).click()
            expect(spans.nth(number)).to_have_attribute("aria-current", "true")
            begin, end = (
                page.locator(".chart .span")
                .first.locator("time")
                .evaluate_all("times => times.map(time => Date.parse(time.getAttribute('datetime')))")
            )
            spanned_s.append((end - begin) / 1000)
        assert abs(min(spanned_s) - 300) <= 30
        assert abs(max(spanned_s) - 86_400) <= 3600
        assert spanned_s == sorted(spanned_s)


def test_it_is_dark_and_light(browser: Browser, platform: Platform, screen: Screen) -> None:
    """As the system has it, or as somebody chooses, on every page from then on; Swagger UI follows the system too."""
    dashboard = platform.endpoints["dashboard"]
    with watched_page(browser, screen.width) as page:
        for scheme, background in _BACKGROUNDS.items():
            page.emulate_media(color_scheme=scheme)
            for url in (f"{dashboard}/lanes?lang={screen.language}", platform.endpoints["docs"]):
                page.goto(url)
                assert page.evaluate(_BACKGROUND) == background
        page.goto(f"{dashboard}/lanes?theme=dark")
        page.goto(f"{dashboard}/send")
        assert page.evaluate(_BACKGROUND) == _BACKGROUNDS["dark"]


def test_the_dashboard_tells_the_story_that_explain_tells(browser: Browser, platform: Platform, screen: Screen) -> None:
    """The same hops in the same order, and every span by its name."""
    sent = str(send(platform, "/usuarios/1234/pagamento")["correlation_id"])
    eventually(lambda: operation(platform, sent)["state"] == "SUCCEEDED", _TIMEOUT_S)
    eventually(lambda: not story(platform, sent)["missing"], _TIMEOUT_S)
    told = story(platform, sent)
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/operations/{sent}?lang={screen.language}")
        hops = page.locator(".hops").inner_text()
        places = [hops.index(hop["event_type"]) for hop in told["hops"]]
        assert places == sorted(places)
        for name in {span["name"] for span in told["spans"]}:
            expect(page.locator("main")).to_contain_text(name)


def test_swagger_ui_leads_to_the_dashboard_and_back(browser: Browser, platform: Platform, screen: Screen) -> None:
    """Each is a click from the other."""
    with watched_page(browser, screen.width) as page:
        page.goto(platform.endpoints["docs"])
        page.get_by_role("link", name="Dashboard").click()
        expect(page.locator("#health")).to_be_visible()
        assert page.locator(f".elsewhere a[href='{platform.endpoints['docs']}']").count() == 1
