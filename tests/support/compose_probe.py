"""Running a health check of compose.yaml as the process that it is."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.bounded import run_bounded
from tests.support.compose_file import PROFILES, Service, composition
from tests.support.compose_programs import health_programs
from tests.support.compose_wiring import INNER_PORTS, Wiring, search_path
from tests.support.ports import free_port_run

# Every service that has a health check, by what the tests run it against. The engines: with the one that each is here.
ENGINES: Final[Mapping[str, str]] = {
    "kafka": "kafka",
    "schema-registry": "schema_registry",
    "postgresql": "postgresql",
    "mongodb": "mongodb",
    "redis": "redis",
    "opensearch": "opensearch",
    "jaeger": "jaeger",
}
ELASTICSEARCH: Final = "elasticsearch"  # runs for one test alone
PAGES: Final = ("opensearch-dashboards", "kibana", "kafka-ui", "adminer", "mongo-express", "redis-commander")
LANES: Final = ("lane-postgresql", "lane-mongodb", "lane-redis")
SERVICES: Final = ("monitor", *LANES, "gateway", "envoy")  # as depends_on orders them


def service_of(name: str) -> Service:
    """Return a service of the file, of whichever profile."""
    return composition(",".join(PROFILES)).services[name]


def is_healthy(name: str, ports: Mapping[int, int]) -> bool:
    """Ask a service that is no own one of the platform's, given where each of its ports is."""
    wiring = Wiring(composition(",".join(PROFILES)), {(name, port): here for port, here in ports.items()}, _folder())
    return run_check(service_of(name), wiring, {"PATH": programs_path(), "HOME": str(_folder())}, _folder())


def run_check(service: Service, wiring: Wiring, environment: Mapping[str, str], cwd: Path) -> bool:
    """Run a health check once, as the engine would: its exit code counts, and it has to end in its time."""
    command = wiring.argv(service, service.health_command)
    here = {**environment, **wiring.environment(service)}
    return run_bounded(command, timeout_s=service.health_timeout_s, cwd=cwd, env=here).returncode == 0


def no_ports(name: str) -> dict[int, int]:
    """Return ports for a service that nobody listens on."""
    return {port: free_port_run(1) for port in INNER_PORTS[name]}


def programs_path() -> str:
    """Return a PATH with what the images have."""
    return search_path(_folder() / "bin", health_programs())


@cache
def _folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="polystream-compose-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
