"""The monitor leads to the documentation, which the gateway serves."""

from pathlib import Path

import grpc
import httpx
import pytest

from mesh.catalog import load_catalog
from mesh.settings import MonitorSettings
from monitor.pages import Pages
from monitor.service import EventLog
from monitor.store.local import LocalEventStore


@pytest.mark.parametrize(
    ("endpoints", "status", "location"),
    [('{"docs": "http://127.0.0.1:8000/docs"}', 307, "http://127.0.0.1:8000/docs"), ("{}", 404, None)],
)
async def test_docs_lead_to_the_gateway(tmp_path: Path, endpoints: str, status: int, location: str | None) -> None:
    """Where its address is known; else it is said what to set."""
    catalog = load_catalog()
    store = LocalEventStore(tmp_path, catalog)
    settings = MonitorSettings(endpoints_json=endpoints)
    async with grpc.aio.insecure_channel("127.0.0.1:1") as gateway:
        app = Pages(EventLog(store, catalog), catalog, settings, gateway, is_following=lambda: True, parts=list).app()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8089") as client:
            response = await client.get("/docs")
            assert response.status_code == status
            assert response.headers.get("location") == location
            assert (await client.get("/openapi.json")).status_code == 404
    store.close()
