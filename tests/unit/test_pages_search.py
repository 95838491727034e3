"""The pages with a search: what an address means, that it is the API's filter, its faults, and pages both ways."""

import html
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event, ListEventsRequest, ListOperationsRequest

from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from monitor.listing.fields import EVENTS, OPERATIONS
from monitor.pages.events import TYPES
from monitor.pages.operations import FIELDS
from monitor.pages.search import Search, SearchForm
from monitor.records import ACCEPTED, FAILED, TracedEvent
from monitor.service import EventLog
from tests.support.monitor_pages import Opened, opened_pages

NOW = datetime(2026, 11, 30, 12, 0, 7, tzinfo=UTC)
FORM = SearchForm(OPERATIONS, FIELDS, ["CreateUser"])
COMMANDS = 60
REFUSAL = 'USER_NOT_FOUND: no "user" of 100%*'


def identifier(number: int) -> str:
    """Return the correlation ID of a command."""
    return f"01940000-0000-7000-8000-{number:012x}"


def events_of(number: int) -> list[TracedEvent]:
    """Return what happened to a command: it was accepted, and every third one refused."""
    base = Event(correlation_id=identifier(number), command="CreateUser", user_id=1 + number % 4, topic="user_events")
    base.trace_id = f"{number:032x}"
    made = [(ACCEPTED, "ACCEPTED", 0)] + ([(FAILED, "FAILED", 50)] if number % 3 == 0 else [])
    events = []
    for event_type, status, later_ms in made:
        when = Timestamp()
        when.FromMilliseconds(1_796_000_000_000 + number * 1000 + later_ms)
        event = Event(event_id=f"{identifier(number)}:{event_type}", event_type=event_type, status=status)
        event.timestamp.CopyFrom(when)
        event.MergeFrom(base)
        if event_type == FAILED:
            event.store, event.error = "POSTGRESQL", REFUSAL
            event.error_status.CopyFrom(PolystreamError(Reason.USER_NOT_FOUND, 'no "user" of 100%*').to_status())
        events.append(TracedEvent(event, sampled=False))
    return events


def fill(opened: Opened) -> EventLog:
    """Keep the events of all commands."""
    opened.store.append([event for number in range(COMMANDS) for event in events_of(number)])
    return EventLog(opened.store, load_catalog())


def keys(page: str, table: str) -> list[str]:
    """Return the keys of a table's rows."""
    found = re.search(f'<tbody id="{table}">(.*?)</tbody>', page, re.DOTALL)
    return re.findall(r'<tr data-key="([^"]+)"', found.group(1)) if found else []


def link(page: str, rel: str) -> str | None:
    """Return where a link leads."""
    found = re.search(f'rel="{rel}" href="([^"]+)"', page)
    return html.unescape(found.group(1)) if found else None


def read(**query: str) -> Search:
    """Return the search of an address."""
    return FORM.read({"from" if name == "from_" else name: text for name, text in query.items()}, NOW)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ""),
        ({"state": "", "user_id": "  "}, ""),
        ({"state": "FAILED", "user_id": "7"}, "state = FAILED AND user_id = 7"),
        ({"reason": "*_NOT_FOUND"}, 'reason = "*_NOT_FOUND"'),
        ({"store": "REDIS", "command": "CreateUser"}, 'command = "CreateUser" AND store = REDIS'),
        ({"text": 'a "b" \\ *'}, r'error:"a \"b\" \\ \*"'),
        ({"filter": "a OR b", "state": "FAILED"}, "state = FAILED AND a OR b"),
        ({"within": "15m"}, 'accept_time >= "2026-11-30T11:45:00.000Z"'),
        (
            {"from_": "2026-11-30T08:00", "to": "2026-11-30T09:00:00.5-03:00"},
            'accept_time >= "2026-11-30T08:00:00.000Z" AND accept_time < "2026-11-30T12:00:00.500Z"',
        ),
        ({"from_": "2026-11-30T11:58:00Z", "within": "1h"}, 'accept_time >= "2026-11-30T11:58:00.000Z"'),
    ],
)
def test_an_address_means_one_filter(query: dict[str, str], expected: str) -> None:
    """All of its parts together, each of them in quotes where it is anybody's text."""
    search = read(**query)
    assert (search.filter, search.faults, search.status) == (expected, {}, 200)


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ({"user_id": "ana"}, "user_id", "user's ID"),
        ({"user_id": "9" * 17}, "user_id", "16 digits"),
        ({"state": "LOST"}, "state", "ACCEPTED"),
        ({"store": "ORACLE"}, "store", "POSTGRESQL"),
        ({"reason": "*a*b*c*d*e*f*g*h*i*"}, "reason", "8 stars"),
        ({"text": "x" * 513}, "text", "512"),
        ({"command": "a\0"}, "command", "NUL"),
        ({"from_": "yesterday"}, "from", "2030-01-31T08:00"),
        ({"to": "0001-01-01T00:00+23:00"}, "to", "1970"),
        ({"from_": "2026-11-30T08:00", "to": "2026-11-30T08:00"}, "to", "later"),
        ({"within": "2h"}, "within", "15m"),
        ({"order_by": "size"}, "order_by", "duration_ms"),
        ({"filter": "state = FAILED AND colour = red"}, "filter", "at character 20"),
        ({"filter": "(state = FAILED", "user_id": "7"}, "filter", "at character 16"),
        ({"filter": "state = FAILED) OR (user_id = 1"}, "filter", "closed"),
        ({"filter": "a " * 49 + "b", "state": "FAILED"}, "filter", "50 terms"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(query: dict[str, str], field: str, told: str) -> None:
    """With what would be right."""
    search = read(**query)
    assert list(search.faults) == [field]
    assert told in search.faults[field]
    assert search.status == 400


def test_a_page_that_is_kept_up_to_date_stays_the_same_for_a_while() -> None:
    """Its time moves on in steps, and its other pages have the time as it was."""
    first, second = (FORM.read({"within": "1h"}, NOW.replace(second=second)) for second in (7, 59))
    assert first.filter == second.filter
    assert first.fixed == {"within": None, "from": "2026-11-30T11:00:00.000Z"}
    assert read(from_="2026-11-30T08:00").fixed == {}


@pytest.mark.parametrize(
    "query",
    [
        {"state": "FAILED", "user_id": "1"},
        {"reason": "USER_*", "order_by": "duration_ms desc"},
        {"text": 'NO "user" of 100%*'},
        {"text": "of*100"},  # no star of a pattern here
        {"trace_id": f"{9:032x}"},
        {"correlation_id": identifier(30)},
        {"from": "2026-11-30T00:53:30Z", "to": "2026-11-30T00:54:00", "store": "POSTGRESQL"},
        {"filter": "user_id = 1 OR user_id = 2", "state": "FAILED", "order_by": "accept_time"},
    ],
)
async def test_the_page_finds_what_the_api_finds(tmp_path: Path, query: dict[str, str]) -> None:
    """By the filter that it shows."""
    async with opened_pages(tmp_path) as opened:
        log = fill(opened)
        response = await opened.client.get("/operations", params=query)
        assert response.status_code == 200
        shown = re.search(r"data-key=\"code-filter\">.*?<code>(.*?)</code>", response.text, re.DOTALL)
        assert shown is not None
        wanted = ListOperationsRequest(filter=html.unescape(shown.group(1)), order_by=query.get("order_by", ""))
        expected = [each.correlation_id for each in log.operations_page(wanted).operations]
        assert keys(response.text, "operations") == expected
        assert len(expected) < COMMANDS
        assert bool(expected) == (query.get("text") != "of*100")


@pytest.mark.parametrize(
    "query",
    [
        {"state": "FAILED", "user_id": "1"},
        {"event_type": "command.failed", "reason": "USER_NOT_FOUND", "store": "POSTGRESQL"},
        {"text": "no", "filter": "-user_id = 2"},
        {"correlation_id": identifier(30), "order_by": "timestamp"},
        {"trace_id": f"{9:032x}", "command": "CreateUser"},
        {"to": "2026-11-30T00:53:30Z"},
    ],
)
async def test_events_are_searched_likewise(tmp_path: Path, query: dict[str, str]) -> None:
    """Each leads to its operation."""
    async with opened_pages(tmp_path) as opened:
        log = fill(opened)
        response = await opened.client.get("/events", params=query)
        assert response.status_code == 200
        shown = re.search(r"data-key=\"code-filter\">.*?<code>(.*?)</code>", response.text, re.DOTALL)
        assert shown is not None
        wanted = ListEventsRequest(filter=html.unescape(shown.group(1)), order_by=query.get("order_by", ""))
        found = log.events_page(wanted).events
        assert keys(response.text, "events") == [each.event_id for each in found]
        assert 0 < len(found) < COMMANDS
        assert f'href="/operations/{found[0].correlation_id}"' in response.text


@pytest.mark.parametrize("path", ["/operations", "/events"])
async def test_a_fault_is_at_the_box_and_keeps_what_was_typed(tmp_path: Path, path: str) -> None:
    """With the status 400; the page is no stream, and shows nothing that was not asked for."""
    async with opened_pages(tmp_path) as opened:
        fill(opened)
        response = await opened.client.get(path, params={"filter": 'colour = "<b>"', "user_id": "7"})
        assert response.status_code == 400
        box = re.search(r'<textarea id="filter".*?</textarea>\s*<p .*?</p>', response.text, re.DOTALL)
        assert box is not None
        assert 'aria-invalid="true" aria-describedby="filter-fault"' in box.group()
        assert "colour = &#34;&lt;b&gt;&#34;" in box.group()
        assert "there is no such field; the fields are correlation_id" in box.group()
        assert 'name="user_id" size="12" maxlength="512" value="7"' in response.text
        assert "data-live=" not in response.text
        assert keys(response.text, path[1:]) == []


async def test_the_form_has_what_was_asked_for(tmp_path: Path) -> None:
    """Also what is none of its choices: who sends it again asks for the same."""
    query = {"command": "Fo<reign", "order_by": "duration_ms desc, accept_time", "page_size": "50", "state": "FAILED"}
    async with opened_pages(tmp_path) as opened:
        page = (await opened.client.get("/operations", params=query)).text
        chosen = re.findall(r'<option(?: value="([^"]*)")? selected>([^<]*)</option>', page)
        assert chosen == [("FAILED", "failed"), ("", "Fo&lt;reign"), ("", "duration_ms desc, accept_time")]


async def test_pages_lead_onwards_and_back(tmp_path: Path) -> None:
    """Each operation is on one page, in the order asked for; the way back leads over the same pages."""
    async with opened_pages(tmp_path) as opened:
        fill(opened)
        pages = [(await opened.client.get("/operations?page_size=25&order_by=duration_ms&within=")).text]
        while (onwards := link(pages[-1], "next")) is not None:
            pages.append((await opened.client.get(onwards)).text)
        rows = [keys(page, "operations") for page in pages]
        assert [len(each) for each in rows] == [25, 25, 10]
        assert sorted(key for each in rows for key in each) == sorted(identifier(number) for number in range(COMMANDS))
        assert link(pages[0], "prev") is None
        back = link(pages[2], "prev")
        assert back is not None
        middle = (await opened.client.get(back)).text
        assert keys(middle, "operations") == rows[1]
        before, first = link(middle, "prev"), link(middle, "first")
        assert before is not None
        assert first == "/operations?page_size=25&order_by=duration_ms"
        assert keys((await opened.client.get(before)).text, "operations") == rows[0]


async def test_another_page_of_the_last_hours_is_of_the_same_hours(tmp_path: Path) -> None:
    """Its token is good for the time that the first page had."""
    async with opened_pages(tmp_path) as opened:
        now_ms = round(datetime.now(UTC).timestamp() * 1000)
        for number in range(30):
            (accepted, *_) = events_of(number)
            accepted.event.timestamp.FromMilliseconds(now_ms - number)
            opened.store.append([accepted])
        page = (await opened.client.get("/operations?page_size=25&within=1h")).text
        onwards = link(page, "next")
        assert onwards is not None
        assert "within" not in onwards
        assert len(keys((await opened.client.get(onwards)).text, "operations")) == 5


def test_every_event_has_its_type_in_the_choice() -> None:
    """And every field of the forms is one of the lists'."""
    assert len(set(TYPES)) == len(TYPES) == 8
    assert set(FIELDS.values()) <= set(OPERATIONS.fields)
    assert "event_type" in EVENTS.fields
