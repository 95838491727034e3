"""Load, closed loop: a fixed number of requests over a fixed number of streams.

The generator is a small program in Go (`deploy/native/load`), built once into the cache. It runs wherever Go does,
sends HTTP/1.1 and gRPC alike, and takes about half of the CPU time for a request that h2load does, which needs root to
install.
"""

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from stack.engines.native.golang import GoModule, provide
from stack.engines.spec import StackError

GENERATOR: Final = GoModule("load", ".", "It takes about a minute, and 0.1 GB of disk, which is free again afterwards")
_TIMEOUT_S: Final = 120.0
_EXIT_TIMEOUT_S: Final = 10.0


class LoadError(Exception):
    """The load could not be applied; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and what they carry."""

    port: int  # on the loopback interface
    path: str
    bodies: Sequence[bytes]  # one a sender
    headers: Sequence[tuple[str, str]]
    http2: bool  # gRPC: one HTTP/2 connection a sender; else HTTP/1.1 with one connection a stream


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One run of the load, all senders together."""

    requests: int
    accepted: int  # answered with a 2xx status, and with grpc-status 0 over gRPC
    elapsed_s: float  # from the first request to the end of the last answer
    p50_ms: float  # of the accepted ones
    p99_ms: float


def provide_generator(report: Callable[[str], None]) -> None:
    """Build the generator where it is missing, telling how it goes. Raises LoadError."""
    try:
        provide(GENERATOR, report)
    except StackError as error:
        raise LoadError(str(error)) from error


def apply_load(target: Target, requests: int, streams: int) -> LoadResult:
    """Send `requests` requests, `streams` at a time, and return what came of them.

    `streams` must be a multiple of the number of senders. Raises LoadError when no measurement is made.
    """
    if streams % len(target.bodies):
        raise ValueError(f"{streams} streams cannot be divided among {len(target.bodies)} senders")
    order = asdict(target) | {
        "address": f"127.0.0.1:{target.port}",
        "bodies": [base64.b64encode(body).decode() for body in target.bodies],
        "requests": requests,
        "streams": streams,
        "timeout_s": _TIMEOUT_S,
    }
    try:
        run = subprocess.run(  # noqa: S603 - the benchmark's own
            [GENERATOR.program],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S + _EXIT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"port {target.port} did not answer all requests within {_TIMEOUT_S:.0f} s") from error
    if run.returncode != 0:
        raise LoadError(f"the load on port {target.port} ended early: {run.stderr.strip()}")
    return LoadResult(**json.loads(run.stdout))
