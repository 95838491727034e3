"""A lane that is older than the gateways: what it does not know it sets apart, and it applies the rest."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import psycopg
import pytest
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import CreateUserRequest, UpdateUserRequest

from mesh import topics
from mesh.codec import read_record
from mesh.ids import new_correlation_id
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import RegistrySettings
from processor.migrations.runner import load_migrations, migrate
from tests.support.engine_pool import Lease
from tests.support.lanes import LaneProcess, Wire, run_module
from tests.support.people import person
from tests.support.platform import EngineSet

_RECORD = "polystream.v1.UpdateUserRequest"
_USER_ID = 7001


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run what PostgreSQL's lane needs."""
    started = lease("postgresql", "kafka", "schema_registry")
    run_module(started, "stack.provision")
    migrate(started.endpoints["postgresql"], load_migrations())
    return started


@pytest.fixture
def wire(running: EngineSet, tmp_path: Path) -> Iterator[Wire]:
    """Return the test's own end of the topics, with PostgreSQL's lane at the other."""
    opened = Wire(running)
    with LaneProcess(running, "postgresql", tmp_path) as lane:
        lane.start()
        yield opened
    opened.close()


@pytest.fixture
def registry(running: EngineSet) -> Iterator[RegistryClient]:
    """Return a client of the registry."""
    client = RegistryClient(RegistrySettings(url=running.settings["SCHEMA_REGISTRY_URL"]))
    yield client
    client.close()


class _NewerGateway:
    """Writes UpdateUser with a field more."""

    def __init__(self, wire: Wire, registry: RegistryClient) -> None:
        self._wire, self._registry = wire, registry
        schema = load_schema(_RECORD)
        added = {"name": "nickname", "type": ["null", "string"], "default": None}
        newer = {**schema, "fields": [*schema["fields"], added]}
        self._schema_id = registry.register(topics.COMMANDS, _RECORD, newer)  # FULL_TRANSITIVE allows it
        self._schema = fastavro.parse_schema(newer)

    def send(self, request: UpdateUserRequest, nickname: str | None) -> str:
        """Send a command, and return its correlation ID."""
        fields: dict[str, Any] = read_record(self._wire.encode(request), self._registry)
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, self._schema, {**fields, "nickname": nickname})
        value = b"\0" + self._schema_id.to_bytes(4, "big") + stream.getvalue()
        return self.send_raw("UpdateUser", value, str(request.user_id))

    def send_unknown(self, user_id: int) -> str:
        """Send a command that the lane does not know at all."""
        fields = [{"name": "user_id", "type": "long", "default": 0}]
        name = "polystream.v1.RenameUserRequest"
        schema = {"type": "record", "name": name, "fields": fields}
        schema_id = self._registry.register(topics.COMMANDS, name, schema)
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), {"user_id": user_id})
        return self.send_raw("RenameUser", b"\0" + schema_id.to_bytes(4, "big") + stream.getvalue(), str(user_id))

    def send_raw(self, command: str, value: bytes, key: str) -> str:
        """Send a record for PostgreSQL's lane."""
        id_ = new_correlation_id()
        headers = {topics.CORRELATION_ID: id_, topics.COMMAND: command, topics.STORES: "POSTGRESQL"}
        self._wire.send_raw(key.encode(), value, headers)
        return id_


def test_a_command_with_more_than_the_lane_knows_is_set_apart(
    running: EngineSet, wire: Wire, registry: RegistryClient
) -> None:
    """Nothing of it is applied, its error and its dead letter say why and what to do; the others are applied."""
    newer = _NewerGateway(wire, registry)
    ids = [wire.send(CreateUserRequest(user_id=_USER_ID, **person()))]
    ids += [newer.send(UpdateUserRequest(user_id=_USER_ID, name="Antes"), None)]
    more = newer.send(UpdateUserRequest(user_id=_USER_ID, name="Nunca"), "Nina")
    unknown = newer.send_unknown(_USER_ID + 2)
    waiting = wire.send(UpdateUserRequest(user_id=_USER_ID, name="Depois"))
    garbage = newer.send_raw("RenameUser", b"?", str(_USER_ID + 1))
    ids += [wire.send(CreateUserRequest(user_id=_USER_ID + 1, **person()))]
    wire.flush()
    wire.wait_all([*ids, more, unknown, waiting, garbage])
    assert [wire.receipts(id_)[0].state for id_ in ids] == [Operation.SUCCEEDED] * 3
    for id_, said in ((more, "nickname"), (unknown, "update the lane")):
        (receipt,) = wire.receipts(id_)
        assert (receipt.state, receipt.error.reason, receipt.dead_lettered) == (Operation.FAILED, "LANE_OUTDATED", True)
        assert said in receipt.error.message
        assert "Nina" not in str(receipt)
        dead_letter = wire.wait_dead_letter(lambda sent: sent.headers[topics.CORRELATION_ID] == id_)  # noqa: B023 - now
        assert dead_letter.headers[topics.DLQ_REASON] == "LANE_OUTDATED"
        assert said in dead_letter.headers[topics.DLQ_ERROR]
        assert dead_letter.headers[topics.STORES] == "POSTGRESQL"
    # Once the lane is updated, it can be applied: what comes after it waits. Anybody's bytes hold up nobody.
    assert wire.receipts(waiting)[0].waits_behind == more
    assert wire.receipts(garbage)[0].error.reason == "UNDECODABLE"
    with psycopg.connect(running.endpoints["postgresql"]) as connection:
        names = connection.execute("SELECT nome FROM usuarios WHERE user_id = %s", (_USER_ID,)).fetchall()
    assert names == [("Antes",)]
