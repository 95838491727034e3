"""Runs the gateway: `python -m gateway`. SIGTERM and SIGINT drain it."""

from mesh import startup

startup.begin()
# ruff: noqa: E402 - what is imported from here on is not looked through for garbage

import asyncio
import resource
import signal
import sys

import structlog
import uvloop

from gateway.bootstrap import build
from mesh.errors import PolystreamError
from mesh.settings import (
    GatewaySettings,
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
from mesh.telemetry.metric_list import Service
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.tracing import Tracing

SERVICE = Service.GATEWAY.value

log = structlog.stdlib.get_logger(SERVICE)


async def serve(settings: GatewaySettings, telemetry: TelemetrySettings) -> int:
    """Serve until SIGTERM or SIGINT comes, or a thread dies. Returns the exit code: 0 after a clean stop, else 1."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopping.set)

    tracing = Tracing(SERVICE, settings.name, telemetry)
    try:
        gateway = build(settings, tracing, Metrics(Service.GATEWAY, settings.name, telemetry))
    except OSError as error:
        log.error("the gateway cannot start", error=str(error))
        return 1
    startup.end()
    starting = asyncio.create_task(gateway.start())
    ending = (asyncio.create_task(stopping.wait()), asyncio.create_task(gateway.threads.first_death()))
    await asyncio.wait((starting, *ending), return_when=asyncio.FIRST_COMPLETED)
    failed = starting.done() and starting.exception()
    if failed:
        log.error("the gateway cannot start", error=_describe(failed))
    else:
        await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        log.info("draining")
    for task in (starting, *ending):
        task.cancel()
    await asyncio.gather(starting, *ending, return_exceptions=True)
    await gateway.stop()
    tracing.shutdown()
    log.info("stopped")
    return 0 if gateway.threads.all_alive and not failed else 1


def main() -> int:
    """Read the settings and serve. Returns `serve`'s exit code. Raises SettingsError."""
    engines = (KafkaSettings, RegistrySettings, PostgresSettings, MongoSettings, RedisSettings)
    check_settings((GatewaySettings, LaneSettings, TelemetrySettings, *engines))
    settings, telemetry = GatewaySettings(), TelemetrySettings()
    configure_logging(SERVICE, telemetry)
    _allow_files()
    return uvloop.run(serve(settings, telemetry))


def _allow_files() -> None:
    """Let the process open as many files as it may: each connection is one, and the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _describe(error: BaseException) -> str:
    return error.message if isinstance(error, PolystreamError) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(startup.run(main))
