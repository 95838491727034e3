"""What tracing, metrics and the event log cost: two whole platforms, with them and without, load in turn.

Each platform has engines of its own, so that neither reads the other's commands, and both are idle but for the one that
is measured. A command counts once its receipt is in Kafka. What the monitor has yet to read then is waited for, so that
it is no burden to the next measurement, and told.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import httpx
from confluent_kafka import Consumer, TopicPartition
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from polystream.v1.contents_pb2 import CacheContentRequest, Content
from polystream.v1.payments_pb2 import CreatePaymentRequest, Payment

from cli.bench.load import LoadError, Target, apply_load
from cli.bench.payload import GRPC_HEADERS, GRPC_PATH, SENDERS, framed, grpc_bodies
from cli.bench.records import RecordCounter
from cli.bench.stage import Stage, engines
from mesh import topics
from stack.engines.spec import HOST
from stack.supervisor.services import MONITOR, service_stages

WITH: Final = "with"
WITHOUT: Final = "without"
_MONITOR_GROUP: Final = "monitor"
_STREAMS: Final = 128
_COMMANDS: Final = 4000  # of one kind in one round: a few seconds
_WARM_UP_COMMANDS: Final = 1000
_RECEIPTS_TIMEOUT_S: Final = 120.0
_KEPT_TIMEOUT_S: Final = 120.0
_KAFKA_TIMEOUT_S: Final = 10.0
_CALL_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.05
_NOT_OBSERVED: Final = {"OTEL_SDK_DISABLED": "true", "OTEL_METRICS_EXPORTER": "none"}


@dataclass(frozen=True, slots=True)
class Observed:
    """One kind of command on one of the platforms, in one round."""

    commands: int
    elapsed_s: float  # from the first request until the last receipt was in Kafka
    rate: float  # commands a second
    cpu_us_by_process: dict[str, float]  # a command
    kept_s: float  # how long after that the event log had all of it; 0 without one


class _Platform:
    """A running platform, and what is known of it."""

    def __init__(self, running: Stage, names: Sequence[str]) -> None:
        self.running = running
        self.processes = tuple(names)
        self.receipts = RecordCounter(running.kafka, topics.RECEIPTS)
        self._positions = Consumer({**running.kafka, "group.id": _MONITOR_GROUP, "enable.auto.commit": False})

    @property
    def has_monitor(self) -> bool:
        return MONITOR.name in self.processes

    def wait_until_kept(self) -> float:
        """Wait until the monitor has read and kept everything, and return how many seconds that took."""
        began_s = time.monotonic()
        while self.has_monitor and (unread := self._unread()):
            if time.monotonic() - began_s > _KEPT_TIMEOUT_S:
                raise LoadError(f"the monitor has {unread} records to read after {_KEPT_TIMEOUT_S:.0f} s")
            time.sleep(_POLL_S)
        return time.monotonic() - began_s if self.has_monitor else 0.0

    def _unread(self) -> int:
        unread = 0
        for topic in (topics.COMMANDS, topics.RECEIPTS):
            partitions = self._positions.list_topics(topic, timeout=_KAFKA_TIMEOUT_S).topics[topic].partitions
            places = [TopicPartition(topic, number) for number in partitions]
            for place in self._positions.committed(places, timeout=_KAFKA_TIMEOUT_S):
                _, end = self._positions.get_watermark_offsets(place, timeout=_KAFKA_TIMEOUT_S)
                unread += end - max(place.offset, 0)
        return unread

    def close(self) -> None:
        self.receipts.close()
        self._positions.close()


def measure_observation(
    rounds: int, progress: Callable[[str], None], *, native_kafka: bool, commands: int = _COMMANDS
) -> dict[str, Any]:
    """Run both platforms, measure each kind of command in turn, and return the figures. Raises LoadError.

    `commands` is how many of each kind one measurement has.
    """
    with (
        _platform(native_kafka=native_kafka) as observed,
        _platform(native_kafka=native_kafka, **_NOT_OBSERVED) as bare,
    ):
        platforms = {WITH: observed, WITHOUT: bare}
        targets = {name: _targets(platform.running) for name, platform in platforms.items()}
        results: dict[str, dict[str, list[Observed]]] = {kind: {WITH: [], WITHOUT: []} for kind in targets[WITH]}
        for kind in results:
            for name, platform in platforms.items():
                progress(f"warming up: {kind}, {name} the event log")
                _measure(platform, targets[name][kind], min(_WARM_UP_COMMANDS, commands))
        for number in range(rounds):
            for kind, figures in results.items():
                for name in (WITH, WITHOUT) if number % 2 else (WITHOUT, WITH):
                    progress(f"round {number + 1} of {rounds}: {kind}, {name} the event log")
                    figures[name].append(_measure(platforms[name], targets[name][kind], commands))
    return {kind: observation_summary(figures) for kind, figures in results.items()}


def observation_summary(figures: Mapping[str, Sequence[Observed]]) -> dict[str, Any]:
    """Return the medians of one kind of command, with and without, their ratio round by round, and the rounds."""
    ratios = [one.rate / other.rate for one, other in zip(figures[WITH], figures[WITHOUT], strict=True)]
    found = {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {
        "rate_to_without": {name: round(value, 3) for name, value in found.items()},
        **{name: _medians(rounds) for name, rounds in figures.items()},
    }


def _medians(rounds: Sequence[Observed]) -> dict[str, Any]:
    return {
        "rate_median": round(statistics.median([each.rate for each in rounds]), 1),
        "kept_s_median": round(statistics.median([each.kept_s for each in rounds]), 2),
        "cpu_us_by_process": {
            process: round(statistics.median([each.cpu_us_by_process[process] for each in rounds]), 1)
            for process in rounds[0].cpu_us_by_process
        },
        "rounds": [asdict(each) for each in rounds],
    }


@contextmanager
def _platform(*, native_kafka: bool, **settings: str) -> Iterator[_Platform]:
    """Run a whole platform while the block runs: without a monitor where settings turn off what it would be told."""
    with ExitStack() as stack:
        running = stack.enter_context(engines("", native_kafka=native_kafka))
        services = [spec for stage in reversed(service_stages(gateways=1, edge=False)) for spec in stage]
        specs = [spec for spec in services if not (settings and spec.name == MONITOR.name)]
        for spec in specs:
            running.start(spec, **settings)
        platform = _Platform(running, [spec.name for spec in specs])
        stack.callback(platform.close)
        yield platform


def _targets(running: Stage) -> dict[str, Target]:
    """Return a kind of command for each store: the users that pay, or watch, are made first."""
    users = _create_users(f"http://{HOST}:{running.context.ports.rest}")
    price = Money(currency_code="BRL", units=29)
    payments = [CreatePaymentRequest(user_id=user, amount=price, method=Payment.PIX) for user in users]
    contents = [
        CacheContentRequest(content_id=5001 + sender, title="Uma Viagem a Ouro Preto", kind=Content.MOVIE)
        for sender in range(SENDERS)
    ]
    port = running.context.ports.gateway
    return {
        "CreatePayment, PostgreSQL": _target(port, "/polystream.v1.PaymentService/CreatePayment", payments),
        "RecordView, MongoDB": Target(port, GRPC_PATH, grpc_bodies(), GRPC_HEADERS, http2=True),
        "CacheContent, Redis": _target(port, "/polystream.v1.ContentService/CacheContent", contents),
    }


def _target(port: int, path: str, requests: Sequence[Message]) -> Target:
    return Target(port, path, [framed(request) for request in requests], GRPC_HEADERS, http2=True)


def _create_users(url: str) -> list[int]:
    users = []
    with httpx.Client(base_url=url, timeout=_CALL_TIMEOUT_S, trust_env=False) as client:
        for _ in range(SENDERS):
            accepted = client.post("/usuarios").raise_for_status().json()
            client.post(f"/v1/operations/{accepted['correlation_id']}:wait").raise_for_status()
            users.append(int(accepted["user_id"]))
    return users


def _measure(platform: _Platform, target: Target, commands: int) -> Observed:
    platform.receipts.count_new(0, _RECEIPTS_TIMEOUT_S)  # of what came before
    before = platform.running.cpu_s(platform.processes)
    began_s = time.monotonic()
    accepted = apply_load(target, commands, _STREAMS).accepted
    if accepted != commands:
        raise LoadError(f"{target.path}: {commands - accepted} of {commands} commands were refused")
    receipts = platform.receipts.count_new(commands, _RECEIPTS_TIMEOUT_S)
    elapsed_s = time.monotonic() - began_s
    if receipts != commands:
        raise LoadError(f"{target.path}: {commands} commands were acknowledged, and {receipts} were answered")
    kept_s = platform.wait_until_kept()
    after = platform.running.cpu_s(platform.processes)
    cost = {name: (after[name] - before[name]) / commands * 1e6 for name in platform.processes}
    return Observed(commands, elapsed_s, commands / elapsed_s, cost, kept_s)
