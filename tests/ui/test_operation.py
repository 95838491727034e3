"""The page of one operation in a browser: its records, its retries, the calls to copy, and sending it again."""

import json
import re
import shlex
from typing import Final

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import watched_page
from tests.support.npm_tools import axe
from tests.support.people import person
from tests.support.platform import Platform

_FAR_MS: Final = 15_000
_WIDTHS: Final = (1440, 390)
_MASK: Final = "•••"
# Of each language: a record's headers, that a part waited, that a form is filled anew.
_WORDS: Final = {
    "en": ("Headers", "Waited in", "new operation"),
    "pt-BR": ("Cabeçalhos", "Esperou no", "nova operação"),
}


@pytest.fixture(params=_WIDTHS)
def width(request: pytest.FixtureRequest) -> int:
    """Return the width of a desk's screen, and of a phone's, in pixels."""
    return int(request.param)


def _sent(platform: Platform, verb: str, path: str, body: object) -> str:
    answer = httpx.request(verb, f"{platform.endpoints['rest']}{path}", json=body, timeout=30).raise_for_status()
    return str(answer.json()["correlation_id"])


def _open(page: Page, platform: Platform, correlation_id: str, tag: str = "en") -> None:
    page.goto(f"{platform.endpoints['dashboard']}/operations/{correlation_id}?lang={tag}")


@pytest.mark.parametrize("tag", _WORDS)
def test_records_are_shown_without_personal_data(browser: Browser, platform: Platform, width: int, tag: str) -> None:
    """The command's and its receipt's: place, headers, schema and decoded value, all within the screen."""
    someone = person()
    correlation_id = _sent(platform, "POST", "/v1/users", someone)
    with watched_page(browser, width) as page:
        _open(page, platform, correlation_id, tag)
        expect(page.locator("#records .record")).to_have_count(2, timeout=_FAR_MS)
        command = page.locator("[data-key^='record-user_events-']")
        expect(command).to_contain_text("user_events-polystream.v1.CreateUserRequest")
        expect(command.locator("caption")).to_have_text(_WORDS[tag][0])
        expect(command.locator("tr", has_text="traceparent")).to_contain_text(re.compile("00-[0-9a-f]{32}"))
        shown = json.loads(command.locator("pre code").text_content() or "")
        assert {shown[name] for name in ("name", "email", "cpf")} == {_MASK}
        receipt = page.locator("[data-key^='record-response_events-']")
        expect(receipt).to_contain_text("polystream.v1.CommandReceipt")
        assert json.loads(receipt.locator("pre code").text_content() or "")["state"] == "SUCCEEDED"
        assert not any(value in page.content() for value in someone.values())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        hop = page.locator(".hops a[href^='#record-user_events-']")
        hop.click()
        assert page.evaluate("location.hash") == hop.get_attribute("href")
        page.evaluate(axe().read_text(encoding="utf-8"))
        serious = "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact)))"
        assert page.evaluate(serious) == []


def test_a_record_and_a_span_are_folded_by_keys(browser: Browser, platform: Platform) -> None:
    """And stay so while the page is kept up to date."""
    correlation_id = _sent(platform, "POST", "/usuarios/1234/pagamento", None)
    with watched_page(browser, 1440) as page:
        _open(page, platform, correlation_id)
        record = page.locator("[data-key^='record-user_events-']")
        for folded in (record, page.locator(".waterfall details[data-key^='tree-']").first):
            expect(folded).to_have_attribute("open", "", timeout=_FAR_MS)
            folded.locator("summary").first.focus()
            page.keyboard.press("Enter")
            expect(folded).not_to_have_attribute("open", "")
        expect(page.locator("[data-key=receipts] tbody tr")).to_have_count(1, timeout=_FAR_MS)
        expect(record).not_to_have_attribute("open", "")


def test_the_call_is_copied_in_three_ways(browser: Browser, platform: Platform) -> None:
    """Without personal data; what is not personal makes the same command."""
    body = {"amount": {"currency_code": "BRL", "units": "5"}, "method": "PIX"}
    payment = _sent(platform, "POST", "/v1/users/1234/payments", body)
    someone = person()
    user = _sent(platform, "POST", "/v1/users", someone)
    with watched_page(browser, 1440) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        _open(page, platform, payment)
        code = page.locator("[data-key=code-command-curl]")
        expect(code).to_be_visible(timeout=_FAR_MS)
        code.get_by_role("button").click()
        copied = str(page.evaluate("navigator.clipboard.readText()"))
        words = shlex.split(copied)
        assert words[:4] == ["curl", "-X", "POST", f"{platform.endpoints['rest']}/v1/users/1234/payments"]
        assert httpx.post(words[3], content=words[-1], headers={"content-type": "application/json"}).is_success
        assert "polystream.v1.PaymentService/CreatePayment" in _code(page, "grpcurl")
        compile(_code(page, "python"), "call", "exec")
        _open(page, platform, user)
        expect(code).to_be_visible(timeout=_FAR_MS)
        for name in ("curl", "grpcurl", "python"):
            assert "<email>" in _code(page, name)
            assert someone["email"] not in _code(page, name)


def _code(page: Page, name: str) -> str:
    return page.locator(f"[data-key=code-command-{name}] code").text_content() or ""


@pytest.mark.parametrize("tag", _WORDS)
def test_it_is_sent_again(browser: Browser, platform: Platform, width: int, tag: str) -> None:
    """By the form, filled with what is not personal; and it is an operation of its own."""
    body = {"amount": {"currency_code": "BRL", "units": "17"}, "method": "CREDIT_CARD", "request_id": person()["cpf"]}
    before = _sent(platform, "POST", "/v1/users/1234/payments", body)
    with watched_page(browser, width) as page:
        _open(page, platform, before, tag)
        expect(page.locator("[data-key=call]")).to_be_visible(timeout=_FAR_MS)
        page.locator("#story a[href*='/send/CreatePayment']").click()
        expect(page.locator("main")).to_contain_text(_WORDS[tag][2])
        assert json.loads(page.locator("#amount").input_value()) == body["amount"]
        expect(page.locator("#method")).to_have_value("CREDIT_CARD")
        expect(page.locator("#user_id")).to_have_value("1234")
        expect(page.locator("#request_id")).to_have_value("")
        page.locator("form.fields button").click()
        expect(page.locator("#story .pill.SUCCEEDED")).to_be_visible(timeout=_FAR_MS)
        assert before not in page.content()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("tag", _WORDS)
def test_what_it_waited_behind_is_told_until_it_ends(
    browser: Browser, platform: Platform, width: int, tag: str
) -> None:
    """An open page tells that it waits, leads to what it waits for, and goes on by itself when that is redriven."""
    created = _sent(platform, "POST", "/v1/users", person())
    _finish(platform, created)
    user_id = httpx.get(f"{platform.endpoints['rest']}/v1/operations/{created}").json()["user_id"]
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as db:
        db.execute("ALTER TABLE usuarios ADD CONSTRAINT waiting CHECK (nome <> 'Quebrado') NOT VALID")
        try:
            broken = _sent(platform, "PATCH", f"/v1/users/{user_id}", {"name": "Quebrado"})
            waiting = _sent(platform, "PATCH", f"/v1/users/{user_id}", {"name": "Inteiro"})
        finally:
            # The lane has met the row by then: what is given up stays so.
            _finish(platform, broken)
            db.execute("ALTER TABLE usuarios DROP CONSTRAINT waiting")
    with watched_page(browser, width) as page:
        _open(page, platform, waiting, tag)
        link = page.locator(f"#retries a[href='/operations/{broken}']")
        expect(link).to_be_visible(timeout=_FAR_MS)
        expect(page.locator("#retries")).to_contain_text(_WORDS[tag][1])
        assert platform.command("dlq", "redrive", broken, "--json").returncode == 0
        expect(page.locator("#story .pill")).to_have_class(re.compile("SUCCEEDED"), timeout=_FAR_MS)
        link.click()
        expect(page.locator("#retries .retries li")).to_have_count(1, timeout=_FAR_MS)
        expect(page.locator("#story .headline")).to_contain_text("UpdateUser")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def _finish(platform: Platform, correlation_id: str) -> None:
    wait = f"{platform.endpoints['rest']}/v1/operations/{correlation_id}:wait"
    assert httpx.post(wait, json={"timeout": "20s"}, timeout=30).json()["state"] != "ACCEPTED"
