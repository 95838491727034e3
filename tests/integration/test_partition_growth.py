"""`user_events` gets more partitions: commands stay in their order, and no user is mistaken for an unknown one."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pymongo
import pytest
from confluent_kafka.admin import AdminClient
from polystream.v1.contents_pb2 import Content
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest, UpdateUserRequest
from polystream.v1.views_pb2 import RecordViewRequest

from mesh import topics
from mesh.kafka import QUIET_CONFIG
from mesh.settings import KafkaSettings
from mesh.topic_reader import GroupPosition, TopicReader
from stack.engines.native import NATIVE
from stack.partition_growth import GrowthRefusedError
from stack.provision import prepare_topics
from tests.support.engine_pool import Lease
from tests.support.lanes import LaneProcess, Wire, run_module
from tests.support.people import person
from tests.support.platform import EngineSet
from tests.support.stores import ending
from tests.support.waiting import eventually

_STORES = ("postgresql", "mongodb", "redis")
_BEFORE, _AFTER = topics.PARTITIONS, 12
_USERS = 40
_TIMEOUT_S = 30.0
_IDS = itertools.count(9000)


@pytest.fixture
def running(lease: Lease) -> EngineSet:
    """Run all engines, provisioned with six partitions. The broker is Kafka: the embedded one cannot add any."""
    started = lease(*_STORES, "kafka", "schema_registry", among=NATIVE)
    run_module(started, "stack.provision")
    run_module(started, "processor", "migrate")
    return started


@pytest.fixture
def lanes(running: EngineSet, tmp_path: Path) -> Iterator[list[LaneProcess]]:
    """Run the three lanes."""
    with ExitStack() as stopping:
        started = []
        for store in _STORES:
            (tmp_path / store).mkdir()
            started.append(stopping.enter_context(LaneProcess(running, store, tmp_path / store)))
        _start(started)
        yield started


@pytest.fixture
def wire(running: EngineSet) -> Iterator[Wire]:
    """Return the test's own end of the topics."""
    opened = Wire(running)
    yield opened
    opened.close()


@pytest.fixture
def db(running: EngineSet) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection to the rows."""
    with psycopg.connect(running.endpoints["postgresql"], autocommit=True) as connection:
        yield connection


def _start(lanes: list[LaneProcess]) -> None:
    for lane in lanes:
        lane.start(wait=False)
    for lane in lanes:
        lane.wait_ready()


def _stop(lanes: list[LaneProcess], running: EngineSet) -> None:
    """Stop the lanes once they have read all that there is."""
    kafka = _kafka(running)

    def all_read() -> bool:
        with TopicReader(kafka) as reader:
            ends = {partition: end for partition, end in reader.ends(topics.COMMANDS).items() if end}
        for store in _STORES:
            with GroupPosition(kafka, topics.lane_group(store)) as group:
                if group.committed(topics.COMMANDS, ends) != ends:
                    return False
        return True

    eventually(all_read, _TIMEOUT_S)
    assert [lane.stop() for lane in lanes] == [0] * len(lanes)


def _grow(running: EngineSet) -> None:
    """Provision anew, with the settings of afterwards."""
    prepare_topics(_kafka(running))


def _kafka(running: EngineSet) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=running.settings["KAFKA_BOOTSTRAP_SERVERS"], command_partitions=_AFTER)


def _partitions(running: EngineSet) -> int:
    admin = AdminClient({**_kafka(running).client_config("test"), **QUIET_CONFIG})
    return len(admin.list_topics(topics.COMMANDS, timeout=_TIMEOUT_S).topics[topics.COMMANDS].partitions)


def _view(user_id: int, content_id: int) -> RecordViewRequest:
    return RecordViewRequest(user_id=user_id, content_id=content_id, title="x", kind=Content.Kind.MOVIE)


def _endings(wire: Wire, ids: list[str]) -> set[str]:
    wire.flush()
    wire.wait_all(ids)
    return {ending(receipt) for id_ in ids for receipt in wire.receipts(id_)}


def test_the_same_users_go_on_in_order_with_twice_as_many_partitions(
    running: EngineSet, lanes: list[LaneProcess], wire: Wire
) -> None:
    """Most keys get another partition. What came before is done by then, and what comes after stays in its order."""
    users = [next(_IDS) for _ in range(_USERS)]
    before = [
        wire.send(request)
        for user_id in users
        for request in (
            CreateUserRequest(user_id=user_id, **person()),
            _view(user_id, 1),
            UpdateUserRequest(user_id=user_id, name="Antes"),
        )
    ]
    assert _endings(wire, before) == {"ok"}
    _stop(lanes, running)
    running.stop("kafka")  # as with `down` and `up`: a broker that has just started does not know its groups yet
    running.start("kafka")
    _grow(running)
    assert _partitions(running) == _AFTER
    _start(lanes)

    erased, kept = users[:5], users[5:]
    # As with a gateway that starts now, the producer knows of the new partitions.
    with closing(Wire(running)) as new_wire:
        assert _endings(new_wire, _send_more(new_wire, erased, kept)) == {"ok"}
        assert _endings(new_wire, [new_wire.send(_view(next(_IDS), 1))]) == {
            "USER_NOT_FOUND"
        }  # who is unknown still is
    assert set().union(*(lane.partitions() for lane in lanes)) == set(range(_AFTER))

    with psycopg.connect(running.endpoints["postgresql"]) as connection:
        names = connection.execute("SELECT nome FROM usuarios WHERE user_id = ANY(%s)", (kept,)).fetchall()
        assert names == [("Depois 4",)] * len(kept)
    with pymongo.MongoClient[dict[str, Any]](running.endpoints["mongodb"]) as client:
        views = client.get_default_database()["historico_visualizacao"]
        assert {len(list(views.find({"user_id": user_id}))) for user_id in kept} == {6}
        assert [[v["conteudo_id"] for v in views.find({"user_id": user_id})] for user_id in erased] == [[99]] * 5


def _send_more(wire: Wire, erased: list[int], kept: list[int]) -> list[str]:
    """Send names and views of some users, and for others the end and the new beginning of a life."""
    ids = []
    for number in range(5):
        ids += [wire.send(UpdateUserRequest(user_id=user_id, name=f"Depois {number}")) for user_id in kept]
        ids += [wire.send(_view(user_id, 10 + number)) for user_id in kept]
    for user_id in erased:
        ids += [wire.send(DeleteUserRequest(user_id=user_id))]
        ids += [wire.send(CreateUserRequest(user_id=user_id, **person())), wire.send(_view(user_id, 99))]
    return ids


def test_it_is_refused_until_all_is_applied_and_the_lanes_have_ended(
    running: EngineSet, lanes: list[LaneProcess], wire: Wire
) -> None:
    """Each refusal says what to do. Nothing has changed after it."""
    with pytest.raises(GrowthRefusedError, match=r"lanes still run, of .*MONGODB \(1\).*: stop them"):
        _grow(running)
    _stop(lanes, running)
    left = wire.send(CreateUserRequest(user_id=next(_IDS), **person()))
    wire.flush()
    with pytest.raises(
        GrowthRefusedError, match=r"the lane of POSTGRESQL has 1 records to read.*KAFKA_COMMAND_PARTITIONS=6"
    ):
        _grow(running)
    assert _partitions(running) == _BEFORE
    _start(lanes)
    assert _endings(wire, [left]) == {"ok"}
    _stop(lanes, running)
    _grow(running)
    assert _partitions(running) == _AFTER


def test_what_is_parked_goes_on_in_another_partition(
    running: EngineSet, lanes: list[LaneProcess], wire: Wire, db: psycopg.Connection[Any]
) -> None:
    """It waits in its store, by its key: what comes in to the key's new partition waits behind it."""
    users = [next(_IDS) for _ in range(12)]
    ids = [wire.send(CreateUserRequest(user_id=user_id, **person())) for user_id in users]
    wire.flush()
    assert _endings(wire, ids) == {"ok"}
    db.execute("ALTER TABLE usuarios ADD CONSTRAINT broken CHECK (nome <> 'Antes') NOT VALID")
    broken = {user_id: wire.send(UpdateUserRequest(user_id=user_id, name="Antes")) for user_id in users}
    wire.flush()
    wire.wait_all(list(broken.values()))
    db.execute("ALTER TABLE usuarios DROP CONSTRAINT broken")
    _stop(lanes, running)
    _grow(running)
    _start(lanes)
    later = {user_id: wire.send(UpdateUserRequest(user_id=user_id, name="Depois")) for user_id in users}
    wire.flush()
    assert {wire.wait_receipt(later[user_id]).waits_behind for user_id in users} == set(broken.values())
    again = {topics.REDRIVES: "1", topics.FIRST_OFFSET: "0", topics.REDRIVE_ACTION: "redrive"}
    for user_id in users:
        wire.send(UpdateUserRequest(user_id=user_id, name="Antes"), broken[user_id], **again)
    wire.flush()
    assert {wire.wait_receipts(later[user_id], 2)[-1].state for user_id in users} == {Operation.SUCCEEDED}
    assert {wire.wait_receipts(broken[user_id], 2)[-1].state for user_id in users} == {Operation.SUCCEEDED}
    names = db.execute("SELECT DISTINCT nome FROM usuarios WHERE user_id = ANY(%s)", (users,)).fetchall()
    assert names == [("Depois",)]


def test_it_is_refused_while_commands_come_in(running: EngineSet, lanes: list[LaneProcess]) -> None:
    """A gateway that still runs would send commands of one key to two partitions."""
    _stop(lanes, running)
    argv = [sys.executable, "-c", _SENDER, running.settings["KAFKA_BOOTSTRAP_SERVERS"], topics.COMMANDS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as sending:
        try:
            assert sending.stdout is not None
            sending.stdout.readline()
            with pytest.raises(GrowthRefusedError, match=r"stop every gateway|records to read"):
                _grow(running)
        finally:
            sending.kill()
    assert _partitions(running) == _BEFORE


_SENDER = """
import sys, time
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": sys.argv[1]})
while True:
    producer.produce(sys.argv[2], b"x", b"1")
    producer.flush(5)
    print("sent", flush=True)
    time.sleep(0.2)
"""


def test_a_topic_that_somebody_grew_is_refused_with_what_to_do(running: EngineSet) -> None:
    """Fewer are wanted than there are: the settings follow the topic, once all is applied."""
    eventually(lambda: _partitions(running) == _BEFORE, _TIMEOUT_S)
    fewer = _kafka(running).model_copy(update={"command_partitions": 4})
    with pytest.raises(topics.WrongPartitionsError, match=r"wait until the lanes .* set KAFKA_COMMAND_PARTITIONS=6"):
        prepare_topics(fewer)
