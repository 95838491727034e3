"""`python -m processor.admin SOCKET`: serves the admin service on a socket in the file system, to its owner alone.

Whoever starts it holds its standard input open: it ends when that is closed, when SIGTERM comes, or when nobody has
called for two minutes.
"""

from mesh import startup

startup.begin()
# ruff: noqa: E402 - what is imported from here on is not looked through for garbage

import argparse
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Final

import grpc
import structlog
from polystream.admin.v1.dead_letters_pb2_grpc import add_DeadLetterServiceServicer_to_server
from polystream.admin.v1.integrity_pb2_grpc import add_IntegrityServiceServicer_to_server

from mesh.settings import (
    KafkaSettings,
    LaneSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
    TelemetrySettings,
)
from mesh.settings_base import check_settings
from mesh.telemetry.logs import configure_logging
from processor.admin.calls import AdminCalls
from processor.admin.dead_letters import DeadLetterServicer
from processor.admin.integrity import IntegrityServicer

_THREADS: Final = 8
_CALLS_MAX: Final = 32  # under way or waiting; further ones are refused
_IDLE_MAX_S: Final = 120.0
_LOOK_INTERVAL_S: Final = 1.0
_GRACE_S: Final = 2.0
_OWNER_ONLY: Final = 0o177

_LOG = structlog.get_logger(__name__)


def serve(path: Path, idle_max_s: float) -> int:
    """Serve until it is to end; 0 then."""
    stop, calls = Event(), AdminCalls()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Thread(target=_watch_starter, args=(stop,), name="starter", daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(_THREADS), maximum_concurrent_rpcs=_CALLS_MAX)
    add_DeadLetterServiceServicer_to_server(DeadLetterServicer(calls), server)
    add_IntegrityServiceServicer_to_server(IntegrityServicer(calls), server)
    path.unlink(missing_ok=True)
    before = os.umask(_OWNER_ONLY)
    try:
        server.add_insecure_port(f"unix:{path}")
    finally:
        os.umask(before)
    server.start()
    startup.end()
    _LOG.info("admin service is ready")
    while not stop.wait(_LOOK_INTERVAL_S) and calls.idle_s() < idle_max_s:
        pass
    server.stop(_GRACE_S).wait()
    path.unlink(missing_ok=True)
    _LOG.info("admin service has stopped")
    return 0


def _watch_starter(stop: Event) -> None:
    """End with whoever has started this process: the system then closes its end of the pipe."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


def main() -> int:
    """Read the arguments and the settings, and serve. Raises SettingsError."""
    parser = argparse.ArgumentParser(prog="python -m processor.admin", description=__doc__)
    parser.add_argument("socket", type=Path, help="where to listen")
    parser.add_argument("--idle-s", type=float, default=_IDLE_MAX_S, help="how long it lives on without a call")
    arguments = parser.parse_args()
    engines = (KafkaSettings, RegistrySettings, PostgresSettings, MongoSettings, RedisSettings)
    check_settings((TelemetrySettings, LaneSettings, *engines))
    configure_logging("processor-admin", TelemetrySettings())
    return serve(arguments.socket, arguments.idle_s)


if __name__ == "__main__":
    code = startup.run(main)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a call that does not end, and the thread that waits for the starter, hold nothing up
