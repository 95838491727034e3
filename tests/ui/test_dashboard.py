"""The monitor's pages in a browser: each used for what it is for, wide and narrow, in both languages, with no error."""

import re
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import watched_page
from tests.support.platform import Platform

_FAR_MS: Final = 15_000  # pages are rendered again every two seconds
_TIME: Final = re.compile(r"^\d\d:\d\d:\d\d[.,]\d{3}$")
_LANGUAGES: Final = {"en": ("Live", "Pause"), "pt-BR": ("Ao vivo", "Pausar")}
_WIDTHS: Final = (1440, 390)


@pytest.fixture(params=_WIDTHS)
def width(request: pytest.FixtureRequest) -> int:
    """Return the width of a desk's screen, and of a phone's, in pixels."""
    return int(request.param)


def _pay(platform: Platform) -> str:
    """Send a command, and return its correlation ID."""
    sent = httpx.post(f"{platform.endpoints['rest']}/usuarios/1234/pagamento").raise_for_status().json()
    return str(sent["correlation_id"])


def _view_of_nobody(platform: Platform) -> str:
    """Send a command that is refused, and return its correlation ID."""
    sent = httpx.post(f"{platform.endpoints['rest']}/historico-visualizacao?user_id=999999&conteudo_id=5678").json()
    return str(sent["correlation_id"])


@pytest.mark.parametrize("tag", _LANGUAGES)
def test_the_overview_shows_every_part(browser: Browser, platform: Platform, width: int, tag: str) -> None:
    """Every part is there, charts have axes, nothing is wider than the screen, and it says that it is live."""
    live, pause = _LANGUAGES[tag]
    with watched_page(browser, width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/?lang={tag}")
        expect(page.locator("#overall .pill")).to_have_class(re.compile("HEALTHY"), timeout=_FAR_MS)
        expect(page.locator("#health .box.HEALTHY")).to_have_count(10, timeout=_FAR_MS)
        expect(page.locator(".liveness .state")).to_have_text(live)
        expect(page.get_by_role("button", name=pause)).to_be_visible()
        expect(page.locator(".chart")).to_have_count(3)
        expect(page.locator(".chart .scale").first).to_contain_text("0")
        # Services tell their metrics every five seconds: then the newest steps have values, be they 0.
        for chart in ("throughput", "errors"):
            newest = page.locator(f"[data-key=chart-{chart}] .legend b").first
            expect(newest).to_have_text(re.compile(r"^\d"), timeout=_FAR_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_overview_counts_what_happens(browser: Browser, platform: Platform) -> None:
    """A refusal while the page is open comes to the top by itself, and leads to the refused ones."""
    with watched_page(browser, 1440) as page:
        page.goto(f"{platform.endpoints['dashboard']}/?lang=en")
        correlation_id = _view_of_nobody(platform)
        link = page.locator("[data-key=wrong]").get_by_role("link", name=re.compile("refused in the last"))
        expect(link).to_be_visible(timeout=_FAR_MS)
        link.click()
        expect(page.locator(f"[data-key='{correlation_id}']")).to_contain_text("failed", timeout=_FAR_MS)


def test_the_charts_show_what_the_services_measured(browser: Browser, platform: Platform, width: int) -> None:
    """Commands that were accepted, and how long they took, in steps of the last minutes."""
    with watched_page(browser, width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/?lang=en&span=5m")
        _pay(platform)
        throughput, latency = (page.locator(f"[data-key=chart-{name}]") for name in ("throughput", "latency"))
        expect(throughput.locator("tbody td", has_text=re.compile(r"^0\.[1-9]"))).not_to_have_count(
            0, timeout=2 * _FAR_MS
        )
        expect(latency.locator("tbody td", has_text=re.compile(r"\d ms$"))).not_to_have_count(0, timeout=_FAR_MS)
        expect(page.locator("#health .box", has_text="In flight")).to_have_count(1)
        page.get_by_role("link", name="1 day").click()
        expect(page.get_by_role("link", name="1 day")).to_have_attribute("aria-current", "true")
        expect(page.locator(".chart")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_operations_appear_by_themselves(browser: Browser, platform: Platform, width: int) -> None:
    """A command that is sent while the list is open is shown with its state, stores and time of day."""
    with watched_page(browser, width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/operations?lang=en")
        row = page.locator(f"#operations [data-key='{_pay(platform)}']")
        expect(row).to_contain_text("CreatePayment", timeout=_FAR_MS)
        expect(row).to_contain_text("succeeded", timeout=_FAR_MS)
        expect(row).to_contain_text("PostgreSQL")
        expect(row.locator("td").first).to_have_text(_TIME)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_updates_take_nothing_from_the_reader(browser: Browser, platform: Platform) -> None:
    """New rows come in, and the focus stays where it was; while it is paused, none come."""
    _pay(platform)
    with watched_page(browser, 1440) as page:
        page.goto(f"{platform.endpoints['dashboard']}/operations?lang=en")
        link = page.locator("#operations tr td:last-child a").first
        link.focus()
        focused = link.inner_text()
        newest = _pay(platform)
        expect(page.locator(f"#operations [data-key='{newest}']")).to_be_visible(timeout=_FAR_MS)
        assert page.evaluate("document.activeElement.textContent") == focused
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".liveness .state")).to_have_text("Paused")
        unseen = _pay(platform)
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(f"#operations [data-key='{unseen}']")).to_be_visible(timeout=_FAR_MS)


@pytest.mark.parametrize("tag", _LANGUAGES)
def test_a_story_is_told_until_it_ends(browser: Browser, platform: Platform, width: int, tag: str) -> None:
    """Hops, the trace over a ruler, receipts, and how to ask for it elsewhere; nothing is missing in the end."""
    correlation_id = _pay(platform)
    with watched_page(browser, width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/operations/{correlation_id}?lang={tag}")
        expect(page.locator("#story .headline")).to_contain_text("CreatePayment", timeout=_FAR_MS)
        expect(page.locator("#story .pill")).to_have_class(re.compile("SUCCEEDED"), timeout=_FAR_MS)
        expect(page.locator(".hops")).to_contain_text("command.succeeded")
        expect(page.locator(".waterfall .bar").first).to_be_visible(timeout=_FAR_MS)
        expect(page.locator(".missing")).to_have_count(0, timeout=_FAR_MS)
        expect(page.locator("[data-key=receipts] tbody tr")).to_have_count(1)
        expect(page.locator("[data-key=calls]")).to_contain_text(f"/v1/operations/{correlation_id}:explain")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_address_of_before_leads_to_the_story(browser: Browser, platform: Platform) -> None:
    """Stories were once at the dashboard's own address."""
    correlation_id = _pay(platform)
    with watched_page(browser, 1440) as page:
        page.goto(f"{platform.endpoints['dashboard']}/#{correlation_id}")
        page.wait_for_url(f"**/operations/{correlation_id}")


def test_what_is_not_known_is_said(page: Page, platform: Platform) -> None:
    """A correlation ID that nothing has is answered in words."""
    page.goto(f"{platform.endpoints['dashboard']}/?lang=en")
    page.get_by_label("Correlation ID").fill("01920000-0000-7000-8000-000000000009")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("main")).to_contain_text("OPERATION_NOT_FOUND")


def test_keys_alone_lead_everywhere(browser: Browser, platform: Platform) -> None:
    """The first one leads past the navigation."""
    with watched_page(browser, 1440) as page:
        page.goto(f"{platform.endpoints['dashboard']}/?lang=en")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("tag", _LANGUAGES)
def test_a_form_sends_a_command_and_follows_it(browser: Browser, platform: Platform, width: int, tag: str) -> None:
    """The form works as it stands; the receipt comes to the same page, with the call to copy."""
    with watched_page(browser, width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/send/RecordView?lang={tag}")
        page.locator("form.fields button").click()
        expect(page.locator("#story .pill.SUCCEEDED")).to_be_visible(timeout=_FAR_MS)
        assert "grpcurl -plaintext" in (page.locator("[data-key=code-grpcurl] code").last.text_content() or "")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_form_shows_errors_at_their_fields(browser: Browser, platform: Platform) -> None:
    """What the contract refuses is told beside the field. Fields keep what was typed, but for personal data."""
    with watched_page(browser, 1440) as page:
        page.goto(f"{platform.endpoints['dashboard']}/send/CreateUser?lang=en")
        page.get_by_label("cpf").fill("11111111111")
        page.get_by_label("user_id").fill("4711")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#refusal")).to_contain_text("INVALID_FIELD")
        expect(page.get_by_label("cpf")).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label("cpf")).to_have_value("")
        expect(page.get_by_label("user_id")).to_have_value("4711")
        expect(page.locator(".field", has=page.locator("#cpf"))).to_contain_text("not shown again")
        expect(page.locator(".field", has=page.locator("#cpf"))).to_contain_text("check digits")
