"""What a request must be: known fields only, representable values, and the rules of its proto."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast
from urllib.parse import unquote

import protovalidate
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from mesh.errors import FieldFault, PolystreamError, Reason

_MAX_KNOWN_BODIES = 100
_MAX_KNOWN_CHARACTERS = 500
_MAX_FAULTS = 50  # in one answer
_MIN_SECONDS = {"google.protobuf.Timestamp": -62_135_596_800, "google.protobuf.Duration": -315_576_000_000}
_MAX_SECONDS = {"google.protobuf.Timestamp": 253_402_300_799, "google.protobuf.Duration": 315_576_000_000}
# Their JSON form is not the one that their fields suggest, so names inside them say nothing.
_FREE_FORM = (
    "google.protobuf.Any",
    "google.protobuf.Struct",
    "google.protobuf.Value",
    "google.protobuf.ListValue",
)

_NULL_MARK, _LIST_MARK, _MARKS = "!", "[", "![{"

# JSON names of a message's fields; None where any name is allowed. A type that holds itself is found in itself here.
_Names = dict[str, "_Names | None"]
_Finder = Callable[[Any], Iterator[FieldFault]]


class RequestRules:
    """The checks of one request message, compiled once."""

    def __init__(self, descriptor: Descriptor, validator: protovalidate.Validator) -> None:
        self._names = _json_names(descriptor, {})
        self._shapes = {name: shape for field in descriptor.fields for name, shape in _shapes(field)}
        self._nested = _nested_fields(descriptor, {})
        self._texts = tuple(_text_finder(field) for field in descriptor.fields if _holds_text(field))
        self._times = tuple(_time_finder(field) for field in descriptor.fields if _holds_time(field))
        self._choices = {field.name: _choices(field) for field in descriptor.fields if field.enum_type is not None}
        self._validator = validator
        self._known_bodies: set[str] = set()  # lists of fields found good: clients send the same ones

    def refuse_unknown(self, request: Message, json_fields: str | None) -> None:
        """Refuse a request with a field that its type does not have.

        `json_fields` are the dotted paths that the edge found in a JSON body, separated by commas, with everything
        but names percent-encoded. Behind a field of the request itself, `[` says that its value is a list, `{` that
        it is an object, and `!` that it is null. Raises PolystreamError UNKNOWN_FIELD, or INVALID_FIELD for a value
        that the transcoder takes and JSON's mapping does not.
        """
        if json_fields and json_fields not in self._known_bodies:
            paths = json_fields.split(",")
            unknown = [name for name in map(_unmarked, paths) if not self._knows(name.split("."))]
            if unknown:
                raise _unknown(FieldFault(unquote(path), "there is no such field; check its name") for path in unknown)
            misshapen = [fault for path in paths if (fault := self._misshapen(path)) is not None]
            if misshapen:
                raise PolystreamError(Reason.INVALID_FIELD, faults=misshapen)
            if len(self._known_bodies) < _MAX_KNOWN_BODIES and len(json_fields) <= _MAX_KNOWN_CHARACTERS:
                self._known_bodies.add(json_fields)
        if len(UnknownFieldSet(request)) or self._nested:
            numbers = list(_unknown_numbers(request, self._nested, ""))
            if numbers:
                raise _unknown(FieldFault(path, "there is no field with this number") for path in numbers)

    def faults(self, request: Message) -> list[FieldFault]:
        """Return what is wrong with the request's values; the values themselves are not in it."""
        faults = [fault for find in self._texts for fault in find(request)]
        faults += [fault for find in self._times for fault in find(request)]
        violations = self._validator.collect_violations(request)
        if violations:
            faults += [self._fault(violation.proto) for violation in violations]
        return faults[:_MAX_FAULTS]

    def _fault(self, violation: Any) -> FieldFault:
        """Turn protovalidate's violation into ours. Its message says the rule, never the value."""
        field = ".".join(_element(element) for element in violation.field.elements) if violation.field else ""
        if violation.rule_id == "required":
            return FieldFault(field, "must be set", violation.rule_id)
        if violation.rule_id.startswith("enum.") and field in self._choices:
            return FieldFault(field, self._choices[field], violation.rule_id)
        return FieldFault(field, violation.message, violation.rule_id)

    def _misshapen(self, path: str) -> FieldFault | None:
        name = _unmarked(path)
        mark = path[len(name) :]
        shape = self._shapes.get(name)
        if shape is None or mark in {shape, _NULL_MARK}:
            return None
        return FieldFault(
            name, "must be a list in brackets" if shape == _LIST_MARK else "must be a text in double quotes"
        )

    def _knows(self, path: list[str]) -> bool:
        names: _Names | None = self._names
        for name in path:
            if names is None:
                return True
            if name not in names:
                return False
            names = names[name]
        return True


def named_fields(json_fields: str | None) -> frozenset[str]:
    """Return the request's own fields that a JSON body gives a value other than null."""
    paths = json_fields.split(",") if json_fields else ()
    return frozenset(_unmarked(path) for path in paths if "." not in path and not path.endswith(_NULL_MARK))


def _unmarked(path: str) -> str:
    return path.rstrip(_MARKS)


def _shapes(field: FieldDescriptor) -> Iterator[tuple[str, str]]:
    """Yield a field's names with the mark that its value has, where the transcoder is lax about that."""
    message = field.message_type
    if field.is_repeated and not (message is not None and message.GetOptions().map_entry):
        shape = _LIST_MARK
    elif message is not None and message.full_name in _MIN_SECONDS:
        shape = ""
    else:
        return
    yield from ((name, shape) for name in (field.name, field.json_name))


def request_reader(message_class: type[Message], max_bytes: int) -> Callable[[bytes], Message | PolystreamError]:
    """Return a deserializer that gives back the error instead of raising it.

    A server answers an exception here with words of its own; given back, the error reaches the client like
    any other.
    """
    parse = message_class.FromString
    name = message_class.DESCRIPTOR.full_name

    def read(data: bytes) -> Message | PolystreamError:
        if len(data) > max_bytes:
            return PolystreamError(
                Reason.REQUEST_TOO_LARGE,
                f"the request has {len(data)} bytes and {max_bytes} are allowed; send less",
                metadata={"max_request_bytes": str(max_bytes)},
            )
        try:
            return parse(data)
        except DecodeError:
            return PolystreamError(Reason.MALFORMED_REQUEST, f"the request's bytes are no {name}; check the encoding")

    return read


def _unknown(faults: Iterator[FieldFault]) -> PolystreamError:
    return PolystreamError(Reason.UNKNOWN_FIELD, faults=list(faults)[:_MAX_FAULTS])


def _json_names(descriptor: Descriptor, known: dict[str, _Names]) -> _Names | None:
    """Return both JSON names of every field, each with the names below it; those of each type are made once."""
    if descriptor.full_name in _FREE_FORM:
        return None
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    names = known[descriptor.full_name] = {}
    for field in descriptor.fields:
        below: _Names | None = {}
        if field.message_type is not None:
            is_map = field.message_type.GetOptions().map_entry
            is_time = field.message_type.full_name in _MIN_SECONDS  # a text in JSON, with no names below it
            below = None if is_map else {} if is_time else _json_names(field.message_type, known)
        names[field.name] = names[field.json_name] = below
    return names


_Nested = dict[str, tuple[bool, "_Nested"]]  # message fields by name: whether repeated, and theirs


def _nested_fields(descriptor: Descriptor, known: dict[str, _Nested]) -> _Nested:
    """Return the fields that hold messages. Maps are left out: an entry's unknown fields are not kept."""
    if descriptor.full_name not in known:
        nested = known[descriptor.full_name] = {}
        for field in descriptor.fields:
            if field.message_type is not None and not field.message_type.GetOptions().map_entry:
                nested[field.name] = (field.is_repeated, _nested_fields(field.message_type, known))
    return known[descriptor.full_name]


def _unknown_numbers(message: Message, nested: _Nested, prefix: str) -> Iterator[str]:
    for unknown in cast(Iterable[Any], UnknownFieldSet(message)):
        yield f"{prefix}{unknown.field_number}"
    for name, (repeated, below) in nested.items():
        if repeated:
            for item in getattr(message, name):
                yield from _unknown_numbers(item, below, f"{prefix}{name}.")
        elif message.HasField(name):
            yield from _unknown_numbers(getattr(message, name), below, f"{prefix}{name}.")


def _holds_text(field: FieldDescriptor) -> bool:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return any(_holds_text(part) for part in field.message_type.fields)
    return field.type == FieldDescriptor.TYPE_STRING


def _text_finder(field: FieldDescriptor) -> _Finder:
    """Look for the one character that PostgreSQL's text cannot hold."""
    name = field.name
    fault = FieldFault(name, "must not contain the NUL character (U+0000)", "string.no_nul")

    def single(request: Any) -> Iterator[FieldFault]:
        if "\0" in getattr(request, name):
            yield fault

    def several(request: Any) -> Iterator[FieldFault]:
        if any("\0" in text for text in getattr(request, name)):
            yield fault

    def entries(request: Any) -> Iterator[FieldFault]:
        if any("\0" in str(part) for entry in getattr(request, name).items() for part in entry):
            yield fault

    if field.message_type is not None:
        return entries
    return several if field.is_repeated else single


def _holds_time(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name in _MIN_SECONDS and not field.is_repeated


def _time_finder(field: FieldDescriptor) -> _Finder:
    """Look for times that protobuf allows on the wire and no calendar has."""
    name = field.name
    type_name = cast(Descriptor, field.message_type).full_name
    least, most = _MIN_SECONDS[type_name], _MAX_SECONDS[type_name]
    fault = FieldFault(name, "must be a valid time: years 1 to 9999, nanos 0 to 999999999", "time.valid")

    def find(request: Any) -> Iterator[FieldFault]:
        if request.HasField(name):
            time = getattr(request, name)
            if not (least <= time.seconds <= most and abs(time.nanos) <= 999_999_999):
                yield fault

    return find


def _choices(field: FieldDescriptor) -> str:
    values = cast(EnumDescriptor, field.enum_type).values
    return "must be one of " + ", ".join(value.name for value in values if value.number != 0)


def _element(element: Any) -> str:
    """Name one step of a path. A map's key is the caller's own text, and stays out."""
    subscript = element.subscript
    if subscript is not None and subscript.field == "index":
        return f"{element.field_name}[{subscript.value}]"
    return str(element.field_name)
