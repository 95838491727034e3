"""Searching operations and events in a browser: what somebody looks for is found, and the way back leads to it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import new_page
from tests.support.platform import Platform

_FAR_MS: Final = 15_000
_USER: Final = 999_998  # there is none
_WIDTHS: Final = (1440, 390)
# By language: state, user, time, more, from, before, filter, show, reason.
_LABELS: Final = {
    "en": ("State", "User", "Times, IDs, filter and order", "From", "Before", "Filter", "Show", "Reason"),
    "pt-BR": (
        *("Estado", "Usuário", "Horários, IDs, filtro e ordem", "Desde", "Antes de"),
        *("Filtro", "Mostrar", "Motivo"),
    ),
}


@contextmanager
def _watched(browser: Browser, width: int, expected_status: int = 200) -> Iterator[Page]:
    """Open a page of a width; whatever goes wrong in it fails the test."""
    wrong: list[str] = []
    with new_page(browser) as page:
        page.set_viewport_size({"width": width, "height": 900})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "response", lambda answer: wrong.append(answer.url) if answer.status > max(399, expected_status) else None
        )
        if expected_status == 200:  # of another one, the browser tells in its console
            page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        yield page
        assert wrong == []


@pytest.fixture(params=_WIDTHS)
def width(request: pytest.FixtureRequest) -> int:
    """Return the width of a desk's screen, and of a phone's, in pixels."""
    return int(request.param)


@pytest.fixture
def refused(platform: Platform) -> str:
    """Send a command that is refused, and return its correlation ID."""
    rest = platform.endpoints["rest"]
    sent = httpx.post(f"{rest}/historico-visualizacao?user_id={_USER}&conteudo_id=5678").raise_for_status().json()
    return str(sent["correlation_id"])


def _fits(page: Page, width: int) -> bool:
    return int(page.evaluate("document.documentElement.scrollWidth")) <= width


def _local(page: Page, when: datetime) -> str:
    """Return a time as somebody at this browser would type it."""
    script = "ms => { const at = new Date(ms); return new Date(at - at.getTimezoneOffset() * 60000).toISOString() }"
    return str(page.evaluate(script, when.timestamp() * 1000))[:19]


@pytest.mark.parametrize("tag", _LABELS)
def test_a_refused_operation_of_a_user_and_a_time_is_found(
    browser: Browser, platform: Platform, width: int, tag: str, refused: str
) -> None:
    """Its page says why; Back leads to the same search, with everything in its place."""
    state, user, more, since, until, _, show, _ = _LABELS[tag]
    now = datetime.now(UTC)
    with _watched(browser, width) as page:
        zone = {"timezoneId": "America/Sao_Paulo"}
        page.context.new_cdp_session(page).send("Emulation.setTimezoneOverride", zone)
        page.goto(f"{platform.endpoints['dashboard']}/operations?lang={tag}")
        page.get_by_label(state, exact=True).select_option("FAILED")
        page.get_by_label(user, exact=True).fill(str(_USER))
        page.get_by_text(more).click()
        begin = _local(page, now - timedelta(minutes=10))
        assert begin == f"{now - timedelta(hours=3, minutes=10):%Y-%m-%dT%H:%M:%S}"
        page.get_by_label(since).fill(begin)
        page.get_by_label(until).fill(_local(page, now + timedelta(minutes=10)))
        page.get_by_role("button", name=show).click()
        row = page.locator(f"#operations [data-key='{refused}']")
        expect(row).to_be_visible(timeout=_FAR_MS)
        query = parse_qs(urlsplit(page.url).query)
        assert set(query) == {"state", "user_id", "from", "to"}, "what was not filled in is not in the address"
        assert query["from"] == [f"{now - timedelta(minutes=10):%Y-%m-%dT%H:%M:%S}.000Z"]
        expect(page.locator("[data-key=code-filter] code")).to_contain_text(f"user_id = {_USER}")
        assert _fits(page, width)
        found_at = page.url
        row.get_by_role("link", name=refused).click()
        expect(page.locator("[data-key=error]")).to_contain_text("USER_NOT_FOUND", timeout=_FAR_MS)
        page.go_back()
        assert page.url == found_at
        expect(page.locator(f"#operations [data-key='{refused}']")).to_be_visible(timeout=_FAR_MS)
        expect(page.get_by_label(user, exact=True)).to_have_value(str(_USER))
        expect(page.get_by_label(since)).to_have_value(re.compile(f"^{begin}"))


@pytest.mark.parametrize("tag", _LABELS)
def test_events_are_found_and_lead_to_their_operation(
    browser: Browser, platform: Platform, width: int, tag: str, refused: str
) -> None:
    """By reason and user; a new one comes in by itself."""
    _, user, _, _, _, _, show, reason = _LABELS[tag]
    with _watched(browser, width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/events?lang={tag}")
        page.get_by_label(user, exact=True).fill(str(_USER))
        page.get_by_label(reason, exact=True).fill("USER_*")
        page.get_by_role("button", name=show).click()
        row = page.locator("#events tr", has=page.get_by_role("link", name=refused))
        expect(row).to_have_count(1, timeout=_FAR_MS)
        expect(row).to_contain_text("command.failed")
        assert _fits(page, width)
        rest = platform.endpoints["rest"]
        sent = httpx.post(f"{rest}/historico-visualizacao?user_id={_USER}&conteudo_id=1001").raise_for_status().json()
        expect(page.get_by_role("link", name=sent["correlation_id"])).to_be_visible(timeout=_FAR_MS)
        row.get_by_role("link", name=refused).click()
        expect(page.locator("#story .headline")).to_contain_text("RecordView", timeout=_FAR_MS)


def test_a_filter_is_understood_or_its_mistake_is_shown(
    browser: Browser, platform: Platform, width: int, refused: str
) -> None:
    """At the box, with the character, the remedy and what was typed; mended, it finds."""
    with _watched(browser, width, expected_status=400) as page:
        page.goto(f"{platform.endpoints['dashboard']}/operations?lang=en&user_id={_USER}")
        page.get_by_text("Times, IDs, filter and order").click()
        box = page.get_by_role("textbox", name="Filter")
        box.fill("reasn = USER_NOT_FOUND")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#refusal")).to_contain_text("INVALID_FIELD")
        expect(box).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#filter-fault")).to_contain_text("at character 1: there is no such field; the fields are")
        expect(box).to_have_value("reasn = USER_NOT_FOUND")
        expect(page.locator("#operations")).to_have_count(0)
        assert _fits(page, width)
        box.fill("reason = USER_NOT_FOUND OR state = ACCEPTED")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(f"#operations [data-key='{refused}']")).to_be_visible(timeout=_FAR_MS)
        expect(page.locator("#refusal")).to_have_count(0)


def test_pages_lead_onwards_and_back(browser: Browser, platform: Platform) -> None:
    """In the order asked for; the first page has none before it."""
    with httpx.Client(base_url=str(platform.endpoints["rest"])) as client:
        for _ in range(30):
            client.post("/usuarios/1234/pagamento").raise_for_status()
    with _watched(browser, 1440) as page:
        page.goto(f"{platform.endpoints['dashboard']}/operations?lang=en&page_size=25&order_by=accept_time&within=1h")
        rows = page.locator("#operations tr")
        expect(rows).to_have_count(25, timeout=_FAR_MS)
        first = rows.first.get_attribute("data-key")
        expect(page.get_by_role("link", name="Previous")).to_have_count(0)
        page.get_by_role("link", name="Next").click()
        expect(page.get_by_role("link", name="Previous")).to_be_visible()
        assert rows.first.get_attribute("data-key") != first
        page.get_by_role("link", name="Previous").click()
        expect(rows.first).to_have_attribute("data-key", str(first))
        expect(rows).to_have_count(25)
