"""What the edge tells of a JSON body, beside the request that it made of it: `x-polystream-json-fields`.

The edge's transcoder drops a field that it does not know, and takes some values that protobuf's JSON mapping does
not (https://protobuf.dev/programming-guides/json). So the edge sends the dotted path of every key in the body,
separated by commas, with everything but names percent-encoded. Behind a field of the request itself stands what its
value is: `[` a list, `{` an object, `!` null, nothing anything else.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mesh.errors import FieldFault, PolystreamError, Reason

MAX_FAULTS: Final = 50  # in one answer
TIMES: Final = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})  # each is a text in JSON

_MAX_KNOWN_BODIES: Final = 100
_MAX_KNOWN_CHARACTERS: Final = 500
_NULL_MARK: Final = "!"
_LIST_MARK: Final = "["
_MARKS: Final = "![{"
# Their JSON form is not the one that their fields suggest, so names inside them say nothing.
_FREE_FORM: Final = frozenset(
    {
        "google.protobuf.Any",
        "google.protobuf.Struct",
        "google.protobuf.Value",
        "google.protobuf.ListValue",
    }
)

# JSON names of a message's fields; None where any name is allowed. A type that holds itself is found in itself here.
_Names = dict[str, "_Names | None"]


class JsonFields:
    """The JSON fields that a request message has. Compiled once a message."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._names = _json_names(descriptor, {})
        self._marks = {name: mark for field in descriptor.fields for name, mark in _strict_marks(field)}
        self._known_bodies: set[str] = set()  # lists of fields found good: clients send the same ones

    def check(self, json_fields: str) -> None:
        """Check the fields of one body, `json_fields` as the edge gives them.

        Raises PolystreamError UNKNOWN_FIELD, or INVALID_FIELD for a value that is not of its field's kind.
        """
        if json_fields in self._known_bodies:
            return
        paths = json_fields.split(",")
        unknown = [name for name in map(_unmarked, paths) if not self._knows(name.split("."))]
        if unknown:
            raise unknown_fields(
                FieldFault(unquote(path), "there is no such field; check its name") for path in unknown
            )
        misshapen = [fault for path in paths if (fault := self._misshapen(path)) is not None]
        if misshapen:
            raise PolystreamError(Reason.INVALID_FIELD, faults=misshapen[:MAX_FAULTS])
        if len(self._known_bodies) < _MAX_KNOWN_BODIES and len(json_fields) <= _MAX_KNOWN_CHARACTERS:
            self._known_bodies.add(json_fields)

    def _knows(self, path: list[str]) -> bool:
        names: _Names | None = self._names
        for name in path:
            if names is None:
                return True
            if name not in names:
                return False
            names = names[name]
        return True

    def _misshapen(self, path: str) -> FieldFault | None:
        name = _unmarked(path)
        mark = path[len(name) :]
        strict = self._marks.get(name)
        if strict is None or mark in {strict, _NULL_MARK}:
            return None
        return FieldFault(
            name, "must be a list in brackets" if strict == _LIST_MARK else "must be a text in double quotes"
        )


def named_fields(json_fields: str | None) -> frozenset[str]:
    """Return the request's own fields, in either spelling, that a JSON body gives a value other than null."""
    if not json_fields:
        return frozenset()
    paths = json_fields.split(",")
    return frozenset(_unmarked(path) for path in paths if "." not in path and not path.endswith(_NULL_MARK))


def unknown_fields(faults: Iterable[FieldFault]) -> PolystreamError:
    """Return the error of a request with fields that its type does not have; it names fifty at most."""
    return PolystreamError(Reason.UNKNOWN_FIELD, faults=list(faults)[:MAX_FAULTS])


def _unmarked(path: str) -> str:
    return path.rstrip(_MARKS)


def _json_names(descriptor: Descriptor, known: dict[str, _Names]) -> _Names | None:
    """Return both JSON names of every field, each with the names below it; those of each type are made once."""
    if descriptor.full_name in _FREE_FORM:
        return None
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    names = known[descriptor.full_name] = {}
    for field in descriptor.fields:
        names[field.name] = names[field.json_name] = _names_below(field, known)
    return names


def _names_below(field: FieldDescriptor, known: dict[str, _Names]) -> _Names | None:
    message = field.message_type
    if message is None or message.full_name in TIMES:
        return {}
    if message.GetOptions().map_entry:
        return None
    return _json_names(message, known)


def _strict_marks(field: FieldDescriptor) -> Iterator[tuple[str, str]]:
    """Yield a field's names with the mark that its value must have, where the transcoder is lax about that."""
    message = field.message_type
    if field.is_repeated and not (message is not None and message.GetOptions().map_entry):
        mark = _LIST_MARK
    elif message is not None and message.full_name in TIMES:
        mark = ""
    else:
        return
    yield from ((name, mark) for name in (field.name, field.json_name))
