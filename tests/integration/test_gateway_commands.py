"""Commands over gRPC with a real broker and a real registry: what is acknowledged is in Kafka."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import add_TraceServiceServicer_to_server
from opentelemetry.trace import SpanKind
from polystream.v1 import (
    contents_pb2_grpc,
    operations_pb2_grpc,
    payments_pb2_grpc,
    sessions_pb2_grpc,
    users_pb2_grpc,
)
from polystream.v1.contents_pb2 import CacheContentRequest, Content
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import GetOperationRequest, Operation, WaitOperationRequest
from polystream.v1.payments_pb2 import CreatePaymentRequest, Payment
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest, UpdateUserRequest

from mesh import topics
from mesh.errors import PolystreamError, Reason, read_details
from mesh.ids import derived_user_id, next_attempt_id
from mesh.settings import KafkaSettings
from mesh.store_errors import fail
from mesh.telemetry import names
from mesh.topics import create_topics
from tests.support.edge import MonitorStandIn
from tests.support.gateways import CommandLog, Served, refused, serving
from tests.support.operations import Lane
from tests.support.platform import EngineSet

VALID = CreateUserRequest(name="Maria da Silva", email="maria@example.com", cpf="529.982.247-25")
CREATE_USER = "/polystream.v1.UserService/CreateUser"
# Each with the file that declares it.
SYMBOLS = {
    "grpc.reflection.v1.ServerReflection.ServerReflectionInfo": "grpc/reflection/v1/reflection.proto",
    "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo": "grpc_reflection/v1alpha/reflection.proto",
    "polystream.v1.UserService": "polystream/v1/users.proto",
    "polystream.v1.UserService.CreateUser": "polystream/v1/users.proto",
    "polystream.v1.User.user_id": "polystream/v1/users.proto",
    "polystream.v1.Operation.Receipt": "polystream/v1/operations.proto",
    "polystream.v1.Operation.Receipt.store": "polystream/v1/operations.proto",
    "polystream.v1.Operation.ACCEPTED": "polystream/v1/operations.proto",
    "polystream.options.v1.Store": "polystream/options/v1/options.proto",
    "polystream.options.v1.command": "polystream/options/v1/options.proto",
    "google.longrunning.Operation.result": "google/longrunning/operations.proto",
}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def running(command_path: EngineSet) -> EngineSet:
    """Run the engines, with the topics."""
    servers = command_path.settings["KAFKA_BOOTSTRAP_SERVERS"]
    create_topics(KafkaSettings(bootstrap_servers=servers).client_config("test"))
    return command_path


@pytest.fixture
def server(server_kind: str, running: EngineSet, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lead the settings to the engines, and return the kind of server."""
    for name, value in running.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    return server_kind


@pytest.fixture
async def traced(server: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Trace, and take the spans: a gateway that stops tries for seconds to get rid of them."""
    del server
    collector = grpc.aio.server()
    add_TraceServiceServicer_to_server(MonitorStandIn(), collector)  # type: ignore[no-untyped-call] # generated
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.add_insecure_port('127.0.0.1:0')}")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "false")
    await collector.start()
    yield
    await collector.stop(0)


@pytest.fixture
async def served(server: str) -> AsyncIterator[Served]:
    """Serve without demo data."""
    async with serving(server) as started:
        yield started


@pytest.fixture
def log(server: str) -> Iterator[CommandLog]:
    """Give the topic."""
    del server
    reader = CommandLog()
    yield reader
    reader.close()


def users(served: Served) -> Any:
    """Return the service's client."""
    return users_pb2_grpc.UserServiceStub(served.channel)


@pytest.mark.every_server
async def test_an_acknowledged_command_is_in_kafka(served: Served, log: CommandLog) -> None:
    """The record has the command's key, headers and message; the operation and the metadata tell its ID."""
    request = CreateUserRequest(user_id=4711)
    request.MergeFrom(VALID)
    call = users(served).CreateUser(request)
    operation = await call
    assert operation.state == Operation.ACCEPTED
    assert (operation.command, operation.user_id) == ("CreateUser", 4711)
    assert operation.name == f"operations/{operation.correlation_id}"
    assert dict(await call.initial_metadata())["x-correlation-id"] == operation.correlation_id

    (record,) = log.of(operation.correlation_id)
    assert (record.name, record.key, record.request) == ("CreateUser", "4711", request)
    assert record.headers["service"] == "gateway-0"
    assert record.headers["stores"] == "POSTGRESQL"
    assert record.headers["traceparent"].endswith("-00")
    assert int(record.headers["accept_time"]) == operation.accept_time.ToMilliseconds()


async def test_every_acknowledged_command_is_in_kafka_once(served: Served, log: CommandLog) -> None:
    """Of many at the same time, too."""
    operations = await asyncio.gather(*(users(served).CreateUser(VALID) for _ in range(200)))
    correlation_ids = [operation.correlation_id for operation in operations]
    assert len(set(correlation_ids)) == 200
    # A record that was sent twice would stand before the one that was sent after all others.
    last = await users(served).CreateUser(VALID)
    assert log.has([*correlation_ids, last.correlation_id])
    assert [len(log.of(correlation_id)) for correlation_id in correlation_ids] == [1] * 200


async def test_a_user_without_an_id_gets_one(served: Served, log: CommandLog) -> None:
    """The ID is derived from the correlation ID, so that every delivery of the command has the same."""
    operation = await users(served).CreateUser(VALID)
    assert operation.user_id == derived_user_id(operation.correlation_id) > 0
    (record,) = log.of(operation.correlation_id)
    assert record.key == str(operation.user_id)
    assert record.request.user_id == operation.user_id  # type: ignore[attr-defined]


async def test_the_commands_of_other_keys_have_no_user(served: Served, log: CommandLog) -> None:
    """A content's operation tells of no user, and maps and lists arrive whole."""
    request = CacheContentRequest(
        content_id=5678, title="Cidade", kind=Content.MOVIE, genres=["Drama"], attributes={"país": "Brasil"}
    )
    stub = contents_pb2_grpc.ContentServiceStub(served.channel)
    operation = await stub.CacheContent(request)
    assert not operation.HasField("user_id")
    (record,) = log.of(operation.correlation_id)
    assert (record.key, record.request) == ("5678", request)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("email", "not-an-address", "must be a valid email address"),
        ("email", "", "not a valid email address"),
        ("cpf", "529.982.247-26", "must be a CPF with valid check digits"),
        ("cpf", "11111111111", "must be a CPF with valid check digits"),
        ("cpf", "letters", "must be a CPF with valid check digits"),
        ("name", "", "must be at least 1 characters"),
        ("name", "x" * 201, "must be at most 200 characters"),
        ("user_id", -5, "must be greater than or equal to 0"),
        ("user_id", 2**53, "less than or equal to 9007199254740991"),
        ("request_id", "x" * 129, "must be at most 128 characters"),
        ("request_id", "a\0b", "NUL"),
    ],
)
async def test_a_bad_field_is_named(served: Served, field: str, value: Any, words: str) -> None:
    """The violation has the field's path and the remedy, and nothing of the value."""
    request = CreateUserRequest()
    request.CopyFrom(VALID)
    setattr(request, field, value)
    refusal = await refused(users(served).CreateUser(request))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.fields) == [field]
    assert words in refusal.fields[field] or field == "cpf"
    assert refusal.trailing["x-correlation-id"]
    if isinstance(value, str) and len(value) > 5:
        assert refusal.status is not None
        assert value.encode() not in refusal.status.SerializeToString()


@pytest.mark.every_server
async def test_every_bad_field_is_named_at_once(served: Served) -> None:
    """A caller mends a request in one go; enum values are told by name, money by its parts."""
    stub = payments_pb2_grpc.PaymentServiceStub(served.channel)
    request = CreatePaymentRequest(user_id=0)
    request.amount.currency_code, request.amount.units = "USD", -3
    refusal = await refused(stub.CreatePayment(request))
    assert set(refusal.fields) == {"user_id", "amount.currency_code", "amount", "method"}
    assert refusal.fields["method"] == "must be one of PIX, CREDIT_CARD, DEBIT_CARD, BOLETO"
    missing = await refused(stub.CreatePayment(CreatePaymentRequest(user_id=1, method=Payment.PIX)))
    assert missing.fields == {"amount": "must be set"}


async def test_a_map_key_is_not_echoed(served: Served) -> None:
    """What a caller wrote into a map is named by the map's field alone."""
    stub = contents_pb2_grpc.ContentServiceStub(served.channel)
    request = CacheContentRequest(content_id=1, title="x", kind=Content.MOVIE, attributes={"secret" * 10: "x"})
    refusal = await refused(stub.CacheContent(request))
    assert list(refusal.fields) == ["attributes"]
    assert refusal.status is not None
    assert b"secret" not in refusal.status.SerializeToString()


async def test_unknown_protobuf_fields_are_refused(served: Served) -> None:
    """What a newer client says and this gateway does not know is not dropped in silence, nested or not."""
    top = VALID.SerializeToString() + b"\xfa\x07\x01x"  # field 127, one byte
    refusal = await refused(raw(served, CREATE_USER, top))
    assert (refusal.reason, list(refusal.fields)) == ("UNKNOWN_FIELD", ["127"])

    payment = CreatePaymentRequest(user_id=1, method=Payment.PIX)
    amount = b"\x0a\x03BRL\x10\x05" + b"\xfa\x07\x01x"
    nested = payment.SerializeToString() + b"\x12" + bytes([len(amount)]) + amount
    refusal = await refused(raw(served, "/polystream.v1.PaymentService/CreatePayment", nested))
    assert (refusal.reason, list(refusal.fields)) == ("UNKNOWN_FIELD", ["amount.127"])


@pytest.mark.every_server
async def test_bytes_that_are_no_message_are_refused(served: Served) -> None:
    """The caller is told, in the form of every other error."""
    for data in (b"\xff\xff\xff", b"\x12\x02\xff\xfe"):
        refusal = await refused(raw(served, CREATE_USER, data))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


@pytest.mark.every_server
async def test_a_request_that_is_too_large_is_refused(served: Served) -> None:
    """In full form where it is read at all, as the native server does; by the transport where it is not."""
    request = CreateUserRequest(name="x" * 70_000)
    refusal = await refused(users(served).CreateUser(request))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert refusal.info.metadata["max_request_bytes"] == "65536"
    request.name = "x" * 3_000_000
    larger = await refused(users(served).CreateUser(request))
    if served.gateway.server.kind == "grpcio":
        assert larger.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    else:
        assert larger.reason == "REQUEST_TOO_LARGE"


@pytest.mark.every_server
@pytest.mark.parametrize("method", ["/polystream.v1.UserService/Nothing", "/no.Service/Nothing"])
async def test_an_unknown_method_is_unimplemented(served: Served, method: str) -> None:
    """In the form of every other error."""
    refusal = await refused(raw(served, method, b""))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")


@pytest.mark.parametrize("demo_data", [False, True])
async def test_a_silent_command_is_refused(server: str, *, demo_data: bool) -> None:
    """Over gRPC demo data fills nothing, also where it is on. The refusal says what is to be set."""
    async with serving(server, demo_data=demo_data) as served:
        refusal = await refused(users(served).CreateUser(CreateUserRequest(request_id="r")))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "EMPTY_COMMAND")
        assert {"name", "email", "cpf"} == set(refusal.fields)
        silent = await refused(users(served).UpdateUser(UpdateUserRequest(user_id=1)))
        assert silent.reason == "EMPTY_COMMAND"
        refusal = await refused(users(served).CreateUser(CreateUserRequest(name="Maria")))
        assert (refusal.reason, set(refusal.fields)) == ("INVALID_FIELD", {"email", "cpf"})
        assert (await users(served).DeleteUser(DeleteUserRequest(user_id=5))).command == "DeleteUser"


async def test_the_same_request_id_is_one_operation(served: Served, log: CommandLog) -> None:
    """Sent again, also at the same time, it is the same operation; with anything else it is refused."""
    request = CreateUserRequest(request_id=f"once-{id(served)}")
    request.MergeFrom(VALID)
    first, *rest = await asyncio.gather(*(users(served).CreateUser(request) for _ in range(5)))
    assert {operation.correlation_id for operation in rest} == {first.correlation_id}
    again = await users(served).CreateUser(request)
    assert (again.correlation_id, again.user_id) == (first.correlation_id, first.user_id)
    assert {record.request.user_id for record in log.of(first.correlation_id)} == {first.user_id}  # type: ignore[attr-defined]

    request.name = "Somebody Else"
    refusal = await refused(users(served).CreateUser(request))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert refusal.info.metadata[topics.CORRELATION_ID] == first.correlation_id
    other = DeleteUserRequest(user_id=1, request_id=request.request_id)
    assert (await refused(users(served).DeleteUser(other))).reason == "REQUEST_ID_REUSED"


async def test_a_command_whose_user_could_not_be_told_is_tried_again_under_its_request_id(
    served: Served, log: CommandLog
) -> None:
    """The next attempt is an operation of its own, whoever asks for it and however often; the first stays as it is."""
    sessions: Any = sessions_pb2_grpc.SessionServiceStub(served.channel)
    operations: Any = operations_pb2_grpc.OperationServiceStub(served.channel)
    lane, told = Lane(), CommandReceipt()
    fail(told, PolystreamError(Reason.USER_UNVERIFIED))
    request = CreateSessionRequest(user_id=5, device=Session.TV, request_id=f"again-{id(served)}")

    async def answered(correlation_id: str, **fields: Any) -> Operation:
        lane.answer(correlation_id, "REDIS", command="CreateSession", **fields)
        wait = WaitOperationRequest(correlation_id=correlation_id)
        done: Operation = await operations.WaitOperation(wait)
        return done

    first = await sessions.CreateSession(request)
    refused_once = await answered(first.correlation_id, state=Operation.FAILED, result=None, error=told.error)
    assert read_details(refused_once.error).retry_delay_s == 5.0
    again = await asyncio.gather(*(sessions.CreateSession(request) for _ in range(5)))
    (second_id,) = {operation.correlation_id for operation in again}
    assert second_id == next_attempt_id(first.correlation_id)
    assert {record.name for record in log.of(second_id)} == {"CreateSession"}
    assert (await answered(second_id)).state == Operation.SUCCEEDED
    assert (await sessions.CreateSession(request)).correlation_id == second_id
    kept = await operations.GetOperation(GetOperationRequest(correlation_id=first.correlation_id))
    assert kept.state == Operation.FAILED


async def test_an_invalid_request_does_not_take_its_request_id(served: Served) -> None:
    """The caller mends the request and sends it with the same ID."""
    request = CreateUserRequest(request_id=f"mended-{id(served)}")
    assert (await refused(users(served).CreateUser(request))).reason == "EMPTY_COMMAND"
    request.MergeFrom(VALID)
    assert (await users(served).CreateUser(request)).state == Operation.ACCEPTED


@pytest.mark.every_server
@pytest.mark.usefixtures("traced")
async def test_a_traced_command_is_one_tree(server: str, log: CommandLog) -> None:
    """The caller's span, the gateway's, the sending, and what the record hands on to the lane."""
    async with serving(server) as served:
        traceparent = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
        metadata = (("traceparent", traceparent), ("tracestate", "vendor=1"))
        operation = await users(served).CreateUser(VALID, metadata=metadata)
        spans = served.named_spans()
    entry, sending = spans["polystream.v1.UserService/CreateUser"], spans[names.GATEWAY_SEND]
    assert entry.kind is SpanKind.SERVER
    assert entry.parent is not None
    assert f"{entry.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert sending.kind is SpanKind.PRODUCER
    assert sending.parent is not None
    assert sending.parent.span_id == entry.context.span_id
    for span in (entry, sending):
        assert span.attributes is not None
        assert span.attributes[names.CONVERSATION_ID] == operation.correlation_id
        assert "maria" not in str(span.attributes).lower()
    assert entry.attributes is not None
    assert entry.attributes[names.RPC_STATUS] == "OK"
    assert sending.attributes is not None
    assert sending.attributes[names.MESSAGING_OFFSET] is not None
    (record,) = log.of(operation.correlation_id)
    assert record.headers["traceparent"] == f"00-{TRACE_ID}-{sending.context.span_id:016x}-01"
    assert record.headers["tracestate"] == "vendor=1"


@pytest.mark.usefixtures("traced")
async def test_what_the_caller_does_not_record_is_not_recorded(server: str, log: CommandLog) -> None:
    """An unsampled context is passed on as it came, and no span is made."""
    async with serving(server) as served:
        traceparent = f"00-{TRACE_ID}-00f067aa0ba902b7-00"
        operation = await users(served).CreateUser(VALID, metadata=(("traceparent", traceparent),))
        assert not served.named_spans()
    (record,) = log.of(operation.correlation_id)
    assert record.headers["traceparent"] == traceparent


@pytest.mark.usefixtures("traced")
async def test_a_refused_command_is_an_error_in_its_trace(server: str) -> None:
    """The span has the status and the reason, and nothing was sent."""
    async with serving(server) as served:
        await refused(users(served).CreateUser(CreateUserRequest(name="Maria")))
        spans = served.named_spans()
    assert list(spans) == ["polystream.v1.UserService/CreateUser"]
    attributes = spans["polystream.v1.UserService/CreateUser"].attributes
    assert attributes is not None
    assert attributes[names.RPC_STATUS] == "INVALID_ARGUMENT"
    assert attributes[names.ERROR_TYPE] == "INVALID_FIELD"


@pytest.mark.every_server
async def test_health_is_told_and_watched(server: str) -> None:
    """A watcher sees the gateway begin to serve, and leave."""
    async with serving(server) as served:
        stub: Any = health_pb2_grpc.HealthStub(served.channel)  # typed without its methods
        named = health_pb2.HealthCheckRequest(service="polystream.v1.UserService")
        assert (await stub.Check(named)).status == health_pb2.HealthCheckResponse.SERVING
        watching = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        await served.gateway.server.leave()
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watching.cancel()


@pytest.mark.every_server
async def test_reflection_lists_every_service(served: Served) -> None:
    """What grpcurl reads: the services, and the files that describe them."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(served.channel)  # type: ignore[arg-type] # typed for no asyncio
    call = stub.ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = {service.name for service in (await call.read()).list_services_response.service}
    assert {"polystream.v1.UserService", "polystream.v1.OperationService", "google.longrunning.Operations"} <= listed
    for symbol, file in SYMBOLS.items():
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
        files = (await call.read()).file_descriptor_response.file_descriptor_proto
        assert file in [FileDescriptorProto.FromString(data).name for data in files], symbol
    for unknown in ("polystream.v1.UserService.Nothing", "polystream.v1.User.nothing", "", "nothing"):
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=unknown))
        assert (await call.read()).error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    await call.done_writing()


def raw(served: Served, method: str, data: bytes) -> Any:
    """Call a method with bytes."""
    call: Any = served.channel.unary_unary(method)  # of bytes, as there is no serializer
    return call(data)
