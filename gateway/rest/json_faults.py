"""What is wrong with a JSON body, field by field.

protobuf-py says that something is wrong, not where. So each field is given to it alone, and the parts of a field that
it refuses, until the least part is found. Names are compared here: it takes the last of two values in silence.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import islice
from typing import Final

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescMessage,
    DescOneof,
    Message,
    ScalarType,
)

from gateway.rest.json_text import NOT_FINITE, JsonObject, Number, Value, is_duration, is_number, unparse
from gateway.rest.json_types import Element, element_of, fields_of, has_own_form, json_registry
from mesh.envelope import MAX_NAME_CHARACTERS
from mesh.errors import MAX_FAULTS, FieldFault

UNKNOWN: Final = "there is no such field; check its name"
REFUSALS: Final = (ValueError, TypeError, OverflowError, RecursionError)  # how protobuf-py refuses

_32_BITS: Final = "from -2147483648 to 2147483647"
_64_BITS: Final = "from -9223372036854775808 to 9223372036854775807"
_UNSIGNED_32_BITS: Final = "from 0 to 4294967295"
_UNSIGNED_64_BITS: Final = "from 0 to 18446744073709551615"
_NUMBERS: Final = {
    ScalarType.INT32: f"a whole number {_32_BITS}",
    ScalarType.SINT32: f"a whole number {_32_BITS}",
    ScalarType.SFIXED32: f"a whole number {_32_BITS}",
    ScalarType.INT64: f"a whole number {_64_BITS}",
    ScalarType.SINT64: f"a whole number {_64_BITS}",
    ScalarType.SFIXED64: f"a whole number {_64_BITS}",
    ScalarType.UINT32: f"a whole number {_UNSIGNED_32_BITS}",
    ScalarType.FIXED32: f"a whole number {_UNSIGNED_32_BITS}",
    ScalarType.UINT64: f"a whole number {_UNSIGNED_64_BITS}",
    ScalarType.FIXED64: f"a whole number {_UNSIGNED_64_BITS}",
    ScalarType.DOUBLE: "a number, within the range of a double",
    ScalarType.FLOAT: "a number, within the range of a float",
}
_SCALARS: Final = _NUMBERS | {
    ScalarType.BOOL: "true or false",
    ScalarType.STRING: "a text in double quotes",
    ScalarType.BYTES: "a text of base64",
}
_KEY_RANGES: Final = {
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), range(-(2**31), 2**31)),
    **dict.fromkeys((ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64), range(-(2**63), 2**63)),
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), range(2**32)),
    **dict.fromkeys((ScalarType.UINT64, ScalarType.FIXED64), range(2**64)),
}
_WHOLE_KEY: Final = re.compile("0|-?[1-9][0-9]{0,19}")
_MESSAGES: Final = {
    "google.protobuf.Timestamp": 'a time as RFC 3339 has it, such as "2026-01-31T12:00:00Z", of the years 1 to 9999',
    "google.protobuf.Duration": 'a duration in seconds, such as "3.5s"',
    "google.protobuf.FieldMask": 'names of fields in a text, such as "name,email"',
    "google.protobuf.Any": 'an object in braces with the type\'s URL as "@type"',
    "google.protobuf.Value": "a JSON value",
    "google.protobuf.ListValue": "a list in brackets",
    "google.protobuf.BoolValue": _SCALARS[ScalarType.BOOL],
    "google.protobuf.BytesValue": _SCALARS[ScalarType.BYTES],
    "google.protobuf.DoubleValue": _SCALARS[ScalarType.DOUBLE],
    "google.protobuf.FloatValue": _SCALARS[ScalarType.FLOAT],
    "google.protobuf.Int32Value": _SCALARS[ScalarType.INT32],
    "google.protobuf.Int64Value": _SCALARS[ScalarType.INT64],
    "google.protobuf.StringValue": _SCALARS[ScalarType.STRING],
    "google.protobuf.UInt32Value": _SCALARS[ScalarType.UINT32],
    "google.protobuf.UInt64Value": _SCALARS[ScalarType.UINT64],
}
_SINGLE_VALUES: Final = _MESSAGES.keys() - {"google.protobuf.Any", "google.protobuf.Value", "google.protobuf.ListValue"}
_WRAPPED_NUMBERS: Final = {
    "google.protobuf.DoubleValue": ScalarType.DOUBLE,
    "google.protobuf.FloatValue": ScalarType.FLOAT,
    "google.protobuf.Int32Value": ScalarType.INT32,
    "google.protobuf.Int64Value": ScalarType.INT64,
    "google.protobuf.UInt32Value": ScalarType.UINT32,
    "google.protobuf.UInt64Value": ScalarType.UINT64,
}
_WHOLE: Final = _NUMBERS.keys() - {ScalarType.DOUBLE, ScalarType.FLOAT}
_MIN_ENUM: Final = -(2**31)
_MAX_ENUM: Final = 2**31 - 1
_MAX_ENUM_DIGITS: Final = len("-2147483648")
_DURATION: Final = "google.protobuf.Duration"
_ANY: Final = "google.protobuf.Any"
_TYPE: Final = "@type"

Members = list[tuple[str, Value]]


class JsonFaults:
    """The faults of one body: at most fifty, each once, in the order of the body."""

    def __init__(self, *, refused: bool) -> None:
        """`refused`: protobuf-py refused the body, so its values are looked through as well as its names."""
        self._refused = refused
        self._faults: dict[FieldFault, None] = {}
        self.has_unknown = False

    @property
    def faults(self) -> tuple[FieldFault, ...]:
        """What was found."""
        return tuple(self._faults)

    def read(self, descriptor: DescMessage, body: Value, path: str) -> None:
        """Look through the JSON of a whole message; `path` is what its fields' paths begin with, or empty."""
        if has_own_form(descriptor):
            self._read_own_form(descriptor, body, path)
            if self._refused and not self._faults and not takes_message(descriptor, body):
                self._add(path, must_be(descriptor))
        elif isinstance(body, JsonObject):
            self._read_fields(descriptor, body.members, path)
        elif self._refused:
            self._add(path, "must be an object in braces")

    def _add(self, path: str, description: str) -> None:
        if not self._is_full():
            self._faults[FieldFault(path, description)] = None

    def _is_full(self) -> bool:
        return len(self._faults) >= MAX_FAULTS

    def _read_fields(self, descriptor: DescMessage, members: Iterable[tuple[str, Value]], path: str) -> None:
        fields = fields_of(descriptor)
        seen: set[int] = set()
        chosen: dict[str, DescField] = {}
        for name, value in members:
            if self._is_full():
                return
            field = fields.get(name)
            if field is None:
                self.has_unknown = True
                self._add(_join(path, shown_name(name)), UNKNOWN)
            elif field.number in seen:
                self._add(_join(path, field.name), "is given twice; give it once")
            else:
                seen.add(field.number)
                if not self._is_second_choice(field, value, chosen, path):
                    self._read_field(descriptor, field, value, _join(path, field.name))

    def _is_second_choice(self, field: DescField, value: Value, chosen: dict[str, DescField], path: str) -> bool:
        oneof: DescOneof | None = getattr(field.value, "oneof", None)
        if oneof is None or value is None:
            return False
        first = chosen.setdefault(oneof.name, field)
        if first is not field:
            self._add(_join(path, field.name), f"excludes {first.name}; give one of the two")
        return first is not field

    def _read_field(self, descriptor: DescMessage, field: DescField, value: Value, path: str) -> None:
        def takes(part: Value) -> bool:
            return not self._refused or _takes(descriptor.type, field.name, part)

        element = element_of(field)
        match field.value:
            case _ if value is None and takes(None):
                pass
            case DescFieldValueList() if isinstance(value, list):
                self._read_list(element, value, path, takes)
            case DescFieldValueList():
                self._add(path, "must be a list in brackets")
            case DescFieldValueMap(key=key) if isinstance(value, JsonObject):
                self._read_map(key, element, value.members, path, takes)
            case DescFieldValueMap():
                self._add(path, "must be an object in braces")
            case _:
                self._read_element(element, value, path, takes)

    def _read_element(
        self, element: Element, value: Value, path: str, takes: Callable[[Value], bool], subject: str = ""
    ) -> None:
        if isinstance(element, DescMessage):
            if not has_own_form(element) and isinstance(value, JsonObject):
                self._read_fields(element, value.members, path)
                return
            self._read_own_form(element, value, path)
        if not (_is_strict(element, value) and takes(value)):
            lost = isinstance(value, str) and is_number(value) and not is_exact(value)
            remedy = (
                ", in digits alone where a double cannot hold it" if lost and _number_kind(element) in _WHOLE else ""
            )
            self._add(path, subject + ("must not be null" if value is None else must_be(element) + remedy))

    def _read_list(self, element: Element, values: list[Value], path: str, takes: Callable[[Value], bool]) -> None:
        for index in _doubtful(element, values, takes):
            if self._is_full():
                return
            self._read_element(element, values[index], f"{path}[{index}]", lambda value: takes([value]))

    def _read_map(
        self, key_type: ScalarType, element: Element, members: Members, path: str, takes: Callable[[Value], bool]
    ) -> None:
        # A map's names are the caller's own, and stay out of the path.
        named = [member for member in members if _is_key(key_type, member[0])]
        if len(named) < len(members):
            self._add(path, f"each name must be {_SCALARS[key_type]}")
        if len({key for key, _ in members}) < len(members):
            self._add(path, "has a name twice; give each once")

        def takes_values(values: Value) -> bool:
            # Names of their own: of two values with one name, protobuf-py looks at the last.
            names = (key if key_type is ScalarType.BOOL else str(number) for number, (key, _) in enumerate(named))
            return not isinstance(values, list) or takes(JsonObject(list(zip(names, values, strict=False))))

        for index in _doubtful(element, [value for _, value in named], takes_values):
            if self._is_full():
                return
            key, value = named[index]
            self._read_element(element, value, path, partial(_takes_entry, takes, key), "each value ")

    def _read_own_form(self, descriptor: DescMessage, value: Value, path: str) -> None:
        """Look for what is there twice in a value whose names are not its type's fields."""
        parts: list[Value] = value if isinstance(value, list) else []
        if isinstance(value, JsonObject):
            names = [name for name, _ in value.members]
            if len(set(names)) < len(names):
                self._add(path, "has a name twice; give each once")
            kind = _packed(value.members) if descriptor.type_name == _ANY else None
            if kind is not None and not has_own_form(kind):
                self._read_fields(kind, [member for member in value.members if member[0] != _TYPE], path)
                return
            parts = [held for _, held in value.members]
        for part in parts:
            self._read_own_form(descriptor, part, path)


def takes_message(descriptor: DescMessage, value: Value) -> bool:
    """Whether protobuf-py takes a value for a whole message."""
    try:
        descriptor.type.from_json(unparse(value), registry=json_registry())
    except REFUSALS:
        return False
    return True


def must_be(element: Element) -> str:
    """Say what a value of a type must be."""
    match element:
        case DescEnum():
            return "must be one of " + ", ".join(value.name for value in element.values if value.number != 0)
        case DescMessage():
            return f"must be {_MESSAGES.get(element.type_name, 'an object in braces')}"
        case _:
            return f"must be {_SCALARS[element]}"


def is_exact(number: str) -> bool:
    """Whether a number loses nothing on its way through a double; digits alone do not go that way."""
    if number.lstrip("-").isdecimal():
        return True
    try:
        return Decimal(number) == Decimal(float(number))
    except InvalidOperation:  # an exponent beyond what a Decimal may have
        return False


def is_enum_number(digits: str) -> bool:
    """Whether a whole number is one that an enum may have, known or not: of 32 bits."""
    return len(digits) <= _MAX_ENUM_DIGITS and _MIN_ENUM <= int(digits) <= _MAX_ENUM


def _takes(message: type[Message], name: str, value: Value) -> bool:
    try:
        message.from_json(f'{{"{name}":{unparse(value)}}}', registry=json_registry())
    except REFUSALS:
        return False
    return True


def _takes_entry(takes: Callable[[Value], bool], key: str, value: Value) -> bool:
    return takes(JsonObject([(key, value)]))


def _doubtful(element: Element, values: list[Value], takes: Callable[[Value], bool]) -> Iterable[int]:
    """Return where the elements are that have to be looked at, in their order; no more than can be told."""
    if isinstance(element, DescMessage):
        return range(len(values))
    lax = (index for index, value in enumerate(values) if not _is_strict(element, value))
    found = set(islice(lax, MAX_FAULTS))
    if len(found) < MAX_FAULTS:
        found.update(islice(_refused(values, 0, len(values), takes), MAX_FAULTS))
    return sorted(found)


def _refused(values: list[Value], first: int, end: int, takes: Callable[[Value], bool]) -> Iterator[int]:
    """Yield where the elements are that are refused, by halves: most lists have few of them."""
    if takes(values[first:end]):
        return
    if end - first == 1:
        yield first
        return
    middle = (first + end) // 2
    yield from _refused(values, first, middle, takes)
    yield from _refused(values, middle, end, takes)


def _is_strict(element: Element, value: Value) -> bool:
    """Whether a value is what its type may have, where protobuf-py is lax.

    In a text it takes for a number what Python's `int` does, such as 1_0, and for an enum it takes numbers beyond the
    32 bits that the wire has for one. A whole number with a fraction or an exponent it rounds to a double first. A
    duration's fraction may have no digits.
    """
    if isinstance(value, JsonObject | list):
        return isinstance(element, DescMessage) and element.type_name not in _SINGLE_VALUES
    if isinstance(element, DescEnum):
        return not isinstance(value, Number) or not value.lstrip("-").isdecimal() or is_enum_number(value)
    if isinstance(element, DescMessage) and element.type_name == _DURATION and isinstance(value, str):
        return is_duration(value)
    kind = _number_kind(element)
    if kind is None or not isinstance(value, str) or value in NOT_FINITE:
        return True
    return is_number(value) and (kind not in _WHOLE or is_exact(value))


def _number_kind(element: Element) -> ScalarType | None:
    """Return which kind of number a type is, also within a wrapper; None where it is none."""
    if isinstance(element, DescMessage):
        return _WRAPPED_NUMBERS.get(element.type_name)
    return element if isinstance(element, ScalarType) and element in _NUMBERS else None


def _is_key(key_type: ScalarType, key: str) -> bool:
    match key_type:
        case ScalarType.STRING:
            return True
        case ScalarType.BOOL:
            return key in {"true", "false"}
        case _:
            # Two spellings of one number would be one entry of the map.
            return _WHOLE_KEY.fullmatch(key) is not None and int(key) in _KEY_RANGES[key_type]


def _packed(members: Members) -> DescMessage | None:
    """Return the type of the message in an `Any`."""
    url = dict(members).get(_TYPE)
    return json_registry().message(url.rpartition("/")[2]) if isinstance(url, str) else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def shown_name(name: str) -> str:
    """Return a name that the caller made up, fit to be shown: bounded, and without what does not print."""
    shown = name[:MAX_NAME_CHARACTERS] + ("…" if len(name) > MAX_NAME_CHARACTERS else "")
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in shown)
