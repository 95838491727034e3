"""What each path of the port takes: the same for every method, and nothing is called that is not taken."""

import re
from collections.abc import Iterator

import pytest

from gateway.doors.http_door import HEALTH_PATH
from gateway.rest.routes import Routes
from mesh.catalog import load_catalog
from tests.support.door_wire import DoorWire
from tests.support.scripted_calls import ScriptedCalls

ROUTES = Routes(load_catalog().services)
PATHS = sorted({re.sub(r"\{[^}]*\}", "7", binding.template) for binding in ROUTES.bindings})
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY")


@pytest.fixture(scope="module")
def calls() -> ScriptedCalls:
    """Return what answers every call."""
    return ScriptedCalls()


@pytest.fixture(scope="module")
def wire(calls: ScriptedCalls) -> Iterator[DoorWire]:
    """Open the port."""
    port = DoorWire(calls, ROUTES)
    yield port
    port.close()


@pytest.mark.parametrize("path", [*PATHS, "/", "/docs", "/openapi.json", HEALTH_PATH])
def test_a_path_takes_what_it_says_that_it_takes(wire: DoorWire, calls: ScriptedCalls, path: str) -> None:
    """OPTIONS and each refusal name the same methods, and those and no others are taken."""
    told = wire.ask("OPTIONS", path)
    allowed = told.headers["allow"].split(", ")
    assert (told.status, told.body) == (204, b"")
    assert allowed == [method for method in METHODS if method in allowed]
    bound = {binding.method for binding in ROUTES.bindings if _fits(binding.template, path)}
    assert bound <= set(allowed) <= bound | {"GET", "HEAD", "OPTIONS"}
    for method in METHODS:
        calls.taken.clear()
        answer = wire.ask(method, path)
        if method in allowed:
            assert answer.status in {200, 204, 302}, method
        else:
            assert (answer.status, answer.headers["allow"]) == (405, told.headers["allow"]), method
            assert not calls.taken
            if method != "HEAD":
                assert answer.reason == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("path", [*PATHS, "/docs", "/openapi.json", HEALTH_PATH])
def test_head_is_get_without_the_body(wire: DoorWire, path: str) -> None:
    """With the same length, wherever it is taken."""
    if "HEAD" in wire.ask("OPTIONS", path).headers["allow"]:
        got, head = wire.ask("GET", path), wire.ask("HEAD", path)
        assert (head.status, head.body) == (got.status, b"")
        assert {**head.headers, "date": ""} == {**got.headers, "date": ""}


@pytest.mark.parametrize("path", ["/nope", "/v1", "/v1/users/7/nope", "/docs/nope", "/usuarios/7/8/9", "/healthz/x"])
def test_no_method_finds_an_unknown_path(wire: DoorWire, path: str) -> None:
    """It is a 404 for OPTIONS, too."""
    for method in METHODS:
        answer = wire.ask(method, path)
        assert answer.status == 404
        if method != "HEAD":
            assert answer.reason == "UNKNOWN_PATH"


def _fits(template: str, path: str) -> bool:
    return re.sub(r"\{[^}]*\}", "7", template) == path
