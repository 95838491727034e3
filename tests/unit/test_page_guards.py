"""No page of elsewhere reads the monitor's pages, or changes a schema, through a browser of this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mesh.catalog import load_catalog
from mesh.settings import MonitorSettings
from monitor.activity import Activity
from monitor.admin import Admin, AdminProcess
from monitor.integrity_job import IntegrityJob
from monitor.integrity_runs import IntegrityRuns
from monitor.lane_control import LaneControls
from monitor.metrics.store import MetricStore
from monitor.page_guard import PageGuard
from monitor.pages.app import Pages
from monitor.service import EventLog
from monitor.store.local import LocalEventStore
from monitor.traces import Traces
from registry.host_guard import HostGuard
from tests.support.monitor_pages import NoRecords

REACHED = {"reached": True}


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request."""
    await JSONResponse(REACHED)(scope, receive, send)


def monitor_app(host: str, allowed_hosts: str) -> ASGIApp:
    """Return the monitor's guard before an application."""
    return PageGuard(behind, host=host, allowed_hosts=allowed_hosts)


def registry_app(host: str, allowed_hosts: str) -> ASGIApp:
    """Return the registry's guard before an application."""
    guard = HostGuard(host, allowed_hosts)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        error = guard.fault(scope)
        answer = JSONResponse({"error_code": error.code, "message": error.message}, error.status) if error else None
        await (answer or behind)(scope, receive, send)

    return app


@pytest.fixture(params=[monitor_app, registry_app], ids=["monitor", "registry"])
def make(request: pytest.FixtureRequest) -> Callable[[str, str], ASGIApp]:
    """Return how each of the two is made of its address and its allowed hosts."""
    made: Callable[[str, str], ASGIApp] = request.param
    return made


async def ask(app: ASGIApp, method: str, *headers: tuple[str, str], version: str = "1.1") -> tuple[int, Any]:
    """Return the status and the body of an answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": method, "path": "/", "headers": raw, "http_version": version}
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def is_served(app: ASGIApp, method: str, *headers: tuple[str, str], version: str = "1.1") -> bool:
    """Whether a request gets through. One that does not is told why."""
    status, body = await ask(app, method, *headers, version=version)
    if status == 200:
        return bool(body == REACHED)
    assert status in {400, 403, 421}
    assert body["message"]
    return False


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8089", "LOCALHOST:8089", "localhost.", "localhost.:1", "app.localhost:8089",
        "127.0.0.1:8089", "127.0.0.1", "127.8.9.1:80", "[::1]:8089", "[::1]", "[0:0:0:0:0:0:0:1]:8089",
        "dashboard.example", "Dashboard.Example:8089", "dashboard.example.:443",
    ],
)  # fmt: skip
async def test_own_names_are_served(make: Callable[[str, str], ASGIApp], host: str) -> None:
    """Loopback names and those of the settings, in either case, with any port, and with the root's dot."""
    app = make("127.0.0.1", "other.example, dashboard.example")
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"):
        assert await is_served(app, method, ("host", host))


@pytest.mark.parametrize(
    "host",
    [
        "rebind.example", "REBIND.EXAMPLE", "rebind.example.", "rebind.example:8089", "rebind.example:80",
        "rebind.example:8181", "localhost.rebind.example", "127.0.0.1.rebind.example", "127.0.0.1.nip.io",
        "notlocalhost", "localhostx", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "0.0.0.0", "10.0.0.1:8089",
        "[::]", "[2001:db8::1]:8089", "[::1", "::1", "localhost@rebind.example", "rebind.example@localhost",
        "user:localhost@rebind.example", "localhost:8089:80", "localhost:port", "localhost/",
        "localhost rebind.example", "localhost,rebind.example", "", ":8089", ".", "\xe9.example", "*",
    ],
)  # fmt: skip
async def test_foreign_hosts_are_refused(make: Callable[[str, str], ASGIApp], host: str) -> None:
    """A name that was made to point here, or what is no host: nothing is read or changed by it."""
    app = make("127.0.0.1", "dashboard.example")
    for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
        assert not await is_served(app, method, ("host", host))


async def test_a_bound_address_is_ones_own(make: Callable[[str, str], ASGIApp]) -> None:
    """Bound wide, any address is one of this machine's, since none can be made to point elsewhere; a name is not."""
    assert await is_served(make("10.0.0.1", ""), "POST", ("host", "10.0.0.1:8089"))
    wide = make("0.0.0.0", "")  # as in a container
    for host in ("192.168.1.5:8089", "[fd00::1]:8089", "localhost:8089"):
        assert await is_served(wide, "POST", ("host", host))
    for host in ("rebind.example:8089", "127.0.0.1.nip.io", "localhost.rebind.example"):
        assert not await is_served(wide, "POST", ("host", host))


async def test_any_host_by_setting(make: Callable[[str, str], ASGIApp]) -> None:
    """`*` lets every name through, and still no foreign origin and nothing that is no host."""
    app = make("127.0.0.1", "*")
    assert await is_served(app, "GET", ("host", "dashboard.example"))
    assert not await is_served(app, "POST", ("host", "dashboard.example"), ("origin", "http://rebind.example"))
    assert not await is_served(app, "GET", ("host", "a@b"))


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "rebind.example"]])
async def test_one_host_is_named(make: Callable[[str, str], ASGIApp], hosts: list[str]) -> None:
    """HTTP/1.1 asks for one; HTTP/1.0 has none, and no browser speaks it."""
    app = make("127.0.0.1", "")
    status, _ = await ask(app, "GET", *(("host", host) for host in hosts))
    assert status == 400
    assert await is_served(app, "GET", version="1.0") is True


@pytest.mark.parametrize(
    "origin",
    [
        "http://rebind.example", "https://rebind.example", "http://localhost:8089.rebind.example", "null", "", "file://",
        "http://localhost", "http://localhost:8000", "http://localhost:80890", "http://127.0.0.1:8089",
        "http://[::1]:8089", "http://localhost:8089/", "http://user@localhost:8089", "http://localhost:8089@x.example",
        "localhost:8089", "ftp://localhost:8089", "chrome-extension://localhost:8089",
    ],
)  # fmt: skip
async def test_foreign_origins_change_nothing(make: Callable[[str, str], ASGIApp], origin: str) -> None:
    """A page of any other origin, of this machine's too, may not have anything done. It may be linked from."""
    app, host = make("127.0.0.1", ""), ("host", "localhost:8089")
    for method in ("POST", "PUT", "DELETE", "PATCH", "QUERY"):
        assert not await is_served(app, method, host, ("origin", origin))
    assert not await is_served(app, "POST", host, ("origin", "http://localhost:8089"), ("origin", origin))
    assert await is_served(app, "GET", host, ("origin", origin))


@pytest.mark.parametrize("origin", ["http://localhost:8089", "HTTP://LOCALHOST:8089", "https://localhost:8089"])
async def test_ones_own_pages_may(make: Callable[[str, str], ASGIApp], origin: str) -> None:
    """The same host and port, in either scheme: TLS may end before."""
    assert await is_served(make("127.0.0.1", ""), "POST", ("host", "localhost:8089"), ("origin", origin))


async def test_the_monitor_refuses_in_the_one_shape() -> None:
    """A `google.rpc.Status` with its reason."""
    app = monitor_app("127.0.0.1", "")
    for headers, reason in (
        ([("host", "rebind.example")], "FOREIGN_HOST"),
        ([("host", "localhost"), ("origin", "null")], "FOREIGN_ORIGIN"),
        ([], "MALFORMED_REQUEST"),
    ):
        _, body = await ask(app, "POST", *headers)
        assert [detail["reason"] for detail in body["details"]] == [reason]
        assert body["details"][0]["domain"] == "polystream.dev"


async def test_the_registry_refuses_in_the_confluent_shape() -> None:
    """As its other errors."""
    _, body = await ask(registry_app("127.0.0.1", ""), "POST", ("host", "rebind.example"))
    assert body["error_code"] == 421
    assert "SCHEMA_REGISTRY_ALLOWED_HOSTS" in body["message"]


async def test_the_monitors_own_pages_are_guarded() -> None:
    """What it serves to a page of this machine, it does not serve to one that was made to point here."""
    catalog = load_catalog()
    with TemporaryDirectory() as folder:
        store, metrics = LocalEventStore(Path(folder), catalog), MetricStore(Path(folder))
        runs = IntegrityRuns(Path(folder))
        async with grpc.aio.insecure_channel("127.0.0.1:1") as gateway:
            app = Pages(
                EventLog(store, catalog),
                Traces(store),
                catalog,
                MonitorSettings(),
                gateway,
                is_following=lambda: True,
                parts=list,
                activity=Activity(),
                metrics=metrics,
                metric_interval_s=5.0,
                controls=LaneControls(Path(folder)),
                integrity_job=IntegrityJob(Admin(AdminProcess(Path(folder)), runs), runs),
                admin=Admin(AdminProcess(Path(folder)), IntegrityRuns(Path(folder))),
                records=NoRecords(),
            ).app()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
                for path in ("/", "/healthz", "/api/operations", "/api/endpoints", "/jaeger/api/services"):
                    assert (await client.get(f"http://localhost:8089{path}")).status_code == 200
                    for method in ("GET", "HEAD", "OPTIONS", "POST"):
                        refused = await client.request(method, f"http://rebind.example:8089{path}")
                        assert refused.status_code == 421
        store.close()
        metrics.close()
