"""What is measured: each subject's address, payload, processes and topic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cli.bench import payload, stage
from cli.bench.load import Target
from cli.bench.stage import Stage
from mesh import topics
from stack.supervisor.services import ENVOY, GATEWAY

PEER_REST: Final = "peer_rest"
GATEWAY_GRPC: Final = "gateway_grpc"
GATEWAY_REST: Final = "gateway_rest"
EDGE_REST: Final = "edge_rest"
EDGE_PEER_REST: Final = "edge_peer_rest"
STREAMS: Final = 128  # requests under way at once: what a busy server has
_FEW_STREAMS: Final = 32
_TOO_MANY_STREAMS: Final = 8192  # twice as many as a gateway lets wait for Kafka
_JSON_HEADERS: Final = (("content-type", "application/json"),)
_PEER_TITLE: Final = "FastAPI + aiokafka, REST"


@dataclass(frozen=True, slots=True)
class Subject:
    """One way to send a command."""

    name: str
    title: str
    target: Target
    processes: tuple[str, ...]  # whose CPU time is counted
    peer: str = PEER_REST  # the subject that it is compared with
    topic: str = topics.COMMANDS  # where the command's record must be
    streams: int = STREAMS
    may_refuse: bool = False  # more is sent than can be taken


def short_subjects(running: Stage) -> list[Subject]:
    """Return what every run measures: the peer and the gateway by its doors, each without and with Envoy before it."""
    ports, elsewhere = running.context.ports, running.elsewhere
    peer, peer_edge = elsewhere[stage.PEER].ports.rest, elsewhere[stage.PEER_EDGE].ports.edge
    behind_edge = (stage.PEER_EDGE, stage.PEER)
    edge = (ENVOY.name, GATEWAY.name)
    return [
        Subject(PEER_REST, _PEER_TITLE, _rest(peer), (stage.PEER,), topic=stage.PEER_TOPIC),
        Subject(GATEWAY_GRPC, "gateway, gRPC", _grpc(ports.gateway), (GATEWAY.name,)),
        Subject(GATEWAY_REST, "gateway, REST", _rest(ports.rest), (GATEWAY.name,)),
        Subject(
            EDGE_PEER_REST, f"Envoy, {_PEER_TITLE}", _rest(peer_edge), behind_edge, EDGE_PEER_REST, stage.PEER_TOPIC
        ),
        Subject(EDGE_REST, "Envoy, gateway, REST", _rest(ports.edge), edge, EDGE_PEER_REST),
    ]


def long_subjects(running: Stage) -> list[Subject]:
    """Return what only a long run measures: other servers, two gateways, and the short run's with fewer streams."""
    ports, elsewhere = running.context.ports, running.elsewhere
    pair, grpcio = elsewhere[stage.PAIR_NAME].ports, elsewhere[stage.GRPCIO].ports
    h11 = _rest(elsewhere[stage.PEER_H11].ports.rest)
    return [
        Subject("gateways_2_grpc", "two gateways on one port, gRPC", _grpc(pair.gateway), stage.PAIR),
        Subject("gateways_2_rest", "two gateways on one port, REST", _rest(pair.rest), stage.PAIR),
        Subject("edge_grpc", "Envoy, gateway, gRPC", _grpc(ports.edge), (ENVOY.name, GATEWAY.name)),
        Subject("gateway_grpcio_grpc", "gateway on plain grpcio, gRPC", _grpc(grpcio.gateway), (stage.GRPCIO,)),
        Subject("peer_rest_h11", f"{_PEER_TITLE}, without httptools", h11, (stage.PEER_H11,), topic=stage.PEER_TOPIC),
        *_with_few_streams(short_subjects(running)),
        *_with_too_many_streams([_of_gateway(running, GATEWAY_GRPC), _of_gateway(running, GATEWAY_REST)]),
    ]


def _with_few_streams(subjects: Sequence[Subject]) -> list[Subject]:
    ending = f"_{_FEW_STREAMS}"
    return [
        replace(subject, name=subject.name + ending, peer=subject.peer + ending, streams=_FEW_STREAMS)
        for subject in subjects
    ]


def _of_gateway(running: Stage, name: str) -> Subject:
    return next(subject for subject in short_subjects(running) if subject.name == name)


def _with_too_many_streams(subjects: Sequence[Subject]) -> list[Subject]:
    ending = f"_{_TOO_MANY_STREAMS}"
    return [
        replace(subject, name=subject.name + ending, streams=_TOO_MANY_STREAMS, may_refuse=True) for subject in subjects
    ]


def _rest(port: int) -> Target:
    return Target(port, payload.REST_PATH, payload.json_bodies(), _JSON_HEADERS, http2=False)


def _grpc(port: int) -> Target:
    return Target(port, payload.GRPC_PATH, payload.grpc_bodies(), payload.GRPC_HEADERS, http2=True)
