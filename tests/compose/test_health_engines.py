"""The health checks of the broker, the registry, the stores, the search engine and Jaeger, against real ones.

Real are Kafka, Apicurio, PostgreSQL, Redis, OpenSearch, Elasticsearch and Jaeger; a server of its protocol stands in
for MongoDB.
"""

from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.canned import canned_http, canned_tcp
from tests.support.compose_probe import ENGINES, is_healthy, no_ports
from tests.support.compose_run import ComposedRun
from tests.support.elasticsearch import ELASTICSEARCH, provide_elasticsearch
from tests.support.freezing import frozen
from tests.support.platform import engines
from tests.support.waiting import eventually

# Of a broker's answer to a request for metadata: length, correlation, no broker.
_NO_BROKER: Final = b"\0\0\0\x0c" + b"\0\0\0\1" + b"\0\0\0\0" + b"\0\0\0\0"
# PostgreSQL's: an error of the code that it has while it starts.
_STARTING: Final = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
_POSTGRESQL_STARTS: Final = b"E" + (len(_STARTING) + 4).to_bytes(4, "big") + _STARTING
_REDIS_LOADS: Final = b"-LOADING Redis is loading the dataset in memory\r\n"


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_runs_is_told_from_one_that_hangs_or_is_gone(run: ComposedRun, name: str) -> None:
    """Healthy while it works, sick while it hangs with its port open, healthy after, and sick where nothing listens."""
    assert run.is_healthy(name)
    with frozen(run.engines.pid(ENGINES[name])):
        assert not run.is_healthy(name)
    eventually(lambda: run.is_healthy(name), 20)
    assert not run.is_healthy(name, run.with_ports(name, no_ports(name)))


@pytest.mark.parametrize(
    ("name", "port", "answer"),
    [
        pytest.param("kafka", 19092, _NO_BROKER, id="kafka"),
        pytest.param("postgresql", 5432, _POSTGRESQL_STARTS, id="postgresql"),
        pytest.param("redis", 6379, _REDIS_LOADS, id="redis"),
        pytest.param("mongodb", 27017, b"HTTP/1.1 200 OK\r\n\r\n", id="mongodb"),
    ],
)
def test_a_store_that_answers_and_does_not_serve_is_sick(name: str, port: int, answer: bytes) -> None:
    """A broker that knows no broker, a server that starts or loads, another program on its port: all are sick."""
    with canned_tcp(answer) as here:
        assert not is_healthy(name, {port: here})


def test_a_registry_without_its_database_is_sick() -> None:
    """It answers 500 then."""
    with canned_http({"/apis/ccompat/v7/subjects": (500, "{}")}) as here:
        assert not is_healthy("schema-registry", {8080: here})


def test_a_search_engine_that_misses_a_shard_is_sick(run: ComposedRun) -> None:
    """An index whose primary shard can be nowhere makes it sick; it is well again without."""
    index = f"{run.engines.endpoints['opensearch']}/nowhere"
    settings = {"index.number_of_replicas": 0, "index.routing.allocation.require._name": "no such node"}
    parameters = {"wait_for_active_shards": "0"}
    httpx.put(index, json={"settings": settings}, params=parameters, timeout=30).raise_for_status()
    try:
        assert not run.is_healthy("opensearch")
    finally:
        httpx.delete(index, timeout=30).raise_for_status()
    eventually(lambda: run.is_healthy("opensearch"), 20)


def test_elasticsearch_is_told_from_one_that_hangs_or_is_gone(tmp_path: Path) -> None:
    """Version 7.17 answers the same check as OpenSearch does."""
    provide_elasticsearch()
    with engines({ELASTICSEARCH.name}, tmp_path, (ELASTICSEARCH,)) as running:
        ports = {9200: running.context.ports.opensearch}
        assert is_healthy(ELASTICSEARCH.name, ports)
        with frozen(running.pid(ELASTICSEARCH.name)):
            assert not is_healthy(ELASTICSEARCH.name, ports)
        eventually(lambda: is_healthy(ELASTICSEARCH.name, ports), 20)
    assert not is_healthy(ELASTICSEARCH.name, ports)


def test_a_jaeger_without_its_store_is_sick() -> None:
    """It takes spans, and can't answer queries; or it says of itself that a component does not work."""
    for status, services in ((200, 500), (503, 200)):
        with canned_http({"/status": (status, "{}"), "/api/services": (services, "{}")}) as here:
            assert not is_healthy("jaeger", {13133: here, 16686: here})
