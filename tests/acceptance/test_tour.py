"""The README's tour does what it says."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.platform import Platform
from tests.support.waiting import eventually

TOUR_TIMEOUT_S = 120


def tour(repository: Path) -> list[tuple[str, str]]:
    """Return the language and the text of every block of the tour, in order."""
    section = (repository / "README.md").read_text(encoding="utf-8").split("## A five-minute tour")[1].split("\n## ")[0]
    return re.findall(r"```(bash|python)\n(.*?)```", section, flags=re.DOTALL)


def script(blocks: list[tuple[str, str]], platform: Platform, door_url: str) -> str:
    """Return the tour as one shell script for this platform."""
    address = httpx.URL(door_url).netloc.decode()
    lines = ["set -euo pipefail"]
    for language, text in blocks:
        here = text.replace("localhost:8000", address)
        here = re.sub(
            r"python3 start\.py ((?:explain|call) [^\n]+)",
            rf"{sys.executable} -m cli \1 --data-dir {platform.data_dir}",
            here,
        )
        lines.append(f"{sys.executable} - <<'PROGRAM'\n{here}PROGRAM" if language == "python" else here)
        lines.append("echo; echo ----")
    return "\n".join(lines)


@pytest.mark.every_door
def test_the_tour_runs_as_it_is_written(platform: Platform, door_url: str, repository: Path) -> None:
    """Every command of the tour succeeds, in one shell, in order; and says what the text says."""
    blocks = tour(repository)
    assert [language for language, _ in blocks].count("python") == 1
    assert len(blocks) >= 6
    finished = subprocess.run(
        ["bash", "-c", script(blocks, platform, door_url)],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=TOUR_TIMEOUT_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    answers = finished.stdout.split("----")
    assert '"command":"CreateUser"' in answers[0]
    assert '"state":"SUCCEEDED"' in answers[1]
    assert "INVALID_FIELD" in answers[2]
    assert '"items":[{' in answers[3]
    assert "polystream.v1.UserService/CreateUser" in answers[4]
    assert '"command": "CreateSubscription"' in answers[4]
    assert "command.succeeded" in answers[-2]


@pytest.mark.every_door
def test_the_pages_that_the_readme_names_are_there(platform: Platform, door_url: str) -> None:
    """The dashboard, Swagger UI and the document that it shows."""
    dashboard = httpx.get(platform.endpoints["dashboard"])
    assert "Polystream" in dashboard.text
    docs = httpx.get(f"{door_url}/docs", follow_redirects=True)
    assert "swagger-ui" in docs.text
    document = eventually(lambda: httpx.get(f"{door_url}/openapi.json").json(), 30)
    assert "/usuarios" in document["paths"]
    for asset in re.findall(r'(?:src|href)="(/[^"]+)"', docs.text):
        assert httpx.get(f"{door_url}{asset}").status_code == 200, asset
