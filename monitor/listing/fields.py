"""The fields that a list can be searched and ordered by, and their values of each operation, event and span.

One place for all stores: what they keep beside an entry to search it by is what the functions here make of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.options.v1.options_pb2 import Store
from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.errors import read_details
from mesh.telemetry.names import CONVERSATION_ID

FieldValue = str | int | float | bool | tuple[str, ...] | None
FieldValues = Mapping[str, FieldValue]

_STORES: Final = frozenset(Store.values())  # a later version's answers may name others
_REASON_MAX_CHARACTERS: Final = 63  # of a reason, as AIP-193 bounds it; what is longer is no reason, but a sentence
_ERROR_MAX_CHARACTERS: Final = 1000  # of what is searched; OpenSearch passes over a word of more than 1024
ATTRIBUTE_PAIRS: Final = "attribute_pairs"  # the value of a span that its attributes are found in
_NO_STORE: Final = "STORE_UNSPECIFIED"
STORES: Final = tuple(name for name in Store.keys() if name != _NO_STORE)  # noqa: SIM118 # of an enum, no dictionary
STATES: Final = tuple(name for name in Operation.State.keys() if not name.endswith("_UNSPECIFIED"))  # noqa: SIM118


class FieldType(Enum):
    """What a field is, and so how it is compared."""

    TEXT = "a text"  # as a whole, or by a pattern with stars
    WORDS = "words"  # what is in it, whatever the case
    CHOICE = "one of a few names"
    NUMBER = "a number of milliseconds"
    IDENTIFIER = "a whole number"  # equal or not
    TIME = "a time"
    FLAG = "true or false"
    ATTRIBUTE = "an attribute"  # of a name that anybody chooses; equal as a whole or not


@dataclass(frozen=True, slots=True)
class ListField:
    """A field of a list."""

    name: str
    type: FieldType
    choices: tuple[str, ...] = ()
    in_store: bool = False  # the choice is of one store's: the field's name has the store's behind it
    example: str = ""  # a name that stands behind the field's, where one has to
    can_order: bool = False


@dataclass(frozen=True, slots=True)
class ListKind:
    """What a list is of: its fields, the ones that words alone are looked for in, and its order."""

    fields: Mapping[str, ListField]
    words: str
    time: str  # newest first, if nothing else is said
    ties: tuple[str, ...]  # which tell entries of one time from each other


def _by_name(*fields: ListField) -> dict[str, ListField]:
    return {field.name: field for field in fields}


_TEXT, _TIME = FieldType.TEXT, FieldType.TIME
_DURATION: Final = ListField("duration_ms", FieldType.NUMBER, can_order=True)
_ERROR: Final = ListField("error", FieldType.WORDS)
_USER: Final = ListField("user_id", FieldType.IDENTIFIER)

OPERATIONS: Final = ListKind(
    _by_name(
        ListField("correlation_id", _TEXT),
        ListField("command", _TEXT),
        ListField("state", FieldType.CHOICE, STATES),
        _USER,
        ListField("store", FieldType.CHOICE, STORES),
        ListField("store_states", FieldType.CHOICE, STATES, in_store=True, example="postgresql"),
        ListField("reason", _TEXT),
        _ERROR,
        ListField("accept_time", _TIME, can_order=True),
        ListField("complete_time", _TIME, can_order=True),
        _DURATION,
        ListField("trace_id", _TEXT),
    ),
    words="error",
    time="accept_time",
    ties=("correlation_id",),
)
EVENTS: Final = ListKind(
    _by_name(
        *(ListField(name, _TEXT) for name in ("correlation_id", "command", "event_type", "status", "service", "store")),
        _USER,
        ListField("reason", _TEXT),
        _ERROR,
        ListField("timestamp", _TIME, can_order=True),
        _DURATION,
        *(ListField(name, _TEXT) for name in ("trace_id", "waits_behind", "topic")),
    ),
    words="error",
    time="timestamp",
    ties=("event_id",),
)
SPANS: Final = ListKind(
    _by_name(
        *(ListField(name, _TEXT) for name in ("correlation_id", "trace_id", "span_id", "parent_span_id", "service")),
        *(ListField(name, _TEXT) for name in ("name", "kind")),
        ListField("start_time", _TIME, can_order=True),
        _DURATION,
        ListField("error", FieldType.FLAG),
        ListField("attributes", FieldType.ATTRIBUTE, example="rpc.method"),
    ),
    words="name",
    time="start_time",
    ties=("trace_id", "span_id"),
)


def operation_values(operation: Operation, events: Iterable[Event] = ()) -> FieldValues:
    """Return what an operation is searched by; its events tell of its trace."""
    accepted_us = operation.accept_time.ToMicroseconds()
    completed_us = operation.complete_time.ToMicroseconds() if operation.HasField("complete_time") else None
    error = operation.error
    reason = read_details(error).reason[:_REASON_MAX_CHARACTERS] if operation.HasField("error") else ""
    return {
        "correlation_id": operation.correlation_id,
        "command": operation.command,
        "state": Operation.State.Name(operation.state),
        "user_id": operation.user_id if operation.HasField("user_id") else None,
        "store_states": tuple(
            f"{Store.Name(receipt.store)}={Operation.State.Name(receipt.state)}"
            for receipt in operation.receipts
            if receipt.store in _STORES
        ),
        "reason": reason,
        "error": f"{reason}: {error.message}"[:_ERROR_MAX_CHARACTERS] if operation.HasField("error") else "",
        "accept_time": accepted_us // 1000,
        "complete_time": None if completed_us is None else completed_us // 1000,
        "duration_ms": None if completed_us is None else max(0, completed_us - accepted_us) / 1000,
        "trace_id": next((event.trace_id for event in events if event.trace_id), ""),
    }


def event_values(event: Event) -> FieldValues:
    """Return what an event is searched by."""
    return {
        "event_id": event.event_id,
        "correlation_id": event.correlation_id,
        "command": event.command,
        "event_type": event.event_type,
        "status": event.status,
        "service": event.service,
        "store": event.store,
        "user_id": event.user_id if event.HasField("user_id") else None,
        "reason": event_reason(event),
        "error": event.error[:_ERROR_MAX_CHARACTERS],
        "timestamp": _milliseconds(event.timestamp),
        "duration_ms": event.duration_ms,
        "trace_id": event.trace_id,
        "waits_behind": event.waits_behind,
        "topic": event.topic,
    }


def event_reason(event: Event) -> str:
    """Return the reason of an event's error; empty where there is no error."""
    return event.error.partition(":")[0][:_REASON_MAX_CHARACTERS]


def span_values(span: Span) -> FieldValues:
    """Return what a span is searched by."""
    return {**span_columns(span), ATTRIBUTE_PAIRS: attribute_pairs(span.attributes)}


def span_columns(span: Span) -> FieldValues:
    """Return what a span is searched by, but for its attributes."""
    return {
        "correlation_id": span.attributes.get(CONVERSATION_ID, ""),
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "start_time": _milliseconds(span.start_time),
        "duration_ms": span.duration_ms,
        "error": span.error,
    }


def attribute_pairs(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """Return what attributes are found by: the name of each that is not empty, and the name with its value."""
    pairs: list[str] = []
    for name, value in attributes.items():
        if value:
            key = attribute_pair(name)
            pairs += (key, f"{key}={value}")
    return tuple(pairs)


def attribute_pair(name: str, value: str = "") -> str:
    """Return what an attribute is found by: by its name alone where the value is empty.

    A name may have an equals sign, so that one is escaped: no name with a value is another name.
    """
    key = name.replace("\\", "\\\\").replace("=", "\\=") if "=" in name or "\\" in name else name
    return f"{key}={value}" if value else key


def read_attribute_pair(pair: str) -> tuple[str, str]:
    """Return the name of an attribute and its value, empty where the pair is the name alone."""
    name, at = "", 0
    while at < len(pair) and pair[at] != "=":
        at += pair[at] == "\\"
        name += pair[at]
        at += 1
    return name, pair[at + 1 :]


def _milliseconds(stamp: Timestamp) -> int:
    return stamp.ToMicroseconds() // 1000
