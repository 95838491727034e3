"""The page of the stores' integrity: what it tells of the last runs, and starting one, with a service of the test's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_status import rpc_status
from polystream.admin.v1.integrity_pb2 import CheckIntegrityRequest, IntegrityRun, RepairIntegrityRequest
from polystream.admin.v1.integrity_pb2_grpc import IntegrityServiceServicer, add_IntegrityServiceServicer_to_server
from polystream.options.v1.options_pb2 import Store
from starlette.applications import Starlette

from mesh.errors import PolystreamError, Reason
from mesh.health.components import HeardPart
from mesh.health.report import HealthState, PartReport
from monitor.admin import Admin, AdminProcess
from monitor.integrity_job import PLAN_MAX_AGE_S, IntegrityJob, plan_id_of
from monitor.integrity_runs import IntegrityRuns
from monitor.pages import integrity
from monitor.pages.frame import Frame
from monitor.pages.live import LivePages

_LOST = "01920000-0000-7000-8000-000000000009"
_WHO = {"principal": "ana", "justification": "a <backup> was restored"}
_PART = PartReport(
    *("lane-redis-0", "lane-redis", 7, HealthState.HEALTHY, "applies commands", 0),
    counts={"contents_checked": 1250, "contents_changed": 3},
    note="3 contents are not as they were <written>",
)


class _Service(IntegrityServiceServicer):
    """Answers with what the test wants, once the test lets it."""

    def __init__(self) -> None:
        self.asked: list[CheckIntegrityRequest | RepairIntegrityRequest] = []
        self.outcome: IntegrityRun.Outcome = IntegrityRun.DRIFT
        self.refusal: PolystreamError | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def CheckIntegrity(self, request: CheckIntegrityRequest, context: Any) -> IntegrityRun:  # noqa: N802
        return await self._answer(request, "CHECK", context)

    async def RepairIntegrity(self, request: RepairIntegrityRequest, context: Any) -> IntegrityRun:  # noqa: N802
        return await self._answer(request, "PLAN" if request.validate_only else "REPAIR", context)

    async def _answer(self, request: Any, kind: str, context: Any) -> IntegrityRun:
        self.asked.append(request)
        await self.may_end.wait()
        if self.refusal is not None:
            await context.abort_with_status(rpc_status.to_status(self.refusal.to_status()))
        made = _run(kind, self.outcome, principal=request.principal)
        made.justification = getattr(request, "justification", "")
        return made


class _ReachedProcess(AdminProcess):
    """The service in this process, in place of one that would be started."""

    def __init__(self, folder: Path, channel: grpc.aio.Channel) -> None:
        super().__init__(folder)
        self._reached = channel
        self.calls = 0

    async def channel(self) -> grpc.aio.Channel:
        self.calls += 1
        return self._reached


@dataclass
class _Clock:
    now_s: float = 0.0


@dataclass
class _World:
    client: httpx.AsyncClient
    service: _Service
    process: _ReachedProcess
    runs: IntegrityRuns
    job: IntegrityJob
    clock: _Clock
    live: LivePages
    looked: asyncio.Event  # set when the page is made

    async def post(self, **said: str) -> httpx.Response:
        """Send the form."""
        return await self.client.post("/integrity", data=said)

    async def shown(self, **query: str) -> str:
        """Return the page once what was started has ended."""
        await self.job.wait()
        return (await self.client.get("/integrity", params=query)).raise_for_status().text


def _run(kind: str, outcome: IntegrityRun.Outcome, **values: Any) -> IntegrityRun:
    made = IntegrityRun(kind=kind, outcome=outcome, compared_count=4321, **values)
    made.start_time.GetCurrentTime()
    made.duration.FromMilliseconds(2500)
    if outcome == IntegrityRun.DRIFT:
        made.counts.add(kind="LOST", count=1234)
        made.findings.add(kind="LOST", store=Store.POSTGRESQL, place="user_events", key=_LOST, action="sent again")
        made.findings.add(kind="POSITION_WRONG", store=Store.REDIS, place="user_events", key="3")
        made.findings.add(kind="ROW_GONE", store=Store.MONGODB, place="<table>", key=_LOST[:-1] + "<")
        made.findings_left_out_count = 1232
    made.lags.add(store=Store.MONGODB, records=56)
    return made


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[_World]:
    """Return the page with a service behind it, and nothing known yet."""
    server, service = grpc.aio.server(), _Service()
    add_IntegrityServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        runs, process, clock = IntegrityRuns(tmp_path), _ReachedProcess(tmp_path, channel), _Clock()
        job = IntegrityJob(Admin(process, runs), runs, lambda: clock.now_s)
        live, looked = LivePages(), asyncio.Event()

        def parts() -> list[HeardPart]:
            looked.set()
            return [HeardPart(_PART, 0.0)]

        frame = Frame([integrity.page(parts, job)], {}, live)
        transport = httpx.ASGITransport(Starlette(routes=frame.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as client:
            yield _World(client, service, process, runs, job, clock, live, looked)
        service.may_end.set()
        await job.wait()
    await server.stop(None)


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ("Nothing has been checked yet", "Erase orphans", "1,250", "Lanes&#39; own look", "Run a check")),
        ("pt-BR", ("Nada foi verificado ainda", "Apagar órfãos", "1.250", "Verificação contínua", "Verificar agora")),
    ],
)
async def test_before_the_first_run(world: _World, language: str, texts: tuple[str, ...]) -> None:
    """Nobody can tell; the lanes' validators, the form and its options are there, in both languages."""
    shown = await world.shown(lang=language)
    for text in (*texts, "lane-redis-0", "are not as they were &lt;written&gt;"):
        assert text in shown
    assert "SUCCEEDED" not in shown


async def test_a_run_is_told(world: _World) -> None:
    """Whose, how long it took, what was found by kind and store, what lags apart from it; all of it as text."""
    world.runs.record(_run("CHECK", IntegrityRun.DRIFT, principal="<b>eve</b>", problem="<script>"))
    shown = await world.shown()
    for text in (
        "2,500 ms",
        "by &lt;b&gt;eve&lt;/b&gt;",
        "&lt;script&gt;",
        "1,234",
        "1,232 more are not listed",
        "4,321",
    ):
        assert text in shown
    assert shown.count(f'href="/operations/{_LOST}"') == shown.count('href="/operations/') == 1
    assert "&lt;table&gt;" in shown
    assert 'chip POSTGRESQL">PostgreSQL' in shown
    assert "<script>" not in shown
    assert "Lag at the end, in records (no drift)" in shown
    assert '<span class="number">56</span>' in shown


@pytest.mark.parametrize(
    ("outcome", "look", "text"),
    [
        (IntegrityRun.SOUND, "SUCCEEDED", ">sound<"),
        (IntegrityRun.NOTHING_TO_COMPARE, "ACCEPTED", "This is no success"),
        (IntegrityRun.LANES_BEHIND, "ACCEPTED", "This is lag, and no drift"),
        (IntegrityRun.FAILED, "FAILED", "could not be told"),
        (IntegrityRun.DRIFT, "FAILED", ">drift<"),
    ],
)
async def test_only_what_is_sound_looks_well(
    world: _World, outcome: IntegrityRun.Outcome, look: str, text: str
) -> None:
    """Nothing to compare with and lag are neither a success nor drift."""
    world.runs.record(_run("CHECK", outcome))
    shown = await world.shown()
    assert f'<span class="pill {look}">' in shown
    assert text in shown


async def test_a_check_runs_in_the_background(world: _World) -> None:
    """The page answers at once, says that one runs, takes no other one, and shows what came of it."""
    world.service.may_end.clear()
    started = (await world.post(action="check", principal="ana")).raise_for_status().text
    assert "A check is under way" in started
    assert "by ana" in started
    busy = await world.post(action="plan", principal="bea")
    assert busy.status_code == 409
    assert "ADMIN_BUSY" in busy.text
    assert 'value="bea"' in busy.text
    world.service.may_end.set()
    shown = await world.shown()
    assert "is under way" not in shown
    assert "Last check" in shown
    assert world.service.asked == [CheckIntegrityRequest(principal="ana")]
    assert [run.kind for run in world.runs.runs()] == [IntegrityRun.CHECK]


async def test_looking_calls_nobody(world: _World) -> None:
    """However often: the service's process may end for want of calls."""
    for _ in range(3):
        await world.shown()
    assert world.process.calls == 0


async def test_the_open_page_tells_what_came_of_it(world: _World) -> None:
    """Without the form, which stays as it was filled in; and without calling the service."""
    world.runs.record(_run("CHECK", IntegrityRun.DRIFT))
    world.service.refusal = PolystreamError(Reason.ADMIN_BUSY)
    await world.post(action="check")
    await world.job.wait()
    calls = world.process.calls
    world.looked.clear()
    stream = asyncio.ensure_future(world.client.get("/live/integrity/stream"))
    await world.looked.wait()
    world.live.close()
    told = (await stream).text
    for text in ("event: page", "Last check", "ended without a result", "lane-redis-0"):
        assert text in told
    assert "<form" not in told
    assert world.process.calls == calls


async def test_a_repair_is_done_as_it_was_planned(world: _World) -> None:
    """With the plan's options, once somebody has said who and why; the plan is used up then."""
    await world.post(action="plan", principal="ana", force="true", accept_content="true")
    assert "Carry out this plan" in await world.shown()
    plan_id = plan_id_of(world.runs.runs()[0])
    confirmation = await world.shown(plan=plan_id)
    assert "<strong>Force</strong>, <strong>Accept contents</strong>" in confirmation
    refused = await world.post(action="repair", plan=plan_id, principal="ana", justification="")
    assert refused.status_code == 400
    assert "<code>justification</code>" in refused.text
    assert 'value="ana"' in refused.text
    world.service.outcome = IntegrityRun.SOUND
    # What the form says beside the plan changes nothing.
    await world.post(action="repair", plan=plan_id, erase_orphans="true", **_WHO)
    shown = await world.shown()
    assert "a &lt;backup&gt; was restored" in shown
    assert "Carry out this plan" not in shown
    planned, repaired = world.service.asked
    assert planned == RepairIntegrityRequest(validate_only=True, force=True, accept_content=True, principal="ana")
    assert repaired == RepairIntegrityRequest(
        force=True, accept_content=True, principal=_WHO["principal"], justification=_WHO["justification"]
    )
    assert (await world.post(action="repair", plan=plan_id, **_WHO)).status_code == 400
    assert len(world.service.asked) == 2


async def test_no_repair_without_a_plan_of_now(world: _World) -> None:
    """One that nobody made, that found nothing, or that is too old is refused as a fault of the field."""
    assert "<code>plan</code>" in (await world.post(action="repair", plan="1", **_WHO)).text
    world.service.outcome = IntegrityRun.SOUND
    await world.post(action="plan")
    assert "Carry out this plan" not in await world.shown()
    world.service.outcome = IntegrityRun.DRIFT
    await world.post(action="plan")
    assert "Carry out this plan" in await world.shown()
    world.clock.now_s = PLAN_MAX_AGE_S + 1
    assert "Carry out this plan" not in await world.shown()
    aged = await world.post(action="repair", plan=plan_id_of(world.runs.runs()[0]), **_WHO)
    assert (aged.status_code, "<code>plan</code>" in aged.text) == (400, True)
    assert len(world.service.asked) == 2


async def test_a_busy_service_is_told_and_the_plan_stays(world: _World) -> None:
    """Another change is under way elsewhere: the same plan may be carried out once it has ended."""
    await world.post(action="plan")
    await world.job.wait()
    plan_id = plan_id_of(world.runs.runs()[0])
    world.service.refusal = PolystreamError(Reason.ADMIN_BUSY)
    await world.post(action="repair", plan=plan_id, **_WHO)
    shown = await world.shown()
    assert "ended without a result" in shown
    assert "another redrive, discard or repair is under way" in shown
    assert "Carry out this plan" in shown
    world.service.refusal = None
    await world.post(action="repair", plan=plan_id, **_WHO)
    assert "ended without a result" not in await world.shown()
    assert [run.kind for run in world.runs.runs()] == [IntegrityRun.PLAN, IntegrityRun.REPAIR]


@pytest.mark.parametrize(
    ("said", "at_fault"),
    [
        ({"action": "drop"}, "action"),
        ({"action": "check", "principal": "ana@example.org"}, "principal"),
        ({"action": "plan", "principal": "x" * 101}, "principal"),
        ({"action": "repair", "plan": "1", "principal": "", "justification": "why"}, "principal"),
    ],
)
async def test_a_form_that_is_no_good_starts_nothing(world: _World, said: dict[str, str], at_fault: str) -> None:
    """It is told with the field at fault."""
    refused = await world.post(**said)
    assert refused.status_code == 400
    assert f"<code>{at_fault}</code>" in refused.text
    assert not world.job.is_running
    assert world.process.calls == 0


async def test_a_run_that_cannot_be_written_down_is_shown_all_the_same(tmp_path: Path, world: _World) -> None:
    """The file's place is taken by a folder: what was found is still known."""
    (tmp_path / "integrity_runs.json").mkdir()
    await world.post(action="check")
    assert "Last check" in await world.shown()
    assert world.runs.runs() == []
