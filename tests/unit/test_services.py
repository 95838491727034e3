"""What the platform consists of: how many gateways, whether an edge, and in which order they stop."""

import os
import sys
from pathlib import Path

import pytest

from mesh.settings import PostgresSettings
from stack.engines.spec import StackContext
from stack.ports import Ports
from stack.supervisor.services import default_gateways, service_stages


@pytest.mark.parametrize(
    ("processors", "gateways"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (8, 4), (16, 4), (128, 4)]
)
def test_as_many_gateways_as_suit_the_processors(
    monkeypatch: pytest.MonkeyPatch, processors: int, gateways: int
) -> None:
    """One for every two processors, from four on, and never more than the lanes keep up with."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)), raising=False)
    assert default_gateways() == gateways


def test_one_gateway_where_connections_are_not_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems than Linux give them all to the process that came last."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_gateways() == 1


def test_they_stop_from_the_door_inwards() -> None:
    """The edge, the gateways, the lanes, the monitor; without an edge the gateways are first."""
    lanes = ["lane-postgresql-0", "lane-mongodb-0", "lane-redis-0"]
    for edge in (True, False):
        stages = service_stages(gateways=2, edge=edge)
        names = [[spec.name for spec in stage] for stage in stages if stage]
        assert names == [*([["envoy"]] if edge else []), ["gateway-0", "gateway-1"], lanes, ["monitor"]]


def test_each_service_has_a_port_for_its_metrics(tmp_path: Path) -> None:
    """Its own, the monitor's first, moved with the others; an edge has none."""
    context = StackContext(tmp_path, Ports().shifted(100), PostgresSettings())
    specs = [spec for stage in service_stages(gateways=2, edge=True, lanes_per_store=2) for spec in stage]
    ports = {spec.name: spec.metrics_port(context) for spec in specs}
    assert (ports.pop("envoy"), ports["monitor"], ports["gateway-0"]) == (None, 9564, 9565)
    assert sorted(filter(None, ports.values())) == list(range(9564, 9564 + 9))
    for spec in specs:
        if spec.name in ports:
            assert spec.command(context).env["OTEL_EXPORTER_PROMETHEUS_PORT"] == str(ports[spec.name])


def test_each_store_has_as_many_lanes_as_were_asked_for() -> None:
    """A name each: the supervisor and the health tell them apart by it."""
    _, _, lanes, _ = service_stages(gateways=1, edge=False, lanes_per_store=2)
    stores = ("postgresql", "mongodb", "redis")
    assert sorted(spec.name for spec in lanes) == sorted(
        f"lane-{store}-{index}" for store in stores for index in (0, 1)
    )


def test_gateways_that_share_ports_have_the_same_ones_and_names_of_their_own() -> None:
    """A name is a consumer group: two gateways must not have the same."""
    _, doors, *_ = service_stages(gateways=3, edge=False)
    assert {spec.ports for spec in doors} == {("gateway", "rest")}
    assert len({spec.name for spec in doors}) == 3
