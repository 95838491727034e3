"""Jaeger v2, built from its Go module, storing spans in the OpenSearch beside it."""

import sys
from pathlib import Path
from typing import Final

from stack import probes
from stack.engines.native import opensearch
from stack.engines.native.folders import data_folder
from stack.engines.native.golang import GoModule, provide
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext

MODULE: Final = GoModule(
    "jaeger",
    "github.com/jaegertracing/jaeger/cmd/jaeger",
    "It takes about ten minutes on two cores, and 3 GB of disk: 1.6 GB of them are free again afterwards, the modules "
    "of 1.4 GB stay in Go's own cache",
)
_CONFIG: Final = Path(__file__).resolve().parents[3] / "deploy" / "jaeger" / "config.yaml"
_PAGES: Final = MODULE.folder / "ui"  # its own are made by tools that are not in its module
_AFTER: Final = Path(__file__).with_name("exec_when_ready.py")
_MEMORY_LIMIT: Final = "192MiB"  # near it, Go's garbage collector works harder
_STORE_WAIT_MAX_S: Final = opensearch.ENGINE.ready_timeout_s


def prepare(context: StackContext) -> None:
    """Build Jaeger where it is missing."""
    provide(MODULE)
    data_folder(context, MODULE.name)


def _command(context: StackContext) -> CommandLine:
    ports = context.ports
    settings = {
        "JAEGER_LISTEN_HOST": HOST,
        "JAEGER_QUERY_PORT": str(ports.jaeger),
        "JAEGER_QUERY_GRPC_PORT": str(ports.jaeger_grpc),
        "JAEGER_OTLP_PORT": str(ports.jaeger_otlp),
        "JAEGER_HEALTH_PORT": str(ports.jaeger_health),
        "JAEGER_OPENSEARCH_URL": opensearch.ENGINE.endpoint(context),
        "JAEGER_UI_ASSETS": str(_PAGES),
        "GOMEMLIMIT": _MEMORY_LIMIT,
    }
    # It ends where its store does not answer yet; the engines are started side by side.
    after = (sys.executable, "-I", "-S", str(_AFTER), opensearch.ready_url(context), str(_STORE_WAIT_MAX_S))
    return CommandLine(
        argv=(*after, str(MODULE.program), "--config", str(_CONFIG)),
        env=bare_environment() | settings,
        cwd=data_folder(context, MODULE.name),
    )


def _is_ready(context: StackContext) -> bool:
    """Tell whether it takes spans, and answers queries out of its store."""
    takes = probes.http_answers(HOST, context.ports.jaeger_health, "/status")
    return takes and probes.http_answers(HOST, context.ports.jaeger, "/api/services")


def _endpoint(context: StackContext) -> str:
    return f"http://{HOST}:{context.ports.jaeger}"


def _environment(context: StackContext) -> dict[str, str]:
    return {
        "JAEGER_URL": _endpoint(context),
        "JAEGER_OTLP_ENDPOINT": f"http://{HOST}:{context.ports.jaeger_otlp}",
        "JAEGER_CA_FILE": "",
    }


ENGINE = EngineSpec(
    name=MODULE.name,
    ports=("jaeger", "jaeger_grpc", "jaeger_otlp", "jaeger_health"),
    prepare=prepare,
    command=_command,
    is_ready=_is_ready,
    environment=_environment,
    endpoint=_endpoint,
    ready_timeout_s=_STORE_WAIT_MAX_S + 30.0,
)
