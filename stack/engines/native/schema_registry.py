"""Apicurio Registry, by its Confluent-compatible API."""

from typing import Final

from stack import probes
from stack.engines.native.fetch import engine_folder, made_folder, provide
from stack.engines.native.folders import data_folder, scratch_folder
from stack.engines.native.java import java_argv
from stack.engines.process import bare_environment
from stack.engines.schema_registry import own_registry
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext

_NAME: Final = "schema_registry"
_HEAP_MB: Final = 256
_API: Final = "/apis/ccompat/v7"


def prepare(context: StackContext) -> None:
    """Fetch Apicurio where it is missing."""
    provide([_NAME])
    scratch_folder(context, _NAME)


def _command(context: StackContext) -> CommandLine:
    folder = data_folder(context, _NAME)
    (runner,) = engine_folder(_NAME).glob("*-runner.jar")
    settings = {
        "QUARKUS_HTTP_HOST": HOST,
        "QUARKUS_HTTP_PORT": str(context.ports.schema_registry),
        "QUARKUS_LOG_LEVEL": "WARN",
        # Without WRITE_DELAY=0, what was acknowledged in the last half second is gone after a SIGKILL.
        "REGISTRY_DATASOURCE_URL": f"jdbc:h2:file:{folder / 'registry'};WRITE_DELAY=0",
        # On a busy machine the file takes longer than the 5 s of the default to be opened.
        "QUARKUS_DATASOURCE_JDBC_ACQUISITION_TIMEOUT": "60",
    }
    return CommandLine(
        argv=java_argv(_HEAP_MB, ("-jar", str(runner)), archives=made_folder(_NAME), scratch=folder / "tmp"),
        env=bare_environment() | settings,
        cwd=folder,
    )


def _endpoint(context: StackContext) -> str:
    return f"http://{HOST}:{context.ports.schema_registry}{_API}"


ENGINE = EngineSpec(
    name=_NAME,
    ports=("schema_registry",),
    prepare=prepare,
    command=_command,
    is_ready=lambda context: probes.http_answers(HOST, context.ports.schema_registry, f"{_API}/subjects"),
    environment=lambda context: own_registry(_endpoint(context)),
    endpoint=_endpoint,
    ready_timeout_s=90.0,
)
