"""What is measured: each subject's address, payload, processes and topic."""

from dataclasses import dataclass, replace

from cli.bench import payload, stage
from cli.bench.load import Target
from mesh import topics
from stack.engines.spec import HOST, StackContext
from stack.supervisor.services import ENVOY, GATEWAY

PEER_REST = "peer_rest"
GATEWAY_GRPC = "gateway_grpc"
GATEWAY_REST = "gateway_rest"
STREAMS = 128  # requests under way at once: what a busy server has
_FEW_STREAMS = 32
_GRPC_HEADERS = (("content-type", "application/grpc"), ("te", "trailers"))
_JSON_HEADERS = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Subject:
    """One way to send a command."""

    name: str
    title: str
    target: Target
    processes: tuple[str, ...]  # whose CPU time is counted
    topic: str  # where the command's record must be
    peer: str  # the subject that it is compared with
    streams: int = STREAMS


def short_subjects(context: StackContext) -> list[Subject]:
    """Return what every run measures: the peer, and the gateway by both doors."""
    ports, both = context.ports, (ENVOY.name, GATEWAY.name)
    return [
        _subject(
            PEER_REST, "FastAPI + aiokafka, REST", _rest(stage.peer_port(context)), (stage.PEER,), stage.PEER_TOPIC
        ),
        _subject(GATEWAY_GRPC, "gateway, gRPC", _grpc(ports.gateway), (GATEWAY.name,)),
        _subject(GATEWAY_REST, "Envoy + gateway, REST", _rest(ports.edge), both),
    ]


def long_subjects(context: StackContext) -> list[Subject]:
    """Return what only a long run measures: the other doors, and all of the short run's with fewer streams."""
    both = (ENVOY.name, GATEWAY.name)
    grpcio = _grpc(stage.grpcio_context(context).ports.gateway)
    h11 = _rest(stage.peer_port(stage.h11_context(context)))
    return [
        _subject("edge_grpc", "Envoy + gateway, gRPC", _grpc(context.ports.edge), both),
        _subject("gateway_grpcio_grpc", "gateway on plain grpcio, gRPC", grpcio, (stage.GRPCIO,)),
        _subject(
            "peer_rest_h11", "FastAPI + aiokafka without httptools, REST", h11, (stage.PEER_H11,), stage.PEER_TOPIC
        ),
        *(_with_few_streams(subject) for subject in short_subjects(context)),
    ]


def _subject(
    name: str, title: str, target: Target, processes: tuple[str, ...], topic: str = topics.COMMANDS
) -> Subject:
    return Subject(name, title, target, processes, topic, peer=PEER_REST)


def _with_few_streams(subject: Subject) -> Subject:
    ending = f"_{_FEW_STREAMS}"
    return replace(subject, name=subject.name + ending, peer=subject.peer + ending, streams=_FEW_STREAMS)


def _rest(port: int) -> Target:
    return Target(f"http://{HOST}:{port}{payload.REST_PATH}", payload.json_bodies(), _JSON_HEADERS, http2=False)


def _grpc(port: int) -> Target:
    return Target(f"http://{HOST}:{port}{payload.GRPC_PATH}", payload.grpc_bodies(), _GRPC_HEADERS, http2=True)
