"""The pocket schema registry, the project's own."""

import sys

from mesh.settings_base import REGISTRY_NAMES
from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext


def _command(context: StackContext) -> CommandLine:
    folder = context.folder("schema_registry")
    given = {name: value for name, value in context.environment.items() if name in REGISTRY_NAMES}
    settings = given | {
        "SCHEMA_REGISTRY_HOST": HOST,
        "SCHEMA_REGISTRY_PORT": str(context.ports.schema_registry),
        "SCHEMA_REGISTRY_DATA_DIR": str(folder),
    }
    return CommandLine(
        argv=(sys.executable, "-m", "registry"),
        env=bare_environment() | settings,
        cwd=folder,
        stop_timeout_s=5.0,
    )


def _endpoint(context: StackContext) -> str:
    return f"http://{HOST}:{context.ports.schema_registry}"


def own_registry(url: str) -> dict[str, str]:
    """Return the settings that lead to a registry of this machine's, whatever was set for another one."""
    return {"SCHEMA_REGISTRY_URL": url, "SCHEMA_REGISTRY_PROXY_URL": "", "SCHEMA_REGISTRY_CA_FILE": ""}


ENGINE = EngineSpec(
    name="schema_registry",
    ports=("schema_registry",),
    command=_command,
    is_ready=lambda context: probes.http_answers(HOST, context.ports.schema_registry, "/subjects"),
    environment=lambda context: own_registry(_endpoint(context)),
    endpoint=_endpoint,
)
