"""What the answers of a schema registry, and of what stands before one, mean to whoever asked."""

import json
import time
from collections.abc import Iterator

import pytest

from mesh.errors import PolystreamError, Reason
from mesh.schemas import RegistryClient
from mesh.settings import RegistrySettings
from tests.support.foreign_registry import FOREIGN_SCHEMAS, NOT_FOUND, PAGE, ForeignRegistry, foreign_registry

SCHEMA = {"type": "record", "name": "test.Record", "fields": []}
CONFLICT = json.dumps({"error_code": 409, "message": "incompatible with an earlier version"})
INVALID = json.dumps({"error_code": 42201, "message": "Invalid schema"})
UNANSWERED = [
    pytest.param(200, PAGE, id="a page with 200"),
    pytest.param(200, "[]", id="a list"),
    pytest.param(200, "{}", id="an empty object"),
    pytest.param(200, '{"schema": 7, "id": "7"}', id="values of other types"),
    pytest.param(200, "[" * 100_000, id="what no parser takes"),
    pytest.param(200, "x" * 8_000_001, id="a page without an end"),
    pytest.param(302, "", id="a redirection"),
    pytest.param(308, "", id="a permanent redirection"),
    pytest.param(401, json.dumps({"error_code": 401, "message": "Unauthorized"}), id="401"),
    pytest.param(403, PAGE, id="403"),
    pytest.param(404, PAGE, id="a page with 404"),
    pytest.param(404, json.dumps({"error_code": 0, "message": "no such resource"}), id="404 for another reason"),
    pytest.param(429, json.dumps({"error_code": 429, "message": "Too many requests"}), id="429"),
    pytest.param(404, json.dumps({"error_code": 40401, "message": "Subject not found"}), id="404 of a subject"),
    pytest.param(409, PAGE, id="a page with 409"),
    pytest.param(422, json.dumps({"detail": "no"}), id="422 of something else"),
    pytest.param(500, PAGE, id="500"),
    pytest.param(500, json.dumps({"error_code": 50001, "message": "Error in the backend"}), id="500 of the backend"),
    pytest.param(502, json.dumps({"error_code": 40403, "message": "Schema not found"}), id="40403 with 502"),
    pytest.param(503, json.dumps({"error_code": 42201, "message": "Invalid schema"}), id="42201 with 503"),
    pytest.param(503, "", id="503"),
]


@pytest.fixture
def registry() -> Iterator[ForeignRegistry]:
    """Run a registry."""
    with foreign_registry() as running:
        yield running


@pytest.fixture
def client(registry: ForeignRegistry) -> Iterator[RegistryClient]:
    """Return the platform's client."""
    made = RegistryClient(RegistrySettings(url=registry.url))
    yield made
    made.close()


@pytest.mark.parametrize(("status", "body"), UNANSWERED)
def test_what_does_not_say_that_there_is_no_schema_is_waited_for(
    registry: ForeignRegistry, client: RegistryClient, status: int, body: str
) -> None:
    """Nobody knows whether the record could be read: reading and registering are tried again."""
    registry.answers += [(status, body)] * 5  # a conflict is asked about four times
    for ask in (lambda: client.schema_by_id(1), lambda: client.register("topic", "test.Record", SCHEMA)):
        with pytest.raises(PolystreamError) as raised:
            ask()
        assert raised.value.reason is Reason.REGISTRY_UNAVAILABLE
        assert raised.value.metadata["http_status"] == str(status)
        assert raised.value.metadata["error"], "health shows why"


def test_an_answer_that_takes_too_long_is_given_up(registry: ForeignRegistry) -> None:
    """Though every byte of it comes soon after the one before."""
    hasty = RegistryClient(RegistrySettings(url=registry.url, timeout_s=0.3))
    registry.byte_pause_s = 0.05
    registry.answers.append((200, json.dumps({"schema": "x" * 1000})))
    began_s = time.monotonic()
    with pytest.raises(PolystreamError) as raised:
        hasty.schema_by_id(1)
    assert raised.value.reason is Reason.REGISTRY_UNAVAILABLE
    assert time.monotonic() - began_s < 20, "a thousand bytes would take fifty seconds"
    registry.byte_pause_s = 0.0
    hasty.close()


def test_a_schema_without_an_end_is_none(registry: ForeignRegistry, client: RegistryClient) -> None:
    """No repetition makes it shorter."""
    registry.answers.append((200, json.dumps({"schema": "x" * 8_000_000})))
    with pytest.raises(PolystreamError) as raised:
        client.schema_by_id(1)
    assert raised.value.reason is Reason.UNDECODABLE


@pytest.mark.parametrize("schema_id", [schema_id for schema_id, a in FOREIGN_SCHEMAS.items() if len(a) > 1])
def test_a_schema_of_another_kind_is_none(client: RegistryClient, schema_id: int) -> None:
    """Protobuf, JSON, or Avro that needs other schemas: no repetition makes the record readable."""
    with pytest.raises(PolystreamError) as raised:
        client.schema_by_id(schema_id)
    assert raised.value.reason is Reason.UNDECODABLE


def test_only_confluents_code_says_that_there_is_no_schema(registry: ForeignRegistry, client: RegistryClient) -> None:
    """The record is one for the dead-letter topic then."""
    registry.answers.append(NOT_FOUND)
    with pytest.raises(PolystreamError) as raised:
        client.schema_by_id(1)
    assert raised.value.reason is Reason.UNDECODABLE


@pytest.mark.parametrize(("status", "body"), [(409, CONFLICT), (422, INVALID)])
def test_a_schema_that_is_refused_is_not_sent_for_ever(
    registry: ForeignRegistry, client: RegistryClient, status: int, body: str
) -> None:
    """The error says what was asked; a conflict is tried a few times, since two may have met."""
    registry.answers += [(status, body)] * 4
    with pytest.raises(PolystreamError) as raised:
        client.register("topic", "test.Record", SCHEMA)
    assert raised.value.reason is Reason.INTERNAL
    assert "the schema registry refused POST /subjects/topic-test.Record/versions" in raised.value.message


def test_a_schema_is_registered_and_read_again(registry: ForeignRegistry, client: RegistryClient) -> None:
    """Also where two that register meet."""
    registry.answers.append((409, CONFLICT))
    schema_id = client.register("topic", "test.Record", SCHEMA)
    assert json.loads(client.schema_by_id(schema_id)) == SCHEMA
    assert client.register("topic", "test.Record", SCHEMA) == schema_id
