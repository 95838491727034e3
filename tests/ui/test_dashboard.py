"""The dashboard: health, the latest operations, and one command's story."""

import re

import httpx
from playwright.sync_api import Page, expect

from tests.support.platform import Platform

_FAR_MS = 15_000  # the page refreshes itself every two seconds


def test_health_and_links_are_shown(page: Page, platform: Platform) -> None:
    """Every part is there and healthy, and the documentation is a link away."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(platform.endpoints["dashboard"])
    expect(page.locator("#overall")).to_have_text("healthy", timeout=_FAR_MS)
    engines = ["Kafka", "Registry", "PostgreSQL", "MongoDB", "Redis"]
    lanes = [f"{store}'s lane" for store in ("PostgreSQL", "MongoDB", "Redis")]
    expect(page.locator("#health .part > span:nth-child(2)")).to_have_text([*engines, *lanes, "Monitor", "Gateway"])
    expect(page.get_by_role("link", name="API docs")).to_have_attribute("href", platform.endpoints["docs"])
    assert wrong == []


def test_operations_appear_by_themselves(page: Page, platform: Platform) -> None:
    """A command that is sent while the page is open is shown with its state, stores and time of day."""
    page.goto(platform.endpoints["dashboard"])
    accepted = httpx.post(f"{platform.endpoints['rest']}/usuarios/1234/pagamento").raise_for_status().json()
    row = page.locator("#operations tr", has_text=accepted["correlation_id"])
    expect(row).to_contain_text("CreatePayment", timeout=_FAR_MS)
    expect(row).to_contain_text("succeeded", timeout=_FAR_MS)
    expect(row).to_contain_text("PostgreSQL")
    expect(row.locator("td").first).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))


def test_a_command_is_sent_and_followed(page: Page, platform: Platform) -> None:
    """A button sends a command, and its story is told: hops, trace, nothing missing."""
    page.goto(platform.endpoints["dashboard"])
    page.get_by_role("button", name="Record a view").click()
    story = page.locator("#story")
    expect(story.locator(".headline")).to_contain_text("RecordView", timeout=_FAR_MS)
    expect(story.locator(".headline")).to_contain_text("succeeded", timeout=_FAR_MS)
    expect(story).to_contain_text("command.succeeded")
    expect(story.locator(".bar").first).to_be_visible(timeout=_FAR_MS)
    expect(story.locator(".missing")).to_have_count(0, timeout=_FAR_MS)


def test_a_failure_says_why(page: Page, platform: Platform) -> None:
    """The story of a refused command, opened by its address, has the reason; the filter finds its row."""
    sent = httpx.post(f"{platform.endpoints['rest']}/historico-visualizacao?user_id=999999&conteudo_id=5678").json()
    page.goto(platform.endpoints["dashboard"])
    page.locator("#only").select_option("FAILED")
    expect(page.locator("#operations tr", has_text=sent["correlation_id"])).to_be_visible(timeout=_FAR_MS)
    page.goto(f"{platform.endpoints['dashboard']}/#{sent['correlation_id']}")
    page.reload()
    expect(page.locator("#story .headline")).to_contain_text("failed", timeout=_FAR_MS)
    expect(page.locator("#story")).to_contain_text("USER_NOT_FOUND")


def test_what_is_not_known_is_said(page: Page, platform: Platform) -> None:
    """A correlation ID that nothing has is answered in words."""
    page.goto(platform.endpoints["dashboard"])
    page.get_by_label("Correlation ID").fill("01920000-0000-7000-8000-000000000009")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("#story .missing")).to_be_visible()


def test_text_from_outside_stays_text(page: Page, platform: Platform) -> None:
    """What somebody puts into the address is not read as HTML."""
    page.goto(f"{platform.endpoints['dashboard']}/#<img src=x onerror=document.title='taken'>")
    expect(page.locator("#story .missing")).to_be_visible()
    assert page.title() == "Polystream"
    assert page.locator("#story img").count() == 0
