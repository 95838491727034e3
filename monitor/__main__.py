"""`python -m monitor`: settings → store → servers → topics → drain."""

from mesh import startup

startup.begin()
# ruff: noqa: E402 - what is imported from here on is not looked through for garbage

import asyncio
import signal
import sys

import structlog
import uvloop

from mesh.settings import (
    EventStoreSettings,
    JaegerSettings,
    KafkaSettings,
    MonitorSettings,
    RegistrySettings,
    TelemetrySettings,
)
from mesh.settings_base import check_settings
from mesh.telemetry.logs import configure_logging
from monitor.bootstrap import build
from monitor.priority import yield_to_services

_GRPC_GRACE_S = 2.0

log = structlog.stdlib.get_logger("monitor")


async def run() -> int:
    """Serve until SIGTERM or SIGINT, or until a thread dies; 0 after a clean stop."""
    monitor = build()
    startup.end()
    monitor.health_file.start()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    if monitor.forwarder is not None:
        monitor.threads.watch("forwarder", monitor.forwarder.start())
    await monitor.grpc_server.start()
    monitor.metrics.start()
    monitor.ingest.start()
    monitor.lag.start()
    tasks = [
        monitor.threads.watch("retention", asyncio.create_task(monitor.retention.run())),
        monitor.threads.watch("own-health", asyncio.create_task(monitor.own_health.run())),
    ]
    # uvicorn would put its own signal handlers in place of ours: `serve` without them.
    pages = asyncio.create_task(monitor.http_server._serve())  # noqa: SLF001 # `serve` minus the signal handlers
    pages.add_done_callback(lambda _: stopping.set())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    death = asyncio.create_task(monitor.threads.first_death())
    death.add_done_callback(lambda _: stopping.set())
    log.info("ready")
    await stopping.wait()

    await monitor.admin.close()  # what pages wait for of it ends
    monitor.pages.close()
    monitor.http_server.should_exit = True
    await pages
    for task in (*tasks, death):
        task.cancel()
    await asyncio.to_thread(monitor.lag.stop)
    await asyncio.to_thread(monitor.ingest.stop)
    await asyncio.to_thread(monitor.metrics.shutdown)
    await monitor.grpc_server.stop(_GRPC_GRACE_S)
    if monitor.forwarder is not None:
        await monitor.forwarder.stop()
    await monitor.gateway.close()
    monitor.store.close()
    monitor.metric_store.close()
    monitor.health_file.stop()
    log.info("stopped")
    return 0 if monitor.threads.all_alive else 1


def main() -> int:
    """Run the monitor, and return its exit code. Raises SettingsError."""
    yield_to_services()  # before it has threads: on Linux each has a niceness of its own, its parent's
    own = (MonitorSettings, TelemetrySettings, EventStoreSettings, JaegerSettings)
    check_settings((*own, KafkaSettings, RegistrySettings))
    configure_logging("monitor", TelemetrySettings())
    return uvloop.run(run())


if __name__ == "__main__":
    sys.exit(startup.run(main))
