"""Each service emits the metrics and spans that the list has for it, and nothing else; no person is in any of it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from confluent_kafka import Producer
from polystream.v1 import operations_pb2, operations_pb2_grpc, users_pb2, users_pb2_grpc
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from contracts.reference.signals import EVENTS, SPANS
from mesh.telemetry.metric_list import METRICS, OVERFLOW, MetricKind, Service, metrics_of
from mesh.telemetry.prometheus import prometheus_name
from monitor import records
from monitor.priority import NICENESS
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_engine_set

_TIMEOUT_S = 60.0
_OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


def service_of(process: str) -> Service:
    """Return which service a process is one of."""
    kind = process.partition("-")[0]
    return {"gateway": Service.GATEWAY, "lane": Service.PROCESSOR, "monitor": Service.MONITOR}[kind]


def scraped(platform: Platform, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the `/metrics` of each service, by the process's name, from where the status says that they are."""
    status = json.loads(platform.command("status", "--json").stdout)
    urls = {process["name"]: process["metrics_url"] for process in status["processes"] if process["metrics_url"]}
    assert set(urls) == {"gateway-0", "lane-postgresql-0", "lane-mongodb-0", "lane-redis-0", "monitor"}
    return {name: httpx.get(url, headers=headers).raise_for_status().text for name, url in urls.items()}


def told_names(text: str) -> set[str]:
    """Return the names of the samples, those of a histogram under its own."""
    names = set()
    for family in parse(text):
        for sample in family.samples:
            name = sample.name
            if family.type == "histogram":
                name = family.name
            names.add(name)
    return names - {"target_info"}


def drive(platform: Platform) -> dict[str, Any]:
    """Send what leaves a trace in every metric: commands of each store, a refused one, a query, a foreign record."""
    someone = person()
    with httpx.Client(base_url=platform.door("gateway"), timeout=30) as rest:
        for path in ("/usuarios", "/recomendacoes/gerar", "/cache/conteudo/5678", "/historico-visualizacao"):
            rest.post(path, params={"user_id": 1234, "conteudo_id": 5678} if "historico" in path else None)
        assert rest.post("/v1/users", json={"name": someone["name"], "email": "nobody", "cpf": "1"}).is_error
        rest.get("/v1/users/1234")
    with grpc.insecure_channel(platform.endpoints["grpc"]) as channel:
        users = users_pb2_grpc.UserServiceStub(channel)
        operations = operations_pb2_grpc.OperationServiceStub(channel)
        for _ in range(2):  # the second one is refused by the store, which has the first one by then
            created = users.CreateUser(users_pb2.CreateUserRequest(**someone), timeout=30)
            wanted = operations_pb2.WaitOperationRequest(correlation_id=created.correlation_id)
            done = operations.WaitOperation(wanted, timeout=30)
        assert done.state == operations_pb2.Operation.FAILED
    producer = Producer({"bootstrap.servers": platform.endpoints["kafka"]})
    producer.produce("user_events", b"no record", b"1", headers=[("command", b"NoCommand")])
    assert producer.flush(_TIMEOUT_S) == 0
    return someone | {"correlation_id": created.correlation_id}


def test_the_monitor_leaves_the_processors_to_the_services(platform: Platform) -> None:
    """All of its threads have a ninth of a service's share, and so has its session where Linux weighs sessions."""
    monitor = platform.pid("monitor")
    threads = [int(task.name) for task in Path(f"/proc/{monitor}/task").iterdir()]
    ours = os.getpriority(os.PRIO_PROCESS, platform.pid("gateway-0"))
    assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {ours + NICENESS}
    session = Path(f"/proc/{monitor}/autogroup")
    if session.exists():
        assert session.read_text().split()[-1] == str(NICENESS)


def test_each_service_tells_what_the_list_has_for_it(platform: Platform) -> None:
    """Every name of the list is told by each of its services, with its description, and no other one is."""
    someone = drive(platform)
    expected = {service: {prometheus_name(spec) for spec in metrics_of(service)} for service in Service}

    def are_all_told() -> bool:
        return all(told_names(text) >= expected[service_of(name)] for name, text in scraped(platform).items())

    eventually(are_all_told, _TIMEOUT_S, interval_s=1)
    descriptions = {prometheus_name(spec).removesuffix("_total"): spec for spec in METRICS}
    for name, text in scraped(platform).items():
        assert told_names(text) == expected[service_of(name)], name
        for family in parse(text):
            if family.name != "target_info":
                assert family.documentation == descriptions[family.name].description
        for value in (someone["name"], someone["email"], someone["cpf"], someone["correlation_id"]):
            assert value not in text, name
        assert OVERFLOW.replace(".", "_") not in text


def test_openmetrics_has_units_and_exemplars(platform: Platform) -> None:
    """What asks for it gets each metric's unit, and traces of the gateway's calls and the lanes' commands."""
    drive(platform)
    for name, text in scraped(platform, _OPENMETRICS).items():
        families = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
        for spec in metrics_of(service_of(name)):
            unit = {"s": "seconds", "By": "bytes"}.get(spec.unit, "")
            assert families[prometheus_name(spec).removesuffix("_total")].unit == unit
        if name in {"gateway-0", "lane-postgresql-0"}:
            histograms = [spec for spec in metrics_of(service_of(name)) if spec.kind is MetricKind.HISTOGRAM]
            samples = [s for spec in histograms for s in families[prometheus_name(spec)].samples]
            assert any(sample.exemplar and sample.exemplar.labels["trace_id"] for sample in samples), name


def test_spans_and_events_are_those_of_the_table(platform: Platform) -> None:
    """By service, as the event store has them: none is missing of a command's, and none is of no table."""
    driven = drive(platform)
    named = {value for name, value in vars(records).items() if name.isupper() and str(value).startswith("command.")}
    assert {event for events in EVENTS.values() for event in events} == named - {
        records.REDRIVEN, records.DISCARDED, records.REPEATED,
    }  # fmt: skip
    with httpx.Client(base_url=platform.door("gateway"), timeout=30) as rest:

        def told(part: str, name: str) -> set[tuple[str, str]]:
            story = rest.get(f"/v1/operations/{driven['correlation_id']}:explain").json()
            return {(one["service"].partition("-")[0], one[name]) for one in story.get(part, ())}

        def spans() -> set[tuple[str, str]]:
            return told("spans", "name")

        expected = {
            (service.value, name.format(command="CreateUser", store="postgresql"))
            for service, names in SPANS.items()
            for name in names
        }
        eventually(lambda: spans() >= expected, _TIMEOUT_S)
        others = spans() - expected
        assert all(service == "gateway" and name.startswith("polystream.v1.") for service, name in others), others
        events = {(service.value, event) for service, of_service in EVENTS.items() for event in of_service}
        assert {event for _, event in told("hops", "event_type")} >= {"command.accepted", "command.failed"}
        assert told("hops", "event_type") <= events
