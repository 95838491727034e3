"""A Kafka record as a page shows it: its position, headers, schema, and its value with personal data masked.

Anybody may write to the topics. What the contract does not know may be personal data, so of a foreign record only its
position, its size and the headers that read as the platform's own are shown.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.catalog import Catalog
from mesh.codec import Decoder, SchemaSource, schema_id_of
from mesh.envelope import KafkaRecord, RecordHeaders
from mesh.errors import PolystreamError, Reason
from mesh.personal_data import MASK, redact
from mesh.proto_json import to_dict
from mesh.schemas import SchemaVersion, load_schema, subject
from mesh.topic_reader import TopicPosition
from monitor.pages.forms import filled_form
from monitor.pages.masking import masked

_FOREIGN: Final = frozenset({topics.TRACESTATE})  # what clients and vendors put there is their own
_PROSE: Final = frozenset({topics.PRINCIPAL, topics.JUSTIFICATION, topics.DLQ_ERROR})
_HEADERS: Final = (
    *(topics.CORRELATION_ID, topics.COMMAND, topics.TRACEPARENT, topics.TRACESTATE, topics.ACCEPT_TIME),
    *(topics.SERVICE, topics.STORES, topics.STORE, topics.REQUEST_FINGERPRINT),
    *(topics.REDRIVES, topics.FIRST_OFFSET, topics.REDRIVE_ACTION, topics.REDRIVE_STORES),
    *(topics.DLQ_REASON, topics.DLQ_TOPIC, topics.DLQ_PARTITION, topics.DLQ_OFFSET, topics.DLQ_LANE),
    *(topics.DLQ_STORE, topics.DLQ_TIME, topics.DLQ_OMITTED),
    *(topics.DLQ_ERROR, topics.PRINCIPAL, topics.JUSTIFICATION),
)
_WORD: Final = re.compile(r"[A-Za-z0-9_.,:=/@-]*")  # what those headers have: no space, nothing beyond ASCII
_KEY: Final = re.compile(rb"[0-9]{1,19}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # an ID, as every key is
_HEADER_MAX_CHARACTERS: Final = 500
_TEXT_MAX_CHARACTERS: Final = 300  # of one value in a record
_ITEMS_MAX: Final = 50  # of a list, and of an object
_VALUE_MAX_CHARACTERS: Final = 20_000


_NO_REGISTRY: Final = "the schema registry does not answer"


class SchemaVersionSource(SchemaSource, Protocol):
    """What is asked of the schema registry."""

    def versions_of(self, schema_id: int) -> list[SchemaVersion]:
        """Return the subjects and versions that a schema has."""


class RecordState(StrEnum):
    """What has become of a record."""

    READ = "READ"
    GONE = "GONE"  # Kafka has it no longer, or cannot unpack it
    REPLACED = "REPLACED"  # another one is at its position: the topic was made anew


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """The schema that a record was written with. What the registry does not tell is empty, or 0."""

    id: int
    name: str = ""  # the record's full name
    subject: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """A record as it is shown."""

    position: TopicPosition
    state: RecordState
    timestamp_ms: int = 0  # the broker's, since the epoch
    size_bytes: int = 0
    key: str = ""  # empty where there is none, or it is not an ID
    headers: Sequence[tuple[str, str]] = ()
    other_headers: int = 0  # how many more there are, which are not the platform's
    schema: RecordSchema | None = None
    value: Mapping[str, Any] | None = field(default=None, hash=False)  # in JSON's form, masked
    withheld: str = ""  # why there is no value, in a clause
    form: Mapping[str, str] | None = field(default=None, hash=False)  # a command's, as `filled_form` has it
    is_provisional: bool = False  # more can be told once the registry answers


@dataclass(frozen=True, slots=True)
class _Content:
    """What is in a record's value."""

    schema: RecordSchema | None
    withheld: str = ""
    value: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None


class RecordRenderer:
    """Reads records for pages. One thread at a time."""

    def __init__(self, catalog: Catalog, registry: SchemaVersionSource) -> None:
        self._registry = registry
        self._classes: dict[str, type[Message]] = {
            command.name: command.request_class for command in catalog.commands.values()
        }
        self._is_registry_silent = False
        self._decoders: dict[type[Message], Decoder] = {}
        self._versions: dict[tuple[int, str], RecordSchema] = {}  # those that the platform's own subjects have

    def of(self, found: Sequence[tuple[TopicPosition, KafkaRecord | None]], correlation_id: str) -> list[ShownRecord]:
        """Return how to show what was found at some positions, as records of an operation's.

        Where the registry does not answer it is not asked for the others.
        """
        self._is_registry_silent = False
        return [self._view(position, record, correlation_id) for position, record in found]

    def _view(self, position: TopicPosition, record: KafkaRecord | None, correlation_id: str) -> ShownRecord:
        if record is None:
            return ShownRecord(position, RecordState.GONE)
        headers = record.read_headers()
        if headers.correlation_id != correlation_id:
            return ShownRecord(position, RecordState.REPLACED)
        shown = shown_headers(headers)
        message_class = CommandReceipt if record.topic == topics.RECEIPTS else self._classes.get(headers.command)
        content = self._content(record, headers, message_class)
        return ShownRecord(
            position,
            RecordState.READ,
            timestamp_ms=record.timestamp_ms,
            size_bytes=record.size_bytes,
            key=redact((record.key or b"").decode()) if _KEY.fullmatch(record.key or b"") else "",
            headers=shown,
            other_headers=len(record.headers) - len(shown),
            schema=content.schema,
            value=content.value,
            withheld=content.withheld,
            form=content.form,
            is_provisional=self._is_registry_silent and content.value is None,
        )

    def _content(self, record: KafkaRecord, headers: RecordHeaders, message_class: type[Message] | None) -> "_Content":
        if headers.omitted_bytes:
            return _Content(None, "the record was too large to be kept as a dead letter")
        schema_id = schema_id_of(record.value)
        if schema_id is None:
            return _Content(None, "it is not in the Confluent wire format")
        schema = RecordSchema(schema_id)
        if message_class is None:
            return _Content(schema, "no command of the platform has the name in its headers")
        if self._is_registry_silent:
            return _Content(schema, _NO_REGISTRY)
        try:
            message = self._decoder(message_class).decode(record.value, record.receive_time_ns)
        except PolystreamError as error:
            self._is_registry_silent = error.reason is Reason.REGISTRY_UNAVAILABLE
            return _Content(schema, _NO_REGISTRY if self._is_registry_silent else redact(error.message))
        name = str(message_class.DESCRIPTOR.full_name)
        return _Content(
            self._schema(schema_id, name, record.topic),
            value=_bounded(masked(message, to_dict(message))),
            form=None if message_class is CommandReceipt else filled_form(message),
        )

    def _decoder(self, message_class: type[Message]) -> Decoder:
        decoder = self._decoders.get(message_class)
        if decoder is None:
            schema = load_schema(str(message_class.DESCRIPTOR.full_name))
            decoder = self._decoders[message_class] = Decoder(message_class, schema, self._registry)
        return decoder

    def _schema(self, schema_id: int, name: str, topic: str) -> RecordSchema:
        """Return what the registry says of the schema of a record that has been read with it."""
        known = self._versions.get((schema_id, topic))
        if known is not None or self._is_registry_silent:
            return known or RecordSchema(schema_id, name)
        # A dead letter is the command's record as it was: its schema is registered for the commands' topic.
        wanted = subject(topics.COMMANDS if topic == topics.DEAD_LETTERS else topic, name)
        try:
            versions = [each.version for each in self._registry.versions_of(schema_id) if each.subject == wanted]
        except PolystreamError as error:
            self._is_registry_silent = error.reason is Reason.REGISTRY_UNAVAILABLE
            return RecordSchema(schema_id, name)
        if not versions:
            return RecordSchema(schema_id, name)
        schema = self._versions[schema_id, topic] = RecordSchema(schema_id, name, wanted, versions[-1])
        return schema


def shown_headers(headers: RecordHeaders) -> list[tuple[str, str]]:
    """Return the platform's own headers, each with its text, masked where it is not as the platform writes it."""
    return [(name, _shown(name, headers.text(name, _HEADER_MAX_CHARACTERS))) for name in _HEADERS if name in headers]


def value_text(value: Mapping[str, Any]) -> str:
    """Return a value as JSON on several lines, cut where it is very long."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= _VALUE_MAX_CHARACTERS else f"{text[:_VALUE_MAX_CHARACTERS]}…"


def _shown(name: str, text: str) -> str:
    if name in _FOREIGN or not (name in _PROSE or _WORD.fullmatch(text)):
        return MASK if text else ""
    return redact(text)


def _bounded(value: Any) -> Any:
    """Return a value with its long texts, lists and objects cut."""
    cut: Callable[[int], str] = "… {} more".format
    if isinstance(value, str):
        return value if len(value) <= _TEXT_MAX_CHARACTERS else f"{value[:_TEXT_MAX_CHARACTERS]}…"
    if isinstance(value, list):
        more = len(value) - _ITEMS_MAX
        return [*map(_bounded, value[:_ITEMS_MAX]), *([cut(more)] if more > 0 else [])]
    if isinstance(value, dict):
        more = len(value) - _ITEMS_MAX
        kept = {_bounded(key): _bounded(each) for key, each in list(value.items())[:_ITEMS_MAX]}
        return kept | ({"…": cut(more)} if more > 0 else {})
    return value
