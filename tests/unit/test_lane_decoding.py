"""Which records a lane takes, which it skips, and which it must dead-letter."""

import json
from collections.abc import Mapping

import pytest
from polystream.v1.sessions_pb2 import CreateSessionRequest
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest

from mesh import topics
from mesh.codec import Encoder
from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.schemas import load_schema
from processor.lanes.decoding import CommandDecoder, Item, Reject
from processor.model import Outcome
from processor.receipts import make_receipt
from tests.support.lanes import CATALOG, COMMAND_OF

ID = "0190b0b0-0000-7000-8000-000000000001"
_FOREIGN_ID = 77
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Registry:
    """Gives out the committed schemas by the numbers that `value` uses."""

    def __init__(self) -> None:
        self.records: dict[int, str] = {}
        self.foreign: dict[int, str] = {}  # schemas
        self.down = False

    def schema_by_id(self, schema_id: int) -> str:
        """Return a schema."""
        if self.down:
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE)
        if schema_id in self.foreign:
            return self.foreign[schema_id]
        if schema_id not in self.records:
            raise PolystreamError(Reason.UNDECODABLE, "the registry has no schema with the record's schema ID")
        return json.dumps(load_schema(self.records[schema_id]))

    def value(self, request: CreateUserRequest | DeleteUserRequest | CreateSessionRequest, schema_id: int) -> bytes:
        """Encode a request under a schema ID."""
        name = str(request.DESCRIPTOR.full_name)
        self.records[schema_id] = name
        return Encoder(request.DESCRIPTOR, load_schema(name), schema_id).encode(request)  # type: ignore[arg-type]

    def unknown(self, command: str) -> bytes:
        """Return a whole record of a command, as its headers name it, by a schema of its own."""
        fields = [{"name": "n", "type": "long"}]
        schema = {"type": "record", "name": f"polystream.v1.{command or 'Nameless'}Request", "fields": fields}
        self.foreign[_FOREIGN_ID] = json.dumps(schema)
        return b"\x00" + _FOREIGN_ID.to_bytes(4, "big") + b"\x02"


@pytest.fixture
def registry() -> Registry:
    """Return a registry."""
    return Registry()


@pytest.fixture
def decoder(registry: Registry) -> CommandDecoder:
    """Return the PostgreSQL lane's decoder."""
    return CommandDecoder("POSTGRESQL", CATALOG, registry)


def record(value: bytes | None, headers: Mapping[str, str | bytes], key: bytes | None = b"5") -> KafkaRecord:
    """Return a record of partition 2, offset 9."""
    return KafkaRecord(
        topics.COMMANDS, 2, 9, 1_700_000_000_123, 1_700_000_000_123_456_789, key, value, list(headers.items())
    )


def test_a_command_is_decoded_with_its_headers(decoder: CommandDecoder, registry: Registry) -> None:
    """Everything that the store and the receipt need is in the delivery."""
    request = CreateUserRequest(user_id=5, name="A", email="a@example.com", cpf="52998224725")
    headers = {
        "correlation_id": ID.encode(),
        "command": b"CreateUser",
        "accept_time": b"1700000000000",
        "traceparent": TRACEPARENT.encode(),
        "tracestate": b"vendor=1",
        "request_fingerprint": b"0123456789abcdef" * 2,
    }
    item = decoder.decode(record(registry.value(request, 1), headers))
    assert isinstance(item, Item)
    delivery = item.delivery
    assert (delivery.correlation_id, delivery.command, delivery.request) == (ID, COMMAND_OF[type(request)], request)
    assert (delivery.key, delivery.partition, delivery.offset) == (b"5", 2, 9)
    assert (delivery.accept_time_ms, delivery.receive_time_ns) == (1_700_000_000_000, 1_700_000_000_123_456_789)
    assert delivery.trace is not None
    assert (delivery.trace.traceparent, delivery.trace.tracestate) == (TRACEPARENT, "vendor=1")
    assert delivery.request_fingerprint == bytes.fromhex("0123456789abcdef" * 2)
    receipt = make_receipt(delivery, Outcome(), "POSTGRESQL", 1)
    assert receipt.request_fingerprint == delivery.request_fingerprint
    del headers["request_fingerprint"]
    plain = decoder.decode(record(registry.value(request, 1), headers))
    assert isinstance(plain, Item)
    assert not make_receipt(plain.delivery, Outcome(), "POSTGRESQL", 1).HasField("request_fingerprint")


def test_the_order_rests_on_the_requests_own_key(decoder: CommandDecoder, registry: Registry) -> None:
    """A producer that gives its records another key, or none, can't bring two commands of a user into one batch."""
    value = registry.value(DeleteUserRequest(user_id=77), 1)
    item = decoder.decode(record(value, {"correlation_id": ID, "command": "DeleteUser"}, key=None))
    assert isinstance(item, Item)
    assert item.delivery.key == b"77"
    assert item.delivery.accept_time_ms == 1_700_000_000_123


@pytest.mark.parametrize("accept_time", ["", "soon", "-1", "9" * 5000, "¹²³"])
def test_an_accept_time_that_is_none_is_the_time_of_receipt(
    decoder: CommandDecoder, registry: Registry, accept_time: str
) -> None:
    """A record is not lost over it."""
    value = registry.value(DeleteUserRequest(user_id=7), 1)
    headers = {"correlation_id": ID, "command": "DeleteUser", "accept_time": accept_time}
    item = decoder.decode(record(value, headers))
    assert isinstance(item, Item)
    assert item.delivery.accept_time_ms == 1_700_000_000_123


def test_another_stores_command_is_skipped_undecoded(decoder: CommandDecoder) -> None:
    """Not even broken bytes are this lane's business then."""
    assert decoder.decode(record(b"\xff", {"correlation_id": ID, "command": "CreateSession"})) is None


@pytest.mark.parametrize("headers", [{"correlation_id": ID}, {"correlation_id": ID, "command": "DropTables"}])
def test_a_command_that_nobody_knows_is_dead_lettered_by_one_lane(
    decoder: CommandDecoder, registry: Registry, headers: dict[str, str]
) -> None:
    """By PostgreSQL's; the other lanes pass over it."""
    reject = decoder.decode(record(b"\x00", headers))
    assert isinstance(reject, Reject)
    assert reject.cause.reason is Reason.UNKNOWN_COMMAND
    assert reject.receipt is not None
    assert reject.receipt.command == headers.get("command", "")
    assert reject.receipt.dead_lettered
    for store in ("MONGODB", "REDIS"):
        assert CommandDecoder(store, CATALOG, registry).decode(record(b"\x00", headers)) is None


@pytest.mark.parametrize(
    ("command", "stores", "reasons"),
    [
        # A command of a newer gateway: each lane that it is for sets it apart, and no other.
        ("Fly", "MONGODB", {"MONGODB": "LANE_OUTDATED"}),
        ("Fly", "REDIS,MONGODB", {"MONGODB": "LANE_OUTDATED", "REDIS": "LANE_OUTDATED"}),
        ("Fly", "POSTGRESQL", {"POSTGRESQL": "LANE_OUTDATED"}),
        # A command that is known, and for one more store since.
        ("CreateSession", "REDIS,MONGODB", {"MONGODB": "LANE_OUTDATED", "REDIS": "LANE_OUTDATED"}),
        ("CreateSession", "REDIS", {"REDIS": "LANE_OUTDATED"}),
        # Of nobody: one lane takes it.
        ("Fly", "", {"POSTGRESQL": "UNKNOWN_COMMAND"}),
        ("Fly", "MONGO,DB,mongodb, REDIS", {"POSTGRESQL": "UNKNOWN_COMMAND"}),
        ("Fly", "CASSANDRA", {"POSTGRESQL": "UNKNOWN_COMMAND"}),
        ("", "MONGODB", {"MONGODB": "UNDECODABLE"}),
    ],
)
def test_no_lane_passes_over_what_a_gateway_has_sent_to_its_store(
    registry: Registry, command: str, stores: str, reasons: dict[str, str]
) -> None:
    """An older lane does not know that it is its own: it would be committed, and nobody would ever miss it."""
    headers = {"correlation_id": ID, "command": command, "stores": stores}
    found = {
        store: CommandDecoder(store, CATALOG, registry).decode(record(registry.unknown(command), headers))
        for store in ("POSTGRESQL", "MONGODB", "REDIS")
    }
    assert {store: one.cause.reason.name for store, one in found.items() if isinstance(one, Reject)} == reasons
    assert [one for one in found.values() if isinstance(one, Item)] == []


@pytest.mark.parametrize("value", [None, b"?", b"\x00\x00\x00\x00\x09", b"\x00\x00\x00\x00\x4d\x00?"])
def test_garbage_for_a_command_that_is_not_known_is_no_newer_gateways(registry: Registry, value: bytes | None) -> None:
    """Its bytes are no record, of no schema, or more than one: it parks nobody."""
    registry.unknown("Fly")
    headers = {"correlation_id": ID, "command": "Fly", "stores": "MONGODB"}
    reject = CommandDecoder("MONGODB", CATALOG, registry).decode(record(value, headers))
    assert isinstance(reject, Reject)
    assert (reject.cause.reason, reject.parks) == (Reason.UNDECODABLE, False)


@pytest.mark.parametrize(
    "value", [None, b"", b"\x00\x00", b"\x01\x00\x00\x00\x01\x00", b"\x00\x00\x00\x00\x09\x00", b'{"user_id": 5}']
)
def test_bytes_that_are_no_command_are_dead_lettered_with_an_answer(
    decoder: CommandDecoder, value: bytes | None
) -> None:
    """Empty, foreign, of an unknown schema, or JSON: the operation fails and says so."""
    headers = {"correlation_id": ID, "command": "CreateUser", "traceparent": TRACEPARENT}
    reject = decoder.decode(record(value, {**headers, "request_fingerprint": "0f" * 16}))
    assert isinstance(reject, Reject)
    assert reject.cause.reason is Reason.UNDECODABLE
    assert reject.receipt is not None
    assert (reject.receipt.correlation_id, reject.receipt.command) == (ID, "CreateUser")
    assert reject.receipt.request_fingerprint == b"\x0f" * 16
    assert (reject.receipt.user_id, reject.receipt.dead_lettered) == (5, True)
    assert reject.receipt.error.reason == "UNDECODABLE"
    assert reject.trace is not None


def test_truncated_bytes_of_a_known_schema_are_dead_lettered(decoder: CommandDecoder, registry: Registry) -> None:
    """The cause names the record and the schema, and none of the values."""
    value = registry.value(CreateUserRequest(user_id=5, name="Segredo", email="s@example.com"), 1)
    reject = decoder.decode(record(value[:-4], {"correlation_id": ID, "command": "CreateUser"}))
    assert isinstance(reject, Reject)
    assert reject.cause.reason is Reason.UNDECODABLE
    assert "Segredo" not in reject.cause.message


def test_another_records_bytes_are_dead_lettered(decoder: CommandDecoder, registry: Registry) -> None:
    """A record whose command header belies its schema is not guessed at."""
    value = registry.value(DeleteUserRequest(user_id=5), 1)
    reject = decoder.decode(record(value, {"correlation_id": ID, "command": "CreateUser"}))
    assert isinstance(reject, Reject)
    assert reject.cause.reason is Reason.UNDECODABLE


@pytest.mark.parametrize("correlation_id", [None, "", "abc", ID.upper(), f"{ID} ", f"{{{ID}}}"])
def test_a_record_without_a_correlation_id_has_nobody_to_answer(
    decoder: CommandDecoder, registry: Registry, correlation_id: str | None
) -> None:
    """It is dead-lettered by every lane that would apply it, without a receipt."""
    headers = {"command": "DeleteUser"} | ({} if correlation_id is None else {"correlation_id": correlation_id})
    value = registry.value(DeleteUserRequest(user_id=5), 1)
    for lane in (decoder, CommandDecoder("MONGODB", CATALOG, registry), CommandDecoder("REDIS", CATALOG, registry)):
        reject = lane.decode(record(value, headers))
        assert isinstance(reject, Reject)
        assert (reject.cause.reason, reject.receipt) == (Reason.UNDECODABLE, None)


def test_a_registry_that_is_down_is_waited_for(decoder: CommandDecoder, registry: Registry) -> None:
    """The error is one that the lane repeats, and the schema is asked for again then."""
    value = registry.value(DeleteUserRequest(user_id=5), 1)
    headers = {topics.CORRELATION_ID: new_correlation_id(), topics.COMMAND: "DeleteUser"}
    registry.down = True
    with pytest.raises(PolystreamError) as raised:
        decoder.decode(record(value, headers))
    assert raised.value.reason is Reason.REGISTRY_UNAVAILABLE
    registry.down = False
    assert isinstance(decoder.decode(record(value, headers)), Item)


def test_headers_of_bytes_that_are_no_text_are_survived(decoder: CommandDecoder) -> None:
    """They make an unknown command and no correlation ID."""
    reject = decoder.decode(record(b"", {"correlation_id": b"\xff\xfe", "command": b"\xff"}))
    assert isinstance(reject, Reject)
    assert (reject.cause.reason, reject.receipt) == (Reason.UNKNOWN_COMMAND, None)
