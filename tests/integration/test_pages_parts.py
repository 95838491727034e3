"""The page of the parts, over a control server with a process of its own: what it shows, restarts, and logs."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from polystream.v1.operations_pb2 import Event
from starlette.applications import Starlette
from structlog.testing import capture_logs

from mesh.health.components import HeardPart
from mesh.health.report import HealthState, PartReport
from mesh.settings import PostgresSettings
from monitor.pages import parts
from monitor.pages.frame import Frame
from monitor.pages.live import LivePages
from monitor.records import ACCEPTED, TracedEvent
from monitor.supervisor_watch import LINES_MAX, SupervisorWatch
from stack.engines.spec import CommandLine, ProcessSpec, StackContext
from stack.ports import Ports
from stack.supervisor.control import ControlServer
from stack.supervisor.state import PlatformState
from stack.supervisor.state_socket import StateServer
from stack.supervisor.supervised_process import ChildExits, SupervisedProcess
from tests.support.monitor_pages import opened_pages
from tests.support.waiting import eventually

_ID = "0190a5d4-7c1e-7cc3-8f6b-0123456789ab"
_ASKED = {"part": "web", "principal": "ana", "justification": "a <cache> is full"}
_HEARD = PartReport("lane-redis-0", "lane-redis", 7, HealthState.HEALTHY, "applies commands", 0)
_WAIT_MAX_S = 20.0


def _accepted() -> TracedEvent:
    event = Event(
        event_id=f"{_ID}:accepted",
        correlation_id=_ID,
        event_type=ACCEPTED,
        status="ACCEPTED",
        command="CreatePayment",
        user_id=1234,
        topic="user_events",
    )
    event.timestamp.FromMilliseconds(1_700_000_000_000)
    return TracedEvent(event, sampled=False)


class Platform:
    """One process under a supervisor's control server, and the pages that ask it."""

    def __init__(self, folder: Path) -> None:
        (folder / "run").mkdir()
        self.context = StackContext(folder, Ports(), PostgresSettings())
        self.state = PlatformState(1, "2", "embedded", 3, status="ready")
        command = "import signal; signal.pause()"
        spec = ProcessSpec(
            name="web",
            ports=("rest",),
            command=lambda context: CommandLine(
                argv=(sys.executable, "-c", command), env={}, cwd=context.data_dir, stop_timeout_s=5.0
            ),
            is_ready=lambda _: True,
        )
        exits = ChildExits()
        exits.install(asyncio.get_running_loop())
        self.web = SupervisedProcess(spec, self.context, exits, lambda _: None)
        self.control = ControlServer(self.state, [self.web], self.context)
        self.socket = StateServer(folder / "run")
        self.socket.hand_on(self.control.take)
        self.socket.listen()
        self.watch = SupervisorWatch(str(folder / "run" / "supervisor.sock"))

    async def restarted(self) -> None:
        """Wait until the last restart that was asked for has ended."""
        await asyncio.to_thread(eventually, lambda: not self.watch.restarts[0].goes_on, _WAIT_MAX_S)

    async def end(self) -> None:
        """Stop answering, and the process."""
        self.socket.finish()
        await self.control.close()
        await self.web.stop()


def _client(watch: SupervisorWatch, addresses: dict[str, str | None] | None = None) -> httpx.AsyncClient:
    frame = Frame([*parts.pages(lambda: [HeardPart(_HEARD, 0.0)], watch)], addresses or {}, LivePages())
    transport = httpx.ASGITransport(Starlette(routes=frame.routes()))
    return httpx.AsyncClient(transport=transport, base_url="http://monitor")


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """Return a platform whose process runs."""
    made = Platform(tmp_path)
    await made.web.start()
    yield made
    await made.end()


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of its pages."""
    async with _client(platform.watch, {"kafka_ui": "http://127.0.0.1:8085", "adminer": None}) as made:
        yield made


@pytest.mark.parametrize(("language", "texts"), [("en", ("Runs for", "ready")), ("pt-BR", ("No ar há", "pronto"))])
async def test_every_process_is_shown(
    platform: Platform, client: httpx.AsyncClient, language: str, texts: tuple[str, ...]
) -> None:
    """With the supervisor's own line and the administration pages that are there, in both languages."""
    shown = (await client.get("/parts", params={"lang": language})).raise_for_status().text
    pid = platform.web.state.pid
    for text in (*texts, 'href="/parts/web"', f'<td class="number">{pid}</td>', "rest 8000", "MiB", "embedded"):
        assert text in shown
    assert 'href="http://127.0.0.1:8085"' in shown
    assert "lane-redis-0" not in shown  # the supervisor knows better


async def test_viewers_share_one_question(platform: Platform) -> None:
    """All who look at the same moment have the same answer."""
    first, *others = await asyncio.gather(*(platform.watch.report() for _ in range(30)))
    assert first.answer is not None
    assert all(other is first for other in others)


async def test_a_part_is_started_again_while_the_page_goes_on(platform: Platform, client: httpx.AsyncClient) -> None:
    """The answer comes at once; who and why are shown as text and logged, and then how long it took."""
    before = platform.web.state.pid
    with capture_logs() as logged:
        asked = (await client.post("/parts", data=_ASKED)).raise_for_status().text
        assert "is being started again" in asked
        assert "a &lt;cache&gt; is full" in asked
        await platform.restarted()
    assert "was ready again in" in (await client.get("/parts")).text
    assert platform.web.state.pid not in {None, before}
    assert platform.web.state.restarts == 0
    audit = next(line for line in logged if line["event"] == "part is to be started again")
    assert (audit["part"], audit["principal"], audit["justification"]) == ("web", "ana", "a <cache> is full")


async def test_a_restart_that_fails_is_told(platform: Platform, client: httpx.AsyncClient) -> None:
    """With the supervisor's reason."""
    await platform.web.stop()
    (await client.post("/parts", data=_ASKED)).raise_for_status()
    await platform.restarted()
    assert "was not started again: web is stopped" in (await client.get("/parts")).text


@pytest.mark.parametrize("fault", [{"justification": ""}, {"principal": "ana@example.com"}, {"part": "oracle"}])
async def test_a_form_that_is_no_good_is_told(
    platform: Platform, client: httpx.AsyncClient, fault: dict[str, str]
) -> None:
    """With the field at fault; nothing is started again."""
    before = platform.web.state.pid
    refused = await client.post("/parts", data=_ASKED | fault)
    assert refused.status_code == 400
    assert f"<code>{next(iter(fault))}</code>" in refused.text
    assert platform.watch.restarts == []
    assert platform.web.state.pid == before


async def test_the_end_of_a_log_is_shown(platform: Platform, client: httpx.AsyncClient) -> None:
    """As text, its last lines only; with a correlation ID, those that name it; what is none is told."""
    lines = [f"line {number}." for number in range(LINES_MAX + 50)]
    platform.context.log("web").write_text("\n".join([*lines, f"<b>{_ID}</b>"]) + "\n")
    whole = (await client.get("/parts/web")).raise_for_status().text
    assert f"&lt;b&gt;{_ID}&lt;/b&gt;" in whole
    assert "line 51." in whole
    assert "line 50." not in whole
    found = (await client.get("/parts/web", params={"correlation_id": _ID})).raise_for_status().text
    assert f"&lt;b&gt;{_ID}&lt;/b&gt;" in found
    assert "line 249." not in found
    assert (await client.get("/parts/web", params={"correlation_id": "x"})).status_code == 400
    assert (await client.get("/parts/oracle")).status_code == 404
    named = await platform.watch.lines_of(_ID, as_of_now=True)
    assert [(line.part, line.text) for line in named.answer or ()] == [("web", f"<b>{_ID}</b>")]


async def test_a_supervisor_that_does_not_answer_is_told(platform: Platform) -> None:
    """With what the monitor has heard; a restart is refused."""
    platform.socket.finish()
    async with _client(platform.watch) as client:
        shown = (await client.get("/parts")).raise_for_status().text
        assert "The supervisor does not answer: no supervisor answers at" in shown
        assert "lane-redis-0" in shown
        assert (await client.post("/parts", data=_ASKED)).status_code == 400
        assert "no supervisor answers at" in (await client.get("/parts/web")).text


async def test_where_there_is_no_supervisor_the_reports_are_shown() -> None:
    """And that there is none, on each page."""
    async with _client(SupervisorWatch("")) as client:
        shown = (await client.get("/parts")).raise_for_status().text
        for text in ("No supervisor keeps this platform alive", "lane-redis-0", "applies commands"):
            assert text in shown
        assert 'action="/parts"' not in shown
        assert (await client.post("/parts", data=_ASKED)).status_code == 400
        assert "There is no supervisor here" in (await client.get("/parts/web")).text


async def test_an_operation_has_the_lines_that_name_it(platform: Platform, tmp_path: Path) -> None:
    """Beside its spans, as text, with a way to the part's log; without a supervisor, it says so."""
    platform.context.log("web").write_text(f"<b>{_ID}</b> applied\nanother line\n")
    path = tmp_path / "run" / "supervisor.sock"
    for socket, there in ((str(path), True), ("", False)):
        async with opened_pages(tmp_path / f"log-{there}", supervisor_socket=socket) as opened:
            opened.store.append([_accepted()])
            shown = (await opened.client.get(f"/operations/{_ID}")).raise_for_status().text
        assert (f"&lt;b&gt;{_ID}&lt;/b&gt; applied" in shown) is there
        assert (f'href="/parts/web?correlation_id={_ID}"' in shown) is there
        assert ("There is no supervisor here" in shown) is not there
        assert "another line" not in shown
