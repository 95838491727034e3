"""A `request_id` that Redis has forgotten, and PostgreSQL and MongoDB have not: lanes as processes, whole gateways."""

import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import grpc
import httpx
import psycopg
import pytest
import redis
from bson.binary import Binary
from google.protobuf.message import Message
from polystream.v1 import operations_pb2_grpc, users_pb2_grpc, views_pb2_grpc
from polystream.v1.contents_pb2 import Content
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation, WaitOperationRequest
from polystream.v1.users_pb2 import CreateUserRequest, UpdateUserRequest
from polystream.v1.views_pb2 import RecordViewRequest

from gateway.admission import Admissions
from mesh.catalog import load_catalog
from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError, Reason
from mesh.fingerprints import shorten
from mesh.ids import new_correlation_id, next_attempt_id, request_correlation_id
from mesh.settings import MongoSettings
from mesh.store_errors import fail
from mesh.store_names.mongodb import INBOX, PARKED_RECORDS
from processor.model import ParkedRecord
from processor.stores.mongodb import connect, database_of
from processor.stores.mongodb_parking import MongoParking
from processor.stores.postgresql_parking import PostgresParking
from tests.support.engine_pool import Lease
from tests.support.gateways import Served, refused, serving
from tests.support.lanes import LaneProcess, run_module
from tests.support.people import person
from tests.support.platform import EngineSet
from tests.support.waiting import eventually_async

STORES = ("postgresql", "mongodb", "redis")


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run all engines, provisioned."""
    started = lease(*STORES, "kafka", "schema_registry")
    run_module(started, "stack.provision")
    run_module(started, "processor", "migrate")
    return started


@pytest.fixture(scope="module")
def lanes(running: EngineSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run the three lanes."""
    started = [LaneProcess(running, store, tmp_path_factory.mktemp(store)) for store in STORES]
    try:
        for lane in started:
            lane.start(wait=False)
        for lane in started:
            lane.wait_ready()
        yield
    finally:
        for lane in started:
            lane.stop()


@pytest.fixture
def settings(running: EngineSet, lanes: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - they run
    """Lead the settings to the engines."""
    for name, value in running.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


class Client:
    """A client of one gateway, by gRPC and by REST."""

    def __init__(self, served: Served, rest: httpx.AsyncClient) -> None:
        self.tracker = served.gateway.tracker
        self.users: Any = users_pb2_grpc.UserServiceStub(served.channel)
        self.views: Any = views_pb2_grpc.ViewServiceStub(served.channel)
        self._operations: Any = operations_pb2_grpc.OperationServiceStub(served.channel)
        self.rest = rest

    async def done(self, accepted: Operation) -> Operation:
        """Wait until an operation is done."""
        wait = WaitOperationRequest(correlation_id=accepted.correlation_id)
        operation: Operation = await self._operations.WaitOperation(wait)
        assert operation.state != Operation.ACCEPTED
        return operation


class Gateways:
    """Starts gateways, each with another name, and stops them with the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._names = map("gateway-{}".format, itertools.count())

    async def start(self) -> Client:
        """Start one, which knows nothing of what was before."""
        name = f"{next(self._names)}-{new_correlation_id()}"
        served = await self._stack.enter_async_context(serving("native", name=name))
        await eventually_async(lambda: caught_up(served), 30)
        url = f"http://127.0.0.1:{served.gateway.http.port}"
        return Client(served, await self._stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=20)))


@pytest.fixture
async def gateways(settings: None) -> AsyncIterator[Gateways]:  # noqa: ARG001 - the gateways read them
    """Give gateways."""
    async with AsyncExitStack() as stack:
        yield Gateways(stack)


async def caught_up(served: Served) -> bool:
    """Whether a gateway has read the receipts that were there when it started."""
    return served.gateway.tracker.following.caught_up


def forget(client: Client, operation: Operation) -> None:
    """Take an operation out of a gateway's memory, as many newer ones do."""
    client.tracker._memory._entries.pop(operation.correlation_id, None)


def empty_redis(running: EngineSet) -> None:
    """Take all that Redis knows."""
    with redis.Redis.from_url(running.endpoints["redis"]) as client:
        client.flushall()


async def test_the_same_request_is_the_same_operation_and_another_one_is_refused(
    running: EngineSet, gateways: Gateways
) -> None:
    """By the gateway that accepted it, and by one that has just started; at both doors."""
    here = await gateways.start()
    someone, request_id = person(), new_correlation_id()
    request = CreateUserRequest(**someone, request_id=request_id)
    first = await here.done(await here.users.CreateUser(request))
    assert first.state == Operation.SUCCEEDED
    for client in (here, await gateways.start()):
        for _ in range(2):
            empty_redis(running)
            again = await client.users.CreateUser(request)
            assert (again.correlation_id, again.state) == (first.correlation_id, Operation.SUCCEEDED)
            assert again.result == first.result
        empty_redis(running)
        others: list[tuple[Any, Message]] = [
            (client.users.CreateUser, CreateUserRequest(**person(), request_id=request_id)),
            (client.users.UpdateUser, UpdateUserRequest(user_id=1, name="x", request_id=request_id)),
            (client.views.RecordView, view(first.user_id, request_id)),
        ]
        for method, other in others:
            refusal = await refused(method(other))
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
            assert refusal.info.metadata["correlation_id"] == first.correlation_id
        empty_redis(running)
        told = await client.rest.post("/v1/users", json=person(), headers={"idempotency-key": request_id})
        assert told.status_code == 409, told.text
        told = await client.rest.post("/v1/users", json=someone, headers={"idempotency-key": request_id})
        assert told.json()["correlation_id"] == first.correlation_id
        assert told.json()["state"] == "SUCCEEDED"
    with psycopg.connect(running.endpoints["postgresql"]) as db:
        assert db.execute("SELECT count(*) FROM usuarios WHERE email = %s", (someone["email"],)).fetchone() == (1,)


def view(user_id: int, request_id: str, content_id: int = 1) -> RecordViewRequest:
    """Return a view by a user."""
    return RecordViewRequest(
        user_id=user_id, content_id=content_id, title="x", kind=Content.Kind.MOVIE, request_id=request_id
    )


@pytest.mark.parametrize("store", ["POSTGRESQL", "MONGODB"])
async def test_the_mark_of_either_store_tells(running: EngineSet, gateways: Gateways, store: str) -> None:
    """A gateway that has no receipt any more asks both, whatever the second command is; others ask Redis then."""
    here = await gateways.start()
    user_id = (await here.done(await here.users.CreateUser(CreateUserRequest(**person())))).user_id
    request_id = new_correlation_id()
    ask: Callable[[Client, str], Any] = rename if store == "POSTGRESQL" else watch
    first = await here.done(await ask(here, request_id)(user_id))
    assert first.state == Operation.SUCCEEDED
    there = await gateways.start()
    for other, other_user_id in ((rename, user_id + 1), (watch, user_id + 1)):
        forget(there, first)
        empty_redis(running)
        assert (await refused(other(there, request_id)(other_user_id))).reason == "REQUEST_ID_REUSED"
        for client in (there, here):
            forget(client, first)
            again = await ask(client, request_id)(user_id)
            assert (again.correlation_id, again.command) == (first.correlation_id, first.command)
        forget(there, first)
        empty_redis(running)
        again = await ask(there, request_id)(user_id)
        assert (again.correlation_id, again.state) == (first.correlation_id, Operation.SUCCEEDED)
        assert (await refused(other(there, request_id)(other_user_id))).reason == "REQUEST_ID_REUSED"


def rename(client: Client, request_id: str) -> Callable[[int], Any]:
    """Return the renaming of a user."""
    return lambda user_id: client.users.UpdateUser(
        UpdateUserRequest(user_id=user_id, name="Ana Lima", request_id=request_id)
    )


def watch(client: Client, request_id: str) -> Callable[[int], Any]:
    """Return a view by a user."""
    return lambda user_id: client.views.RecordView(view(user_id, request_id))


async def test_a_command_is_sent_though_no_store_can_be_asked(
    running: EngineSet, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane finds its mark then, and the same request has its effect once; a store that is away is asked seldom."""
    here = await gateways.start()
    request = CreateUserRequest(**person(), request_id=new_correlation_id())
    first = await here.done(await here.users.CreateUser(request))
    monkeypatch.setenv("POSTGRES_PORT", "1")
    monkeypatch.setenv("MONGODB_URL", "mongodb://127.0.0.1:1/streaming_db")
    there = await gateways.start()
    forget(there, first)
    empty_redis(running)
    began_s = time.monotonic()
    again = await there.users.CreateUser(request)
    assert time.monotonic() - began_s < 5
    assert (again.correlation_id, again.state) == (first.correlation_id, Operation.ACCEPTED)
    done = await there.done(again)
    assert (done.state, [receipt.duplicate for receipt in done.receipts]) == (Operation.SUCCEEDED, [True])
    began_s = time.monotonic()
    for _ in range(20):
        await there.users.CreateUser(CreateUserRequest(**person(), request_id=new_correlation_id()))
    assert time.monotonic() - began_s < 5, "each would wait a second for a store"


async def test_what_is_accepted_and_has_no_receipt_yet_is_known_where_it_was_accepted(
    running: EngineSet, gateways: Gateways
) -> None:
    """No lane has told of it, nor has any store a mark of it."""
    here = await gateways.start()
    request = CreateUserRequest(**person(), request_id=new_correlation_id())
    first = await here.users.CreateUser(request)
    here.tracker._memory._entries[first.correlation_id].receipts = ()
    empty_redis(running)
    other = CreateUserRequest(**person(), request_id=request.request_id)
    assert (await refused(here.users.CreateUser(other))).reason == "REQUEST_ID_REUSED"
    assert (await here.users.CreateUser(request)).correlation_id == first.correlation_id


@pytest.mark.parametrize("store", ["POSTGRESQL", "MONGODB"])
async def test_what_is_parked_is_known(running: EngineSet, gateways: Gateways, store: str) -> None:
    """What was given up by its receipt, what waits behind it by its record."""
    there = await gateways.start()
    refusals = [CreateUserRequest(**person(), request_id=new_correlation_id()) for _ in range(2)]
    key = new_correlation_id().encode()
    for place, (request, has_receipt) in enumerate(zip(refusals, (True, False), strict=True)):
        correlation_id, fingerprint = request_correlation_id("anonymous", request.request_id), bytes([place]) * 16
        headers = [("request_fingerprint", fingerprint.hex().encode())]
        record = KafkaRecord("user_events", 0, place, 1, 1, key, b"value", headers)
        receipt = CommandReceipt(correlation_id=correlation_id, command="CreateUser", store=store, dead_lettered=True)
        receipt.state, receipt.request_fingerprint = Operation.FAILED, fingerprint
        parked = ParkedRecord(f"{store}-{correlation_id}", key, record, correlation_id, "CreateUser", None)
        park(running, store, replace(parked, receipt=receipt) if has_receipt else parked)
    empty_redis(running)
    for request in refusals:
        assert (await refused(there.users.CreateUser(request))).reason == "REQUEST_ID_REUSED"


def park(running: EngineSet, store: str, parked: ParkedRecord) -> None:
    """Park a record in a store."""
    if store == "POSTGRESQL":
        with psycopg.connect(running.endpoints["postgresql"]) as db:
            PostgresParking(db.cursor()).add(parked)
    else:
        with connect(MongoSettings(url=running.settings["MONGODB_URL"])) as client:
            MongoParking(database_of(client)).add(parked)


async def test_the_next_attempt_is_found_by_the_marks_of_both(running: EngineSet, gateways: Gateways) -> None:
    """After one that failed and may succeed later, a request ID stands for the next one, whatever Redis forgets."""
    here = await gateways.start()
    user_id = (await here.done(await here.users.CreateUser(CreateUserRequest(**person())))).user_id
    request = view(user_id, new_correlation_id())
    admission = Admissions(max_request_bytes=1 << 16, demo_data=False).of_command(load_catalog().commands["RecordView"])
    first_id, fingerprint = admission.identify(request)
    assert fingerprint is not None
    failed = CommandReceipt(correlation_id=first_id, command="RecordView", store="MONGODB", user_id=user_id)
    failed.request_fingerprint = shorten(fingerprint)
    fail(failed, PolystreamError(Reason.USER_UNVERIFIED))
    with connect(MongoSettings(url=running.settings["MONGODB_URL"])) as client:
        database_of(client)[INBOX].insert_one(
            {"_id": first_id, "comando": "RecordView", "recibo": Binary(failed.SerializeToString())}
        )
    empty_redis(running)
    second = await here.done(await here.views.RecordView(request))
    assert (second.correlation_id, second.state) == (next_attempt_id(first_id), Operation.SUCCEEDED)
    there = await gateways.start()
    for asked in (request, view(user_id, request.request_id, content_id=2)):
        for correlation_id in (first_id, second.correlation_id):
            there.tracker._memory._entries.pop(correlation_id, None)
        empty_redis(running)
        if asked is request:
            assert await there.views.RecordView(asked) == second
        else:
            assert (await refused(there.views.RecordView(asked))).reason == "REQUEST_ID_REUSED"


async def test_a_platform_that_is_new_asks_the_stores_once(running: EngineSet, gateways: Gateways) -> None:
    """Without a mark of a request ID there is none to be asked for; with one, a Redis that was emptied is in doubt."""
    with psycopg.connect(running.endpoints["postgresql"]) as db:
        db.execute("DELETE FROM inbox")
        db.execute("DELETE FROM parked_records")
    with connect(MongoSettings(url=running.settings["MONGODB_URL"])) as client:
        for collection in (INBOX, PARKED_RECORDS):
            database_of(client)[collection].delete_many({})
    with redis.Redis.from_url(running.endpoints["redis"]) as db_:
        db_.flushall()
        here = await gateways.start()
        await here.done(await here.users.CreateUser(CreateUserRequest(**person(), request_id=new_correlation_id())))
        assert db_.get("requests:since") == b"0"
        db_.flushall()
        there = await gateways.start()
        await there.users.CreateUser(CreateUserRequest(**person(), request_id=new_correlation_id()))
        assert int(db_.get("requests:since") or 0) > 0
