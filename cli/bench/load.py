"""Load by h2load, closed loop: a fixed number of requests over a fixed number of streams.

One h2load sends one body, so there is one for each body, all at the same time.
"""

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INSTALL_COMMAND = "apt-get install nghttp2-client"
_TIMEOUT_S = 120.0


class LoadError(Exception):
    """The load could not be applied; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and what they carry."""

    url: str
    bodies: Sequence[bytes]  # one a sender
    headers: Sequence[tuple[str, str]]
    http2: bool  # one HTTP/2 connection a sender, or HTTP/1.1 with one connection a stream


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One run of the load, all senders together."""

    requests: int
    answered_2xx: int
    elapsed_s: float  # from the first request to the end of the last answer
    p50_ms: float
    p99_ms: float


def find_h2load() -> str:
    """Return h2load's path. Raises LoadError that names the command which installs it."""
    path = shutil.which("h2load")
    if path is None:
        raise LoadError(f"h2load is not installed: run `{INSTALL_COMMAND}` (Debian, Ubuntu) and try again")
    return path


def apply_load(target: Target, requests: int, streams: int) -> LoadResult:
    """Send `requests` requests, `streams` at a time, and return what came of them.

    Both are divided among the senders: `streams` must be a multiple of their number, `requests` is rounded down to
    one. Raises LoadError when h2load makes no measurement.
    """
    senders = len(target.bodies)
    if streams % senders:
        raise ValueError(f"{streams} streams cannot be divided among {senders} senders")
    with tempfile.TemporaryDirectory(prefix="polystream-load-") as name:
        folder = Path(name)
        running = [
            _start(target, body, folder / str(sender), requests // senders, streams // senders)
            for sender, body in enumerate(target.bodies)
        ]
        _wait(running, target.url)
        return _result([folder / str(sender) / "log" for sender in range(senders)], requests // senders * senders)


def _start(target: Target, body: bytes, folder: Path, requests: int, streams: int) -> subprocess.Popen[bytes]:
    folder.mkdir()
    (folder / "body").write_bytes(body)
    http2, http1 = ["--clients=1", f"--max-concurrent-streams={streams}"], ["--h1", f"--clients={streams}"]
    shape = http2 if target.http2 else http1
    argv = [find_h2load(), *shape, f"--requests={requests}", f"--data={folder / 'body'}"]
    argv += [f"--log-file={folder / 'log'}", *(f"--header={name}: {value}" for name, value in target.headers)]
    return subprocess.Popen([*argv, target.url], stdout=subprocess.DEVNULL)  # noqa: S603 - the benchmark's own


def _wait(running: Sequence[subprocess.Popen[bytes]], url: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    try:
        codes = [process.wait(max(0.0, deadline - time.monotonic())) for process in running]
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{url} did not answer all requests within {_TIMEOUT_S:.0f} s") from error
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    if any(codes):
        raise LoadError(f"h2load ended with {max(codes)} at {url}")


def _result(logs: Sequence[Path], requests: int) -> LoadResult:
    """Read h2load's logs: a line an answer, with its start in µs, its HTTP status and its duration in µs."""
    rows = [line.split("\t") for log in logs if log.exists() for line in log.read_text(encoding="ascii").splitlines()]
    answers = [(int(row[0]), int(row[2])) for row in rows if len(row) >= 3 and row[1].startswith("2")]
    if len(answers) < 2:
        raise LoadError(f"{len(answers)} of {requests} requests were answered with a 2xx status")
    quantiles = statistics.quantiles((duration / 1000 for _, duration in answers), n=100)
    first_us = min(start for start, _ in answers)
    last_us = max(start + duration for start, duration in answers)
    return LoadResult(
        requests=requests,
        answered_2xx=len(answers),
        elapsed_s=(last_us - first_us) / 1e6,
        p50_ms=quantiles[49],
        p99_ms=quantiles[98],
    )
