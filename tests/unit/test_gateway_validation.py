"""The checks of a request: what is unknown, what is wrong, and that nothing of a value is told."""

from typing import Any

import protovalidate
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, timestamp_pb2
from polystream.v1.contents_pb2 import CacheContentRequest, Content
from polystream.v1.operations_pb2 import WaitOperationRequest
from polystream.v1.payments_pb2 import CreatePaymentRequest, Payment
from polystream.v1.users_pb2 import CreateUserRequest
from polystream.v1.views_pb2 import RecordViewRequest

from gateway.validation import RequestRules
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason

Field = descriptor_pb2.FieldDescriptorProto


def rules(message_class: Any) -> RequestRules:
    """Compile the checks of a message."""
    return RequestRules(message_class.DESCRIPTOR, protovalidate.Validator())


def refused_fields(message: Any) -> list[str]:
    """Return the fields that are refused as unknown."""
    with pytest.raises(PolystreamError) as caught:
        rules(type(message)).refuse_unknown(message)
    assert caught.value.reason is Reason.UNKNOWN_FIELD
    return [fault.field for fault in caught.value.faults]


def trial_message() -> Any:
    """Return a class with everything that the platform's own requests do not have: recursion, JSON-like fields."""
    file = descriptor_pb2.FileDescriptorProto(
        name="gateway_trial.proto",
        package="trial",
        syntax="proto3",
        dependency=["google/protobuf/struct.proto", "google/protobuf/timestamp.proto"],
    )
    message = file.message_type.add(name="Trial")
    for number, (name, kind, type_name, label) in enumerate(
        (
            ("text", Field.TYPE_STRING, "", Field.LABEL_OPTIONAL),
            ("texts", Field.TYPE_STRING, "", Field.LABEL_REPEATED),
            ("child", Field.TYPE_MESSAGE, ".trial.Trial", Field.LABEL_OPTIONAL),
            ("children", Field.TYPE_MESSAGE, ".trial.Trial", Field.LABEL_REPEATED),
            ("free", Field.TYPE_MESSAGE, ".google.protobuf.Struct", Field.LABEL_OPTIONAL),
            ("some_time", Field.TYPE_MESSAGE, ".google.protobuf.Timestamp", Field.LABEL_OPTIONAL),
        ),
        start=1,
    ):
        message.field.add(name=name, number=number, type=kind, type_name=type_name or None, label=label)
    pool = descriptor_pool.DescriptorPool()
    for known in (struct_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("trial.Trial"))


def test_unknown_fields_are_found_in_nested_and_repeated_messages() -> None:
    """Each is named by its path and number."""
    trial = trial_message()
    inner = trial(text="x").SerializeToString() + b"\xf8\x07\x01"  # field 127, a number
    message = trial.FromString(b"\x1a" + bytes([len(inner)]) + inner + b"\x22" + bytes([len(inner)]) + inner)
    assert refused_fields(message) == ["child.127", "children.127"]


def test_a_type_that_holds_itself_is_checked_at_any_depth() -> None:
    """Its checks are made at once, however deep a request goes."""
    trial = trial_message()
    path = ".".join(["child"] * 40)
    message = trial.FromString(b"\xf8\x07\x01")
    for _ in range(40):
        message = trial(child=message)
    assert refused_fields(message) == [f"{path}.127"]


@pytest.mark.parametrize("fields", [{"text": "a\0"}, {"texts": ["a", "\0"]}])
def test_no_store_is_given_a_nul(fields: dict[str, Any]) -> None:
    """PostgreSQL's text cannot hold it, whatever a proto's own rules say."""
    trial = trial_message()
    (fault,) = rules(trial).faults(trial(**fields))
    assert (fault.field, fault.rule) == (next(iter(fields)), "string.no_nul")


def test_a_map_holds_no_nul_either() -> None:
    """Neither in a name nor in a value."""
    for attributes in ({"a\0": "b"}, {"a": "b\0"}):
        request = CacheContentRequest(content_id=1, title="x", kind=Content.MOVIE, attributes=attributes)
        assert [fault.field for fault in rules(CacheContentRequest).faults(request)] == ["attributes"]


@pytest.mark.parametrize(("seconds", "nanos"), [(10**15, 0), (-(10**15), 0), (0, 2_000_000_000), (0, -2_000_000_000)])
def test_a_time_that_no_calendar_has_is_refused(seconds: int, nanos: int) -> None:
    """Protobuf lets it through, Avro or a store would fail on it after the acknowledgement."""
    request = RecordViewRequest()
    request.watch_time.seconds, request.watch_time.nanos = seconds, nanos
    assert "watch_time" in [fault.field for fault in rules(RecordViewRequest).faults(request)]


def test_a_duration_may_be_negative_by_itself() -> None:
    """Its own proto's rules decide."""
    request = WaitOperationRequest(correlation_id="0190a5c4-0000-7000-8000-000000000001")
    request.timeout.seconds = -1
    assert [fault.rule for fault in rules(WaitOperationRequest).faults(request)] != ["time.valid"]


def test_no_description_holds_a_value() -> None:
    """Whatever rule is broken."""
    secrets = {"name": "\x01maria" * 50, "email": "maria.at.example", "cpf": "12345678900", "request_id": "r" * 999}
    faults = rules(CreateUserRequest).faults(CreateUserRequest(user_id=-987654, **secrets))
    assert {fault.field for fault in faults} == {"user_id", *secrets}
    told = " ".join(fault.description for fault in faults)
    assert not [value for value in (*secrets.values(), "987654") if value in told]


def test_every_request_of_the_platform_compiles() -> None:
    """Rules that do not compile are found here, and not by the first caller."""
    for service in load_catalog().services:
        for method in service.methods:
            request = message_factory.GetMessageClass(method.input_type)()
            assert isinstance(rules(type(request)).faults(request), list)


@pytest.mark.parametrize(
    ("amount", "faults"),
    [
        ({"currency_code": "USD", "units": 5}, {"amount.currency_code": "must be BRL"}),
        (
            {"currency_code": "BRL", "units": 5, "nanos": 1},
            {"amount.nanos": "must be whole cents: a multiple of 10000000"},
        ),
        ({"currency_code": "BRL"}, {"amount": "must be more than zero and at most 1000000"}),
        (
            {"units": 2_000_000},
            {"amount.currency_code": "must be BRL", "amount": "must be more than zero and at most 1000000"},
        ),
    ],
)
def test_a_rule_of_a_message_names_the_part_at_fault(amount: dict[str, Any], faults: dict[str, str]) -> None:
    """With its whole path."""
    request = CreatePaymentRequest(user_id=1, amount=amount, method=Payment.PIX)
    found = {fault.field: fault.description for fault in rules(CreatePaymentRequest).faults(request)}
    assert found == faults
