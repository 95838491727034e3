"""axe-core finds nothing serious on the monitor's pages."""

from collections.abc import Sequence
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.support.accessibility import serious_faults
from tests.support.browser import new_page
from tests.support.platform import Platform
from tests.support.waiting import eventually

_WIDTHS: Final = (1440, 390)
_TRACED_S: Final = 15.0
_PATHS: Final = (
    *("/", "/operations", "/operations?user_id=999999&order_by=duration_ms", "/operations?filter=(", "/events"),
    *("/traces", "/lanes", "/dead-letters", "/integrity", "/parts", "/parts/gateway-0"),
    *("/send", "/send/CreateUser", "/send/ListViews", "/nowhere"),  # the documentation has a test of its own
)
_STATUSES: Final = {"/nowhere": 404, "/operations?filter=(": 400}


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
        traced = _trace_of(platform, sent["correlation_id"])
        of_traces = (f"/traces/{traced}", f"/traces?compare={traced}", f"/traces/compare?left={traced}&right={traced}")
        for path in (*_PATHS, f"/operations/{sent['correlation_id']}", *of_traces):
            sign = "&" if "?" in path else "?"
            answer = page.goto(f"{platform.endpoints['dashboard']}{path}{sign}theme={theme}&lang={language}")
            assert answer is not None
            assert answer.status == _STATUSES.get(path, 200), path
            expect(page.locator("h1")).to_be_visible()
            assert page.locator("html").get_attribute("lang") == language
            found[path] = serious_faults(page)
    assert {path: serious for path, serious in found.items() if serious} == {}


def _trace_of(platform: Platform, correlation_id: str) -> str:
    """Return the ID of a command's trace, once the monitor has it."""

    def found() -> str | None:
        asked = {"service": "processor", "tag": f"messaging.message.conversation_id:{correlation_id}"}
        answer = httpx.get(f"{platform.endpoints['dashboard']}/jaeger/api/traces", params=asked)
        traces = answer.raise_for_status().json()["data"]
        return str(traces[0]["traceID"]) if traces else None

    return eventually(found, _TRACED_S) or ""
