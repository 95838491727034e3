"""Elasticsearch 7.17, for tests: users may have it where the platform's own set has OpenSearch."""

from pathlib import Path
from typing import Final

from stack import probes
from stack.engines.native import fetch
from stack.engines.native.archive import make_archive
from stack.engines.native.java import class_path, java_argv
from stack.engines.native.launcher import compile_launcher, launcher
from stack.engines.native.lock import POMS
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, Command, Engine, PartError, Site
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
    except PartError as error:
        raise UnavailableError(f"Elasticsearch 7.17: {error}") from error


def _prepare(site: Site) -> None:
    compile_launcher(_SOURCE, fetch.engine_folder(_NAME, _FOLDER), _launcher())
    folder = site.folder(_NAME)
    for name in ("config", "tmp", "plugins"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "config" / "log4j2.properties").write_bytes((POMS / "log4j2.properties").read_bytes())
    settings = (_FOLDER / "elasticsearch.yml").read_text(encoding="utf-8") + f"http.port: {site.ports.opensearch}\n"
    (folder / "config" / "elasticsearch.yml").write_text(settings, encoding="utf-8")


def _launcher() -> Path:
    return launcher(_SOURCE, fetch.made_folder(_NAME, _FOLDER))


def _command(site: Site) -> Command:
    folder = site.folder(_NAME)
    classes = ("-cp", class_path(fetch.engine_folder(_NAME, _FOLDER), _launcher()))
    archives = fetch.made_folder(_NAME, _FOLDER)
    java = java_argv(_HEAP_MB, classes, archives=archives, scratch=folder / "tmp")
    return Command(
        argv=(*java, "ElasticsearchNode", str(folder)), env=bare_environment(), cwd=folder, stop_timeout_s=20.0
    )


def _endpoint(site: Site) -> str:
    return f"http://{HOST}:{site.ports.opensearch}"


ELASTICSEARCH: Final = Engine(
    name=_NAME,
    ports=("opensearch",),
    prepare=_prepare,
    command=_command,
    is_ready=lambda site: probes.http_answers(HOST, site.ports.opensearch, _READY_PATH),
    environment=lambda site: {"ELASTICSEARCH_HOST": _endpoint(site)},
    endpoint=_endpoint,
    ready_timeout_s=90.0,
)
