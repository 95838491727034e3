"""Whatever is on the topics, every good command is applied and told, and all else is set apart or passed over, counted.

`POLYSTREAM_RECORD_FUZZ_COUNT` sets how many foreign records are sent, `POLYSTREAM_RECORD_FUZZ_SEED` which ones. Who
sends them is a program of its own: `python -m tests.support.fuzz.record_run` against any platform that runs alone.
"""

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.bounded import run_bounded
from tests.support.engine_sets import chosen_sets
from tests.support.platform import Platform

_ROOT: Final = Path(__file__).parents[2]
_COUNT: Final = int(os.environ.get("POLYSTREAM_RECORD_FUZZ_COUNT", "5000"))
_SEED: Final = int(os.environ.get("POLYSTREAM_RECORD_FUZZ_SEED", "20261129"))
_RECORDS_A_SECOND_MIN: Final = 50
_TIMEOUT_S: Final = 240 + _COUNT / _RECORDS_A_SECOND_MIN


@pytest.mark.timeout(_TIMEOUT_S + 180)
def test_no_record_stops_the_platform_or_is_lost_sight_of(tmp_path: Path) -> None:
    """On all three topics: odd keys, headers, values, times, schema IDs and sizes, between good commands."""
    options = ("--seed", str(_SEED), "--count", str(_COUNT))
    # A platform of its own: the counts are of what its topics have, from the first record on.
    with Platform(tmp_path / "platform", engine_set=chosen_sets()[-1]) as platform:
        argv = (sys.executable, "-m", "tests.support.fuzz.record_run", str(platform.data_dir), *options)
        done = run_bounded(argv, timeout_s=_TIMEOUT_S, cwd=_ROOT)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"seed {_SEED}, {_COUNT} records" in done.stdout
    assert "nothing found" in done.stdout
