"""The benchmark itself, from the first process to the report."""

import pytest

from mesh.bench.rounds import Schedule
from mesh.bench.run import run_bench
from mesh.bench.subjects import GATEWAY_GRPC, GATEWAY_REST, PEER_REST


@pytest.mark.timeout(180)
def test_a_small_run_measures_every_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that is counted is in Kafka, and by gRPC a command costs less CPU than the peer's."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    steps: list[str] = []
    report = run_bench(Schedule(rounds=2, round_s=0.5, limit_s=20), steps.append)
    assert set(report["subjects"]) == {PEER_REST, GATEWAY_GRPC, GATEWAY_REST}
    for figures in report["subjects"].values():
        assert figures["rps_median"] > 0
        assert figures["p99_ms"] >= figures["p50_ms"] > 0
        assert all(one["records"] == one["requests"] for one in figures["rounds"])
    assert report["ratios"]["cpu_to_peer"][GATEWAY_GRPC] < 1
    assert report["broker"] == "embedded"
    assert any("round 2 of 2" in step for step in steps)
