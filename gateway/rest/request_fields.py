"""The fields of a request, however deep, as paths and query parameters name them."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.rest.json_faults import shown_name
from mesh.errors import FieldFault, PolystreamError, Reason

MAX_FIELD_DEPTH: Final = 32  # steps in one name: a type that holds itself has no end

_MAX_KNOWN_NAMES: Final = 1_000
# Messages that are one text, number or truth value in JSON (https://protobuf.dev/programming-guides/json), and so in
# a query.
_TEXT_MESSAGES: Final = frozenset(
    f"google.protobuf.{name}"
    for name in (
        *("Timestamp", "Duration", "FieldMask"),
        *("BoolValue", "BytesValue", "DoubleValue", "FloatValue", "StringValue"),
        *("Int32Value", "Int64Value", "UInt32Value", "UInt64Value"),
    )
)


class RequestField(NamedTuple):
    """One field that a text can set."""

    key: str  # its dotted path, in proto names
    names: tuple[str, ...]  # the same, step by step
    is_repeated: bool
    rivals: frozenset[str]  # dotted paths of what a oneof along the path excludes

    def excludes(self, other: str) -> bool:
        """Whether a oneof allows only one of this field and the other one, which is named by its dotted path."""
        return any(other == rival or other.startswith(f"{rival}.") for rival in self.rivals)


class RequestFields:
    """The fields of one request message. `aliases` are further names of fields of the request itself."""

    def __init__(self, descriptor: Descriptor, aliases: Mapping[str, str]) -> None:
        self._descriptor = descriptor
        self._aliases = dict(aliases)
        self._known: dict[str, RequestField] = {}
        for alias, name in self._aliases.items():
            if name not in descriptor.fields_by_name:
                raise ValueError(f"the query alias {alias} is for {name}, which {descriptor.full_name} does not have")
            if alias in spellings(descriptor):
                raise ValueError(f"the query alias {alias} is a field of {descriptor.full_name} itself")

    def find(self, name: str) -> RequestField:
        """Return the field that a query parameter names, in either spelling or by an alias.

        Raises PolystreamError UNKNOWN_FIELD, and INVALID_FIELD for one that a query cannot set.
        """
        known = self._known.get(name)
        if known is None:
            known = self._resolve(self._aliases.get(name, name).split("."), name)
            if len(self._known) < _MAX_KNOWN_NAMES:
                self._known[name] = known
        return known

    def _resolve(self, steps: Sequence[str], name: str) -> RequestField:
        if len(steps) > MAX_FIELD_DEPTH:
            fault = FieldFault(shown_name(name), f"has more than {MAX_FIELD_DEPTH} steps; send it in a body")
            raise PolystreamError(Reason.INVALID_FIELD, faults=[fault])
        message: Descriptor | None = self._descriptor
        path: list[FieldDescriptor] = []
        for step in steps:
            field = None if message is None else spellings(message).get(step)
            if field is None:
                fault = FieldFault(shown_name(name), "there is no such field; check its name")
                raise PolystreamError(Reason.UNKNOWN_FIELD, faults=[fault])
            path.append(field)
            if wrong := _not_for_query(field, is_last=len(path) == len(steps)):
                raise PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault(_key(path), wrong)])
            message = field.message_type
        return request_field(path)


def request_field(path: Sequence[FieldDescriptor]) -> RequestField:
    """Return the field at the end of a path of fields."""
    rivals = set[str]()
    for depth, field in enumerate(path):
        if field.containing_oneof is not None:
            above = "".join(f"{one.name}." for one in path[:depth])
            rivals.update(above + other.name for other in field.containing_oneof.fields if other.name != field.name)
    return RequestField(_key(path), tuple(one.name for one in path), path[-1].is_repeated, frozenset(rivals))


def path_field(descriptor: Descriptor, names: Sequence[str]) -> RequestField:
    """Return the field that a variable of a path template names.

    Raises ValueError for one that a path may not set: an unknown, repeated or map field, or a message.
    """
    message: Descriptor | None = descriptor
    path: list[FieldDescriptor] = []
    for name in names:
        field = None if message is None else message.fields_by_name.get(name)
        if field is None:
            raise ValueError(f"the variable {'.'.join(names)} is no field of {descriptor.full_name}")
        if field.is_repeated:
            raise ValueError(f"the variable {'.'.join(names)} is, or is within, a repeated field or a map")
        path.append(field)
        message = field.message_type
    if message is not None:
        raise ValueError(f"the variable {'.'.join(names)} is a message, which no path can hold")
    return request_field(path)


def spellings(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    """Return a message's fields by their names in the proto and in JSON."""
    return {name: field for field in descriptor.fields for name in (field.json_name, field.name)}


def _key(path: Sequence[FieldDescriptor]) -> str:
    return ".".join(field.name for field in path)


def _not_for_query(field: FieldDescriptor, *, is_last: bool) -> str:
    """Say why a query cannot set a field, or what is below it; empty where it can."""
    message = field.message_type
    if message is None:
        return ""
    if field.is_repeated:
        kind = "a map" if message.GetOptions().map_entry else "a list of messages"
        return f"is {kind}, which a query cannot hold; send it in a body"
    if message.full_name in _TEXT_MESSAGES:
        return "" if is_last else "must be one value, as in JSON; give it without names of fields below it"
    if message.file.package == "google.protobuf":
        return "has a JSON form of its own, which a query cannot hold; send it in a body"
    below = f"such as {field.name}.{message.fields[0].name}" if message.fields else "of which it has none"
    return f"is a message; name one of its fields, {below}" if is_last else ""
