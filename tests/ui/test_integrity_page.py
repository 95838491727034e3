"""The page of integrity: what a store has lost is found by a check, shown by a plan, and set right by a repair."""

from typing import Final

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import watched_page
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.scene import operation, send
from tests.support.waiting import eventually
from tests.ui.conftest import Screen

_FAR_MS: Final = 90_000  # it reads the topics and the stores, and the admin service starts first
_TIMEOUT_S: Final = 30.0
_PAYMENT: Final = {"amount": {"currency_code": "BRL", "units": 10}, "method": "PIX"}


@pytest.mark.timeout(300)
def test_what_a_store_has_lost_is_repaired(browser: Browser, platform: Platform, screen: Screen) -> None:
    """A payment is taken out of PostgreSQL behind the platform's back, and is there again in the end."""
    user_id, payment = _payment(platform)
    _lose(platform, payment, user_id)
    assert _count(platform, user_id) == 0
    with watched_page(browser, screen.width) as page:
        page.goto(f"{platform.endpoints['dashboard']}/integrity?lang={screen.language}")
        page.locator("button[value=check]").click()
        _wait(page)
        found = _finding(page, "CHECK", payment)
        expect(found).to_contain_text("LOST", timeout=_FAR_MS)
        expect(page.locator("#CHECK .pill")).to_have_class("pill FAILED")
        page.locator("button[value=plan]").click()
        _wait(page)
        expect(_finding(page, "PLAN", payment)).to_be_visible(timeout=_FAR_MS)
        assert _count(platform, user_id) == 0, "a plan changes nothing"
        page.locator("#PLAN a.button").click()
        page.locator("form:has([name=plan]) [name=principal]").fill("ana")
        page.locator("form:has([name=plan]) [name=justification]").fill("restored from a backup")
        page.locator("button[value=repair]").click()
        _wait(page)
        expect(_finding(page, "REPAIR", payment)).to_be_visible(timeout=_FAR_MS)
        expect(page.locator("#REPAIR")).to_contain_text("restored from a backup")
        eventually(lambda: _count(platform, user_id) == 1, _TIMEOUT_S)


def _wait(page: Page) -> None:
    """Wait until the run that was asked for has ended: it is shown from when it began."""
    expect(page.locator("#job .ACCEPTED")).to_have_count(0, timeout=_FAR_MS)


def _finding(page: Page, kind: str, correlation_id: str) -> Locator:
    return page.locator(f"#{kind} tbody tr", has=page.get_by_role("link", name=correlation_id))


def _payment(platform: Platform) -> tuple[int, str]:
    """Return a new user, and the correlation ID of the one payment that this user has."""
    created = send(platform, "/v1/users", person())
    eventually(lambda: operation(platform, created["correlation_id"])["state"] == "SUCCEEDED", _TIMEOUT_S)
    payment = send(platform, f"/v1/users/{created['user_id']}/payments", _PAYMENT)["correlation_id"]
    eventually(lambda: operation(platform, payment)["state"] == "SUCCEEDED", _TIMEOUT_S)
    return int(created["user_id"]), payment


def _lose(platform: Platform, payment: str, user_id: int) -> None:
    """Leave PostgreSQL as a backup from before the payment would: without it, and without its mark."""
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        db.execute("DELETE FROM pagamentos WHERE user_id = %s", (user_id,))
        db.execute("DELETE FROM inbox WHERE correlation_id = %s", (payment,))


def _count(platform: Platform, user_id: int) -> int:
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        row = db.execute("SELECT count(*) FROM pagamentos WHERE user_id = %s", (user_id,)).fetchone()
    return int(row[0]) if row else 0
