"""The pages of traces without a browser: what is found, what is wrong in the form, and what is shown of a trace."""

from pathlib import Path

import pytest
from polystream.v1.operations_pb2 import Span

from tests.support.monitor_pages import Opened, opened_pages
from tests.support.traces import START_MS, command_trace, span, trace_id

_THEN = {"from": "2026-09-21T14:00:00", "to": "2026-09-21T15:00:00"}


def _fill(opened: Opened) -> None:
    for number in range(3):
        opened.store.add_spans(command_trace(number, at_ms=number * 1000, lane_ms=4 + number, failed=number == 1))
    opened.store.add_spans([span(9, 0, 7000, service="shop", name="checkout <b>", duration_ms=50)])


def _order(page: str, *traces: int) -> bool:
    """Whether the page lists these traces and no others, in their order."""
    at = [page.find(f'<tr data-key="{trace_id(number)}"') for number in traces]
    return -1 not in at and at == sorted(at) and page.count("<tr data-key=") == len(traces)


@pytest.mark.parametrize(
    ("asked", "traces"),
    [
        ({}, (9, 2, 1, 0)),
        ({"sort": "longest"}, (9, 2, 1, 0)),
        ({"sort": "most_spans", "service": "processor"}, (2, 1, 0)),
        ({"service": "shop"}, (9,)),
        ({"operation": "send user_events", "service": "gateway"}, (2, 1, 0)),
        ({"tags": "rpc.method=CreateUser", "service": "processor", "min_duration": "5ms"}, (2, 1)),
        ({"tags": 'rpc.method="CreateUser" span.kind=consumer', "max_duration": "4500us"}, (0,)),
        ({"errors": "true"}, (1,)),
        ({"min_duration": "20ms"}, (9,)),
        ({"from": "2026-09-21T14:13:21", "to": "2026-09-21T14:13:22.999Z"}, (2, 1)),
        ({"tags": "rpc.method=Create"}, ()),
    ],
    ids=lambda part: "&".join(part) if isinstance(part, dict) else None,
)
async def test_traces_are_found(tmp_path: Path, asked: dict[str, str], traces: tuple[int, ...]) -> None:
    """By each field of the form, in the order that was asked for; the form keeps what was filled in."""
    async with opened_pages(tmp_path) as opened:
        _fill(opened)
        response = await opened.client.get("/traces", params=_THEN | asked)
        assert response.status_code == 200
        assert _order(response.text, *traces), response.text
        assert "<b>" not in response.text
        for value in asked.values():
            assert value.replace('"', "&#34;") in response.text


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"min_duration": "long"}, "min_duration"),
        ({"min_duration": "2s", "max_duration": "1s"}, "max_duration"),
        ({"tags": "no equals sign"}, "tags"),
        ({"tags": 'a="b'}, "tags"),
        ({"from": "tomorrow"}, "from"),
        ({"from": "2026-09-21T15:00:00", "to": "2026-09-21T14:00:00"}, "to"),
        ({"from": "0001-01-01T00:00:00+23:00"}, "from"),
        ({"operation": "x" * 600}, "operation"),
    ],
    ids=lambda part: "&".join(part) if isinstance(part, dict) else part,
)
async def test_what_is_wrong_in_the_form_is_said_beside_it(tmp_path: Path, asked: dict[str, str], field: str) -> None:
    """By the name of the field; what was filled in stays."""
    async with opened_pages(tmp_path) as opened:
        response = await opened.client.get("/traces", params=asked)
        assert response.status_code == 400
        assert f"<code>{field}</code>" in response.text
        assert 'id="search"' in response.text


async def test_a_search_of_the_past_is_not_rendered_again(tmp_path: Path) -> None:
    """One that goes up to now is live, since spans keep coming."""
    async with opened_pages(tmp_path) as opened:
        assert "data-live=" in (await opened.client.get("/traces")).text
        assert "data-live=" not in (await opened.client.get("/traces", params=_THEN)).text


async def test_a_trace_is_shown_with_its_operation(tmp_path: Path) -> None:
    """Its ID may be written in short; one that is not there, or is none, is said."""
    async with opened_pages(tmp_path) as opened:
        _fill(opened)
        page = (await opened.client.get(f"/traces/{trace_id(1).lstrip('0')}")).text
        assert 'class="waterfall"' in page
        assert 'href="/operations/01920000-0000-7000-8000-000000000001"' in page
        assert page.count('<li data-key="') == 3
        assert (await opened.client.get(f"/traces/{trace_id(77)}")).status_code == 404
        assert (await opened.client.get("/traces/none")).status_code == 400


@pytest.mark.parametrize(("tag", "summary"), [("en", "trace and span"), ("pt-BR", "rastro e span")])
async def test_a_span_leads_to_what_it_is_linked_with(tmp_path: Path, tag: str, summary: str) -> None:
    """Each link to its trace, whatever somebody has written into it; a span without links has no list of them."""
    links = [Span.Link(trace_id=trace_id(2), span_id="ab" * 8), Span.Link(trace_id="<a/b>", span_id="<i>")]
    async with opened_pages(tmp_path) as opened:
        opened.store.add_spans([span(1, 0, links=links), span(1, 1, parent=0)])
        page = (await opened.client.get(f"/traces/{trace_id(1)}", params={"lang": tag})).text
    assert f'<a href="/traces/{trace_id(2)}">{trace_id(2)}</a> {"ab" * 8}</dd>' in page
    assert '<a href="/traces/%3Ca/b%3E">&lt;a/b&gt;</a> &lt;i&gt;</dd>' in page
    assert page.count(f"<dt>{summary}</dt>") == 2
    assert page.count("<summary>Links (2)</summary>") == page.count('data-key="links-') == 1


async def test_a_trace_of_any_depth_is_shown(tmp_path: Path) -> None:
    """However many spans stand beneath each other."""
    async with opened_pages(tmp_path) as opened:
        opened.store.add_spans(
            [span(1, number, number, parent=number - 1 if number else None) for number in range(900)]
        )
        response = await opened.client.get(f"/traces/{trace_id(1)}")
        assert response.status_code == 200
        assert response.text.count('<li data-key="') == 900


async def test_two_traces_are_compared(tmp_path: Path) -> None:
    """The list leads there from a trace that was chosen, and the page says what takes longer."""
    async with opened_pages(tmp_path) as opened:
        _fill(opened)
        chosen = (await opened.client.get("/traces", params=_THEN | {"compare": trace_id(0)})).text
        address = f"/traces/compare?left={trace_id(0)}&amp;right={trace_id(2)}"
        assert address in chosen
        page = (await opened.client.get(address.replace("&amp;", "&"))).text
        assert page.count('<tr class="both">') == 3
        assert "+2.0 ms" in page
        other = await opened.client.get("/traces/compare", params={"left": trace_id(0), "right": trace_id(9)})
        assert other.text.count('<tr class="missing">') == 3
        assert other.text.count('<tr class="added">') == 1
        unknown = await opened.client.get("/traces/compare", params={"left": trace_id(0), "right": trace_id(77)})
        assert unknown.status_code == 404
        assert (await opened.client.get("/traces/compare")).status_code == 400


async def test_the_page_says_where_grafana_finds_the_traces(tmp_path: Path) -> None:
    """With the address of this dashboard."""
    async with opened_pages(tmp_path, '{"dashboard": "http://localhost:9999"}') as opened:
        page = (await opened.client.get("/traces")).text
        assert "http://localhost:9999/jaeger</code>" in page
        answer = (await opened.client.get("/jaeger/api/services")).json()
        assert answer == {"data": [], "total": 0, "limit": 0, "offset": 0, "errors": None}


@pytest.mark.parametrize(
    ("path", "parameters", "named"),
    [
        ("traces", {"service": "a", "limit": "1501"}, "limit"),
        ("traces", {"service": "a", "limit": "0"}, "limit"),
        ("traces", {"service": "a", "end": "9" * 30}, "end"),
        ("traces", {"service": "a", "lookback": "long"}, "lookback"),
        ("traces", {"service": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1") * 300}, "service"),
        ("traces", {"service": "a", "tags": '{"a": 1}'}, "tags"),
        ("traces", {"service": "a", "tags": '{"a": "\\ud800"}'}, "tags"),
        ("traces", {"service": "a", "tags": "[" * 20_000}, "tags"),
        ("traces", {"service": "a", "maxDuration": "-1s"}, "maxDuration"),
        ("traces/xyz", {}, "traceID"),
        ("operations", {"service": "a", "spanKind": "sideways"}, "spanKind"),
        ("dependencies", {"lookback": "1h"}, "lookback"),
    ],
    ids=lambda part: part[:20] if isinstance(part, str) else next(reversed(part), "") if part else "none",
)
async def test_bad_parameters_of_jaegers_api_are_named(
    tmp_path: Path, path: str, parameters: dict[str, str], named: str
) -> None:
    """With 400, in Jaeger's form, whatever is in them."""
    async with opened_pages(tmp_path) as opened:
        answer = await opened.client.get(f"/jaeger/api/{path}", params=parameters)
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert error["code"] == 400
        assert error["msg"].startswith(f"parameter '{named}' ")


async def test_jaegers_api_looks_back_from_an_end(tmp_path: Path) -> None:
    """By the time that is asked for, or two days; and writes prettily for a person."""
    async with opened_pages(tmp_path) as opened:
        _fill(opened)
        end_us = (START_MS + 3_600_000) * 1000
        for lookback, found in (("2h", 3), ("30m", 0), ("custom", 3), ("", 3), ("1.5d", 3)):
            asked = {"service": "processor", "end": str(end_us), "lookback": lookback}
            assert len((await opened.client.get("/jaeger/api/traces", params=asked)).json()["data"]) == found, lookback
        pretty = await opened.client.get(f"/jaeger/api/traces/{trace_id(0)}", params={"prettyPrint": "true"})
        assert pretty.text.startswith('{\n  "data": [')
