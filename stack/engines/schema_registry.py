"""The pocket schema registry, the project's own."""

import os
import sys

from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, Command, Engine, Site


def _command(site: Site) -> Command:
    folder = site.folder("schema_registry")
    settings = {name: os.environ[name] for name in ("LOG_LEVEL", "LOG_FORMAT") if name in os.environ}
    settings |= {
        "SCHEMA_REGISTRY_PORT": str(site.ports.schema_registry),
        "SCHEMA_REGISTRY_DATA_DIR": str(folder),
    }
    return Command(
        argv=(sys.executable, "-m", "registry"),
        env=bare_environment() | settings,
        cwd=folder,
        stop_timeout_s=5.0,
    )


def _endpoint(site: Site) -> str:
    return f"http://{HOST}:{site.ports.schema_registry}"


ENGINE = Engine(
    name="schema_registry",
    ports=("schema_registry",),
    command=_command,
    is_ready=lambda site: probes.http_answers(HOST, site.ports.schema_registry, "/subjects"),
    environment=lambda site: {"SCHEMA_REGISTRY_URL": _endpoint(site)},
    endpoint=_endpoint,
)
