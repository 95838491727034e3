"""Values that no writer of the platform's has written."""

import json
import time
from typing import Any

import pytest
from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt

from mesh.codec import Decoder, Encoder, read_record
from mesh.errors import PolystreamError, Reason
from mesh.schemas import load_schema
from tests.support.foreign_registry import FOREIGN_SCHEMAS
from tests.support.lanes import RECEIPT_RECORD

ID = 1
LAST_S, FIRST_S = 253_402_300_799, -62_135_596_800  # of google.protobuf.Timestamp


class _Schemas:
    """The receipt's schema, and others'."""

    def schema_by_id(self, schema_id: int) -> str:
        """Return a schema's text, whatever it is."""
        return json.dumps(load_schema(RECEIPT_RECORD)) if schema_id == ID else FOREIGN_SCHEMAS[schema_id]["schema"]


def encoded(seconds: int) -> bytes:
    """Return a receipt of that time."""
    receipt = CommandReceipt(correlation_id="x")
    receipt.complete_time.seconds = seconds
    return Encoder(CommandReceipt.DESCRIPTOR, load_schema(RECEIPT_RECORD), ID).encode(receipt)  # type: ignore[arg-type]


def decoded(value: bytes) -> Message:
    """Return what a reader makes of it."""
    return Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), _Schemas()).decode(value)


@pytest.mark.parametrize("seconds", [LAST_S, 0, FIRST_S])
def test_a_time_that_a_timestamp_holds_is_read(seconds: int) -> None:
    """The first and the last too."""
    receipt = decoded(encoded(seconds))
    assert isinstance(receipt, CommandReceipt)
    assert receipt.complete_time.seconds == seconds
    assert receipt.complete_time.ToDatetime()


@pytest.mark.parametrize("seconds", [LAST_S + 1, FIRST_S - 1, 4_000_000_000_000, -4_000_000_000_000])
def test_a_time_that_no_timestamp_holds_makes_a_value_undecodable(seconds: int) -> None:
    """Otherwise the first who tells the time would stumble."""
    with pytest.raises(PolystreamError) as raised:
        decoded(encoded(seconds))
    assert raised.value.reason is Reason.UNDECODABLE


@pytest.mark.parametrize("schema_id", [*FOREIGN_SCHEMAS, 2**31, 2**32 - 1])
def test_a_schema_that_is_none_of_ours_makes_a_value_undecodable(schema_id: int) -> None:
    """Text that is no JSON, JSON that is no schema, a schema that is no record's; IDs that no registry gives."""
    value = b"\0" + schema_id.to_bytes(4, "big") + b"\xff" * 20
    for read in (decoded, lambda value: read_record(value, _Schemas())):
        with pytest.raises(PolystreamError) as raised:
            read(value)
        assert raised.value.reason is Reason.UNDECODABLE


_EMPTY = {"type": "record", "name": "Empty", "fields": []}
_DEEP = [{"type": "record", "name": "L0", "fields": [{"name": "x", "type": "int"}]}]
_DEEP += [{"type": "record", "name": f"L{n}", "fields": [{"name": "x", "type": f"L{n - 1}"}]} for n in range(1, 100)]
_MANY = b"\x80\x84\xaf\x5f\x00"  # 100 million items, and the end of the array


@pytest.mark.parametrize(
    ("field", "content"),
    [
        (["null", RECEIPT_RECORD], b"\x02" * 900_000),
        ({"type": "array", "items": RECEIPT_RECORD}, b"\x02" * 900_000),
        ({"type": "map", "values": [{"type": "array", "items": RECEIPT_RECORD}]}, b"\x02\x00" * 400_000),
        ({"type": "array", "items": "null"}, _MANY),
        ({"type": "array", "items": {"type": "null"}}, _MANY),
        ({"type": "array", "items": _EMPTY}, _MANY),
        ({"type": "array", "items": {"type": "fixed", "name": "Nothing", "size": 0}}, _MANY),
        (_DEEP, b"\x00"),
        (["null", {"type": "string", "doc": "x" * 1_000_000}], b"\x00"),
    ],
    ids=["itself", "itself in a list", "itself in a map", "nulls", "typed nulls", "empties", "zeros", "deep", "long"],
)
def test_a_schema_that_lets_a_few_bytes_ask_for_too_much_makes_a_value_undecodable(field: Any, content: bytes) -> None:
    """Such a value would take the stack, and with it the process, or the thread for hours."""
    schema = {"type": "record", "name": RECEIPT_RECORD, "fields": [{"name": "x", "type": field}]}
    source, value = _One(json.dumps(schema)), b"\0\0\0\0\x07" + content
    for read in (Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), source).decode, lambda v: read_record(v, source)):
        with pytest.raises(PolystreamError) as raised:
            read(value)
        assert raised.value.reason is Reason.UNDECODABLE


def test_a_schema_with_optional_nested_and_named_types_is_read() -> None:
    """What an ordinary later version has beyond what its reader knows."""
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "n", "type": ["null", "int"]}]}
    fields = [{"name": "a", "type": {"type": "array", "items": inner}}, {"name": "b", "type": ["null", "Inner"]}]
    source = _One(json.dumps({"type": "record", "name": RECEIPT_RECORD, "fields": fields}))
    assert read_record(b"\0\0\0\0\x07\x02\x00\x00\x00", source) == {"a": [{"n": None}], "b": None}


def test_the_registry_is_asked_once_for_all_records_that_were_read_before() -> None:
    """One that is read later may be of a schema that was registered meanwhile."""
    source = _Late()
    decoder = Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), source)
    value, before_ns = encoded(LAST_S), time.time_ns()
    for _ in range(5):
        with pytest.raises(PolystreamError) as raised:
            decoder.decode(value, before_ns)
        assert raised.value.reason is Reason.UNDECODABLE
    assert source.asked == 1
    source.is_registered = True
    with pytest.raises(PolystreamError):
        decoder.decode(value, before_ns)
    assert decoder.decode(value, time.time_ns() + 1)
    assert decoder.decode(value, before_ns)
    assert source.asked == 2


def test_a_registry_that_did_not_answer_is_asked_again() -> None:
    """Nobody has said then that there is no such schema."""
    source = _Late(Reason.REGISTRY_UNAVAILABLE)
    decoder = Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), source)
    read_ns = time.time_ns()
    with pytest.raises(PolystreamError):
        decoder.decode(encoded(0), read_ns)
    source.is_registered = True
    assert decoder.decode(encoded(0), read_ns)


class _Late:
    """The receipt's schema, once it is registered."""

    def __init__(self, reason: Reason = Reason.UNDECODABLE) -> None:
        self.asked = 0
        self.is_registered = False
        self._reason = reason

    def schema_by_id(self, _: int) -> str:
        """Return it. Raises PolystreamError before."""
        self.asked += 1
        if not self.is_registered:
            raise PolystreamError(self._reason)
        return json.dumps(load_schema(RECEIPT_RECORD))


class _One:
    """One schema, under every ID."""

    def __init__(self, text: str) -> None:
        self._text = text

    def schema_by_id(self, _: int) -> str:
        """Return it."""
        return self._text


def test_bytes_behind_the_record_make_a_value_undecodable() -> None:
    """Otherwise almost any bytes would be a command whose record is one number, such as DeleteUser's."""
    with pytest.raises(PolystreamError) as raised:
        decoded(encoded(LAST_S) + b"\0")
    assert raised.value.reason is Reason.UNDECODABLE
    assert "more bytes" in raised.value.message
