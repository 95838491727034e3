"""Tells whether one service is well, for whoever keeps it running: a container's health check, a unit file, a probe.

    python -m stack.health grpc 127.0.0.1:50051
    python -m stack.health http 127.0.0.1:8089/healthz
    python -m stack.health lane /tmp/lane.json

Ends with 0 when it is, else with 1 and one line that says why. It is asked every few seconds, so it imports nothing
but the standard library, and takes no setting: what it asks stands in its arguments.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from stack import probes

_LANE_PAUSE_MAX_S: Final = 30.0  # a lane that works says so every second; a batch takes its time


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
    """Raise SickError unless the lane that writes the ready file `target` lives, and went its round a moment ago."""
    file = Path(target)
    try:
        # The file is replaced as a whole: these two are of the same lane, or of its successor.
        lane, silent_s = json.loads(file.read_text(encoding="utf-8")), time.time() - file.stat().st_mtime
    except FileNotFoundError as error:
        raise SickError(f"{target} is not there: the lane has no partitions, or has stopped") from error
    except ValueError as error:
        raise SickError(f"{target} is no ready file of a lane") from error
    try:
        os.kill(lane["pid"], 0)
    except ProcessLookupError as error:
        raise SickError(f"process {lane['pid']}, which wrote {target}, has died") from error
    if silent_s > _LANE_PAUSE_MAX_S:
        raise SickError(f"the lane has stood still for {silent_s:.0f} s: its store or the registry does not answer")


CHECKS: Final[dict[str, Callable[[str], None]]] = {"grpc": check_grpc, "http": check_http, "lane": check_lane}


def main() -> int:
    """Read the arguments and check once."""
    parser = argparse.ArgumentParser(prog="python -m stack.health")
    parser.add_argument("kind", choices=CHECKS)
    parser.add_argument("target", help="HOST:PORT, HOST:PORT/PATH, or the lane's ready file")
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
