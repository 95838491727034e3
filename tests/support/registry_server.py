"""Schema registries as processes of their own, for tests that talk to them, stop them and kill them.

CONFORMANCE_SCHEMA_REGISTRY_URL names one of somebody else's, which is held to the same suite, but for the tests that
stop it. Its global level has to be the platform's; the tests' subjects stay there.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

import httpx

from stack.engines import process as processes
from stack.engines.native import NATIVE
from stack.provision import COMPATIBILITY
from tests.support.engine_pool import Lease
from tests.support.ports import free_port_run
from tests.support.waiting import eventually

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0


class RegistryServer(Protocol):
    """A registry over one data folder that outlives its process."""

    url: str  # of the Confluent API

    def start(self) -> None:
        """Start the process and wait until it answers."""

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the process a signal, wait for its end and return its exit status."""


class PocketRegistry:
    """The pocket registry on a free port, over one data folder that outlives its process."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder
        self._port = free_port_run(1)
        self._settings = {f"SCHEMA_REGISTRY_{name.upper()}": value for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it answers."""
        environment = os.environ | self._settings
        environment |= {"SCHEMA_REGISTRY_PORT": str(self._port), "SCHEMA_REGISTRY_DATA_DIR": str(self._folder)}
        self._process = subprocess.Popen([sys.executable, "-m", "registry"], env=environment)
        process = self._process

        def answers() -> bool:
            assert process.poll() is None, "the registry ended"
            return httpx.get(self.url).status_code == 200

        eventually(answers, _START_TIMEOUT_S)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the process a signal, wait for its end and return its exit status."""
        assert self._process is not None
        self._process.send_signal(how)
        status = self._process.wait(_STOP_TIMEOUT_S)
        self._process = None
        return status


class ApicurioRegistry:
    """Apicurio as the native engine set runs it, and as the platform provisions it."""

    _NAME = "schema_registry"

    def __init__(self, lease: Lease) -> None:
        self._engines = lease(self._NAME, among=NATIVE)
        self._provisioned = False
        self.url = self._engines.endpoints[self._NAME]

    def start(self) -> None:
        """Start the process where it does not run; the first time, set the platform's level."""
        self._engines.start_all()
        if not self._provisioned:
            httpx.put(f"{self.url}/config", json={"compatibility": COMPATIBILITY}).raise_for_status()
            self._provisioned = True

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the process a signal, wait for its end and return its exit status: 0 where Java ended as asked."""
        process, _ = self._engines._running.pop(self._NAME)
        processes.send(process, how)
        status = process.wait(_STOP_TIMEOUT_S)
        return 0 if status == 128 + how else status


class ExternalRegistry:
    """The registry that the environment names: nobody here starts or stops it."""

    VARIABLE: Final = "CONFORMANCE_SCHEMA_REGISTRY_URL"

    def __init__(self) -> None:
        self.url = os.environ[self.VARIABLE]

    def start(self) -> None:
        """Leave it as it is."""

    def stop(self, _: signal.Signals = signal.SIGTERM) -> int:
        """Leave it as it is."""
        return 0
