"""From protobuf messages to Avro schemas.

Every field has a default, so that adding or removing a field is compatible both ways (FULL_TRANSITIVE):

| protobuf | Avro |
|---|---|
| int32, sint32, sfixed32 | int |
| uint32, fixed32, and every 64-bit integer | long |
| float, double, bool, string, bytes | the same |
| enum | enum of the same symbols, whose default, the value 0, stands for symbols that a reader does not know |
| Timestamp | long of microseconds, logical type timestamp-micros |
| Duration | long of microseconds |
| any other message: Money, Any and the wrappers too | record of the message's full name |
| repeated, map | array, map; a map's key is its text |
| optional, a member of a oneof, a message | union with null, null at first |

Refused, since no reader could tell what was meant: recursion (an Avro record's own reader would never end
compiling it), two names for one enum number, messages outside any package, and syntaxes other than proto3.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from contracts.descriptors import Descriptors
from contracts.plugin import PluginError

_TIMESTAMP = "google.protobuf.Timestamp"
_DURATION = "google.protobuf.Duration"
_F = FieldDescriptor
_SCALARS: Mapping[int, str] = {
    _F.TYPE_INT32: "int",
    _F.TYPE_SINT32: "int",
    _F.TYPE_SFIXED32: "int",
    _F.TYPE_UINT32: "long",
    _F.TYPE_FIXED32: "long",
    _F.TYPE_INT64: "long",
    _F.TYPE_SINT64: "long",
    _F.TYPE_SFIXED64: "long",
    _F.TYPE_UINT64: "long",
    _F.TYPE_FIXED64: "long",
    _F.TYPE_FLOAT: "float",
    _F.TYPE_DOUBLE: "double",
    _F.TYPE_BOOL: "boolean",
    _F.TYPE_STRING: "string",
    _F.TYPE_BYTES: "bytes",
}
_ZERO: Mapping[str, Any] = {
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "boolean": False,
    "string": "",
    "bytes": "",
}


def record_schema(message: Descriptor, descriptors: Descriptors) -> dict[str, Any]:
    """Return the Avro schema of a message. Raises PluginError at what has no Avro form."""
    return _Record(descriptors).record(message)


class _Record:
    """One schema in the making: remembers the types that it has defined, since Avro defines each once."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._comment = descriptors.comment
        self._defined: set[str] = set()
        self._open: list[str] = []  # the messages that enclose the one at hand, outermost first

    def record(self, message: Descriptor) -> dict[str, Any]:
        _check_message(message)
        self._defined.add(message.full_name)
        self._open.append(message.full_name)
        fields = [self._field(field) for field in message.fields]
        self._open.pop()
        return {"type": "record", **self._head(message), "fields": fields}

    def _head(self, declared: Descriptor | EnumDescriptor) -> dict[str, str]:
        namespace, _, name = declared.full_name.rpartition(".")
        head = {"name": name, "namespace": namespace}
        doc = self._comment(declared.full_name)
        return head | {"doc": doc} if doc else head

    def _field(self, field: FieldDescriptor) -> dict[str, Any]:
        avro_type, default = self._type_and_default(field)
        doc = self._comment(field.full_name)
        if field.message_type is not None and field.message_type.full_name == _DURATION:
            doc = f"{doc} In microseconds.".strip()
        head = {"name": field.name} | ({"doc": doc} if doc else {})
        return head | {"type": avro_type, "default": default}

    def _type_and_default(self, field: FieldDescriptor) -> tuple[Any, Any]:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            return {"type": "map", "values": self._value(value, field)}, {}
        if field.is_repeated:
            return {"type": "array", "items": self._value(field, field)}, []
        value_type = self._value(field, field)
        if field.has_presence:
            return ["null", value_type], None
        if field.enum_type is not None:
            return value_type, field.enum_type.values[0].name
        return value_type, _ZERO[value_type]

    def _value(self, field: FieldDescriptor, declared: FieldDescriptor) -> Any:
        """Return the type of one value. `declared` is the field to name in an error: the map of a map's value."""
        if field.enum_type is not None:
            return self._enum(field.enum_type, declared)
        message = field.message_type
        if message is None:
            return _SCALARS[field.type]
        if message.full_name == _TIMESTAMP:
            return {"type": "long", "logicalType": "timestamp-micros"}
        if message.full_name == _DURATION:
            return "long"
        if message.full_name in self._open:
            cycle = " in ".join(reversed([*self._open[self._open.index(message.full_name) :], message.full_name]))
            raise _refusal(declared, f"a recursive message has no Avro form here ({cycle}); refer to it by an ID")
        if message.full_name in self._defined:
            return message.full_name
        return self.record(message)

    def _enum(self, enum: EnumDescriptor, declared: FieldDescriptor) -> Any:
        if len({value.number for value in enum.values}) < len(enum.values):
            raise _refusal(declared, f"two symbols of {enum.full_name} have the same number; keep one")
        if enum.full_name in self._defined:
            return enum.full_name
        self._defined.add(enum.full_name)
        symbols = [value.name for value in enum.values]
        return {"type": "enum", **self._head(enum), "symbols": symbols, "default": symbols[0]}


def _check_message(message: Descriptor) -> None:
    file = FileDescriptorProto()
    message.file.CopyToProto(file)
    if file.syntax != "proto3":
        raise PluginError(f"{file.name}: {message.full_name}: only proto3 has an Avro form here")
    if not file.package:
        raise PluginError(f"{file.name}: {message.full_name}: declare a package, an Avro record needs a namespace")


def _refusal(field: FieldDescriptor, why: str) -> PluginError:
    file: FileDescriptor = field.file  # type: ignore[attr-defined] # the stub does not have it
    return PluginError(f"{file.name}: {field.full_name}: {why}")
