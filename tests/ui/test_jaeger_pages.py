"""The way from a story to its trace in Jaeger, which the native set has."""

import httpx
from playwright.sync_api import Page, expect

from tests.support.platform import Platform
from tests.support.waiting import eventually

_FAR_MS = 15_000
_SPANS = ("polystream.v1.PaymentService/CreatePayment", "send user_events", "CreatePayment postgresql")


def test_a_story_leads_to_its_trace_where_there_is_a_jaeger(page: Page, platform: Platform) -> None:
    """A link beside the story's trace opens the same one in Jaeger, as a tree, and among the latest; else none does."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    sent = httpx.post(f"{platform.endpoints['rest']}/usuarios/1234/pagamento").raise_for_status().json()
    page.goto(f"{platform.endpoints['dashboard']}/operations/{sent['correlation_id']}?lang=en")
    expect(page.locator(".waterfall .bar").first).to_be_visible(timeout=_FAR_MS)
    link = page.locator("#story").get_by_role("link", name="Trace in Jaeger")
    if platform.endpoints["jaeger"] is None:
        expect(link).to_have_count(0)
        return
    trace_id = (link.get_attribute("href") or "").rpartition("/")[2]
    page.goto(f"{platform.endpoints['jaeger']}/?service=gateway")
    row = page.get_by_role("row", name=trace_id)

    def is_listed() -> bool:
        page.reload()
        page.locator("#found > *").first.wait_for()
        return bool(row.count())

    eventually(is_listed, _FAR_MS / 1000)
    expect(row).to_contain_text("gateway: polystream.v1.PaymentService/CreatePayment")
    row.get_by_role("link").click()

    def is_whole() -> bool:
        page.reload()
        page.get_by_role("row", name=_SPANS[0]).first.wait_for()
        return all(page.get_by_role("row", name=name).count() for name in _SPANS)

    eventually(is_whole, _FAR_MS / 1000)
    assert wrong == []
