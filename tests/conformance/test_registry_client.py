"""The platform's own client on any schema registry."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mesh.errors import PolystreamError, Reason
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import RegistrySettings
from stack.provision import RECEIPT_RECORD, register_schemas
from tests.support.registry_api import LONG_A, LONG_B, LONG_B_DEFAULT, record
from tests.support.registry_server import RegistryServer


def _client(server: RegistryServer) -> RegistryClient:
    return RegistryClient(RegistrySettings(url=server.url))


@pytest.fixture
def own_client(registry: RegistryServer) -> Iterator[RegistryClient]:
    """The platform's client on the shared registry."""
    made = _client(registry)
    yield made
    made.close()


def test_every_record_of_the_platform_is_registered_once(own_client: RegistryClient) -> None:
    """Provisioning again gives the same identifiers, and each leads back to the schema that is committed."""
    ids = register_schemas(own_client)
    assert register_schemas(own_client) == ids
    assert len(set(ids.values())) == len(ids)
    assert json.loads(own_client.schema_by_id(ids[RECEIPT_RECORD])) == load_schema(RECEIPT_RECORD)


def test_services_that_start_together_get_the_same_identifier(registry: RegistryServer, subject: str) -> None:
    """Whoever comes between, registering succeeds."""

    def start(number: int) -> int:
        client = _client(registry)
        field = {"name": f"f{number % 4}", "type": "long", "default": 0}
        try:
            return client.register("together", subject, json.loads(record(LONG_A, field)))
        finally:
            client.close()

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(start, range(16)))
    assert ids[:4] == ids[4:8] == ids[8:12] == ids[12:]
    assert len(set(ids)) == 4


def test_a_schema_that_breaks_readers_is_refused(own_client: RegistryClient, subject: str) -> None:
    """A compatible version gets through, an incompatible one is an error that says so."""
    own_client.set_compatibility("FULL_TRANSITIVE")
    own_client.register("topic", subject, json.loads(record(LONG_A)))
    own_client.register("topic", subject, json.loads(record(LONG_A, LONG_B_DEFAULT)))
    with pytest.raises(PolystreamError) as refused:
        own_client.register("topic", subject, json.loads(record(LONG_A, LONG_B)))
    assert refused.value.reason is Reason.INTERNAL
    assert "the schema registry refused POST" in refused.value.message


def test_an_unknown_identifier_makes_a_record_undecodable(own_client: RegistryClient) -> None:
    """Nothing is gained by asking again: the record is one for the dead-letter topic."""
    with pytest.raises(PolystreamError) as unknown:
        own_client.schema_by_id(987_654_321)
    assert unknown.value.reason is Reason.UNDECODABLE


def test_a_registry_that_is_down_is_told_apart(own_registry: RegistryServer) -> None:
    """While it is down the error says that trying again helps, and afterwards everything is as it was."""
    client = _client(own_registry)
    ids = register_schemas(client)
    own_registry.stop(signal.SIGKILL)
    for ask in (lambda: client.schema_by_id(1), lambda: register_schemas(client)):
        with pytest.raises(PolystreamError) as down:
            ask()
        assert down.value.reason is Reason.REGISTRY_UNAVAILABLE
    own_registry.start()
    assert register_schemas(client) == ids
    client.close()
