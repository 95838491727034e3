"""The message types that JSON is read into and written from: protobuf-py's, generated from the same protos."""

from functools import cache
from typing import Final

from polystream_json.google.rpc import error_details_pb, status_pb
from polystream_json.polystream.v1 import (
    contents_pb,
    operations_pb,
    payments_pb,
    preferences_pb,
    recommendations_pb,
    sessions_pb,
    subscriptions_pb,
    system_pb,
    users_pb,
    views_pb,
)
from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    Registry,
    ScalarType,
)
from protobuf.wkt.google.protobuf import any_pb, empty_pb, field_mask_pb, struct_pb, wrappers_pb

# Whose JSON may be anything, with names that no field has.
FREE_FORM: Final = frozenset(
    {"google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"}
)

# Whose JSON form is not the one that their fields suggest (https://protobuf.dev/programming-guides/json).
_OF_ITS_OWN_FORM: Final = "google.protobuf."

_FILES: Final = (
    *(contents_pb, operations_pb, payments_pb, preferences_pb, recommendations_pb, sessions_pb),
    *(subscriptions_pb, system_pb, users_pb, views_pb),
    *(error_details_pb, status_pb),
    *(any_pb, empty_pb, field_mask_pb, struct_pb, wrappers_pb),
)

Element = ScalarType | DescEnum | DescMessage


@cache
def json_registry() -> Registry:
    """Return every type that a body or an `Any` may hold."""
    return Registry(*(file.desc() for file in _FILES))


def message_type(full_name: str) -> DescMessage:
    """Return a message's descriptor. Raises LookupError where nothing was generated for it."""
    descriptor = json_registry().message(full_name)
    if descriptor is None:
        raise LookupError(f"no JSON messages are generated for {full_name}")
    return descriptor


def has_own_form(descriptor: DescMessage) -> bool:
    """Whether a type's JSON is not an object of its fields."""
    return descriptor.type_name.startswith(_OF_ITS_OWN_FORM) and descriptor.type_name != "google.protobuf.Empty"


def element_of(field: DescField) -> Element:
    """Return what a field holds: its type, that of a list's elements, or that of a map's values."""
    match field.value:
        case DescFieldValueList(element=element):
            return element
        case DescFieldValueMap(value=value):
            return value
        case DescFieldValueMessage(message=message):
            return message
        case DescFieldValueEnum(enum=enum):
            return enum
        case scalar:
            return scalar.scalar


@cache
def fields_of(descriptor: DescMessage) -> dict[str, DescField]:
    """Return a message's fields by both of their JSON names."""
    by_name = {field.name: field for field in descriptor.fields}
    return by_name | {field.json_name: field for field in descriptor.fields}
