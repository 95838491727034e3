"""The pocket schema registry, the project's own."""

import os
import sys

from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext


def _command(context: StackContext) -> CommandLine:
    folder = context.folder("schema_registry")
    settings = {name: os.environ[name] for name in ("LOG_LEVEL", "LOG_FORMAT") if name in os.environ}
    settings |= {
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


ENGINE = EngineSpec(
    name="schema_registry",
    ports=("schema_registry",),
    command=_command,
    is_ready=lambda context: probes.http_answers(HOST, context.ports.schema_registry, "/subjects"),
    environment=lambda context: {"SCHEMA_REGISTRY_URL": _endpoint(context)},
    endpoint=_endpoint,
)
