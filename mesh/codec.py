"""Protobuf messages to Avro records and back, in the Confluent wire format.

The mapping follows the schemas that the contracts' Avro plugin writes: enums are symbols, Timestamp
and Duration are microseconds in a long, a field with presence is a union with null.
"""

import io
import json
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

import fastavro
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from mesh.avro_writer import DURATION, TIMESTAMP, compile_writer, map_entry
from mesh.errors import PolystreamError, Reason
from mesh.schema_gap import GapFinder, find_gap

_MAGIC = 0
_HEADER = struct.Struct(">bI")  # magic byte, schema ID
_MAX_SCHEMA_ID = 2**31 - 1  # registries count with a signed integer of 32 bits
# By type, the least and the greatest number of seconds, as google/protobuf/timestamp.proto and duration.proto say.
_SECONDS_RANGES = {TIMESTAMP: (-62_135_596_800, 253_402_300_799), DURATION: (-315_576_000_000, 315_576_000_000)}
# Enough for every version of every record of the platform; a topic full of foreign IDs must not grow without end.
_MAX_WRITER_SCHEMAS = 1000
# A writer's schema is anybody's. The platform's own are five levels deep; fastavro's C code ends the process where it
# runs out of stack.
_MAX_SCHEMA_LEVELS = 64
_MAX_SCHEMA_CHARACTERS = 1_000_000
_MAX_GAPS = 5  # that an error names

_PRIMITIVES = frozenset({"boolean", "bytes", "double", "float", "int", "long", "string"})

ParsedSchema = Any  # fastavro's own type: a dict, list or str that has been through parse_schema
_Getter = Callable[[Any], Any]


class SchemaSource(Protocol):
    """Where a reader finds the schema that a record was written with."""

    def schema_by_id(self, schema_id: int) -> str:
        """Return the schema's JSON text.

        Raises PolystreamError: UNDECODABLE when there is no such ID or it is no Avro schema's,
        REGISTRY_UNAVAILABLE when nobody answers.
        """


class Encoder:
    """Writes messages of one type."""

    def __init__(self, descriptor: Descriptor, schema: Mapping[str, Any], schema_id: int) -> None:
        self._write = compile_writer(schema, descriptor)
        self._prefix = _HEADER.pack(_MAGIC, schema_id)

    def encode(self, message: Message) -> bytes:
        """Return the message as a Kafka record's value."""
        return self._prefix + self._write(message)


class Decoder:
    """Reads messages of one type, whatever version of its schema they were written with."""

    def __init__(
        self,
        message_class: type[Message],
        schema: Mapping[str, Any],
        source: SchemaSource,
        *,
        takes_newer: bool = True,
    ) -> None:
        """`takes_newer` is whether a record may say more than this version knows, which is left out then."""
        self._reader_schema = _parsed(schema)
        self._record_name = str(message_class.DESCRIPTOR.full_name)
        self._from_avro = _avro_to_message(message_class)
        self._source = source
        self._takes_newer = takes_newer
        self._writer_schemas: dict[int, _WriterSchema] = {}
        self._refusals: dict[int, _Refusal] = {}

    def decode(self, value: bytes | None, receive_time_ns: int | None = None) -> Message:
        """Return the message of a Kafka record's value.

        `receive_time_ns` is when the record was read, since the epoch. Of records that were read before the registry
        had no such schema it is not asked again: a writer registers first, and a batch of foreign records would cost
        a request each.

        Raises PolystreamError: UNDECODABLE when the bytes are not such a message, LANE_OUTDATED when it says more than
        is known here and that is not to be left out, REGISTRY_UNAVAILABLE when the writer's schema is not known yet and
        the registry does not answer.
        """
        schema_id, content = _split(value)
        writer = self._writer_schema(schema_id, receive_time_ns)
        stream = io.BytesIO(content)
        try:
            record = fastavro.schemaless_reader(stream, writer.schema, writer.reader_schema)
            message: Message = self._from_avro(record)
        except PolystreamError:
            raise
        except Exception as error:  # fastavro raises whatever its C code meets in foreign bytes
            raise PolystreamError(
                Reason.UNDECODABLE, f"the value is no {self._record_name} of schema {schema_id}: {type(error).__name__}"
            ) from error
        if stream.tell() != len(content):
            # Of a record that is one number, almost any bytes are a beginning: no user is deleted by a foreign record.
            raise PolystreamError(Reason.UNDECODABLE, "the value has more bytes than its record")
        if writer.gap is not None:
            self._require_known(content, writer.schema, writer.gap)
        return message

    def _require_known(self, content: bytes, writer_schema: ParsedSchema, gap: GapFinder) -> None:
        written = fastavro.schemaless_reader(io.BytesIO(content), writer_schema, None)
        unknown = list(islice(dict.fromkeys(gap(written)), _MAX_GAPS))
        if unknown:
            names = ", ".join(unknown)
            raise PolystreamError(
                Reason.LANE_OUTDATED,
                f"{Reason.LANE_OUTDATED.value.message} (unknown here: {names})",
                metadata={"unknown": names},
            )

    def _writer_schema(self, schema_id: int, receive_time_ns: int | None) -> "_WriterSchema":
        known = self._writer_schemas.get(schema_id)
        if known is not None:
            return known
        refusal = self._refusals.get(schema_id)
        if refusal is not None and receive_time_ns is not None and receive_time_ns <= refusal.ask_time_ns:
            raise PolystreamError(Reason.UNDECODABLE, refusal.message)
        ask_time_ns = time.time_ns()
        try:
            parsed = self._fetch(schema_id)
        except PolystreamError as error:
            if error.reason is Reason.UNDECODABLE:
                _keep(self._refusals, schema_id, _Refusal(ask_time_ns, error.message))
            raise
        # Deep schemas are compared once, and records only where the writer's has more.
        gap = None if self._takes_newer else find_gap(parsed, self._reader_schema)
        writer = _WriterSchema(parsed, None if parsed == self._reader_schema else self._reader_schema, gap)
        _keep(self._writer_schemas, schema_id, writer)
        return writer

    def _fetch(self, schema_id: int) -> ParsedSchema:
        parsed = _fetched(schema_id, self._source)
        if not isinstance(parsed, dict) or parsed.get("name") != self._record_name:
            raise PolystreamError(Reason.UNDECODABLE, f"schema {schema_id} is not one of {self._record_name}")
        return parsed


class _WriterSchema(NamedTuple):
    """A schema that records were written with."""

    schema: ParsedSchema
    reader_schema: ParsedSchema | None  # None where it is the same: fastavro would compare the two for each record
    gap: GapFinder | None  # where a record may say more than the reader knows, and that is not to be left out


class _Refusal(NamedTuple):
    """Why no record that was read before is one of a schema."""

    ask_time_ns: int  # when the registry was asked, since the epoch
    message: str


def _keep(kept: dict[int, Any], schema_id: int, what: Any) -> None:
    if len(kept) >= _MAX_WRITER_SCHEMAS:
        kept.clear()
    kept[schema_id] = what


class RecordNames:
    """Tells which record a value is, by the schema that it was written with."""

    def __init__(self, source: SchemaSource) -> None:
        self._source = source
        self._schemas: dict[int, ParsedSchema] = {}
        self._refusals: dict[int, int] = {}  # when the registry was asked for what is no schema, since the epoch, in ns

    def name_of(self, value: bytes | None, receive_time_ns: int) -> str:
        """Return the record's full name; empty where the value is no whole record of a schema.

        `receive_time_ns` is when it was read, since the epoch. Raises PolystreamError with REGISTRY_UNAVAILABLE.
        """
        try:
            schema_id, content = _split(value)
            schema = self._schema(schema_id, receive_time_ns)
        except PolystreamError as error:
            if error.reason is Reason.UNDECODABLE:
                return ""
            raise
        stream = io.BytesIO(content)
        try:
            fastavro.schemaless_reader(stream, schema, None)
        except Exception:  # noqa: BLE001 - fastavro raises whatever its C code meets in foreign bytes
            return ""
        is_whole = stream.tell() == len(content) and isinstance(schema, dict)
        return str(schema.get("name", "")) if is_whole else ""

    def _schema(self, schema_id: int, receive_time_ns: int) -> ParsedSchema:
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        if receive_time_ns <= self._refusals.get(schema_id, 0):
            raise PolystreamError(Reason.UNDECODABLE)
        ask_time_ns = time.time_ns()
        try:
            schema = _fetched(schema_id, self._source)
        except PolystreamError as error:
            if error.reason is Reason.UNDECODABLE:
                _keep(self._refusals, schema_id, ask_time_ns)
            raise
        _keep(self._schemas, schema_id, schema)
        return schema


def read_record(value: bytes | None, source: SchemaSource) -> Any:
    """Return a Kafka record's value as its own schema reads it, in fastavro's types.

    Raises PolystreamError: UNDECODABLE where its bytes are no record, REGISTRY_UNAVAILABLE as `Decoder.decode` does.
    """
    schema_id, content = _split(value)
    schema = _fetched(schema_id, source)
    try:
        return fastavro.schemaless_reader(io.BytesIO(content), schema, None)
    except Exception as error:  # fastavro raises whatever its C code meets in foreign bytes
        raise PolystreamError(
            Reason.UNDECODABLE, f"the value is no record of schema {schema_id}: {type(error).__name__}"
        ) from error


def schema_id_of(value: bytes | None) -> int | None:
    """Return the ID of the schema that a Kafka record's value was written with; None where it names none."""
    try:
        return _split(value)[0]
    except PolystreamError:
        return None


def _split(value: bytes | None) -> tuple[int, bytes]:
    """Return the ID of the schema that a value was written with, and the Avro record in it."""
    if value is None or len(value) < _HEADER.size or value[0] != _MAGIC:
        raise PolystreamError(Reason.UNDECODABLE, "the value is not in the Confluent wire format")
    _, schema_id = _HEADER.unpack_from(value)
    if schema_id > _MAX_SCHEMA_ID:
        raise PolystreamError(Reason.UNDECODABLE, "the record's schema ID is none that a registry gives")
    return schema_id, value[_HEADER.size :]


def _fetched(schema_id: int, source: SchemaSource) -> ParsedSchema:
    text = source.schema_by_id(schema_id)
    if len(text) > _MAX_SCHEMA_CHARACTERS:
        raise PolystreamError(Reason.UNDECODABLE, f"schema {schema_id} has over {_MAX_SCHEMA_CHARACTERS:,} characters")
    try:
        parsed = _parsed(json.loads(text))
        _SchemaBounds().check(parsed)
    except Exception as error:  # json and fastavro raise whatever they meet in foreign text
        raise PolystreamError(
            Reason.UNDECODABLE, f"schema {schema_id} is not an Avro schema that records of the platform have"
        ) from error
    return parsed


def _parsed(schema: Any) -> ParsedSchema:
    """Parse a schema without its logical types: a timestamp stays the long that it is on the wire."""
    return fastavro.parse_schema(_without_logical_types(schema))


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [_without_logical_types(item) for item in schema]
    return schema


class _SchemaBounds:
    """Sees to it that reading a value with a schema takes no more steps than the value's bytes allow.

    A type that takes no byte (a null, a record without fields, a fixed of size 0) can be there a trillion times in an
    array of five bytes; a type that contains itself is as deep as its writer wants.
    """

    def __init__(self) -> None:
        self._levels: dict[str, int] = {}  # of each named type that has been checked

    def check(self, schema: ParsedSchema) -> int:
        """Return how many levels a parsed schema has. Raises ValueError where it is not within the bounds."""
        if isinstance(schema, str):
            levels = self._levels_of_name(schema)
        elif isinstance(schema, list):
            # Which branch it is takes a byte, so that a null is one of them in every schema with optional values.
            levels = 1 + max((self.check(branch) for branch in schema if not _is_null(branch)), default=0)
        else:
            levels = self._levels_of_type(schema)
        if levels > _MAX_SCHEMA_LEVELS:
            raise ValueError(f"it has over {_MAX_SCHEMA_LEVELS} levels")
        return levels

    def _levels_of_name(self, name: str) -> int:
        if name == "null":
            raise ValueError("a null outside a union takes no byte")
        if name in _PRIMITIVES:
            return 1
        return self._levels[name]  # a KeyError where its definition is not complete: it contains itself

    def _levels_of_type(self, schema: Mapping[str, Any]) -> int:
        kind = schema["type"]
        levels = 1
        if kind in {"record", "error"}:
            if not schema["fields"]:
                raise ValueError("a record without fields takes no byte")
            levels += max(self.check(field["type"]) for field in schema["fields"])
        elif kind == "array":
            levels += self.check(schema["items"])
        elif kind == "map":
            levels += self.check(schema["values"])
        elif kind == "fixed":
            if schema["size"] < 1:
                raise ValueError("a fixed of size 0 takes no byte")
        elif kind != "enum":
            return self.check(kind)
        if "name" in schema:
            self._levels[schema["name"]] = levels
        return levels


def _is_null(schema: ParsedSchema) -> bool:
    return schema == "null" or (isinstance(schema, dict) and schema.get("type") == "null")


def _avro_to_message(message_class: type[Message]) -> _Getter:
    """Compile a function that turns what fastavro reads into a message."""
    descriptor = message_class.DESCRIPTOR
    if descriptor.full_name in _SECONDS_RANGES:
        return _from_micros(message_class)
    fields: Sequence[FieldDescriptor] = descriptor.fields  # type: ignore[assignment] # upb's own class, same members
    setters = [(field.name, _avro_to_field(field)) for field in fields]

    def convert(record: Mapping[str, Any]) -> Message:
        values = {name: set_(record[name]) for name, set_ in setters if record[name] is not None}
        return message_class(**values)

    return convert


def _from_micros(message_class: type[Message]) -> _Getter:
    name = str(message_class.DESCRIPTOR.full_name)
    least_s, greatest_s = _SECONDS_RANGES[name]

    def convert(micros: int) -> Message:
        seconds, rest = divmod(micros, 1_000_000)
        if not least_s <= seconds <= greatest_s:
            raise PolystreamError(Reason.UNDECODABLE, f"the value has a time that is beyond what a {name} holds")
        if seconds < 0 and rest and name == DURATION:
            # A Duration's parts have the same sign; a Timestamp's nanoseconds always count forward.
            seconds, rest = seconds + 1, rest - 1_000_000
        return message_class(seconds=seconds, nanos=rest * 1000)

    return convert


def _avro_to_field(field: FieldDescriptor) -> _Getter:
    entry = map_entry(field)
    if entry is not None:
        convert_key = _map_key(entry.fields_by_name["key"])
        convert_value = _avro_to_value(entry.fields_by_name["value"])
        return lambda items: {convert_key(key): convert_value(value) for key, value in items.items()}
    convert = _avro_to_value(field)
    if field.is_repeated:
        return lambda items: [convert(item) for item in items]
    return convert


def _avro_to_value(field: FieldDescriptor) -> _Getter:
    if field.message_type is not None:
        return _avro_to_message(GetMessageClass(field.message_type))
    if field.enum_type is not None:
        numbers = {value.name: value.number for value in field.enum_type.values}
        return numbers.__getitem__
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _octets
    return lambda value: value


def _octets(value: bytes | str) -> bytes:
    """Return bytes. A field's default, which stands for what was not written, is text in a schema."""
    return value.encode("latin-1") if isinstance(value, str) else value


def _map_key(field: FieldDescriptor) -> Callable[[str], Any]:
    """Return how a map's key is read back: an Avro map's keys are always text."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return str
    if field.type == FieldDescriptor.TYPE_BOOL:
        return lambda key: key == "True"
    return int
