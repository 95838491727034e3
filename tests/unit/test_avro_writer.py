"""What writes the platform's records, beside fastavro."""

import io
import json
import random
import string
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import fastavro
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt

from mesh.avro_writer import DURATION, TIMESTAMP, compile_writer, map_entry
from mesh.catalog import load_catalog
from mesh.codec import Decoder, Encoder
from mesh.schemas import load_schema

_MESSAGES: Final = 200  # of each type
_CLASSES: Final[Mapping[str, type[Message]]] = {
    **{command.request_type: command.request_class for command in load_catalog().commands.values()},
    CommandReceipt.DESCRIPTOR.full_name: CommandReceipt,
}
_TEXTS: Final = ("", "a", "Ouro Preto", "é€\U0001f600", "\0", "x" * 63, "x" * 64, "x" * 8191, "x" * 8192)
_EDGES: Final = sorted({sign * (2**bits + near) for bits in range(64) for near in (-1, 0, 1) for sign in (1, -1)})
_WIDTHS: Final[Mapping[int, tuple[int, int]]] = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
}


class Messages:
    """Messages of every type, made up from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._values: Mapping[int, Callable[[], Any]] = {
            FieldDescriptor.TYPE_STRING: lambda: self._random.choice(_TEXTS),
            FieldDescriptor.TYPE_BYTES: lambda: self._random.choice(_TEXTS).encode(),
            FieldDescriptor.TYPE_BOOL: lambda: self._random.random() < 0.5,  # one of two
            FieldDescriptor.TYPE_DOUBLE: lambda: self._random.choice((0.0, -0.0, 87.5, 1e300, float("inf"))),
            FieldDescriptor.TYPE_FLOAT: lambda: struct.unpack("<f", self._random.randbytes(2) + b"\0\x3f")[0],
        }

    def fill(self, message: Any) -> None:
        """Set some of a message's fields, and theirs."""
        if message.DESCRIPTOR.full_name in {TIMESTAMP, DURATION}:
            message.seconds = self._random.choice((0, 1, -1, 1_800_000_000, -62_135_596_800, 253_402_300_799))
            message.nanos = 0 if message.seconds < 0 else self._random.randrange(1_000_000) * 1000
            return
        for field in message.DESCRIPTOR.fields:
            if self._random.randrange(4):
                self._fill_field(message, field)

    def _fill_field(self, message: Any, field: FieldDescriptor) -> None:
        entry = map_entry(field)
        count = self._random.choice((0, 1, 2, 70))
        if entry is not None:
            key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
            assert value.message_type is None
            getattr(message, field.name).update({self._value(key): self._value(value) for _ in range(count)})
        elif field.message_type is not None and not field.is_repeated:
            getattr(message, field.name).SetInParent()
            self.fill(getattr(message, field.name))
        elif field.message_type is not None:
            for _ in range(count):
                self.fill(getattr(message, field.name).add())
        elif field.is_repeated:
            getattr(message, field.name).extend(self._value(field) for _ in range(count))
        else:
            setattr(message, field.name, self._value(field))

    def _value(self, field: FieldDescriptor) -> Any:
        if field.enum_type is not None:
            return self._random.choice(field.enum_type.values).number
        if field.type in _WIDTHS:
            least, greatest = _WIDTHS[field.type]
            return self._random.choice([edge for edge in _EDGES if least <= edge <= greatest])
        return self._values[field.type]()


@pytest.mark.parametrize("record", _CLASSES)
def test_every_record_is_written_as_fastavro_writes_it(record: str) -> None:
    """Byte for byte, and what is read of it is what was said."""
    message_class, schema = _CLASSES[record], load_schema(record)
    assert set(schema) > {"fields"}
    encoder = Encoder(message_class.DESCRIPTOR, schema, 7)  # type: ignore[arg-type] # upb's own class
    decoder = Decoder(message_class, schema, _Schemas(schema))
    plain = _without_logical_types(schema)
    messages = Messages(seed=len(record))
    for _ in range(_MESSAGES):
        message = message_class()
        messages.fill(message)
        value = encoder.encode(message)
        assert value[:5] == b"\0\0\0\0\x07"
        copy = io.BytesIO()
        fastavro.schemaless_writer(copy, plain, fastavro.schemaless_reader(io.BytesIO(value[5:]), plain, None))
        assert copy.getvalue() == value[5:]
        assert decoder.decode(value) == message


def test_a_named_type_is_written_where_it_is_only_named() -> None:
    """An Avro schema defines a type once."""
    descriptor = CommandReceipt.DESCRIPTOR
    schema = json.loads(json.dumps(load_schema(descriptor.full_name)))
    again = next(part for part in schema["fields"] if isinstance(part["type"], dict) and part["type"]["type"] == "enum")
    name = f"{again['type']['namespace']}.{again['type']['name']}"
    schema["fields"].append(again | {"type": name})
    message = CommandReceipt(correlation_id=string.ascii_letters)
    written = compile_writer(schema, descriptor)(message)  # type: ignore[arg-type] # as above
    read = fastavro.schemaless_reader(io.BytesIO(written), fastavro.parse_schema(_without_logical_types(schema)), None)
    assert isinstance(read, dict)
    assert read["correlation_id"] == string.ascii_letters


def test_a_union_that_does_not_begin_with_null_is_refused() -> None:
    """Its branches' numbers would be the other way round."""
    schema = json.loads(json.dumps(load_schema("polystream.v1.RecordViewRequest")))
    for part in schema["fields"]:
        if isinstance(part["type"], list):
            part["type"].reverse()
    descriptor = _CLASSES["polystream.v1.RecordViewRequest"].DESCRIPTOR
    with pytest.raises(ValueError, match="watch_time: null is not the first"):
        compile_writer(schema, descriptor)  # type: ignore[arg-type] # as above


class _Schemas:
    """The one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._text = json.dumps(schema)

    def schema_by_id(self, schema_id: int) -> str:
        """Return its text."""
        assert schema_id == 7  # the test's
        return self._text


def _without_logical_types(schema: Any) -> Any:
    """Return a schema whose times fastavro leaves as they are."""
    if isinstance(schema, dict):
        return {key: _without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    return [_without_logical_types(item) for item in schema] if isinstance(schema, list) else schema
