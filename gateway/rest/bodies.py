"""What the body of a request is: the whole request, one field of it, or nothing."""

from typing import Final, Protocol

from google.protobuf.descriptor import Descriptor
from protobuf import Message

from gateway.rest import json_text
from gateway.rest.json_reader import JsonMessage, JsonReader
from gateway.rest.json_types import message_type
from gateway.rest.request_fields import spellings
from mesh.errors import PolystreamError, Reason

WHOLE: Final = "*"

_OWN_FORM: Final = "google.protobuf"  # the package of the messages whose JSON is no object of their fields
_NOTHING: Final[frozenset[str]] = frozenset()


class BodyReader(Protocol):
    """Reads the bodies of one binding."""

    field: str  # proto name of the field that the body is; "" for the whole request, and for no body

    def read(self, body: bytes) -> JsonMessage:
        """Return the request that a body makes, and which of its fields the body names. Raises PolystreamError."""
        ...

    def paths(self, body: bytes) -> frozenset[str]:
        """Return the dotted paths of all that a body which `read` took gives a value other than null."""
        ...


def body_reader(descriptor: Descriptor, body: str) -> BodyReader:
    """Compile the reader of a rule's `body`. Raises ValueError where it names no field of the request."""
    if not body:
        return NoBody(descriptor)
    if body == WHOLE:
        return WholeBody(descriptor)
    return FieldBody(descriptor, body)


class NoBody:
    """The request has no body: all of it is in the path and the query."""

    def __init__(self, descriptor: Descriptor) -> None:
        self.field = ""
        self._class: type[Message] = message_type(descriptor.full_name).type

    def read(self, body: bytes) -> JsonMessage:
        """Return an empty request. Raises PolystreamError MALFORMED_REQUEST for a body: its fields would be lost."""
        if body:
            raise PolystreamError(
                Reason.MALFORMED_REQUEST,
                "this path takes no body with this HTTP method; send the request's fields as query parameters",
            )
        return JsonMessage(self._class(), _NOTHING)

    def paths(self, body: bytes) -> frozenset[str]:  # noqa: ARG002 - there is none
        """Return nothing."""
        return _NOTHING


class WholeBody:
    """The body is the request. An empty one says nothing."""

    def __init__(self, descriptor: Descriptor) -> None:
        self.field = ""
        self._descriptor = descriptor
        self._class: type[Message] = message_type(descriptor.full_name).type
        self._reader = JsonReader(descriptor.full_name)

    def read(self, body: bytes) -> JsonMessage:
        """Return the request that a body makes. Raises PolystreamError, as `JsonReader.read` does."""
        return self._reader.read(body) if body else JsonMessage(self._class(), _NOTHING)

    def paths(self, body: bytes) -> frozenset[str]:
        """Return the dotted paths of all that a body names."""
        return frozenset(_paths(self._descriptor, json_text.parse(body), "")) if body else _NOTHING


class FieldBody:
    """The body is one field of the request. An empty one leaves the field unset."""

    def __init__(self, descriptor: Descriptor, name: str) -> None:
        field = descriptor.fields_by_name.get(name)
        if field is None:
            raise ValueError(f"the body is {name}, which is no field of {descriptor.full_name}")
        self.field = name
        self._json_field = field
        whole = message_type(descriptor.full_name)
        self._class: type[Message] = whole.type
        self._field = next(one for one in whole.fields if one.name == name)
        message = field.message_type
        is_object = message is not None and not field.is_repeated and message.file.package != _OWN_FORM
        # What is no object of fields is read as the only field of the request, once it is known to be one JSON value.
        self._part = JsonReader(message.full_name) if message is not None and is_object else None
        self._whole = JsonReader(descriptor.full_name)
        self._value = JsonReader("google.protobuf.Value")

    def read(self, body: bytes) -> JsonMessage:
        """Return the request that a body makes. Raises PolystreamError, as `JsonReader.read` does."""
        if not body:
            return JsonMessage(self._class(), _NOTHING)
        if self._part is None:
            self._value.read(body, self.field)
            return self._whole.read(b'{"%s":%s}' % (self.field.encode(), body))
        request = self._class()
        request[self._field] = self._part.read(body, self.field).message
        return JsonMessage(request, frozenset((self.field,)))

    def paths(self, body: bytes) -> frozenset[str]:
        """Return the dotted paths of all that a body names."""
        if not body:
            return _NOTHING
        below = self._json_field.message_type
        value = json_text.parse(body)
        found = {self.field}
        if below is not None and not self._json_field.is_repeated:
            found.update(_paths(below, value, f"{self.field}."))
        return frozenset(found)


def _paths(descriptor: Descriptor, value: json_text.Value, prefix: str) -> set[str]:
    found: set[str] = set()
    if not isinstance(value, json_text.JsonObject):
        return found
    fields = spellings(descriptor)
    for name, held in value.members:
        field = fields.get(name)
        if field is None or held is None:
            continue
        found.add(f"{prefix}{field.name}")
        if field.message_type is not None and not field.is_repeated:
            found |= _paths(field.message_type, held, f"{prefix}{field.name}.")
    return found
