"""Tells whether one service is well, for whoever keeps it running: a container's health check, a unit file, a probe.

    python -m stack.health grpc 127.0.0.1:50051
    python -m stack.health http 127.0.0.1:8089/healthz
    python -m stack.health lane /tmp/lane.json
    python -m stack.health progress /tmp/lane.json

`lane` is for whoever asks whether it does its work; `progress` for whoever would end it and start it again, as a
liveness probe does: a lane whose store is down waits, and makes progress. Both look until the lane has gone one more
round, which takes it a second or two; allow them 35 s.

Ends with 0 when it is, else with 1 and one line that says why. It is asked every few seconds, so it imports nothing
but what needs the standard library alone, and takes no setting: what it asks stands in its arguments.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mesh.health.report import FileReading, HealthState, PartReport, read_file
from stack import probes

_BEATS_MAX_STILL_S: Final = 30.0  # as long as the supervisor lets a part stand still
_INTERVAL_S: Final = 0.2


class SickError(Exception):
    """Why a service is not well."""


def check_grpc(target: str) -> None:
    """Raise SickError unless the server at HOST:PORT says SERVING. Raises OSError where it does not answer."""
    host, _, port = target.rpartition(":")
    if not probes.grpc_serves(host, int(port)):
        raise SickError(f"{target} answers, and does not serve")


def check_http(target: str) -> None:
    """Raise SickError unless GET HOST:PORT/PATH is answered with 200. Raises OSError where nothing answers."""
    address, _, path = target.partition("/")
    host, _, port = address.rpartition(":")
    if not probes.http_answers(host, int(port), f"/{path}"):
        raise SickError(f"{target} answers with another status than 200")


def check_lane(target: str) -> None:
    """Raise SickError unless the lane that writes the health file `target` is HEALTHY, and goes its rounds.

    One that is paused, and waits for nothing, is well: it does what is wanted of it.
    """
    report = _read(Path(target)).report
    _require_life(target, report)
    is_paused = report.pause is not None and not report.waits
    if report.state is not HealthState.HEALTHY and not is_paused:
        raise SickError(f"{report.name} is {report.state.value}: {report.cause}")
    check_progress(target)


def check_progress(target: str) -> None:
    """Raise SickError unless the process that writes the health file `target` lives and goes its rounds.

    What waits for a store does: killing it would help nobody. The file is read until its beats have changed, by this
    process's own clock, and for 30 s at most: what the file's time or the time of day says is nothing to go by.
    """
    file = Path(target)
    first, began_s = _read(file), time.monotonic()
    while True:
        _require_life(target, first.report)
        now = _read(file)
        if (now.beats, now.report.pid) != (first.beats, first.report.pid):
            return
        if time.monotonic() - began_s > _BEATS_MAX_STILL_S:
            raise SickError(f"{first.report.name} has stood still for {_BEATS_MAX_STILL_S:.0f} s: {first.report.doing}")
        time.sleep(_INTERVAL_S)


def _read(file: Path) -> FileReading:
    try:
        return read_file(file)
    except FileNotFoundError as error:
        raise SickError(f"{file} is not there: the process has not begun to write it, or has stopped") from error
    except ValueError as error:
        raise SickError(f"{file} is no health file") from error


def _require_life(target: str, report: PartReport) -> None:
    try:
        os.kill(report.pid, 0)
    except ProcessLookupError as error:
        raise SickError(f"process {report.pid}, which wrote {target}, has died") from error
    except PermissionError:
        pass  # another user's lives, too


CHECKS: Final[dict[str, Callable[[str], None]]] = {
    "grpc": check_grpc,
    "http": check_http,
    "lane": check_lane,
    "progress": check_progress,
}


def main() -> int:
    """Read the arguments and check once."""
    parser = argparse.ArgumentParser(prog="python -m stack.health")
    parser.add_argument("kind", choices=CHECKS)
    parser.add_argument("target", help="HOST:PORT, HOST:PORT/PATH, or the health file")
    arguments = parser.parse_args()
    try:
        CHECKS[arguments.kind](arguments.target)
    except SickError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{arguments.target} does not answer: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
