"""The pocket broker, the project's own, which speaks Kafka's protocol."""

import sys

from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext


def _command(context: StackContext) -> CommandLine:
    folder = context.folder("kafka")
    return CommandLine(
        argv=(sys.executable, "-m", "broker", "--port", str(context.ports.kafka), "--data-dir", str(folder)),
        env=bare_environment(),
        cwd=folder,
    )


def _endpoint(context: StackContext) -> str:
    return f"{HOST}:{context.ports.kafka}"


def own_broker(address: str) -> dict[str, str]:
    """Return the settings that lead to a broker of this machine's, whatever was set for another one."""
    others = dict.fromkeys(("SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD", "SSL_CA_LOCATION"), "")
    own = {"BOOTSTRAP_SERVERS": address, "SECURITY_PROTOCOL": "PLAINTEXT"}
    return {f"KAFKA_{name}": value for name, value in (own | others).items()}


def _environment(context: StackContext) -> dict[str, str]:
    return own_broker(_endpoint(context)) | {
        # It takes less than Kafka does by default, and this is the time that a killed lane's partitions lie idle.
        "KAFKA_SESSION_TIMEOUT_MS": "2000",
    }


ENGINE = EngineSpec(
    name="kafka",
    ports=("kafka",),
    command=_command,
    is_ready=lambda context: probes.kafka_answers(HOST, context.ports.kafka),
    environment=_environment,
    endpoint=_endpoint,
)
