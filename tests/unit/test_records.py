"""Records of the topics to event documents."""

import json

import pytest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Event, Operation
from structlog.testing import capture_logs

from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Decoder, Encoder
from mesh.envelope import MAX_TIME_MS, KafkaRecord
from mesh.personal_data import MASK
from mesh.schemas import load_schema
from monitor.records import EventReader

CORRELATION_ID = "0197a1b2-0000-7000-8000-000000000001"
ACCEPT_MS = 1_000
SENT_AGAIN_MS = 90_000


DAY_MS = 86_400_000
READ_MS = 1_700_000_000_000
RECEIPT_RECORD = str(CommandReceipt.DESCRIPTOR.full_name)


class _Schemas:
    """The receipt's schema."""

    def schema_by_id(self, _: int) -> str:
        return json.dumps(load_schema(RECEIPT_RECORD))


@pytest.fixture
def reader() -> EventReader:
    """A reader of the platform's own catalog."""
    receipts = Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), _Schemas())
    return EventReader(load_catalog(), receipts)


def read(reader: EventReader, topic: str, **more: str) -> Event:
    """Return the one event that a record of a command tells of, with these headers besides."""
    headers = [
        (topics.CORRELATION_ID, CORRELATION_ID),
        (topics.COMMAND, "CreatePayment"),
        (topics.ACCEPT_TIME, str(ACCEPT_MS)),
        (topics.SERVICE, "gateway-1"),
        *more.items(),
    ]
    (traced,) = reader.read(KafkaRecord(topic, 2, 17, SENT_AGAIN_MS, 0, b"7", None, headers))
    return traced.event


def test_a_command_that_is_sent_again_is_accepted_once(reader: EventReader) -> None:
    """The second time it is redriven, at the time of that record, by nobody's gateway."""
    accepted = read(reader, topics.COMMANDS)
    assert (accepted.event_type, accepted.service) == ("command.accepted", "gateway-1")
    assert accepted.timestamp.ToMilliseconds() == ACCEPT_MS
    redriven = read(reader, topics.COMMANDS, **{topics.REDRIVES: "1", topics.FIRST_OFFSET: "3"})
    assert (redriven.event_type, redriven.status, redriven.service) == ("command.redriven", "ACCEPTED", "dlq")
    assert redriven.timestamp.ToMilliseconds() == SENT_AGAIN_MS
    assert (redriven.user_id, redriven.partition, redriven.offset) == (7, 2, 17)


def test_who_redrove_or_discarded_it_and_why_is_told(reader: EventReader) -> None:
    """As they said; a discard is told as one."""
    said = {topics.REDRIVES: "1", topics.PRINCIPAL: "ana", topics.JUSTIFICATION: "the table was locked"}
    redriven = read(reader, topics.COMMANDS, **said)
    assert (redriven.principal, redriven.justification) == ("ana", "the table was locked")
    discarded = read(reader, topics.COMMANDS, **said, **{topics.REDRIVE_ACTION: "discard"})
    assert (discarded.event_type, discarded.status, discarded.principal) == ("command.discarded", "FAILED", "ana")


def test_a_dead_letter_names_the_store_and_the_cause(reader: EventReader) -> None:
    """The store is called as everywhere else, whatever the lane's name is."""
    added = {topics.DLQ_STORE: "POSTGRESQL", topics.DLQ_LANE: "lane-postgresql-0"}
    added |= {topics.DLQ_PARTITION: "2", topics.DLQ_OFFSET: "3"}
    cause = {topics.DLQ_REASON: "HANDLER_FAILED", topics.DLQ_ERROR: "it failed"}
    event = read(reader, topics.DEAD_LETTERS, **added, **cause)
    assert (event.event_type, event.status, event.store) == ("command.dead_lettered", "FAILED", "POSTGRESQL")
    assert event.error == "HANDLER_FAILED: it failed"


@pytest.mark.parametrize(
    ("told_ms", "kept_ms"),
    [
        (-5, -5),
        (READ_MS + DAY_MS, READ_MS + DAY_MS),
        (READ_MS + DAY_MS + 1, SENT_AGAIN_MS),
        (MAX_TIME_MS, SENT_AGAIN_MS),
    ],
)
def test_a_receipt_is_not_of_days_to_come(reader: EventReader, told_ms: int, kept_ms: int) -> None:
    """Its events would stand before all others for ever: the broker's time stands in."""
    receipt = CommandReceipt(correlation_id=CORRELATION_ID, command="CreatePayment", store="POSTGRESQL", state="FAILED")
    receipt.receive_time.FromMilliseconds(told_ms)
    receipt.complete_time.FromMilliseconds(told_ms)
    value = Encoder(CommandReceipt.DESCRIPTOR, load_schema(RECEIPT_RECORD), 1).encode(receipt)  # type: ignore[arg-type]
    headers = [(topics.CORRELATION_ID, CORRELATION_ID), (topics.COMMAND, "CreatePayment")]
    record = KafkaRecord(topics.RECEIPTS, 2, 17, SENT_AGAIN_MS, READ_MS * 1_000_000, b"7", value, headers)
    assert [traced.event.timestamp.ToMilliseconds() for traced in reader.read(record)] == [kept_ms, kept_ms]


def test_no_event_has_the_requests_fingerprint(reader: EventReader) -> None:
    """Neither of a command's acceptance nor of its answer: people who may read events may not guess at requests."""
    fingerprint = b"0123456789abcdef"
    accepted = read(reader, topics.COMMANDS, **{topics.REQUEST_FINGERPRINT: fingerprint.hex()})
    receipt = CommandReceipt(correlation_id=CORRELATION_ID, command="CreatePayment", store="POSTGRESQL")
    receipt.state, receipt.request_fingerprint = Operation.SUCCEEDED, fingerprint
    value = Encoder(CommandReceipt.DESCRIPTOR, load_schema(RECEIPT_RECORD), 1).encode(receipt)  # type: ignore[arg-type]
    headers = [(topics.CORRELATION_ID, CORRELATION_ID), (topics.COMMAND, "CreatePayment")]
    told = reader.read(KafkaRecord(topics.RECEIPTS, 2, 17, READ_MS, READ_MS * 1_000_000, b"7", value, headers))
    for event in (accepted, *(traced.event for traced in told)):
        content = event.SerializeToString()
        assert fingerprint not in content
        assert fingerprint.hex().encode() not in content


def test_records_that_tell_of_nothing_do_not_fill_the_log(reader: EventReader) -> None:
    """Anybody may write a million of them."""
    with capture_logs() as lines:
        for offset in range(1000):
            assert not reader.read(KafkaRecord(topics.COMMANDS, 0, offset, 5, 0, None, None, ()))
    assert [line["records"] for line in lines] == [1]


def test_what_no_lane_has_written_is_told_of_by_nothing(reader: EventReader) -> None:
    """A receipt under another command's headers, one that cannot be read, and a record that is no dead letter."""
    receipt = CommandReceipt(correlation_id=CORRELATION_ID, command="CreatePayment", store="POSTGRESQL", state="FAILED")
    value = Encoder(CommandReceipt.DESCRIPTOR, load_schema(RECEIPT_RECORD), 1).encode(receipt)  # type: ignore[arg-type]
    own = [(topics.CORRELATION_ID, CORRELATION_ID), (topics.COMMAND, "CreatePayment")]
    other = [(topics.CORRELATION_ID, CORRELATION_ID.replace("1", "2")), (topics.COMMAND, "CreatePayment")]
    renamed = [(topics.CORRELATION_ID, CORRELATION_ID), (topics.COMMAND, "CreateUser")]

    def told(topic: str, content: bytes, headers: list[tuple[str, str]]) -> int:
        return len(reader.read(KafkaRecord(topic, 2, 17, READ_MS, READ_MS * 1_000_000, b"7", content, headers)))

    assert told(topics.RECEIPTS, value, own) == 2
    assert told(topics.RECEIPTS, value, other) == 0
    assert told(topics.RECEIPTS, value, renamed) == 0
    assert told(topics.RECEIPTS, value[:-1], own) == 0
    assert told(topics.DEAD_LETTERS, value, own) == 0


def test_what_a_foreign_record_says_of_people_gets_into_no_event(reader: EventReader) -> None:
    """A command, service, reason or store that is no name reads as absent; addresses and CPFs in texts are masked."""
    headers = [(topics.CORRELATION_ID, CORRELATION_ID), (topics.COMMAND, "ana@example.com"), (topics.SERVICE, "Ana S.")]
    (traced,) = reader.read(KafkaRecord(topics.COMMANDS, 2, 17, SENT_AGAIN_MS, 0, b"7", None, headers))
    assert (traced.event.command, traced.event.service) == ("", "")
    redriven = {topics.REDRIVES: "1", topics.PRINCIPAL: "ana@example.com", topics.JUSTIFICATION: "for 529.982.247-25"}
    event = read(reader, topics.COMMANDS, **redriven)
    assert (event.principal, event.justification) == (MASK, f"for {MASK}")
    dead = {topics.DLQ_PARTITION: "0", topics.DLQ_OFFSET: "1", topics.DLQ_REASON: "Ana Souza"}
    event = read(reader, topics.DEAD_LETTERS, **dead, **{topics.DLQ_ERROR: "there is ana@example.com"})
    assert event.error == f": there is {MASK}"
