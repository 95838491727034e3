"""Answers as JSON: field for field what protobuf's own runtime prints, and never lost for what an Any holds."""

import base64
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
from google.protobuf import any_pb2, duration_pb2, empty_pb2, json_format, message_factory, struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from polystream.v1.operations_pb2 import Operation
from polystream.v1.payments_pb2 import Payment
from polystream.v1.views_pb2 import View

from gateway.rest.json_writer import JsonWriter, status_json
from mesh.catalog import load_catalog
from mesh.errors import FieldFault, PolystreamError, Reason

_MAX_DEPTH: Final = 4
_TIMES: Final = (0, 1_700_000_000_000_000_000, 1_700_000_000_100_000_000, 1_700_000_000_123_456_000, -1)
_SCALARS: Final[Mapping[int, tuple[Any, ...]]] = {
    FieldDescriptor.CPPTYPE_INT32: (0, 1, -1, 2**31 - 1, -(2**31)),
    FieldDescriptor.CPPTYPE_INT64: (0, 1, -1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 1, 2**64 - 1),
    FieldDescriptor.CPPTYPE_BOOL: (False, True),
    FieldDescriptor.CPPTYPE_DOUBLE: (
        *(0.0, 1.0, 0.1, 50.5, 1e16, 1e20, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 123456789.125),
        *(float("nan"), float("inf"), float("-inf")),
    ),
    FieldDescriptor.CPPTYPE_FLOAT: (0.0, 1.5),
    FieldDescriptor.CPPTYPE_STRING: ("", "a", 'é"\\/\b\n\u2028\x00\x7f<>&😀'),
}


def _messages() -> list[Descriptor]:
    """Return every type that an answer may hold: those of the methods, and what is in them."""
    methods = [method for service in load_catalog().services for method in service.methods]
    found: dict[str, Descriptor] = {}
    for descriptor in [method.output_type for method in methods] + [method.input_type for method in methods]:
        _collect(descriptor, found)
    _collect(status_pb2.Status.DESCRIPTOR, found)
    return list(found.values())


def _collect(descriptor: Descriptor, found: dict[str, Descriptor]) -> None:
    if descriptor.full_name not in found and not descriptor.full_name.startswith("google.protobuf."):
        if not descriptor.GetOptions().map_entry:
            found[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                _collect(field.message_type, found)


class _Filler:
    """Fills messages with seeded values, each field of every second message."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def fill(self, message: Message, share: float, depth: int = 0) -> None:
        for field in message.DESCRIPTOR.fields:
            if depth < _MAX_DEPTH and self._random.random() < share:
                self._set(message, field, share, depth)

    def _set(self, message: Message, field: Any, share: float, depth: int) -> None:
        held = getattr(message, field.name)
        if field.message_type is None:
            if field.is_repeated:
                held.extend([self._scalar(field), self._scalar(field)])
            else:
                setattr(message, field.name, self._scalar(field))
        elif field.message_type.GetOptions().map_entry:
            for key in ("a", "b"):
                held[key] = self._scalar(field.message_type.fields_by_name["value"])
        else:
            for part in [held.add(), held.add()] if field.is_repeated else [held]:
                self._fill_part(part, share, depth)

    def _fill_part(self, part: Any, share: float, depth: int) -> None:
        match part.DESCRIPTOR.full_name:
            case "google.protobuf.Timestamp" | "google.protobuf.Duration":
                part.FromNanoseconds(self._random.choice(_TIMES))
            case "google.protobuf.Any":
                part.Pack(self._random.choice(_PACKED))
            case _:
                self.fill(part, share, depth + 1)
        part.SetInParent()

    def _scalar(self, field: FieldDescriptor) -> Any:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._random.randbytes(self._random.randrange(5))
        if field.enum_type is not None:
            return self._random.choice([*field.enum_type.values_by_number, 99])
        return self._random.choice(_SCALARS[field.cpp_type])


_PACKED: Final = (
    *(View(user_id=5, watched_seconds=0), Payment(), error_details_pb2.ErrorInfo(reason="X", metadata={"a": "b"})),
    *(duration_pb2.Duration(seconds=5), empty_pb2.Empty(), struct_pb2.Struct(), status_pb2.Status(code=5)),
)


def _printed(message: Message) -> Any:
    """Return what protobuf's own runtime prints."""
    return json.loads(
        json_format.MessageToJson(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True),
        parse_float=float,
    )


def _written(message: Message) -> Any:
    return json.loads(JsonWriter(message.DESCRIPTOR.full_name).write(message.SerializeToString()))


@pytest.mark.parametrize("descriptor", _messages(), ids=lambda descriptor: descriptor.full_name)
def test_every_message_is_written_as_protobuf_s_own_runtime_prints_it(descriptor: Descriptor) -> None:
    """Empty, full and half-full, field for field."""
    filler = _Filler(descriptor.full_name)
    for share in (0.0, 1.0, 1.0, *([0.5] * 20)):
        message = message_factory.GetMessageClass(descriptor)()
        filler.fill(message, share)
        assert _written(message) == _printed(message)


def test_json_is_compact_and_utf8_with_the_fields_in_the_proto_s_order() -> None:
    """No blank is sent, no character is escaped that need not be, and a field is where the proto has it."""
    view = View(view_id="é😀", user_id=5, completed=True)

    written = JsonWriter("polystream.v1.View").write(view.SerializeToString())

    assert written.decode() == (
        '{"view_id":"é😀","user_id":"5","content_id":"0","title":"","kind":"KIND_UNSPECIFIED","watched_seconds":0,'
        '"position_percent":0.0,"completed":true}'
    )


def test_an_operation_s_result_is_written_as_its_type() -> None:
    """What an Any holds is JSON of its own type, beside the type's URL."""
    operation = Operation(correlation_id="c")
    operation.result.Pack(View(user_id=5))

    result = _written(operation)["result"]

    assert result.pop("@type") == "type.googleapis.com/polystream.v1.View"
    assert result == _printed(View(user_id=5))


def _unheard(data: bytes) -> any_pb2.Any:
    return any_pb2.Any(type_url="type.googleapis.com/another.Type", value=data)


def _in_an_operation(packed: any_pb2.Any) -> Message:
    return Operation(correlation_id="c", result=packed)


def _in_an_error(packed: any_pb2.Any) -> Message:
    return Operation(correlation_id="c", error=status_pb2.Status(code=5, details=[_packed(View(user_id=1)), packed]))


def _in_a_receipt(packed: any_pb2.Any) -> Message:
    return Operation(correlation_id="c", receipts=[Operation.Receipt(error=status_pb2.Status(details=[packed]))])


def _in_another(packed: any_pb2.Any) -> Message:
    return Operation(correlation_id="c", result=_packed(status_pb2.Status(details=[packed])))


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _anys(value: Any) -> Iterator[dict[str, Any]]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and "@type" in value:
        yield value
    for part in parts:
        yield from _anys(part)


@pytest.mark.parametrize("place", [_in_an_operation, _in_an_error, _in_a_receipt])
@pytest.mark.parametrize(
    "packed",
    [
        _unheard(b""),
        _unheard(b"\x08\x01"),
        any_pb2.Any(type_url="no-url", value=b"\x01"),
        any_pb2.Any(type_url="type.googleapis.com/polystream.v1.View", value=b"\xff\xff"),
    ],
    ids=["empty", "unheard", "no url", "damaged"],
)
def test_an_answer_is_not_lost_for_an_any_of_an_unknown_type(
    place: Callable[[any_pb2.Any], Message], packed: any_pb2.Any
) -> None:
    """It is written as the two fields that it has on the wire, and all around it as ever."""
    written = _written(place(packed))

    assert written["correlation_id"] == "c"
    assert list(_anys(written))[-1] == {
        "@type": "type.googleapis.com/google.protobuf.Struct",
        "value": {"type_url": packed.type_url, "value": base64.b64encode(packed.value).decode()},
    }
    assert [known["user_id"] for known in _anys(written) if known["@type"].endswith(".View")] == ["1"] * (
        place is _in_an_error
    )


def test_an_answer_is_not_lost_for_an_any_within_another() -> None:
    """The outer one is then what cannot be written, whole."""
    written = _written(_in_another(_unheard(b"\x08\x01")))

    (result,) = _anys(written)
    assert result["value"]["type_url"] == "type.googleapis.com/google.rpc.Status"


def test_an_error_is_written_with_its_details() -> None:
    """The one error shape, with every detail of google.rpc resolved."""
    error = PolystreamError(
        Reason.TOO_MANY_COMMANDS, faults=[FieldFault("a.b", "must be c", "d")], metadata={"k": "v"}, retry_delay_s=0.25
    )

    written = json.loads(status_json(error.to_status().SerializeToString()))

    assert written == _printed(error.to_status())
    assert [detail["@type"].rpartition(".")[2] for detail in written["details"]] == [
        *("ErrorInfo", "BadRequest", "RetryInfo")
    ]
    assert written["details"][2]["retry_delay"] == "0.250s"


def test_every_detail_of_an_error_that_google_rpc_has_is_known() -> None:
    """A client's own server may send any of them through the same door."""
    types = error_details_pb2.DESCRIPTOR.message_types_by_name.values()
    details = [_packed(message_factory.GetMessageClass(descriptor)()) for descriptor in types]

    written = json.loads(status_json(status_pb2.Status(details=details).SerializeToString()))

    assert [detail["@type"] for detail in written["details"]] == [detail.type_url for detail in details]
