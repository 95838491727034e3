"""The benchmark itself, from the first process to the report."""

import pytest
from confluent_kafka import Producer

from cli.bench.load import LoadError
from cli.bench.observation import measure_observation
from cli.bench.rounds import Schedule
from cli.bench.run import run_bench
from cli.bench.subjects import EDGE_PEER_REST, EDGE_REST, GATEWAY_GRPC, GATEWAY_REST, PEER_REST
from mesh.settings import KafkaSettings
from mesh.topics import COMMANDS, create_topics
from tests.support.engine_pool import Lease
from tests.support.load_generator import provide_load_generator


@pytest.mark.timeout(180)
def test_a_small_run_measures_every_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that is counted is in Kafka, and by gRPC a command costs less CPU than the peer's."""
    provide_load_generator()
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    steps: list[str] = []
    report = run_bench(Schedule(rounds=2, round_s=0.25, limit_s=20), steps.append)
    assert set(report["subjects"]) == {PEER_REST, GATEWAY_GRPC, GATEWAY_REST, EDGE_PEER_REST, EDGE_REST}
    for figures in report["subjects"].values():
        assert figures["rps_median"] > 0
        assert figures["p99_ms"] >= figures["p50_ms"] > 0
        assert all(one["records"] == one["requests"] for one in figures["rounds"])
    assert report["ratios"]["cpu_to_peer"][GATEWAY_GRPC]["median"] < 1
    assert len(report["subjects"][EDGE_REST]["cpu_us_by_process"]) == 2
    assert "embedded" in report["broker"]
    assert any("round 2 of 2" in step for step in steps)


@pytest.mark.timeout(480)
def test_what_observation_costs_is_measured_on_whole_platforms() -> None:
    """Every command is answered on both, and the event log of the one that has it is whole before the next load."""
    provide_load_generator()
    found = measure_observation(1, lambda _: None, native_kafka=False, commands=200)
    assert len(found) == 3, "one kind for each store"
    for figures in found.values():
        assert figures["rate_to_without"]["median"] > 0
        assert figures["with"]["cpu_us_by_process"]["monitor"] > 0
        assert "monitor" not in figures["without"]["cpu_us_by_process"]


def test_a_broker_that_holds_commands_is_refused(lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker in use is left alone: its lanes would apply what the benchmark sends."""
    running = lease("kafka")
    config = KafkaSettings(bootstrap_servers=running.endpoints["kafka"]).client_config("test")
    create_topics(config)
    producer = Producer(config)
    producer.produce(COMMANDS, b"a command", "1")
    producer.flush(10)
    provide_load_generator()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", running.endpoints["kafka"])
    with pytest.raises(LoadError, match="holds commands"):
        run_bench(Schedule(rounds=1, round_s=0.5, limit_s=20), lambda _: None)
