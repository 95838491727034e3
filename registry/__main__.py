"""Serve the pocket registry: `python -m registry`."""

import logging
import signal
import sys

import uvicorn
from pydantic import ValidationError

from registry.app import build_app
from registry.host_guard import HostGuard
from registry.registry import Registry
from registry.settings import PocketRegistrySettings
from registry.store import RegistryStore

_DRAIN_S = 5


def main() -> None:
    """Serve until SIGTERM or SIGINT, then answer what is under way and leave.

    Exits with 2 where a setting is not valid.
    """
    try:
        settings = PocketRegistrySettings()
    except ValidationError as error:
        sys.exit(_wrong_settings(error))
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    store = RegistryStore(settings.data_dir)
    registry = Registry(store, settings.compatibility, settings.max_schemas)
    config = uvicorn.Config(
        build_app(registry, settings.max_body_bytes, HostGuard(settings.host, settings.allowed_hosts)),
        host=settings.host,
        port=settings.port,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=_DRAIN_S,
    )
    # uvicorn raises the signal again once it has drained: that is a clean end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    try:
        uvicorn.Server(config).run()
    finally:
        store.close()


def _wrong_settings(error: ValidationError) -> int:
    """Say of each setting that is not valid what is wrong, and return the exit code."""
    for fault in error.errors():
        name = f"SCHEMA_REGISTRY_{fault['loc'][0]}".upper()
        needed = fault["msg"][:1].lower() + fault["msg"][1:]
        sys.stderr.write(f"{name}, in the environment, is {fault['input']!r}: {needed}, or leave it out\n")
    return 2


if __name__ == "__main__":
    main()
