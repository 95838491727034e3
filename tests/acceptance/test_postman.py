"""The Postman collection runs as people run it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.npm_tools import newman

_RUN_TIMEOUT_S = 120


@pytest.mark.every_door
@pytest.mark.timeout(420)  # newman may have to be installed first
def test_newman_runs_the_collection(door_url: str, repository: Path, tmp_path: Path) -> None:
    """Every request is answered, every command succeeds in its stores, and no assertion fails."""
    report = tmp_path / "report.json"
    finished = subprocess.run(
        [
            newman(),
            "run",
            repository / "Plataforma de Streaming API.postman_collection.json",
            *("--env-var", f"base_url={door_url}"),
            *("--reporters", "cli,json", "--reporter-json-export", report, "--color", "off"),
        ],
        capture_output=True,
        text=True,
        timeout=_RUN_TIMEOUT_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr
    run: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))["run"]
    assert run["failures"] == []
    # Executions are those of the pre-request scripts too; each request of the collection has its assertions.
    assert run["stats"]["items"]["total"] >= 54
    asserted = {execution["item"]["id"] for execution in run["executions"] if execution.get("assertions")}
    assert len(asserted) == run["stats"]["items"]["total"]
