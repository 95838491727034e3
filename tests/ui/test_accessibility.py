"""axe-core finds nothing serious on the monitor's pages."""

from collections.abc import Sequence
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.support.accessibility import serious_faults
from tests.support.browser import new_page
from tests.support.platform import Platform

_WIDTHS: Final = (1440, 390)
_PATHS: Final = (
    *("/", "/operations", "/lanes", "/dead-letters", "/integrity", "/parts", "/parts/gateway-0"),
    *("/send", "/send/CreateUser", "/send/ListViews", "/nowhere"),  # the documentation has a test of its own
)


@pytest.mark.parametrize(("theme", "language"), [("light", "en"), ("dark", "pt-BR")])
@pytest.mark.parametrize("width", _WIDTHS)
def test_nothing_keeps_anybody_from_using_a_page(
    browser: Browser, platform: Platform, width: int, theme: str, language: str
) -> None:
    """Every page, wide and narrow, light and dark, with something on it."""
    sent = httpx.post(f"{platform.endpoints['rest']}/historico-visualizacao?user_id=999999&conteudo_id=5678").json()
    found: dict[str, Sequence[Any]] = {}
    with new_page(browser) as page:
        page.set_viewport_size({"width": width, "height": 900})
        for path in (*_PATHS, f"/operations/{sent['correlation_id']}"):
            answer = page.goto(f"{platform.endpoints['dashboard']}{path}?theme={theme}&lang={language}")
            assert answer is not None
            assert answer.status == (404 if path == "/nowhere" else 200), path
            expect(page.locator("h1")).to_be_visible()
            assert page.locator("html").get_attribute("lang") == language
            found[path] = serious_faults(page)
    assert {path: serious for path, serious in found.items() if serious} == {}
