"""OpenSearch: one node, by the runner that its users' tests know, and a few lines of Java."""

from pathlib import Path
from typing import Final

from stack import probes
from stack.engines.native.fetch import engine_folder, made_folder, provide
from stack.engines.native.folders import data_folder, scratch_folder
from stack.engines.native.java import class_path, compile_launcher, java_argv, launcher
from stack.engines.native.lock import POMS
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext

_NAME: Final = "opensearch"
_HEAP_MB: Final = 512
_SOURCE: Final = POMS / "OpenSearchNode.java"
_READY_PATH: Final = "/_cluster/health?wait_for_status=yellow&timeout=0s"  # 408 while a primary shard is missing


def prepare(context: StackContext) -> None:
    """Fetch OpenSearch where it is missing, compile its launcher once, and write its settings."""
    provide([_NAME])
    scratch_folder(context, _NAME)
    compile_launcher(_SOURCE, engine_folder(_NAME), _launcher())
    node = data_folder(context, _NAME) / "node_1" / "config"  # the runner's own layout
    node.mkdir(parents=True, exist_ok=True)
    (node / "log4j2.properties").write_bytes((POMS / "log4j2.properties").read_bytes())
    settings = (POMS / "opensearch.yml").read_text(encoding="utf-8")
    settings += f"http.port: {context.ports.opensearch}\npath.repo: ['{data_folder(context, _NAME) / 'snapshots'}']\n"
    (node / "opensearch.yml").write_text(settings, encoding="utf-8")


def _launcher() -> Path:
    return launcher(_SOURCE, made_folder(_NAME))


def _command(context: StackContext) -> CommandLine:
    folder = data_folder(context, _NAME)
    classes = ("-cp", class_path(engine_folder(_NAME), _launcher()))
    return CommandLine(
        argv=(
            *java_argv(_HEAP_MB, classes, archives=made_folder(_NAME), scratch=folder / "tmp"),
            *("OpenSearchNode", str(folder)),
        ),
        env=bare_environment(),
        cwd=folder,
        stop_timeout_s=20.0,
    )


def _endpoint(context: StackContext) -> str:
    return f"http://{HOST}:{context.ports.opensearch}"


def _environment(context: StackContext) -> dict[str, str]:
    """Return the settings that lead to it, whatever was set for another one."""
    others = dict.fromkeys(("USER", "PASSWORD", "CA_FILE", "PROXY_URL"), "")
    return {f"ELASTICSEARCH_{name}": value for name, value in ({"HOST": _endpoint(context)} | others).items()}


def ready_url(context: StackContext) -> str:
    """Return what is answered with 200 once the node serves."""
    return f"{_endpoint(context)}{_READY_PATH}"


ENGINE = EngineSpec(
    name=_NAME,
    ports=("opensearch",),
    prepare=prepare,
    command=_command,
    is_ready=lambda context: probes.http_answers(HOST, context.ports.opensearch, _READY_PATH),
    environment=_environment,
    endpoint=_endpoint,
    # A node that was killed replays what it had not committed (83 s on a busy machine), and begins anew if it is killed
    # meanwhile.
    ready_timeout_s=300.0,
)
