"""Schemathesis finds nothing: what the served OpenAPI document allows works, what it does not is refused as it says.

`POLYSTREAM_SCHEMATHESIS_EXAMPLES` sets how many requests are drawn for each operation, beside those worked out.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_EXAMPLES = os.environ.get("POLYSTREAM_SCHEMATHESIS_EXAMPLES", "1")
# What the contract allows and what it does not are the same gateway's to tell behind the edge: there, what is drawn is
# enough, and the thousands of cases that are worked out are left out.
_RUNS = {
    "gateway": ("examples,coverage,fuzzing,stateful", 2000),
    "edge": ("examples,fuzzing,stateful", 130),
}
_SEED = 20261124
_RUN_TIMEOUT_S = 900


# It comes last on its platform: whatever is there gets deleted.
@pytest.mark.every_door
@pytest.mark.timeout(_RUN_TIMEOUT_S + 60)
def test_schemathesis_finds_nothing(door: str, door_url: str, repository: Path, tmp_path: Path) -> None:
    """No server error, no undocumented answer, nothing valid refused and nothing invalid taken, by all its checks."""
    phases, cases_min = _RUNS[door]
    report = tmp_path / "report.json"
    finished = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("--config-file", repository / "tests" / "support" / "schemathesis.toml"),
            *("run", f"{door_url}/openapi.json"),
            *("--phases", phases),
            *("--max-examples", _EXAMPLES, "--seed", str(_SEED), "--generation-database", "none"),
            *("--continue-on-failure", "--warnings", "off", "--request-timeout", "20", "--no-color"),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=_RUN_TIMEOUT_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-20_000:] + finished.stderr
    run = json.loads(report.read_text(encoding="utf-8"))
    assert run["complete"] is True
    assert run["operations"]["tested"] == run["operations"]["total"] >= 54
    assert run["test_cases"]["generated"] >= cases_min
