"""The benchmark itself, from the first process to the report."""

import pytest
from confluent_kafka import Producer

from cli.bench.load import LoadError
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
