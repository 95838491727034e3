"""What a request target may hold: each odd one is refused with the field, or with what to do."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from gateway.rest.routes import MAX_PATH_BYTES, Routes
from mesh.catalog import load_catalog
from tests.support.door_wire import DoorWire
from tests.support.scripted_calls import ScriptedCalls

ROUTES = Routes(load_catalog().services)
ID = "018f4e9c-0000-7000-8000-000000000000"
NO_NUMBER = (
    *("+7", "%2B7", "07", "7.0", "1e1", "7%00", "7%20", "%207", "7;a=1", "7:stop", "7%3Await", "7%2F", "7%252F"),
    *("7,8", "7&x=1", "%EF%BC%97", "%E0%A5%A7", "7%0a", "%C3%28", "%", "%zz", "%2e%2e", "_7", "7_0", "9" * 400),
)


@pytest.fixture(scope="module")
def wire() -> Iterator[DoorWire]:
    """Open the port."""
    port = DoorWire(ScriptedCalls(), ROUTES)
    yield port
    port.close()


@pytest.mark.parametrize("segment", NO_NUMBER)
@pytest.mark.parametrize("path", ["/v1/users/{}", "/usuarios/{}", "/v1/users/{}/payments", "/v1/users/5/payments/{}"])
def test_a_segment_that_is_no_number(wire: DoorWire, path: str, segment: str) -> None:
    """It is the field's fault, and nothing of it is told."""
    answer = wire.ask("GET", path.format(segment))
    assert (answer.status, answer.reason) == (400, "INVALID_FIELD")
    assert list(answer.faults) == ["payment_id" if "/5/" in path else "user_id"]
    if len(segment) > 3:
        assert segment.encode() not in answer.body


@pytest.mark.parametrize(
    "text",
    [
        "a b",
        "a/b",
        "a:b",
        "a:wait",
        "%",
        "%2F",
        ".",
        "..",
        "*",
        "a;b",
        "a?b#c&d=e",
        "\u202ea",
        "e\u0301",
        "\U0001f601",
        "~",
    ],
)
def test_a_segment_is_the_text_that_was_encoded(text: str) -> None:
    """Once, with no character taken for another."""
    calls = ScriptedCalls()
    port = DoorWire(calls, ROUTES)
    assert port.ask("GET", f"/v1/sessions/{quote(text, safe='').replace('.', '%2E')}").status == 200
    ((_, request, _),) = calls.taken
    assert request.session_id == text
    port.close()


@pytest.mark.parametrize("target", ["/v1/users/\xe9", "/v1/users?a=\xe9", "/v1/users/\x80", "/v1/\xff"])
def test_a_byte_beyond_ascii_is_told_to_be_encoded(wire: DoorWire, target: str) -> None:
    """Bytes there have no meaning of their own (RFC 3986, section 2)."""
    answer = wire.ask("GET", target)
    assert (answer.status, answer.reason) == (400, "MALFORMED_REQUEST")
    assert "percent-encode it" in answer.json["message"]


@pytest.mark.parametrize(
    "target",
    [
        "/v1/sessions/".ljust(MAX_PATH_BYTES + 1, "x"),
        "/v1/sessions/".ljust(20_000, "x"),
        "/v1/users?" + "&".join(["page_size=1"] * 101),
        "/v1/users?page_token=".ljust(9_000, "x"),
    ],
    ids=["path", "much longer path", "many parameters", "long query"],
)
def test_a_target_that_is_too_long(wire: DoorWire, target: str) -> None:
    """One error, whoever sees it first."""
    answer = wire.ask("GET", target)
    assert (answer.status, answer.reason) == (414, "HEADERS_TOO_LARGE")
