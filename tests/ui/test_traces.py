"""The pages of traces in a browser: a trace is found, read and compared, wide and narrow, in both languages."""

import re
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import watched_page
from tests.support.platform import Platform
from tests.support.waiting import eventually

_FAR_MS: Final = 15_000  # a trace is told within seconds; the list is rendered again every five
_WIDTHS: Final = (1440, 390)
_TAG: Final = "messaging.message.conversation_id"


@dataclass(frozen=True)
class Words:
    """What the pages say in one language."""

    find: str
    longest: str
    compare: str
    choose: str


_LANGUAGES: Final = {
    "en": Words("Find", "longest first", "Compare trace", "Choose the trace to compare with"),
    "pt-BR": Words("Procurar", "os mais longos primeiro", "Comparar o rastro", "Escolha o rastro a comparar com"),
}


def _pay(platform: Platform) -> str:
    """Send a command, and return its correlation ID."""
    sent = httpx.post(f"{platform.endpoints['rest']}/usuarios/1234/pagamento").raise_for_status().json()
    return str(sent["correlation_id"])


def _services(platform: Platform) -> set[str]:
    """Return the services of which the monitor has spans."""
    answer = httpx.get(f"{platform.endpoints['dashboard']}/jaeger/api/services").raise_for_status()
    return set(answer.json()["data"])


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("tag", _LANGUAGES)
def test_a_trace_is_found_read_and_come_back_from(browser: Browser, platform: Platform, width: int, tag: str) -> None:
    """By the form, which is kept in the address; Back leads to the same list with the same form."""
    words, correlation_id = _LANGUAGES[tag], _pay(platform)
    tags = f'{_TAG}="{correlation_id}" span.kind=server'
    eventually(lambda: {"gateway", "processor"} <= _services(platform), _FAR_MS / 1000)
    with watched_page(browser, width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/traces?lang={tag}")
        form = page.locator("#search")
        form.locator("[name=service]").select_option("gateway")
        form.locator("[name=tags]").fill(tags)
        form.locator("[name=sort]").select_option(label=words.longest)
        form.get_by_role("button", name=words.find).click()
        row = page.locator("#traces tr")
        expect(row).to_have_count(1, timeout=_FAR_MS)
        expect(row).to_contain_text("processor", timeout=_FAR_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        address = page.url
        assert "service=gateway" in address
        assert "sort=longest" in address
        row.get_by_role("link", name="PaymentService/CreatePayment").click()
        expect(page.locator("#trace")).to_contain_text(correlation_id)
        expect(page.locator(".waterfall")).to_contain_text("CreatePayment postgresql", timeout=_FAR_MS)
        assert page.locator(".waterfall .bar.service-processor").count() >= 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.go_back()
        assert page.url == address
        expect(form.locator("[name=tags]")).to_have_value(tags)
        expect(row).to_have_count(1, timeout=_FAR_MS)


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("tag", _LANGUAGES)
def test_two_traces_are_put_side_by_side(browser: Browser, platform: Platform, width: int, tag: str) -> None:
    """One is chosen in the list, then the other one; every span of both has its place."""
    words = _LANGUAGES[tag]
    for _ in range(2):
        _pay(platform)
    with watched_page(browser, width) as page:
        page.goto(
            f"{platform.endpoints['dashboard']}/traces?lang={tag}&service=processor&operation=CreatePayment+postgresql"
        )
        choices = page.get_by_role("link", name=re.compile(f"^{words.compare} "))
        expect(choices.nth(1)).to_be_visible(timeout=_FAR_MS)
        choices.first.click()
        expect(page.locator("#comparing")).to_contain_text(words.choose)
        page.locator("#traces a[href^='/traces/compare?left=']").first.click()
        steps = page.locator("#steps tbody tr")
        expect(steps.filter(has_text="CreatePayment postgresql").first).to_have_class("both")
        assert steps.count() >= 3
        assert page.evaluate("document.documentElement.scrollWidth") <= width
