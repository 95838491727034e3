"""The page of the lanes: what it shows of each, and pausing and resuming one with its form."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from mesh.health.components import HeardPart
from mesh.health.report import HealthState, Lag, PartReport
from monitor.lane_control import LaneControls
from monitor.pages import lanes
from monitor.pages.frame import Frame
from monitor.pages.live import LivePages

_ASKED = {"lane": "lane-redis", "principal": "ana", "justification": "an <index> is made", "action": "pause"}


@pytest.fixture
def controls(tmp_path: Path) -> LaneControls:
    """Return what is wanted of each lane."""
    return LaneControls(tmp_path)


@pytest.fixture
async def client(controls: LaneControls) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the page, which has heard of one process of a lane."""
    report = PartReport(
        *("lane-redis-0", "lane-redis", 7, HealthState.HEALTHY, "applies commands", 0),
        lag=Lag(1234, 90_000),
        counts={"batch_records": 17},
        partitions=(0, 3),
    )
    frame = Frame([lanes.page(lambda: [HeardPart(report, 0.0)], controls)], {}, LivePages())
    transport = httpx.ASGITransport(Starlette(routes=frame.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as made:
        yield made


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ('Lag <strong class="number lag">1,234</strong>', "Resume", "No process of this lane reports.")),
        ("pt-BR", ('Atraso <strong class="number lag">1.234</strong>', "Retomar", "Nenhum processo desta lane")),
    ],
)
async def test_each_lane_is_shown(client: httpx.AsyncClient, language: str, texts: tuple[str, ...]) -> None:
    """With its lag, partitions and batch, in both languages; one that nobody hears of, too."""
    shown = (await client.get("/lanes", params={"lang": language})).raise_for_status().text
    for text in (*texts, "lane-redis-0", "0, 3", ">17<", "lane-postgresql"):
        assert text in shown


async def test_a_lane_is_paused_and_resumed_with_the_form(client: httpx.AsyncClient, controls: LaneControls) -> None:
    """Who and why are shown, as text."""
    paused = (await client.post("/lanes", data=_ASKED)).raise_for_status().text
    assert "Paused by ana since" in paused
    assert "an &lt;index&gt; is made" in paused
    assert controls.pause_of("lane-redis") is not None
    resumed = (await client.post("/lanes", data=_ASKED | {"action": "resume"})).raise_for_status().text
    assert "Paused by" not in resumed
    assert controls.pause_of("lane-redis") is None


@pytest.mark.parametrize("fault", [{"justification": ""}, {"lane": "lane-oracle"}, {"action": "stop"}])
async def test_a_form_that_is_no_good_is_told(
    client: httpx.AsyncClient, controls: LaneControls, fault: dict[str, str]
) -> None:
    """With the field at fault; what was written stays in it, and nothing is changed."""
    refused = await client.post("/lanes", data=_ASKED | fault)
    assert refused.status_code == 400
    assert f"<code>{next(iter(fault))}</code>" in refused.text
    assert 'value="ana"' in refused.text
    assert controls.pause_of("lane-redis") is None
