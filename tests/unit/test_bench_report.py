"""The benchmark's arithmetic and its report."""

import json

import pytest
from rich.console import Console

from cli.bench.load import Target
from cli.bench.observation import Observed, observation_summary
from cli.bench.report import build_report, name_broker, observation_table, print_report
from cli.bench.rounds import Round, order, ratio, summary
from cli.bench.subjects import EDGE_PEER_REST, EDGE_REST, GATEWAY_GRPC, GATEWAY_REST, PEER_REST, Subject

PEER = {"idempotent": False, "httptools": True}


def figures(rps: float, cpu_us: float = 100.0) -> Round:
    """One round."""
    return Round(
        requests=1000,
        refused=0,
        records=1000,
        elapsed_s=1000 / rps,
        rps=rps,
        cpu_us_per_command=cpu_us,
        cpu_us_by_process={"gateway-0": cpu_us},
        broker_cpu_us_per_command=None,
        load_cpu_us_per_command=5.0,
        p50_ms=1.0,
        p99_ms=2.0,
        memory_mib=150.0,
    )


def subject(name: str, peer: str = PEER_REST) -> Subject:
    """A subject that is compared with the peer."""
    target = Target(1, "/path", [b""], [], http2=False)
    return Subject(name, f"title of {name}", target, ("gateway-0",), peer)


def test_each_round_begins_with_another_subject() -> None:
    """What comes first is not always the same one, and every subject is in every round."""
    subjects = [subject(name) for name in "abc"]
    turns = ["".join(one.name for one in order(subjects, number)) for number in range(4)]
    assert turns == ["abc", "bca", "cab", "abc"]


def test_the_summary_has_the_medians_and_every_round() -> None:
    """One slow round does not move the figures."""
    found = summary([figures(100), figures(5000), figures(4000)])
    assert found["rps_median"] == 4000
    assert (found["rps_lowest"], found["rps_highest"]) == (100, 5000)
    assert found["cpu_us_by_process"] == {"gateway-0": 100}
    assert [one["rps"] for one in found["rounds"]] == [100, 5000, 4000]


def test_ratios_are_taken_round_by_round() -> None:
    """A round in which the whole machine was slow has its own comparison."""
    fast, slow = [figures(400), figures(4000), figures(4400)], [figures(100), figures(1000), figures(1000)]
    assert ratio(fast, slow, "rps") == {"median": 4.0, "lowest": 4.0, "highest": 4.4}


@pytest.mark.integration  # it starts a process
def test_the_report_compares_with_the_peer_and_says_what_it_ran_on() -> None:
    """The JSON has every key that its readers rely on; what is printed has every subject and explains itself."""
    subjects = [subject(name) for name in (PEER_REST, GATEWAY_GRPC, GATEWAY_REST)]
    subjects += [subject(name, EDGE_PEER_REST) for name in (EDGE_PEER_REST, EDGE_REST)]
    results = {
        PEER_REST: [figures(1000, 200)],
        GATEWAY_GRPC: [figures(4500, 50)],
        GATEWAY_REST: [figures(1200, 150)],
        EDGE_PEER_REST: [figures(500, 300)],
        EDGE_REST: [figures(800, 250)],
    }
    report = json.loads(json.dumps(build_report(subjects, results, broker="a broker", peer=PEER)))
    assert report["ratios"]["grpc_to_peer"]["median"] == 4.5
    assert report["ratios"]["rest_to_peer"]["median"] == 1.2
    assert report["ratios"]["edge_rest_to_edge_peer"]["median"] == 1.6
    assert report["ratios"]["cpu_to_peer"][GATEWAY_GRPC]["median"] == 0.25
    assert {"rps_median", "cpu_us_per_command", "p50_ms", "p99_ms", "rounds"} <= set(report["subjects"][PEER_REST])
    assert report["machine"]["cpus"] >= 1
    assert report["versions"]["aiokafka"]

    console = Console(record=True, width=200)
    print_report(report, console)
    text = console.export_text()
    for one in subjects:
        assert one.title in text
    assert "without idempotence" in text
    assert "gRPC: 4.50 (4.50 to 4.50) times as many commands a second as the peer" in text
    assert "REST behind Envoy: 1.60 (1.60 to 1.60) times" in text
    assert "Broker: a broker." in text


def test_the_broker_is_named_with_its_version() -> None:
    """A figure without the broker's name says little."""
    assert name_broker("kafka.example:9092", native_kafka=True) == "the one at kafka.example:9092"
    assert "embedded" in name_broker("", native_kafka=False)
    assert name_broker("", native_kafka=True).startswith("Apache Kafka 4.")


@pytest.mark.parametrize("option", ["--short", "--json", "--engines"])
def test_the_command_line_has_its_options(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`polystream bench --help` names them."""
    from cli.__main__ import main  # noqa: PLC0415 - the command line is not loaded by the others

    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    assert option in capsys.readouterr().out


def observed(rate: float, **cpu_us: float) -> Observed:
    """One kind of command on one platform."""
    return Observed(1000, 1000 / rate, rate, cpu_us, kept_s=0.5 if "monitor" in cpu_us else 0.0)


def test_observation_is_compared_round_by_round() -> None:
    """A slow round counts for both; the monitor's CPU time is told apart from the services'."""
    with_log = [observed(rate, gateway=30.0, lane=60.0, monitor=200.0) for rate in (950, 95, 900)]
    without = [observed(rate, gateway=28.0, lane=57.0) for rate in (1000, 100, 1000)]
    found = observation_summary({"with": with_log, "without": without})
    assert found["rate_to_without"] == {"median": 0.95, "lowest": 0.9, "highest": 0.95}
    assert found["with"]["rate_median"] == 900
    assert (found["with"]["kept_s_median"], found["without"]["kept_s_median"]) == (0.5, 0.0)
    console = Console(record=True, width=200)
    console.print(observation_table({"CreatePayment": found}))
    text = console.export_text()
    for figure in ("0.95 (0.90-0.95)", "90, 85", "200", "0.5"):
        assert figure in text
