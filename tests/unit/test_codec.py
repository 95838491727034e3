"""Values that no writer of the platform's has written."""

import json

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
