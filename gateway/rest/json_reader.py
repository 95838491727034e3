"""JSON bodies into messages: ProtoJSON (https://protobuf.dev/programming-guides/json), strictly.

protobuf-py reads the body. It takes the last of two values in silence, so the names are looked at as well: by one
expression where that is enough, and one by one where there is a doubt or something is wrong.
"""

import re
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, Final

from protobuf import DescFieldValueMap, DescMessage, Message
from protobuf.wkt import Value as AnyJson

from gateway.rest import json_text
from gateway.rest.json_faults import REFUSALS, JsonFaults
from gateway.rest.json_text import JsonObject
from gateway.rest.json_types import FREE_FORM, element_of, fields_of, has_own_form, json_registry, message_type
from mesh.errors import PolystreamError, Reason

_ESCAPE: Final = re.compile(rb"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED: Final = b"\xff"  # in no UTF-8 text
# A name of alphanumeric ASCII and what was escaped: no other can be a field's. Between the end of a text and the next
# one there is always something else than that, so nothing but a name matches.
_NAME: Final = re.compile(rb'[{,]\s*"([0-9A-Z_a-z\xff]+)"\s*:')
_UNSET: Final = re.compile(_NAME.pattern + rb"\s*null")
# A text of the characters of a number, or of a duration, that is none of JSON's: protobuf-py takes what Python's `int`
# does.
_ODD_NUMBER: Final = re.compile(
    rb'"(?=[-+.0-9\x80-\xff])(?!-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?s?")[-+.0-9eE_\x80-\xff]*s?"'
)
# Numbers with a fraction or an exponent that may lose digits: protobuf-py reads them by way of a double, which holds
# any fifteen digits. The sixteenth character may be the point.
_FRACTION: Final = re.compile(rb"[.eE](?<=[0-9].)")  # few bodies have one, and this is told sooner
_LONG_NUMBER: Final = re.compile(rb'[:\[,]\s*"?-?(?=[0-9.]{16}|[0-9.]+[eE])[0-9]+[.eE]')
# A body above doubt has none of these, once its digits and points are `0` and it has no white space: what is escaped,
# an exponent, a number that may be too long, an unset field.
_DIGITS_AS_0: Final = bytes.maketrans(b"123456789.E", b"0000000000e")
_SPACE: Final = b" \t\r\n"
_DOUBTS: Final = (b"\\", b"0e", b"0" * 16, b":null")


@dataclass(frozen=True, slots=True)
class _KnownBody:
    """Names that were once found good together."""

    members: tuple[bytes, ...]  # each name as a body has it, in quotes and with its colon
    named: frozenset[str]  # the fields that they are


@dataclass(slots=True)
class JsonMessage:
    """What a body says: the message, and the proto names of its fields that have a value other than null."""

    message: Any  # of protobuf-py, whose fields are set by name
    named: frozenset[str]


class JsonReader:
    """Reads the JSON of one message type. Compiled once a type."""

    def __init__(self, full_name: str) -> None:
        """Prepare to read a type. Raises LookupError for one that no JSON messages are generated for."""
        self._descriptor = message_type(full_name)
        self._class: type[Message] = self._descriptor.type
        self._names = _plain_names(self._descriptor)
        self._own = {field.name for field in self._descriptor.fields}
        self._known: dict[int, _KnownBody] = {}  # the last of each number of members: clients send the same ones

    def read(self, body: bytes, prefix: str = "") -> JsonMessage:
        """Read a body; `prefix` is the path of the field that it is, empty where it is the whole request.

        Raises PolystreamError MALFORMED_REQUEST for what is not JSON (with line and column, counted from 1, the
        column in bytes) or no object, UNKNOWN_FIELD and INVALID_FIELD with the path of each field at fault.
        """
        if json_text.is_too_deep(body):
            raise _malformed(f"the body is nested deeper than {json_text.MAX_DEPTH} levels; nest it less")
        try:
            message = self._class.from_json(body, registry=json_registry())
            message.to_binary()  # refuses what JSON may hold and the wire may not: an enum's number beyond 32 bits
        except JSONDecodeError as error:
            raise _not_json(error) from None
        except REFUSALS:
            raise self._refusal(body, prefix) from None
        named = self._known_named(body) or self._plain_named(body)
        return JsonMessage(message, self._checked_names(body, prefix) if named is None else named)

    def _known_named(self, body: bytes) -> frozenset[str] | None:
        """Return the fields of a body that protobuf-py took, where it is above doubt and has names as one before.

        It is told in a third of the time of the expressions. A quote and a colon are the end of a name, or the
        beginning of a text: there are as many as members or more, so that each name that is there is there once.
        """
        text = body.translate(_DIGITS_AS_0, _SPACE)
        known = self._known.get(text.count(b'":'))
        if known is None or _ODD_NUMBER.search(body):
            return None
        for doubt in _DOUBTS:
            if doubt in text:
                return None
        for member in known.members:
            if member not in body:
                return None
        return known.named

    def _plain_named(self, body: bytes) -> frozenset[str] | None:
        """Return the fields of a body that protobuf-py took; None where they must be looked at one by one."""
        if b"\\" in body:
            body = _ESCAPE.sub(_ESCAPED, body)
        if self._names is None or _ODD_NUMBER.search(body):
            return None
        if _FRACTION.search(body) and _LONG_NUMBER.search(body):
            return None
        names = _NAME.findall(body)
        paths = {path for name in names if (path := self._names.get(name)) is not None}
        if len(paths) < len(names):
            return None
        named = frozenset(paths & self._own)
        self._known[len(names)] = _KnownBody(tuple(b'"%b":' % name for name in names), named)
        if b"null" in body:
            return named.difference([self._names[name] for name in _UNSET.findall(body)])
        return named

    def _checked_names(self, body: bytes, prefix: str) -> frozenset[str]:
        """Return the fields of a body that protobuf-py took. Raises PolystreamError for names that are twice in it."""
        value = json_text.parse(body)
        found = JsonFaults(refused=False)
        found.read(self._descriptor, value, prefix)
        if found.faults:
            raise PolystreamError(Reason.INVALID_FIELD, faults=found.faults)
        if has_own_form(self._descriptor) or not isinstance(value, JsonObject):
            return frozenset()
        fields = fields_of(self._descriptor)
        return frozenset(fields[name].name for name, held in value.members if held is not None)

    def _refusal(self, body: bytes, prefix: str) -> PolystreamError:
        """Say what is wrong with a body that protobuf-py refused: it reads no further than the first fault."""
        value = json_text.parse_plain(body)
        if value is None:
            try:
                AnyJson.from_json(body)
            except JSONDecodeError as error:
                return _not_json(error)
            except REFUSALS:
                pass  # what an any JSON value may not be, such as a number beyond a double, the fields tell better
            try:
                value = json_text.parse(body)
            except (ValueError, RecursionError):
                return _malformed("the body is not valid JSON; send an object")
        if not prefix and not isinstance(value, JsonObject) and not has_own_form(self._descriptor):
            return _malformed("the body is no JSON object; send one, with the request's fields")
        found = JsonFaults(refused=True)
        found.read(self._descriptor, value, prefix)
        if not found.faults:
            return _malformed("the body does not fit its message type; see the reference")
        return PolystreamError(Reason.UNKNOWN_FIELD if found.has_unknown else Reason.INVALID_FIELD, faults=found.faults)


def _not_json(error: JSONDecodeError) -> PolystreamError:
    return _malformed(f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}")


def _malformed(message: str) -> PolystreamError:
    return PolystreamError(Reason.MALFORMED_REQUEST, message)


def _plain_names(descriptor: DescMessage) -> dict[bytes, str] | None:
    """Return what each name in a body means, by the path of its field.

    None where that cannot be told from the name alone: maps have names of their own, and a type that holds itself has
    each name at every level. A name that means two things is left out.
    """
    meanings: dict[str, set[str]] = {}
    if not _collect(descriptor, "", (), meanings):
        return None
    return {name.encode(): next(iter(paths)) for name, paths in meanings.items() if len(paths) == 1}


def _collect(descriptor: DescMessage, path: str, above: tuple[str, ...], meanings: dict[str, set[str]]) -> bool:
    if descriptor.type_name in above:
        return False
    for field in descriptor.fields:
        if isinstance(field.value, DescFieldValueMap):
            return False
        field_path = f"{path}.{field.name}" if path else field.name
        for name in {field.name, field.json_name}:
            meanings.setdefault(name, set()).add(field_path)
        below = element_of(field)
        if isinstance(below, DescMessage):
            if below.type_name in FREE_FORM:
                return False
            if not has_own_form(below) and not _collect(below, field_path, (*above, descriptor.type_name), meanings):
                return False
    return True
