"""Takes the pictures of the documentation: each page of the dashboard, with something on it, and Swagger UI.

    python -m tests.ui.screenshots                 # all of them, into docs/images/dashboard
    python -m tests.ui.screenshots --look FOLDER   # to look at: each page wide and narrow, light and dark

The pages are those of the dashboard's navigation: a new one has its picture without a change here.
"""

import argparse
import base64
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import new_page, open_documentation, running_browser
from tests.support.platform import Platform
from tests.support.scene import Parked, commands_flowing, operation, park_payments, paused_lane, send, story
from tests.support.waiting import eventually

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images" / "dashboard"
DESK: Final = (1440, 900)  # pixels
PHONE: Final = (390, 844)
_QUALITY: Final = 72  # of WebP, in percent
_TRAFFIC_S: Final = 120.0
_RATE_MAX: Final = 12.0  # commands a second
_FAR_MS: Final = 60_000
_FAR_S: Final = 60.0
_WHOLE_MAX_PX: Final = 4_000  # of a page's height
_ABOVE_PX: Final = 16  # between the edge of the screen and what a picture begins with
_LOOKS: Final = (
    *((DESK, "light", "en"), (DESK, "dark", "pt-BR")),
    *((PHONE, "light", "pt-BR"), (PHONE, "dark", "en")),
)
_LINKS: Final = "links => links.map(link => link.getAttribute('href'))"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture."""

    name: str
    url: str
    size: tuple[int, int] = DESK
    theme: str = "light"
    language: str = "en"
    begins_with: str = ""  # the selector of what it begins with; the page's own beginning by default
    is_whole: bool = False  # down to the page's end, not to that of the screen


def main() -> None:
    """Start a platform with a scene, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look", type=Path, metavar="FOLDER", help="take every page, wide and narrow, light and dark")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="take those of the platform that runs there")
    said = parser.parse_args()
    taken: dict[str, bytes] = {}
    with _platform(said.data_dir) as platform, running_browser() as browser:
        _build_documentation(browser, platform)
        parked = park_payments(platform, waiting_count=3)
        with commands_flowing(platform, _RATE_MAX):
            _check_integrity(browser, platform)
            time.sleep(_TRAFFIC_S)  # so that the charts have a history
        with paused_lane(platform), commands_flowing(platform, _RATE_MAX):
            found = [*shots(browser, platform, parked)]
            for shot in _every(found) if said.look else (*found, *_others(found)):
                taken[shot.name] = take(browser, shot)
    # Only now: pictures are among the documentation's sources, which would be built anew for them.
    folder = said.look or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in taken.items():
        (folder / f"{name}.webp").write_bytes(picture)
        print(folder / f"{name}.webp")  # noqa: T201 - a program for people


def page_name(path: str) -> str:
    """Return the name of a page's picture, by its path."""
    return path.strip("/").replace("/", "-") or "overview"


def shots(browser: Browser, platform: Platform, parked: Parked) -> Iterator[Shot]:
    """Yield what there is to see: the pages of the navigation, then those that lead on from them."""
    dashboard = platform.endpoints["dashboard"]
    with new_page(browser) as page:
        page.goto(dashboard)
        paths = page.locator("nav.side ul:not(.elsewhere) a").evaluate_all(_LINKS)
    for path in paths:
        yield Shot(page_name(path), f"{dashboard}{path}{'?span=5m' if path == '/' else ''}")  # it has no more to show
    yield Shot("operation", f"{dashboard}/operations/{parked.broken}")
    broken, good = (_trace_id(platform, each) for each in (parked.broken, _good_payment(platform)))
    yield Shot("trace", f"{dashboard}/traces/{broken}")
    yield Shot("trace-comparison", f"{dashboard}/traces/compare?{urlencode({'left': good, 'right': broken})}")
    yield Shot("part-log", f"{dashboard}/parts/gateway-0")
    yield Shot("swagger-ui", platform.endpoints["docs"])


def _good_payment(platform: Platform) -> str:
    sent: str = send(platform, "/usuarios/1234/pagamento")["correlation_id"]
    eventually(lambda: operation(platform, sent)["state"] == "SUCCEEDED", _FAR_S)
    return sent


def _trace_id(platform: Platform, correlation_id: str) -> str:
    """Return the trace of an operation that has been completed, once its last spans are there."""
    eventually(lambda: _is_traced(story(platform, correlation_id)), _FAR_S)
    found: str = story(platform, correlation_id)["spans"][0]["trace_id"]
    return found


def _is_traced(told: dict[str, Any]) -> bool:
    return {"gateway", "processor"} <= {span["service"] for span in told.get("spans", [])}


def _others(found: list[Shot]) -> Iterator[Shot]:
    """Yield what the guide shows beside the plain pictures."""
    overview, story_page = found[0], next(shot for shot in found if shot.name == "operation")
    yield Shot("operation-records", story_page.url, begins_with="#records")
    yield Shot("overview-dark", overview.url, theme="dark")
    yield Shot("overview-phone", overview.url, PHONE, "dark", "pt-BR")


def _every(found: list[Shot]) -> Iterator[Shot]:
    for shot in found:
        for size, theme, language in _LOOKS:
            yield Shot(f"{shot.name}-{size[0]}-{theme}", shot.url, size, theme, language, is_whole=True)


def take(browser: Browser, shot: Shot) -> bytes:
    """Return one picture, as WebP: what is on the screen when the page is there."""
    with new_page(browser) as page:
        page.set_viewport_size({"width": shot.size[0], "height": shot.size[1]})
        page.emulate_media(color_scheme="dark" if shot.theme == "dark" else "light", reduced_motion="reduce")
        said = urlencode({"theme": shot.theme, "lang": shot.language})
        page.goto(f"{shot.url}{'&' if '?' in shot.url else '?'}{said}")
        _settle(page)
        if shot.begins_with:
            page.locator(shot.begins_with).evaluate(f"it => scrollTo(0, it.offsetTop - {_ABOVE_PX})")
        session = page.context.new_cdp_session(page)
        how: dict[str, Any] = {"format": "webp", "quality": _QUALITY}
        if shot.is_whole:
            height = page.evaluate("document.documentElement.scrollHeight")
            clip = {"x": 0, "y": 0, "width": shot.size[0], "height": min(height, _WHOLE_MAX_PX), "scale": 1}
            how |= {"clip": clip, "captureBeyondViewport": True}
        told = session.send("Page.captureScreenshot", how)
    return base64.b64decode(told["data"])


def _settle(page: Page) -> None:
    """Wait until the page shows what it has: what it asks others for, and that it is live."""
    expect(page.locator("#asking, [aria-busy=true]")).to_have_count(0, timeout=_FAR_MS)
    not_live = page.locator("[data-live]:not([data-state=liveNow], [data-state=ended])")
    expect(not_live).to_have_count(0, timeout=_FAR_MS)
    if page.locator("#swagger-ui").count():
        expect(page.locator(".opblock").first).to_be_visible()
    page.evaluate("document.fonts.ready")


def _build_documentation(browser: Browser, platform: Platform) -> None:
    with new_page(browser) as page:
        open_documentation(page, platform.endpoints["dashboard"])


def _check_integrity(browser: Browser, platform: Platform) -> None:
    with new_page(browser) as page:
        page.goto(f"{platform.endpoints['dashboard']}/integrity?lang=en")
        page.get_by_role("button", name="Run a check").click()
        expect(page.locator("#CHECK")).to_be_visible(timeout=_FAR_MS)


@contextmanager
def _platform(data_dir: Path | None) -> Iterator[Platform]:
    if data_dir is not None:
        yield Platform(data_dir, engine_set="embedded")
        return
    with tempfile.TemporaryDirectory() as folder, Platform(Path(folder), engine_set="embedded") as platform:
        yield platform


if __name__ == "__main__":
    main()
