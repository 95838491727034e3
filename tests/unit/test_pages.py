"""The monitor's pages without a browser: addresses, languages, themes, headers, and what is not there."""

import json
from pathlib import Path

import pytest
from polystream.v1.operations_pb2 import Event

from mesh.ids import new_correlation_id
from monitor.pages.security_headers import POLICY
from monitor.records import ACCEPTED, TracedEvent
from tests.support.monitor_pages import opened_pages

UNKNOWN = "01920000-0000-7000-8000-000000000009"
PATHS = ("/", "/operations", "/traces", "/integrity", "/parts", "/docs")  # that of dead letters starts a process


def _accepted(correlation_id: str, command: str = "CreatePayment") -> TracedEvent:
    event = Event(
        event_id=f"{correlation_id}:accepted",
        correlation_id=correlation_id,
        event_type=ACCEPTED,
        status="ACCEPTED",
        service="gateway-0",
        command=command,
        user_id=1234,
        topic="user_events",
    )
    event.timestamp.FromMilliseconds(1_700_000_000_000)
    return TracedEvent(event, sampled=False)


@pytest.mark.parametrize("path", PATHS)
async def test_every_page_is_there_before_any_script_ran(tmp_path: Path, path: str) -> None:
    """In both languages, with a title, a landmark, and the navigation."""
    async with opened_pages(tmp_path) as opened:
        for tag, skip in (("en", "Skip to the content"), ("pt-BR", "Ir para o conteúdo")):
            response = await opened.client.get(path, params={"lang": tag})
            assert response.status_code == 200
            assert f'<html lang="{tag}"' in response.text
            assert skip in response.text
            assert response.text.count("<h1>") == response.text.count("<main") == 1


async def test_what_was_chosen_is_remembered(tmp_path: Path) -> None:
    """Language and theme are in the address once, and in a cookie from then on."""
    async with opened_pages(tmp_path) as opened:
        await opened.client.get("/?lang=pt-BR&theme=dark")
        page = (await opened.client.get("/operations")).text
        assert '<html lang="pt-BR" data-theme="dark">' in page
        await opened.client.get("/?lang=xx&theme=xx")
        assert '<html lang="pt-BR" data-theme="dark">' in (await opened.client.get("/")).text


async def test_switches_keep_the_filters(tmp_path: Path) -> None:
    """Who changes the language sees the same list."""
    async with opened_pages(tmp_path) as opened:
        page = (await opened.client.get("/operations?state=FAILED&user_id=7")).text
        assert "/operations?state=FAILED&amp;user_id=7&amp;lang=pt-BR" in page
        assert "/live/operations/stream?state=FAILED&amp;user_id=7&amp;lang=en" in page


@pytest.mark.parametrize("path", [*PATHS, "/api/endpoints", "/nope", "/assets/page.js", f"/operations/{UNKNOWN}"])
async def test_every_answer_says_what_a_browser_may_do(tmp_path: Path, path: str) -> None:
    """No script or style but the monitor's own, no guessing of types, no address passed on."""
    async with opened_pages(tmp_path) as opened:
        headers = (await opened.client.get(path)).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "unsafe-inline" not in POLICY


async def test_pages_have_nothing_that_the_policy_forbids(tmp_path: Path) -> None:
    """No style or handler in an element, and no script within a page."""
    async with opened_pages(tmp_path) as opened:
        opened.store.append([_accepted(UNKNOWN)])
        for path in (*PATHS, f"/operations/{UNKNOWN}"):
            page = (await opened.client.get(path)).text
            assert " style=" not in page
            assert " onclick=" not in page
            assert page.count("<script") == page.count('<script src="')


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"/operations/{UNKNOWN}", 404, "OPERATION_NOT_FOUND"),
        ("/operations/<b>", 404, "OPERATION_NOT_FOUND"),
        ("/operations?page_token=x", 400, "INVALID_PAGE_TOKEN"),
        ("/operations?user_id=ana", 400, "INVALID_FIELD"),
        ("/nope", 404, "NOT_FOUND"),
    ],
)
async def test_what_is_not_there_is_said(tmp_path: Path, path: str, status: int, reason: str) -> None:
    """On a page, with the status and the reason."""
    async with opened_pages(tmp_path) as opened:
        response = await opened.client.get(path)
        assert response.status_code == status
        assert reason in response.text
        assert "<b>" not in response.text


async def test_the_search_field_leads_to_the_operation(tmp_path: Path) -> None:
    """Whatever was typed, it leads nowhere else."""
    async with opened_pages(tmp_path) as opened:
        response = await opened.client.get("/find", params={"correlation_id": f" {UNKNOWN} "})
        assert response.headers["location"] == f"/operations/{UNKNOWN}"
        response = await opened.client.get("/find", params={"correlation_id": "//elsewhere.example"})
        assert response.headers["location"] == "/operations/%2F%2Felsewhere.example"


async def test_the_list_says_what_an_open_one_waits_for(tmp_path: Path) -> None:
    """A command that was accepted waits for the store that it names."""
    async with opened_pages(tmp_path) as opened:
        opened.store.append([_accepted(UNKNOWN)])
        page = (await opened.client.get("/operations")).text
        assert "waits for PostgreSQL" in page
        assert f'href="/operations/{UNKNOWN}"' in page
        assert "waits for PostgreSQL" not in (await opened.client.get("/operations?state=FAILED")).text


async def test_a_command_of_a_moment_ago_is_awaited(tmp_path: Path) -> None:
    """The event log has it a moment after the gateway, and the page is live until then."""
    async with opened_pages(tmp_path) as opened:
        response = await opened.client.get(f"/operations/{new_correlation_id()}")
        assert response.status_code == 200
        assert "data-live=" in response.text


async def test_text_from_outside_stays_text(tmp_path: Path) -> None:
    """What a foreign record calls itself is not read as HTML."""
    async with opened_pages(tmp_path) as opened:
        opened.store.append([_accepted(UNKNOWN, command="<img src=x>")])
        for path in ("/operations", f"/operations/{UNKNOWN}"):
            page = (await opened.client.get(path)).text
            assert "&lt;img src=x&gt;" in page
            assert "<img src=x" not in page


async def test_a_story_is_downloaded_as_json(tmp_path: Path) -> None:
    """The file has the operation's name."""
    async with opened_pages(tmp_path) as opened:
        opened.store.append([_accepted(UNKNOWN)])
        response = await opened.client.get(f"/api/operations/{UNKNOWN}?download")
        assert response.headers["content-disposition"] == f'attachment; filename="{UNKNOWN}.json"'
        assert response.json()["operation"]["correlation_id"] == UNKNOWN


async def test_links_lead_to_the_pages_that_are_there(tmp_path: Path) -> None:
    """And to no address that a browser can't open."""
    endpoints = {"docs": "http://127.0.0.1:8000/docs", "jaeger": None, "postgresql": "postgresql://user@127.0.0.1/db"}
    async with opened_pages(tmp_path, json.dumps(endpoints)) as opened:
        page = (await opened.client.get("/docs")).text
        assert 'href="http://127.0.0.1:8000/docs"' in page
        assert "Jaeger" not in page
        assert "postgresql://" not in page
