"""The PostgreSQL lane as a process, on a real broker, registry and server."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from polystream.v1.operations_pb2 import Operation
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest, UpdateUserRequest

from mesh import topics
from mesh.ids import new_correlation_id
from processor.migrations.runner import load_migrations, migrate
from tests.support.engine_pool import Lease
from tests.support.lanes import LaneProcess, Wire, run_module
from tests.support.people import person
from tests.support.platform import EngineSet
from tests.support.waiting import eventually

_USER_IDS = itertools.count(1)
LOAD_COMMANDS = 3000
SLOW_S = 40.0


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the engines, provisioned."""
    started = lease("postgresql", "kafka", "schema_registry")
    run_module(started, "stack.provision")
    migrate(started.endpoints["postgresql"], load_migrations())
    return started


@pytest.fixture
def wire(running: EngineSet) -> Iterator[Wire]:
    """Return the test's own end of the topics."""
    opened = Wire(running)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def lane_process(running: EngineSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaneProcess]:
    """Return the lane's process, for all tests: a group takes seconds to form."""
    with LaneProcess(running, "postgresql", tmp_path_factory.mktemp("lane")) as process:
        yield process


@pytest.fixture
def lane(lane_process: LaneProcess) -> LaneProcess:
    """Have the lane run."""
    return lane_process.start()


@pytest.fixture
def db(running: EngineSet) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection to look at the rows with."""
    with psycopg.connect(running.endpoints["postgresql"], autocommit=True) as connection:
        yield connection


def new_user(**fields: Any) -> CreateUserRequest:
    """Return a request for a user that is not there."""
    return CreateUserRequest(**({"user_id": next(_USER_IDS)} | person() | fields))


def rows(db: psycopg.Connection[Any], users: list[CreateUserRequest]) -> list[int]:
    """Return the user IDs of these users' rows, sorted."""
    ids = [user.user_id for user in users]
    found = db.execute("SELECT user_id FROM usuarios WHERE user_id = ANY(%s) ORDER BY user_id", (ids,)).fetchall()
    return [user_id for (user_id,) in found]


def send_users(wire: Wire, count: int) -> tuple[list[CreateUserRequest], list[str]]:
    """Send so many new users, and return them with their correlation IDs."""
    users = [new_user() for _ in range(count)]
    ids = [wire.send(user) for user in users]
    wire.flush()
    return users, ids


def test_a_command_reaches_its_table_and_is_answered(
    lane: LaneProcess, wire: Wire, db: psycopg.Connection[Any]
) -> None:
    """The receipt has the command's key, the headers of the contract, its times in order, and no personal data."""
    user = new_user()
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    id_ = wire.send(user, traceparent=traceparent)
    wire.flush()
    receipt = wire.wait_receipt(id_)
    assert rows(db, [user]) == [user.user_id]
    assert (receipt.command, receipt.state, receipt.user_id) == ("CreateUser", Operation.SUCCEEDED, user.user_id)
    assert not receipt.duplicate
    times = [moment.ToMicroseconds() for moment in (receipt.accept_time, receipt.receive_time, receipt.complete_time)]
    assert times == sorted(times)
    sent = wire.record_of(id_)
    assert sent.key == str(user.user_id).encode()
    assert sent.headers == {
        topics.CORRELATION_ID: id_,
        topics.COMMAND: "CreateUser",
        topics.STORE: "POSTGRESQL",
        topics.TRACEPARENT: traceparent,
    }
    assert sent.value is not None
    for personal in (user.name, user.email, user.cpf):
        assert personal.encode() not in sent.value
        assert personal not in lane.log


@pytest.mark.usefixtures("lane")
def test_a_command_delivered_again_is_answered_again_with_one_effect(wire: Wire, db: psycopg.Connection[Any]) -> None:
    """Also several times in one batch: one row, one answer, and its repetitions marked as duplicates."""
    user, id_ = new_user(), new_correlation_id()
    for _ in range(5):
        wire.send(user, id_)
    wire.flush()
    wire.wait_receipts(id_, 5)
    wire.send(user, id_)
    wire.flush()
    receipts = wire.wait_receipts(id_, 6)
    assert [receipt.duplicate for receipt in receipts] == [False, *[True] * 5]
    for receipt in receipts:
        receipt.duplicate = False
    assert receipts == [receipts[0]] * 6
    assert rows(db, [user]) == [user.user_id]


@pytest.mark.usefixtures("lane")
def test_commands_of_a_user_are_applied_in_their_order(wire: Wire, db: psycopg.Connection[Any]) -> None:
    """Ten users at once, each created, renamed three times, deleted, created anew and renamed."""
    expected = {}
    ids = []
    for _ in range(10):
        user = new_user()
        again = new_user(user_id=user.user_id)
        renames = [UpdateUserRequest(user_id=user.user_id, name=f"Nome {number}") for number in range(4)]
        story = [user, *renames[:3], DeleteUserRequest(user_id=user.user_id), again, renames[3]]
        ids += [wire.send(request) for request in story]
        expected[user.user_id] = "Nome 3"
    wire.flush()
    wire.wait_all(ids)
    assert {wire.receipts(id_)[0].state for id_ in ids} == {Operation.SUCCEEDED}
    names = db.execute("SELECT user_id, nome FROM usuarios WHERE user_id = ANY(%s)", (list(expected),)).fetchall()
    assert dict(names) == expected


@pytest.mark.usefixtures("lane")
def test_poison_is_dead_lettered_and_the_lane_goes_on(wire: Wire, db: psycopg.Connection[Any]) -> None:
    """Bytes that are no record, a command that nobody knows, a value that no row can hold: others do not suffer."""
    broken, unknown = new_correlation_id(), new_correlation_id()
    before = new_user()
    ids = [wire.send(before)]
    wire.send_raw(b"5", b"\xde\xad\xbe\xef", {topics.CORRELATION_ID: broken, topics.COMMAND: "CreateUser"})
    wire.send_raw(b"5", b"", {topics.CORRELATION_ID: unknown, topics.COMMAND: "DropTables"})
    wire.send_raw(b"nobody", wire.encode(new_user()), {topics.COMMAND: "CreateUser"})
    unwritable = wire.send(new_user(name="nul\0nul"))
    after = new_user()
    ids.append(wire.send(after))
    wire.flush()
    wire.wait_all([*ids, broken, unknown, unwritable])
    assert rows(db, [before, after]) == [before.user_id, after.user_id]
    for id_, reason in ((broken, "UNDECODABLE"), (unknown, "UNKNOWN_COMMAND"), (unwritable, "HANDLER_FAILED")):
        (receipt,) = wire.receipts(id_)
        assert (receipt.state, receipt.error.reason, receipt.dead_lettered) == (Operation.FAILED, reason, True)
        dead_letter = wire.wait_dead_letter(lambda sent: sent.headers.get(topics.CORRELATION_ID) == id_)  # noqa: B023 - now
        assert dead_letter.headers[topics.DLQ_REASON] == reason
        assert dead_letter.headers[topics.DLQ_TOPIC] == topics.COMMANDS
        assert dead_letter.headers[topics.DLQ_LANE] == "lane-0"
        assert "nul" not in dead_letter.headers[topics.DLQ_ERROR]
    assert wire.wait_dead_letter(lambda sent: sent.key == b"nobody").headers[topics.DLQ_REASON] == "UNDECODABLE"
    assert wire.wait_dead_letter(lambda sent: sent.value == b"\xde\xad\xbe\xef").key == b"5"


@pytest.mark.usefixtures("lane")
def test_what_the_lane_skips_is_passed_over_in_its_positions(wire: Wire, db: psycopg.Connection[Any]) -> None:
    """The other lanes can tell that nothing before their own commands is outstanding."""

    def total() -> int:
        row = db.execute("SELECT coalesce(sum(next_offset), 0) FROM lane_positions").fetchone()
        assert row is not None
        return int(row[0])

    id_ = wire.send(new_user())
    wire.flush()
    wire.wait_receipt(id_)
    before = eventually(total, 30)
    for user_id in range(20):
        wire.send(CreateSessionRequest(user_id=user_id, device=Session.Device.TV))
    wire.flush()
    eventually(lambda: total() == before + 20, 30)


def test_a_lane_that_is_told_to_stop_ends_well(lane: LaneProcess, wire: Wire, db: psycopg.Connection[Any]) -> None:
    """It finishes its batch, commits, removes its file and exits with 0: its successor has nothing to repeat."""
    content = lane.wait_ready()
    assert (content["pid"], content["kind"], content["partitions"]) == (lane.pid, "lane-postgresql", [0, 1, 2, 3, 4, 5])
    users, ids = send_users(wire, 200)
    wire.wait_all(ids[:1])
    assert lane.stop() == 0
    assert not lane.ready_file.exists()
    lane.start()
    wire.wait_all(ids)
    last = wire.send(new_user())
    wire.flush()
    wire.wait_receipt(last)
    assert len(rows(db, users)) == 200
    assert [id_ for id_ in ids if len(wire.receipts(id_)) > 1] == []


@contextmanager
def lane_held_in_a_batch(engine: EngineSet) -> Iterator[None]:
    """Hold the lane in the middle of a batch's transaction while the block runs: it waits for a table's lock."""
    # The server may be killed in the block: its end is no error of the holder's.
    with suppress(psycopg.OperationalError), psycopg.connect(engine.endpoints["postgresql"]) as holder:
        holder.execute("LOCK TABLE inbox IN EXCLUSIVE MODE")
        yield


def wait_for_held_lane(engine: EngineSet) -> None:
    """Wait until the lane waits for a lock."""
    with psycopg.connect(engine.endpoints["postgresql"], autocommit=True) as connection:
        eventually(lambda: connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone(), 30)


def test_killing_postgresql_in_a_batch_loses_nothing(running: EngineSet, lane: LaneProcess, wire: Wire) -> None:
    """Every command is applied once; the lane waits for the server, without being started again."""
    pid, logged = lane.pid, len(lane.log)
    with lane_held_in_a_batch(running):
        users, ids = send_users(wire, LOAD_COMMANDS)
        wait_for_held_lane(running)
        running.kill("postgresql")
    eventually(lambda: "STORE_UNAVAILABLE" in lane.log[logged:], 30)
    running.start("postgresql")
    wire.wait_all(ids)
    with psycopg.connect(running.endpoints["postgresql"]) as fresh:
        assert len(rows(fresh, users)) == LOAD_COMMANDS
    assert {wire.receipts(id_)[0].state for id_ in ids} == {Operation.SUCCEEDED}
    assert json.loads(lane.ready_file.read_text())["pid"] == pid


def test_killing_the_lane_in_a_batch_loses_nothing(running: EngineSet, lane: LaneProcess, wire: Wire) -> None:
    """Its successor takes up what is not committed: every command has its receipt and one row."""
    with lane_held_in_a_batch(running):
        users, ids = send_users(wire, LOAD_COMMANDS)
        wait_for_held_lane(running)
        lane.kill()
    lane.start()
    wire.wait_all(ids[:1])
    lane.kill()  # once more, wherever it is now
    lane.start()
    wire.wait_all(ids)
    with psycopg.connect(running.endpoints["postgresql"]) as fresh:
        assert len(rows(fresh, users)) == LOAD_COMMANDS
    assert {wire.receipts(id_)[0].state for id_ in ids} == {Operation.SUCCEEDED}


def test_two_lanes_share_the_partitions(
    running: EngineSet, lane: LaneProcess, wire: Wire, db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """Partitions move to a second lane and back under load, and every command is applied once."""
    all_users, all_ids = [], []

    def send_some() -> None:
        users, ids = send_users(wire, 50)
        all_users.extend(users)
        all_ids.extend(ids)

    with LaneProcess(running, "postgresql", tmp_path, name="lane-1") as second:
        second.start(wait=False)

        def is_shared() -> bool:
            send_some()
            mine, its = lane.partitions(), second.partitions()
            return len(mine) == len(its) == 3 and not mine & its

        eventually(is_shared, SLOW_S, interval_s=0.25)
        send_some()
        second.kill()

    def has_all_again() -> bool:
        send_some()
        return len(lane.partitions()) == 6

    eventually(has_all_again, SLOW_S, interval_s=0.25)
    wire.wait_all(all_ids)
    assert len(rows(db, all_users)) == len(all_ids)


def test_a_registry_that_is_down_is_waited_for(
    running: EngineSet, lane: LaneProcess, wire: Wire, db: psycopg.Connection[Any]
) -> None:
    """A lane that does not know a schema yet keeps its batch until it can ask."""
    known = wire.send(new_user())
    wire.flush()
    wire.wait_receipt(known)  # the test itself knows the schemas by then
    user = new_user()
    lane.stop()  # a lane that has just started knows none
    lane.start()
    logged = len(lane.log)
    running.kill("schema_registry")
    id_ = wire.send(user)
    wire.flush()
    eventually(lambda: "REGISTRY_UNAVAILABLE" in lane.log[logged:], 30)
    wire.drain()
    assert wire.receipts(id_) == []
    running.start("schema_registry")
    assert wire.wait_receipt(id_).state == Operation.SUCCEEDED
    assert rows(db, [user]) == [user.user_id]


@pytest.mark.usefixtures("lane")
def test_a_broker_that_starts_anew_is_followed(running: EngineSet, db: psycopg.Connection[Any]) -> None:
    """The lane goes on, with the topics that it had, and with its positions in those."""
    before = {topic_id for (topic_id,) in db.execute("SELECT DISTINCT topic_id FROM lane_positions").fetchall()}
    running.kill("kafka")
    running.start("kafka")
    run_module(running, "stack.provision")
    wire = Wire(running)
    user = new_user()
    id_ = wire.send(user)
    wire.flush()
    assert wire.wait_receipt(id_, SLOW_S).state == Operation.SUCCEEDED
    wire.close()
    assert rows(db, [user]) == [user.user_id]
    after = {topic_id for (topic_id,) in db.execute("SELECT DISTINCT topic_id FROM lane_positions").fetchall()}
    assert after == before
