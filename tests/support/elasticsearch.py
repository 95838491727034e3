"""Elasticsearch 7.17, for tests: users may have it where the platform's own set has OpenSearch."""

from pathlib import Path
from typing import Final

from stack import probes
from stack.engines.native import fetch, jaeger
from stack.engines.native.archive import make_archive
from stack.engines.native.java import class_path, compile_launcher, java_argv, launcher
from stack.engines.native.lock import POMS
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext, StackError
from tests.support.unavailable import UnavailableError, once

_NAME: Final = "elasticsearch"
_FOLDER: Final = Path(__file__).parents[1] / "tools" / "java"
_SOURCE: Final = _FOLDER / "ElasticsearchNode.java"
_HEAP_MB: Final = 512
_READY_PATH: Final = "/_cluster/health?wait_for_status=yellow&timeout=0s"  # 408 while a primary shard is missing


@once
def provide_elasticsearch() -> None:
    """Fetch, verify and prepare it."""
    try:
        fetch.provide([_NAME], print, _FOLDER)
        make_archive(ELASTICSEARCH, print)
    except StackError as error:
        raise UnavailableError(f"Elasticsearch 7.17: {error}") from error


def _prepare(context: StackContext) -> None:
    compile_launcher(_SOURCE, fetch.engine_folder(_NAME, _FOLDER), _launcher())
    folder = context.folder(_NAME)
    for name in ("config", "tmp", "plugins"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "config" / "log4j2.properties").write_bytes((POMS / "log4j2.properties").read_bytes())
    settings = (_FOLDER / "elasticsearch.yml").read_text(encoding="utf-8") + f"http.port: {context.ports.opensearch}\n"
    (folder / "config" / "elasticsearch.yml").write_text(settings, encoding="utf-8")


def _launcher() -> Path:
    return launcher(_SOURCE, fetch.made_folder(_NAME, _FOLDER))


def _command(context: StackContext) -> CommandLine:
    folder = context.folder(_NAME)
    classes = ("-cp", class_path(fetch.engine_folder(_NAME, _FOLDER), _launcher()))
    archives = fetch.made_folder(_NAME, _FOLDER)
    java = java_argv(_HEAP_MB, classes, archives=archives, scratch=folder / "tmp")
    return CommandLine(
        argv=(*java, "ElasticsearchNode", str(folder)), env=bare_environment(), cwd=folder, stop_timeout_s=20.0
    )


def _endpoint(context: StackContext) -> str:
    return f"http://{HOST}:{context.ports.opensearch}"


ELASTICSEARCH: Final = EngineSpec(
    name=_NAME,
    ports=("opensearch",),
    prepare=_prepare,
    command=_command,
    is_ready=lambda context: probes.http_answers(HOST, context.ports.opensearch, _READY_PATH),
    environment=lambda context: {"ELASTICSEARCH_HOST": _endpoint(context)},
    endpoint=_endpoint,
    ready_timeout_s=90.0,
)

# What a test leases from the pool: Elasticsearch, with the platform's Jaeger.
WITH_ELASTICSEARCH: Final = (ELASTICSEARCH, jaeger.ENGINE)
