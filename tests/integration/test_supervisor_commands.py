"""`logs`, `restart` and `open`, on one real engine and two small services."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.dummies import Dummy, dummies, polystream
from tests.support.platform import CHECKOUT

_PART_AT = len("2026-11-30T05:13:05.500Z WARNING ")
_ID = "019a1b2c-3d4e-7f50-8123-456789abcdef"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Dummy]]:
    """Return what starts supervisors, which end with the test."""
    with dummies(tmp_path) as start_one:
        yield start_one


def _parts(shown: str) -> list[str]:
    """Return the part of each line: behind its time and its level, where it has them."""
    return [line[_PART_AT:].split()[0] for line in shown.splitlines()]


def write_logs(folder: Path) -> None:
    """Write logs in the forms of several parts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gateway-0.log.1").write_text(json.dumps({"id": _ID, "timestamp": "2026-11-30T05:13:01Z"}) + "\n")
    (folder / "gateway-0.log").write_text(json.dumps({"event": "g", "timestamp": "2026-11-30T05:13:05.5Z"}) + "\n")
    (folder / "postgresql.log").write_text(
        f"2026-11-30 05:13:04.25 UTC [6] LOG:  p\n\tof {_ID.upper()}\n2026-11-30 05:13:06 UTC [6] LOG:  \x1b[2J\n"
        "half a line"
    )


def test_logs_are_one_in_the_order_of_time(tmp_path: Path) -> None:
    """Lines without a time stay behind theirs, no terminal gets an order, and what has no end yet is left out."""
    write_logs(tmp_path / "logs")
    shown = polystream("logs", "--text", "--data-dir", str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    parts = _parts(shown.stdout)
    assert parts == ["gateway-0", "postgresql", "postgresql", "gateway-0", "postgresql"]
    assert "\\x1b[2J" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "half a line" not in shown.stdout
    last = polystream("logs", "gateway-0", "--lines", "1", "--json", "--data-dir", str(tmp_path))
    document = json.loads(last.stdout)
    assert (document["part"], document["timestamp"]) == ("gateway-0", "2026-11-30T05:13:05.500Z")
    assert json.loads(document["line"])["event"] == "g"
    every = polystream("logs", "gateway", "--data-dir", str(tmp_path))  # as `restart` takes it: every gateway
    assert {json.loads(line)["part"] for line in every.stdout.splitlines()} == {"gateway-0"}


def test_logs_of_one_operation(tmp_path: Path) -> None:
    """Every line that names it, however it is written, out of the files that were put aside too."""
    write_logs(tmp_path / "logs")
    shown = polystream("logs", "--correlation-id", _ID, "--data-dir", str(tmp_path))
    lines = [json.loads(line) for line in shown.stdout.splitlines()]  # no terminal reads them
    assert sorted(line["part"] for line in lines) == ["gateway-0", "postgresql"]
    assert all(_ID in line["line"].lower() for line in lines)


def test_logs_are_followed_over_a_rotation(tmp_path: Path) -> None:
    """What is written comes at once, the end of a file that is put aside included."""
    write_logs(tmp_path / "logs")
    log = tmp_path / "logs" / "gateway-0.log"
    command = [
        sys.executable,
        "-m",
        "cli",
        "logs",
        "gateway-0",
        "--follow",
        "--lines",
        "1",
        "--text",
        "--data-dir",
        str(tmp_path),
    ]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        try:
            assert following.stdout.readline().split() == ["2026-11-30T05:13:05.500Z", "gateway-0", "g"]
            with log.open("a") as file:
                file.write("before\n")
            log.replace(log.with_name("gateway-0.log.1"))
            log.write_text("after\n")
            assert following.stdout.readline().split()[-2:] == ["gateway-0", "before"]
            assert following.stdout.readline().split()[-2:] == ["gateway-0", "after"]
        finally:
            following.terminate()


def test_a_mistake_is_told_first_and_alone(tmp_path: Path) -> None:
    """No logs, no such part, no such page, nothing that runs: one sentence, and the exit code 2."""
    write_logs(tmp_path / "some" / "logs")
    for arguments, said in (
        (("logs", "--data-dir", str(tmp_path)), "there are no logs in"),
        (("logs", "gatway", "--data-dir", str(tmp_path / "some")), "there are gateway-0, postgresql"),
        (("logs", "--correlation-id", "foo"), "'foo' is no correlation ID"),
        (("restart", "web", "--data-dir", str(tmp_path)), "no platform runs on"),
        (("open", "--data-dir", str(tmp_path)), "no platform runs on"),
        (("open", "dashbord", "--data-dir", str(tmp_path)), "did you mean dashboard?"),
        (("restart",), "it needs PART"),
    ):
        done = polystream(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert said in done.stderr, arguments


def test_restart_and_open(start: Callable[..., Dummy]) -> None:
    """A part is started again and ready; one that there is not is told; a page that is not there, too."""
    dummy = start()
    dummy.until("ready")
    pid, folder = dummy.part("worker").pid, ("--data-dir", str(dummy.data_dir))
    done = polystream("restart", "worker", *folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("worker is ready again after ")
    assert dummy.part("worker").pid not in {None, pid}
    assert dummy.part("worker").restarts == 0
    wrong = polystream("restart", "wroker", *folder)
    assert wrong.returncode == 1
    assert "there are redis, web, worker" in wrong.stderr
    assert polystream("open", "jaeger", "--print", *folder).returncode == 2


def test_the_version_is_told() -> None:
    """As `polystream` of this checkout has it."""
    done = polystream("--version")
    assert done.returncode == 0
    assert f'version = "{done.stdout.split()[1]}"' in (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    assert polystream("help", "logs").stdout == polystream("logs", "--help").stdout
