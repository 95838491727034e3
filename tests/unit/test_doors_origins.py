"""No page of elsewhere acts through a browser on this machine."""

import pytest

from gateway.doors.origins import OriginRules, is_preflight
from mesh.errors import Reason

LOOPBACK = OriginRules("127.0.0.1", allowed_hosts="api.example", allowed_origins="https://dashboard.example/")
WIDE = OriginRules("0.0.0.0", allowed_hosts="api.example")


def reason(rules: OriginRules, method: str, **headers: str) -> Reason | None:
    """Return why a request is refused."""
    fault = rules.fault(method, headers)
    return fault.reason if fault is not None else None


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8000", "LOCALHOST:1", "localhost.", "app.localhost:8000", "127.0.0.1:8000",
        "127.9.9.9", "[::1]:8000", "[::1]", "api.example", "API.example:443",
    ],
)  # fmt: skip
def test_own_hosts_are_known(host: str) -> None:
    """Loopback names with any port, and those of the settings."""
    assert reason(LOOPBACK, "GET", host=host) is None
    assert reason(WIDE, "POST", host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "rebind.example", "rebind.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", "evillocalhost.com",
        "sub.api.example", "", ":8000", "localhost:8000:1", "user@localhost", "[::1", "localhost/",
        "localhost, x.example",
    ],
)  # fmt: skip
def test_foreign_hosts_are_refused(host: str) -> None:
    """Whatever the method and the binding: a name that was made to point here, and what is no host."""
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
        assert reason(LOOPBACK, method, host=host) is Reason.FOREIGN_HOST
    assert reason(WIDE, "GET", host=host) is Reason.FOREIGN_HOST


@pytest.mark.parametrize(
    "host", ["gateway:8000", "gateway", "192.168.1.5:8000", "[fd00::1]:8000", "gateway.ns.svc.cluster.local:8000"]
)
def test_a_container_is_reached_by_the_names_of_its_network(host: str) -> None:
    """Bound wide, by addresses and by names that nobody outside can have; bound to loopback, by none of them."""
    assert reason(WIDE, "GET", host=host) is None
    assert reason(LOOPBACK, "GET", host=host) is Reason.FOREIGN_HOST


def test_any_host_by_setting() -> None:
    """`*` looks at none, as behind a proxy that has looked."""
    assert reason(OriginRules("127.0.0.1", allowed_hosts="*"), "GET", host="anything.example") is None


def test_a_request_without_a_host_comes_from_no_page() -> None:
    """HTTP/1.0 has none."""
    assert reason(LOOPBACK, "GET") is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:3000", "https://localhost", "http://127.0.0.1:8089", "http://[::1]:3000",
        "https://dashboard.example", "HTTPS://Dashboard.example", "http://app.localhost",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_pages_of_this_machine_may_act(method: str, origin: str) -> None:
    """And those that the settings name; each may read the answer."""
    assert reason(LOOPBACK, method, host="localhost", origin=origin) is None
    assert ("access-control-allow-origin", origin) in LOOPBACK.answer_headers(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.nip.io", "file://",
        "https://dashboard.example.evil.example", "http://dashboard.example", "chrome-extension://abc",
        "http://localhost@evil.example", "http://evil.example#localhost", "http://[::1", "",
    ],
)  # fmt: skip
def test_pages_of_elsewhere_may_not_act(origin: str) -> None:
    """What changes something is refused; what only reads is answered without leave to read the answer."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert reason(LOOPBACK, method, host="localhost", origin=origin) is Reason.FOREIGN_ORIGIN
    assert reason(LOOPBACK, "GET", host="localhost", origin=origin) is None
    assert LOOPBACK.answer_headers(origin) == (("vary", "origin"),)
    assert LOOPBACK.preflight_headers({"origin": origin}) is None


def test_a_page_of_the_gateway_itself_may_act() -> None:
    """/docs, by whatever name of the network it was reached."""
    assert reason(WIDE, "POST", host="gateway:8000", origin="http://gateway:8000") is None
    assert reason(WIDE, "POST", host="gateway:8000", origin="https://Gateway:8000") is None
    assert reason(WIDE, "POST", host="gateway:8000", origin="http://other:8000") is Reason.FOREIGN_ORIGIN
    assert reason(WIDE, "POST", host="gateway:8000", origin="http://gateway:9000") is Reason.FOREIGN_ORIGIN


def test_a_browser_asks_before_a_request() -> None:
    """The answer names methods and headers, and how long it holds."""
    asked = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    assert is_preflight("OPTIONS", asked)
    assert not is_preflight("OPTIONS", {"origin": "http://localhost:3000"})
    assert not is_preflight("POST", asked)
    granted = dict(LOOPBACK.preflight_headers(asked) or ())
    assert granted["access-control-allow-origin"] == "http://localhost:3000"
    assert {"PATCH", "DELETE"} <= set(granted["access-control-allow-methods"].split(", "))
    assert {"idempotency-key", "content-type", "traceparent"} <= set(
        granted["access-control-allow-headers"].split(", ")
    )
    assert granted["access-control-max-age"] == "86400"
    assert "origin" in granted["vary"]
    assert "access-control-allow-private-network" not in granted


def test_a_page_may_ask_to_reach_into_the_private_network() -> None:
    """Where its origin is allowed."""
    asked = {
        "origin": "https://dashboard.example",
        "access-control-request-method": "POST",
        "access-control-request-private-network": "true",
    }
    assert ("access-control-allow-private-network", "true") in (LOOPBACK.preflight_headers(asked) or ())


def test_what_is_remembered_is_bounded() -> None:
    """However many good hosts and origins come."""
    rules = OriginRules("127.0.0.1", allowed_hosts="*")
    for number in range(1000):
        assert reason(rules, "POST", host=f"h{number}.example", origin=f"http://localhost:{number}") is None
    assert len(rules._known_hosts) <= 256
    assert len(rules._known_origins) <= 256
