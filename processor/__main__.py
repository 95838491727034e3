"""Runs a lane, `python -m processor --store postgresql`, or migrates the stores, `python -m processor migrate`.

SIGTERM and SIGINT let a lane finish its batch.
"""

from mesh import startup

startup.begin()
# ruff: noqa: E402 - what is imported from here on is not looked through for garbage

import argparse
import signal
import sys
from threading import Event

import structlog
from polystream.options.v1 import options_pb2

from mesh.errors import PolystreamError
from mesh.settings import (
    KafkaSettings,
    LaneSettings,
    MigrationSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
    TelemetrySettings,
)
from mesh.settings_base import check_settings
from mesh.telemetry.logs import configure_logging
from mesh.threads import CriticalThreads
from processor.bootstrap import SERVICE, open_lane
from processor.lanes.receipts import SendError
from processor.migrations.runner import MigrationError

_LOG = structlog.get_logger(__name__)
_STORES = [name.lower() for name, number in options_pb2.Store.items() if number != options_pb2.STORE_UNSPECIFIED]


def run_lane(store: str, settings: LaneSettings, telemetry: TelemetrySettings) -> int:
    """Run a lane until a signal comes, or a thread dies; 0 after a clean stop."""
    stop, threads = Event(), CriticalThreads()
    threads.on_death(stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    structlog.contextvars.bind_contextvars(lane=settings.name, store=store)
    try:
        with open_lane(store.upper(), settings, telemetry, stop, threads) as lane:
            startup.end()
            _LOG.info("lane starts")
            lane.run()
    except (PolystreamError, SendError) as error:
        if stop.is_set() and threads.all_alive:
            return 0
        _LOG.error("lane ends", error=str(error))
        return 1
    _LOG.info("lane stopped")
    return 0 if threads.all_alive else 1


def run_migrations(settings: MigrationSettings) -> int:
    """Bring the stores up to date; 0 when they are."""
    from processor.migrations.all import migrate_stores  # noqa: PLC0415 - it loads every store's client, a lane one

    try:
        migrate_stores(settings)
    except (MigrationError, PolystreamError) as error:
        _LOG.error("the stores are not up to date", error=str(error))
        return 1
    return 0


def main() -> int:
    """Read the arguments and the settings, and run. Raises SettingsError."""
    parser = argparse.ArgumentParser(prog="python -m processor", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["migrate"], help="bring the stores up to date, and end")
    parser.add_argument("--store", choices=_STORES, help="run this store's lane")
    arguments = parser.parse_args()
    if (arguments.command is None) == (arguments.store is None):
        parser.error("say either migrate or --store")
    engines = (KafkaSettings, RegistrySettings, PostgresSettings, MongoSettings, RedisSettings)
    check_settings((TelemetrySettings, LaneSettings, MigrationSettings, *engines))
    telemetry, lane, migration = TelemetrySettings(), LaneSettings(), MigrationSettings()
    configure_logging(SERVICE, telemetry)
    return run_migrations(migration) if arguments.command else run_lane(arguments.store, lane, telemetry)


if __name__ == "__main__":
    sys.exit(startup.run(main))
