"""What clients ask of operations: to read, to wait for, to watch, to list and to explain them."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.longrunning import operations_proto_pb2 as longrunning
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from polystream.monitor.v1.event_log_pb2_grpc import add_EventLogServiceServicer_to_server
from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import (
    ExplainOperationRequest,
    GetOperationRequest,
    ListOperationsRequest,
    Operation,
    WaitOperationRequest,
    WatchOperationRequest,
)
from polystream.v1.users_pb2 import User

from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id, request_correlation_id
from tests.support.operations import STORES, Context, Lane, MonitorDouble, accepted, done, gateway, provision
from tests.support.platform import EngineSet
from tests.support.waiting import eventually_async


@pytest.fixture(autouse=True)
def provisioned(command_path: EngineSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the settings to the engines, and see that topics and schemas are there."""
    for name, value in command_path.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    provision()


@pytest.fixture
async def monitor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MonitorDouble]:
    """Serve an event log."""
    double, server = MonitorDouble(), grpc.aio.server()
    add_EventLogServiceServicer_to_server(double, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    monkeypatch.setenv("MONITOR_ADDRESS", f"127.0.0.1:{port}")
    yield double
    await server.stop(0)


async def test_unknown_is_said_only_by_those_who_know(monitor: MonitorDouble) -> None:
    """The event log settles it: an ID that it does not know is unknown; when it is away, nothing is said."""
    unknown = request_correlation_id("test", new_correlation_id())
    async with gateway("g-unknown") as here:
        assert await here.tracker.find(unknown) is None
        assert monitor.asked == 1
        with pytest.raises(PolystreamError) as caught:
            await here.queries.get_operation(GetOperationRequest(correlation_id=unknown), Context())
        assert caught.value.reason is Reason.OPERATION_NOT_FOUND
        monitor.operations[unknown] = accepted(unknown)
        assert await here.tracker.find(unknown) == accepted(unknown)
    async with gateway("g-alone", monitor_address="127.0.0.1:1") as alone:
        with pytest.raises(PolystreamError) as caught:
            await alone.tracker.find(unknown)
        assert caught.value.reason is Reason.EVENT_LOG_UNAVAILABLE


async def test_a_fresh_id_gets_two_seconds(monitor: MonitorDouble) -> None:
    """An ID made a moment ago may be known in a moment; one that stays unknown is given up after two seconds."""
    fresh, never = new_correlation_id(), new_correlation_id()
    async with gateway("g-fresh") as here:
        finding = asyncio.create_task(here.tracker.find(fresh))

        async def asked_twice() -> bool:
            return monitor.asked >= 2

        await eventually_async(asked_twice, 30)
        monitor.operations[fresh] = accepted(fresh)
        assert await finding == accepted(fresh)
        began_s = time.monotonic()
        assert await here.tracker.find(never) is None
        assert 1 < time.monotonic() - began_s < 10


def told(correlation_id: str, age_s: float) -> Operation:
    """Return a success as the event log tells it: without its result."""
    operation = accepted(correlation_id)
    operation.state = Operation.SUCCEEDED
    operation.complete_time.FromMilliseconds(int((time.time() - age_s) * 1000))
    return operation


async def test_a_gateway_that_has_just_started_reads_the_result_first(monitor: MonitorDouble) -> None:
    """The event log knows of a success whose receipt the gateway has yet to read: who waits gets the result."""
    waited, watched = request_correlation_id("test", new_correlation_id()), new_correlation_id()
    async with gateway("g-behind") as here:
        warm = new_correlation_id()
        here.tracker.accepted(accepted(warm))
        Lane().answer(warm, *STORES)
        await here.tracker.wait(warm, 10)
    for correlation_id in (waited, watched):
        monitor.operations[correlation_id] = told(correlation_id, age_s=60)
        Lane().answer(correlation_id, *STORES)
    async with gateway("g-behind") as here:
        operation, seen = await asyncio.gather(here.tracker.wait(waited, 10), anext(here.tracker.watch(watched)))
        assert operation is not None
        assert [bool(each.result.type_url) for each in (operation, seen)] == [True, True]


async def test_a_failure_that_redis_forgot_stays_the_first(monitor: MonitorDouble) -> None:
    """A gateway that knows of a later failure alone gives the error that lists and stories give, once they have it."""
    correlation_id = request_correlation_id("test", new_correlation_id())
    async with gateway("g-forgot") as here:
        Lane().answer(correlation_id, "MONGODB", state=Operation.FAILED, result=None)
        later = await done(here.tracker.find, correlation_id)
        assert [receipt.store for receipt in later.receipts] == [Store.MONGODB]
        behind = monitor.operations[correlation_id] = accepted(correlation_id)
        behind.receipts.add(store=Store.REDIS, state=Operation.SUCCEEDED)
        assert await here.tracker.find(correlation_id) == later, "what has failed is not accepted again"
        first = Operation()
        first.CopyFrom(later)
        first.error.message = "the first"
        first.receipts.add(store=Store.POSTGRESQL, state=Operation.FAILED, error=first.error)
        monitor.operations[correlation_id] = first
        assert await here.tracker.find(correlation_id) == first
    async with gateway("g-alone", monitor_address="127.0.0.1:1") as alone:
        assert await done(alone.tracker.find, correlation_id) == later


async def test_dead_letters_alone_do_not_outdo_the_event_log(monitor: MonitorDouble) -> None:
    """They may be of foreign records with the command's ID: a gateway that did not accept the command asks who knows.

    However many there are, the command's own answer is kept beside them.
    """
    correlation_id = new_correlation_id()
    monitor.operations[correlation_id] = accepted(correlation_id, "CreateUser")
    async with gateway("g-foreign") as here:
        lane = Lane()
        for offset in range(100):
            fields: dict[str, Any] = {"command_partition": 0, "command_offset": offset, "dead_lettered": True}
            fields |= {"state": Operation.FAILED, "result": None}
            lane.answer(correlation_id, "POSTGRESQL", command="CreateUser", **fields)
        last = new_correlation_id()
        lane.answer(last, *STORES)
        await done(here.tracker.find, last)
        told = await here.tracker.find(correlation_id)
        assert told is not None
        assert told.state == Operation.ACCEPTED
        lane.answer(correlation_id, "POSTGRESQL", command="CreateUser", command_partition=0, command_offset=500)
        assert (await done(here.tracker.find, correlation_id)).state == Operation.SUCCEEDED
    async with gateway("g-foreign-too") as another:  # by what Redis has
        assert (await done(another.tracker.find, correlation_id)).state == Operation.SUCCEEDED


async def test_a_result_that_nobody_has_is_not_waited_for(monitor: MonitorDouble) -> None:
    """What the event log alone knows is told without a result: at once if it is old, after two seconds if it is new."""
    old, new = (request_correlation_id("test", new_correlation_id()) for _ in range(2))
    async with gateway("g-no-result") as here:
        warm = new_correlation_id()
        here.tracker.accepted(accepted(warm))
        Lane().answer(warm, *STORES)
        await here.tracker.wait(warm, 10)
        for correlation_id, age_s, least_s, most_s in ((old, 60, 0, 0.5), (new, 0, 1, 5)):
            monitor.operations[correlation_id] = told(correlation_id, age_s)
            began_s = time.monotonic()
            assert await here.tracker.wait(correlation_id, 10) == monitor.operations[correlation_id]
            assert least_s < time.monotonic() - began_s < most_s


async def test_waiting_ends_with_the_timeout_or_the_calls_deadline(monitor: MonitorDouble) -> None:
    """The operation is then given as it stands, before the deadline has passed."""
    del monitor
    correlation_id = new_correlation_id()
    async with gateway("g-wait") as here:
        here.tracker.accepted(accepted(correlation_id))
        for request, context, most_s in (
            (WaitOperationRequest(correlation_id=correlation_id, timeout=Duration()), Context(), 0.3),
            (WaitOperationRequest(correlation_id=correlation_id, timeout=Duration(nanos=300_000_000)), Context(), 1.0),
            (WaitOperationRequest(correlation_id=correlation_id), Context(0.5), 0.5),
        ):
            began_s = time.monotonic()
            operation = await here.queries.wait_operation(request, context)
            assert operation.state == Operation.ACCEPTED
            assert time.monotonic() - began_s < most_s
        waiting = asyncio.create_task(
            here.queries.wait_operation(WaitOperationRequest(correlation_id=correlation_id), Context())
        )
        Lane().answer(correlation_id, *STORES)
        assert (await waiting).state == Operation.SUCCEEDED


async def test_watching_shows_every_change_and_ends() -> None:
    """The operation as it stands, then after each receipt, and no more once it is done."""
    correlation_id = new_correlation_id()
    async with gateway("g-watch") as here:
        here.tracker.accepted(accepted(correlation_id))
        lane, seen = Lane(), []
        rest = list(STORES)
        async for operation in here.queries.watch_operation(
            WatchOperationRequest(correlation_id=correlation_id), Context()
        ):
            seen.append((len(operation.receipts), operation.state))
            if rest:
                lane.answer(correlation_id, rest.pop(0))
        assert seen == [(0, 1), (1, 1), (2, 1), (3, 2)]


async def test_a_refusal_is_told_to_who_watches() -> None:
    """The stream ends with the failed operation and its status."""
    correlation_id = new_correlation_id()
    error = CommandReceipt.Error(code=code_pb2.NOT_FOUND, reason="USER_NOT_FOUND", message="there is no such user")
    async with gateway("g-refusal") as here:
        here.tracker.accepted(accepted(correlation_id))
        Lane().answer(correlation_id, "MONGODB", state=Operation.FAILED, result=None, error=error)
        seen = [operation async for operation in here.tracker.watch(correlation_id)]
        assert seen[-1].state == Operation.FAILED
        assert seen[-1].error.message == "there is no such user"


async def test_the_standard_interface_tells_the_same(monitor: MonitorDouble) -> None:
    """google.longrunning.Operations: done with the response or the error, the rest as metadata."""
    correlation_id = new_correlation_id()
    name = f"operations/{correlation_id}"
    async with gateway("g-standard") as here:
        here.tracker.accepted(accepted(correlation_id))
        pending = await here.standard.get_operation(longrunning.GetOperationRequest(name=name), Context())
        assert not pending.done
        Lane().answer(correlation_id, *STORES)
        finished = await here.standard.wait_operation(longrunning.WaitOperationRequest(name=name), Context())
        metadata, response = Operation(), User()
        assert (finished.name, finished.done) == (name, True)
        assert finished.metadata.Unpack(metadata)
        assert finished.response.Unpack(response)
        assert (metadata.state, metadata.HasField("result"), response.user_id) == (Operation.SUCCEEDED, False, 7)

        failed = accepted(new_correlation_id())
        failed.state = Operation.FAILED
        failed.error.code = code_pb2.NOT_FOUND
        monitor.operations[failed.correlation_id] = failed
        shown = await here.standard.get_operation(longrunning.GetOperationRequest(name=failed.name), Context())
        assert (shown.done, shown.error.code) == (True, code_pb2.NOT_FOUND)
        listed = await here.standard.list_operations(longrunning.ListOperationsRequest(name="operations"), Context())
        assert [o.name for o in listed.operations] == [failed.name]
        assert listed.next_page_token == "next"


@pytest.mark.parametrize(
    ("method", "request_", "reason", "fields"),
    [
        ("get_operation", longrunning.GetOperationRequest(name="x"), Reason.INVALID_FIELD, ["name"]),
        ("get_operation", longrunning.GetOperationRequest(name="operations/x"), Reason.INVALID_FIELD, ["name"]),
        ("list_operations", longrunning.ListOperationsRequest(name="users"), Reason.INVALID_FIELD, ["name"]),
        ("list_operations", longrunning.ListOperationsRequest(filter="a=b"), Reason.INVALID_FIELD, ["filter"]),
        ("list_operations", longrunning.ListOperationsRequest(page_size=-1), Reason.INVALID_FIELD, ["page_size"]),
        (
            "list_operations",
            longrunning.ListOperationsRequest(page_token="x"),
            Reason.INVALID_PAGE_TOKEN,
            ["page_token"],
        ),
        ("delete_operation", longrunning.DeleteOperationRequest(name="x"), Reason.UNIMPLEMENTED, []),
        ("cancel_operation", longrunning.CancelOperationRequest(name="x"), Reason.UNIMPLEMENTED, []),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_the_standard_interface_refuses_what_it_cannot_do(
    monitor: MonitorDouble, method: str, request_: Any, reason: Reason, fields: list[str]
) -> None:
    """Each refusal has its reason, and the field at fault where there is one."""
    del monitor
    async with gateway("g-refuse") as here:
        with pytest.raises(PolystreamError) as caught:
            await getattr(here.standard, method)(request_, Context())
    assert caught.value.reason is reason
    assert [fault.field for fault in caught.value.faults] == fields


async def test_lists_and_stories_come_from_the_event_log(monitor: MonitorDouble) -> None:
    """Filters go there, and its errors come back as they are."""
    one, two = accepted(new_correlation_id()), accepted(new_correlation_id(), "CreateUser")
    monitor.operations = {one.correlation_id: one, two.correlation_id: two}
    async with gateway("g-list") as here:
        listed = await here.queries.list_operations(ListOperationsRequest(command="CreateUser"), Context())
        assert list(listed.operations) == [two]
        story = await here.queries.explain_operation(
            ExplainOperationRequest(correlation_id=one.correlation_id), Context()
        )
        assert story.operation == one
        with pytest.raises(PolystreamError) as caught:
            await here.queries.list_operations(ListOperationsRequest(page_token="foreign"), Context())
        assert caught.value.reason is Reason.INVALID_PAGE_TOKEN
        assert [fault.field for fault in caught.value.faults] == ["page_token"]
        unheard = request_correlation_id("test", new_correlation_id())
        here.tracker.accepted(accepted(unheard))
        story = await here.queries.explain_operation(ExplainOperationRequest(correlation_id=unheard), Context())
        assert story.operation == accepted(unheard)
        assert story.missing == ["the event log has not heard of the command yet; ask again in a moment"]
        unknown = request_correlation_id("test", new_correlation_id())
        with pytest.raises(PolystreamError) as caught:
            await here.queries.explain_operation(ExplainOperationRequest(correlation_id=unknown), Context())
        assert caught.value.reason is Reason.OPERATION_NOT_FOUND
