"""Lanes, integrity runs and refusals at the monitor's HTTP port, and what is kept of runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from polystream.admin.v1.integrity_pb2 import IntegrityRun
from starlette.applications import Starlette

from mesh.errors import PolystreamError, Reason
from mesh.health.messages import timestamp
from monitor.admin import Admin, AdminProcess
from monitor.admin_api import AdminApi
from monitor.integrity_runs import IntegrityRuns
from monitor.lane_control import LaneControls


@pytest.fixture
def runs(tmp_path: Path) -> IntegrityRuns:
    """Return where runs are kept."""
    return IntegrityRuns(tmp_path)


@pytest.fixture
async def client(tmp_path: Path, runs: IntegrityRuns) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the routes, whose admin service can't be started any more."""
    process = AdminProcess(tmp_path)
    await process.close()
    api = AdminApi(Admin(process, runs), runs, LaneControls(tmp_path))
    transport = httpx.ASGITransport(Starlette(routes=api.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as made:
        yield made


def _run(kind: IntegrityRun.Kind, start_ms: int, outcome: str = "SOUND") -> IntegrityRun:
    return IntegrityRun(kind=kind, outcome=outcome, start_time=timestamp(start_ms))


async def test_a_lane_is_paused_and_resumed(client: httpx.AsyncClient) -> None:
    """With who and why; what is wanted of each lane is listed."""
    asked = {"lane": "lane-redis", "principal": "ana", "justification": "an index is made"}
    paused = (await client.post("/api/lanes:pause", json=asked)).raise_for_status().json()
    assert (paused["lane"], paused["pause"]["principal"]) == ("lane-redis", "ana")
    lanes = (await client.get("/api/lanes")).json()["controls"]
    assert [one["lane"] for one in lanes if "pause" in one] == ["lane-redis"]
    (await client.post("/api/lanes:resume", json=asked)).raise_for_status()
    assert not any("pause" in one for one in (await client.get("/api/lanes")).json()["controls"])


async def test_what_is_no_request_is_refused(client: httpx.AsyncClient) -> None:
    """With the status and the structure of every error."""
    missing = await client.post("/api/lanes:pause", json={"lane": "lane-redis"})
    assert missing.status_code == 400
    assert missing.json()["details"][0]["reason"] == "INVALID_FIELD"
    assert (await client.post("/api/lanes:pause", content=b"\xff{")).status_code == 400
    assert (await client.post("/api/lanes:pause", json={"lanes": 1})).json()["details"][0]["reason"] == (
        Reason.MALFORMED_REQUEST.name
    )
    assert (await client.post("/api/lanes:pause", content=b" " * 70_000)).status_code == 413
    for path, body in (
        (path, body) for path in ("lanes:pause", "integrity:check") for body in ("[]", "null", "1", '""')
    ):
        refused = await client.post(f"/api/{path}", content=body)
        assert (refused.status_code, refused.json()["details"][0]["reason"]) == (400, "MALFORMED_REQUEST"), (path, body)


async def test_a_service_that_cannot_be_started_is_told(client: httpx.AsyncClient) -> None:
    """On every path that needs it, as an error of its own."""
    for path in ("deadLetters:list", "deadLetters:redrive", "deadLetters:discard", "integrity:check"):
        answer = await client.post(f"/api/{path}", json={})
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (503, "ADMIN_UNAVAILABLE"), path
    assert (await client.get("/api/deadLetters/0:1")).status_code == 503


async def test_the_last_run_of_each_kind_is_kept(
    client: httpx.AsyncClient, runs: IntegrityRuns, tmp_path: Path
) -> None:
    """Over a restart; one that began earlier replaces none."""
    runs.record(_run(IntegrityRun.CHECK, 2000))
    runs.record(_run(IntegrityRun.REPAIR, 1000))
    runs.record(_run(IntegrityRun.CHECK, 1000, "DRIFT"))
    shown = (await client.get("/api/integrityRuns")).json()["runs"]
    assert [(run["kind"], run["outcome"]) for run in shown] == [("CHECK", "SOUND"), ("REPAIR", "SOUND")]
    assert IntegrityRuns(tmp_path).runs() == runs.runs()


def test_a_run_that_says_too_little_or_too_much_is_refused(runs: IntegrityRuns) -> None:
    """Anybody of this machine may send one."""
    large = _run(IntegrityRun.CHECK, 1000)
    large.problem = "x" * 300_000
    for run in (IntegrityRun(), IntegrityRun(kind=IntegrityRun.CHECK), large):
        with pytest.raises(PolystreamError) as refused:
            runs.record(run)
        assert refused.value.reason is Reason.INVALID_FIELD
    assert not runs.runs()
