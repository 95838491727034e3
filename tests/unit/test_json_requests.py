"""Every field of every request, as JSON gives it: tests made from the descriptors, so that none is left out."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.rest.json_reader import JsonReader
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason

# A value that each type takes and that is not its default. Enums and messages are made from their own descriptors.
_GOOD: Final[dict[int, Any]] = {
    FieldDescriptor.CPPTYPE_INT32: 7,
    FieldDescriptor.CPPTYPE_INT64: "7",
    FieldDescriptor.CPPTYPE_DOUBLE: 0.5,
    FieldDescriptor.CPPTYPE_BOOL: True,
    FieldDescriptor.CPPTYPE_STRING: "x",
}
_GOOD_MESSAGES: Final[dict[str, Any]] = {
    "google.protobuf.Timestamp": "2026-01-31T12:00:00Z",
    "google.protobuf.Duration": "3.500s",
}
_NUMBER, _TEXT, _BOOLEAN, _LIST, _OBJECT = 5, "text", True, ["text"], {"text": "text"}
_KINDS: Final[tuple[Any, ...]] = (_NUMBER, 0.5, _TEXT, _BOOLEAN, _LIST, _OBJECT, [], {}, [None], [[]])
_OUT_OF_RANGE: Final[dict[int, tuple[Any, ...]]] = {
    FieldDescriptor.CPPTYPE_INT32: (2**31, -(2**31) - 1, str(2**31), 1e300, 0.5, "0.5", "", "x"),
    FieldDescriptor.CPPTYPE_INT64: (2**63, -(2**63) - 1, str(2**63), 1e300, 0.5, "0.5", "", "x"),
    FieldDescriptor.CPPTYPE_DOUBLE: ("1e400", "", "x", "nan"),
    FieldDescriptor.CPPTYPE_ENUM: (2**31, -(2**31) - 1, 0.5, "", "NO_SUCH_CHOICE", "1"),
    FieldDescriptor.CPPTYPE_BOOL: ("true", 0, 1, ""),
    FieldDescriptor.CPPTYPE_STRING: (),
}


def _requests() -> list[Descriptor]:
    methods = (method for service in load_catalog().services for method in service.methods)
    return sorted({method.input_type for method in methods}, key=lambda message: message.full_name)


def _fields() -> Iterator[Any]:
    for request in _requests():
        for field in request.fields:
            yield pytest.param(request, field, id=f"{request.name}.{field.name}")


every_field = pytest.mark.parametrize(("request_type", "field"), list(_fields()))


def _good(field: FieldDescriptor) -> Any:
    """Return a value that the field takes, as JSON has it."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {"x": _single(field.message_type.fields_by_name["value"])}
    return [_single(field)] if field.is_repeated else _single(field)


def _single(field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[1].name
    if field.message_type is None:
        return _GOOD[field.cpp_type]
    if field.message_type.full_name in _GOOD_MESSAGES:
        return _GOOD_MESSAGES[field.message_type.full_name]
    return {inner.name: _good(inner) for inner in field.message_type.fields}


def _read(request_type: Descriptor, body: Any) -> tuple[bytes, frozenset[str]]:
    """Return what a body makes, as protobuf's runtime writes it, and which fields it names."""
    text = body if isinstance(body, str) else json.dumps(body)
    read = JsonReader(request_type.full_name).read(text.encode())
    return _deterministic(request_type, read.message.to_binary()), read.named


def _expected(request_type: Descriptor, body: Any) -> bytes:
    """Return what protobuf's own runtime makes of a body, by its own reader of JSON."""
    message = message_factory.GetMessageClass(request_type)()
    json_format.ParseDict(body, message, descriptor_pool=descriptor_pool.Default())
    return message.SerializeToString(deterministic=True)


def _deterministic(request_type: Descriptor, data: bytes) -> bytes:
    return message_factory.GetMessageClass(request_type).FromString(data).SerializeToString(deterministic=True)


def _refused(request_type: Descriptor, body: Any) -> PolystreamError:
    with pytest.raises(PolystreamError) as refusal:
        _read(request_type, body)
    return refusal.value


@every_field
def test_both_spellings_give_the_field_its_value(request_type: Descriptor, field: FieldDescriptor) -> None:
    """What is read is what protobuf's own runtime reads, and the field is named by its proto name."""
    for spelling in (field.name, field.json_name):
        body = {spelling: _good(field)}
        assert _read(request_type, body) == (_expected(request_type, body), frozenset({field.name}))


@every_field
def test_null_leaves_the_field_unset(request_type: Descriptor, field: FieldDescriptor) -> None:
    """Null names no field."""
    for spelling in (field.name, field.json_name):
        assert _read(request_type, {spelling: None}) == (b"", frozenset())


@every_field
def test_a_value_of_another_kind_is_refused(request_type: Descriptor, field: FieldDescriptor) -> None:
    """Of every kind of JSON value, the field takes its own and says of another that it is at fault."""
    for value in _KINDS:
        if _takes(field, value):
            body = {field.json_name: value}
            assert _read(request_type, body) == (_expected(request_type, body), frozenset({field.name})), value
            continue
        refusal = _refused(request_type, {field.json_name: value})
        assert refusal.reason in {Reason.INVALID_FIELD, Reason.UNKNOWN_FIELD}
        assert {fault.field.split(".")[0].split("[")[0] for fault in refusal.faults} == {field.name}, value


def _takes(field: FieldDescriptor, value: Any) -> bool:
    """Whether a value is of the field's kind, as https://protobuf.dev/programming-guides/json has them."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        part = field.message_type.fields_by_name["value"]
        return isinstance(value, dict) and all(_takes_single(part, held) for held in value.values())
    if field.is_repeated:
        return isinstance(value, list) and all(_takes_single(field, held) for held in value)
    return _takes_single(field, value)


def _takes_single(field: FieldDescriptor, value: Any) -> bool:
    if field.message_type is not None:
        return value == {} and field.message_type.full_name not in _GOOD_MESSAGES
    kinds: dict[int, Any] = {
        FieldDescriptor.CPPTYPE_STRING: str,
        FieldDescriptor.CPPTYPE_BOOL: bool,
        FieldDescriptor.CPPTYPE_DOUBLE: int | float,
    }
    is_boolean = isinstance(value, bool)
    return isinstance(value, kinds.get(field.cpp_type, int)) and is_boolean == (
        field.cpp_type == FieldDescriptor.CPPTYPE_BOOL
    )


@every_field
def test_a_value_out_of_the_field_s_range_is_refused(request_type: Descriptor, field: FieldDescriptor) -> None:
    """So is one that is no value of the type at all; the message says what the type takes."""
    wrong = ("yesterday", "2026-02-30T00:00:00Z", "10000-01-01T00:00:00Z") if field.message_type is not None else ()
    for value in wrong or _OUT_OF_RANGE[field.cpp_type]:
        refusal = _refused(request_type, {field.json_name: [value] if field.is_repeated else value})
        assert refusal.reason is Reason.INVALID_FIELD
        (fault,) = refusal.faults
        assert (fault.field, fault.description[:5]) == (field.name, "must "), value


@every_field
def test_the_field_is_not_to_be_given_twice(request_type: Descriptor, field: FieldDescriptor) -> None:
    """In the same spelling or in both, with values or with null."""
    good = json.dumps(_good(field))
    for first, second in ((field.name, field.name), (field.json_name, field.json_name), (field.name, field.json_name)):
        for one, other in ((good, good), ("null", good), (good, "null")):
            refusal = _refused(request_type, f'{{"{first}":{one},"{second}":{other}}}')
            assert [(fault.field, fault.description) for fault in refusal.faults] == [
                (field.name, "is given twice; give it once")
            ]


@every_field
def test_a_misspelt_field_is_unknown(request_type: Descriptor, field: FieldDescriptor) -> None:
    """No other case of the name will do, nor a name with something beside it."""
    known = {name for other in request_type.fields for name in (other.name, other.json_name)}
    for name in {field.name.upper(), field.name.title(), f"{field.name}_", f" {field.name}"} - known:
        refusal = _refused(request_type, {name: None})
        assert (refusal.reason, [fault.field for fault in refusal.faults]) == (Reason.UNKNOWN_FIELD, [name])
