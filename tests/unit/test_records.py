"""Records of the topics to event documents."""

import pytest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Event

from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Decoder
from mesh.envelope import KafkaRecord
from mesh.schemas import load_schema
from monitor.records import EventReader

CORRELATION_ID = "0197a1b2-0000-7000-8000-000000000001"
ACCEPT_MS = 1_000
SENT_AGAIN_MS = 90_000


class _NoSchemas:
    """No receipt is read here."""

    def schema_by_id(self, schema_id: int) -> str:
        raise AssertionError(schema_id)


@pytest.fixture
def reader() -> EventReader:
    """A reader of the platform's own catalog."""
    receipts = Decoder(CommandReceipt, load_schema(CommandReceipt.DESCRIPTOR.full_name), _NoSchemas())
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


def test_a_dead_letter_names_the_store_and_the_cause(reader: EventReader) -> None:
    """The store is called as everywhere else, whatever the lane's name is."""
    added = {topics.DLQ_STORE: "POSTGRESQL", topics.DLQ_LANE: "lane-postgresql-0"}
    cause = {topics.DLQ_REASON: "HANDLER_FAILED", topics.DLQ_ERROR: "it failed"}
    event = read(reader, topics.DEAD_LETTERS, **added, **cause)
    assert (event.event_type, event.status, event.store) == ("command.dead_lettered", "FAILED", "POSTGRESQL")
    assert event.error == "HANDLER_FAILED: it failed"
