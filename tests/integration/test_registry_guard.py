"""No page of elsewhere changes a schema in the pocket registry."""

import json
from pathlib import Path

import httpx

from tests.support.registry_server import PocketRegistry


def test_the_registrys_own_api_is_guarded(tmp_path: Path) -> None:
    """A client is served; a page of elsewhere registers and deletes nothing, whatever its body is said to be."""
    registry = PocketRegistry(tmp_path, allowed_hosts="schema-registry")
    registry.start()
    try:
        body = json.dumps({"schema": '"string"'})
        with httpx.Client(base_url=registry.url) as client:
            for status, headers in (
                (403, {"origin": "http://rebind.example"}),
                (403, {"origin": "null", "content-type": ""}),
                (421, {"host": "rebind.example"}),
                (421, {"host": "rebind.example", "origin": "http://rebind.example"}),
            ):
                asked = [
                    client.post("/subjects/guarded/versions", content=body, headers=headers),
                    client.put("/config", content='{"compatibility": "NONE"}', headers=headers),
                    client.delete("/subjects/guarded", headers=headers),
                ]
                assert [answer.status_code for answer in asked] == [status] * 3
            assert client.get("/subjects").json() == []
            assert client.get("/config").json() == {"compatibilityLevel": "FULL_TRANSITIVE"}
            known = client.post("/subjects/guarded/versions", content=body, headers={"host": "schema-registry:8181"})
            assert known.status_code == 200
    finally:
        registry.stop()
