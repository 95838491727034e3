"""A record's envelope: what is written is read again, and what others write is read within bounds."""

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, Message

from mesh import envelope, topics
from mesh.envelope import MAX_TIME_MS, KafkaRecord, RecordHeaders, RedriveAction, parse_number, read_message
from mesh.telemetry.context import trace_context

ID = "0190b0b0-0000-7000-8000-000000000001"
OTHER_ID = "0190b0b0-0000-7000-8000-000000000002"
TRACE = trace_context("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True, tracestate="vendor=1")
READ_NS = 1_700_000_000_123_456_789
DAY_MS = 86_400_000
LATEST_MS = READ_NS // 1_000_000 + DAY_MS


def message(timestamp_ms: int = 5, kind: int = TIMESTAMP_CREATE_TIME, **others: object) -> Message:
    """Return a message as librdkafka's client gives it."""
    told = {"topic": "user_events", "partition": 2, "offset": 9, "key": b"5", "value": b"x", "headers": []} | others
    return Message(timestamp=(kind, timestamp_ms), **told)  # type: ignore[arg-type]


def record(headers: Sequence[tuple[str, bytes | str | None]] = (), key: bytes | None = b"5") -> KafkaRecord:
    """Return a record of partition 2, offset 9."""
    return KafkaRecord("user_events", 2, 9, 5, READ_NS, key, b"x", headers)


def test_a_message_is_read_whole() -> None:
    """Place, time, key, value and headers are as they came."""
    headers = [("command", b"CreateUser"), ("service", None)]
    assert read_message(message(headers=headers), READ_NS) == KafkaRecord(
        "user_events", 2, 9, 5, READ_NS, b"5", b"x", headers
    )
    assert read_message(message(headers=None, key=None, value=None), READ_NS)[5:] == (None, None, (), True)


class _Unreadable(Message):
    """A message with a header name that is no UTF-8, to which librdkafka's client reacts so."""

    def headers(self) -> list[tuple[str, bytes]]:  # type: ignore[override]
        """Raise."""
        raise SystemError


def test_headers_that_cannot_be_read_leave_the_rest_of_the_record() -> None:
    """Whoever reads it can tell that there were some."""
    read = read_message(_Unreadable(topic="user_events", partition=2, offset=9, timestamp=(1, 5)), READ_NS)
    assert (read.partition, read.offset, read.headers, read.has_readable_headers) == (2, 9, (), False)


@pytest.mark.parametrize("timestamp_ms", [-1, -(2**63), LATEST_MS + 1, MAX_TIME_MS, 1_700_000_000_000_000, 2**63 - 1])
def test_a_time_that_can_be_no_records_is_the_time_of_the_reading(timestamp_ms: int) -> None:
    """So is one that the broker does not tell."""
    assert read_message(message(timestamp_ms), READ_NS).timestamp_ms == READ_NS // 1_000_000
    assert read_message(message(7, TIMESTAMP_NOT_AVAILABLE), READ_NS).timestamp_ms == READ_NS // 1_000_000


@pytest.mark.parametrize("timestamp_ms", [0, 1, LATEST_MS])
def test_a_time_within_the_bounds_is_the_records_own(timestamp_ms: int) -> None:
    """The bounds themselves too."""
    assert read_message(message(timestamp_ms), READ_NS).timestamp_ms == timestamp_ms


@pytest.mark.parametrize(
    ("told_ms", "accept_time_ms"), [(0, 0), (LATEST_MS, LATEST_MS), (LATEST_MS + 1, 5), (MAX_TIME_MS, 5)]
)
def test_a_command_was_not_accepted_in_days_to_come(told_ms: int, accept_time_ms: int) -> None:
    """The broker's time stands in for such a time: it would head every list, and never be purged."""
    told = record([(topics.ACCEPT_TIME, str(told_ms))])
    assert told.accept_time_ms(told.read_headers()) == accept_time_ms


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0),
        (b"007", 7),
        ("12", 12),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", None),
        (b"9" * 5000, None),
        ("²", None),
        ("²".encode(), None),
        ("٣", None),
        (b"-1", None),
        (b"+1", None),
        (b" 1", None),
        (b"1_0", None),
        (b"1.0", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_number_is_ascii_digits_of_64_bits(text: bytes | str | None, number: int | None) -> None:
    """Anything else is none, and raises nothing."""
    assert parse_number(text) == number
    assert record(key=text.encode() if isinstance(text, str) else text).user_id == number


def test_a_commands_headers_are_read_again() -> None:
    """Each as it was written."""
    headers = envelope.command_headers(
        ID,
        "CreateUser",
        TRACE,
        stores=("POSTGRESQL", "REDIS"),
        accept_time_ms=1_700_000_000_000,
        service="gateway-0",
    )
    sent = record(headers)
    read = sent.read_headers()
    assert (read.correlation_id, read.command, read.trace) == (ID, "CreateUser", TRACE)
    assert sent.accept_time_ms(read) == 1_700_000_000_000
    assert read.text(topics.SERVICE) == "gateway-0"
    assert envelope.command_and_stores(headers) == (b"CreateUser", b"POSTGRESQL,REDIS")
    assert not read.is_ambiguous
    assert (read.redrives, read.first_offset) == (0, None)
    assert read.request_fingerprint == b""


def test_a_fingerprint_is_in_the_headers_by_its_beginning() -> None:
    """Where the command has one; the command keeps it when it is sent again."""
    fields: dict[str, Any] = {"stores": (), "accept_time_ms": 1, "service": "g"}
    plain = envelope.command_headers(ID, "CreateUser", TRACE, **fields)
    headers = envelope.command_headers(ID, "CreateUser", TRACE, **fields, request_fingerprint=bytes(range(32)))
    assert headers[: len(plain)] == plain
    assert record(headers).read_headers().request_fingerprint == bytes(range(16))
    again = envelope.redrive_headers(headers, redrives=1, first_offset=2, action=RedriveAction.REDRIVE)
    assert record(again).read_headers().request_fingerprint == bytes(range(16))


@pytest.mark.parametrize("text", [None, b"", b"\xff" * 32, b"0" * 31, b"0" * 33, b"G" * 32, b"0" * 1000, "é" * 32])
def test_what_is_no_fingerprint_reads_as_none(text: bytes | str | None) -> None:
    """Anybody may write the header."""
    assert record([("request_fingerprint", text)]).read_headers().request_fingerprint == b""


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], (b"", b"")),
        ([("command", None), ("stores", None)], (b"", b"")),
        ([("stores", "REDIS"), ("command", "A")], (b"A", b"REDIS")),
        ([("command", b"A"), ("command", b"B"), ("stores", b"X"), ("stores", b"Y")], (b"A", b"X")),
        ([("command", b""), ("command", b"B"), ("stores", b"X")], (b"", b"X")),
    ],
)
def test_what_a_lane_reads_of_others_records(
    headers: list[tuple[str, bytes | str | None]], found: tuple[bytes, bytes]
) -> None:
    """The first value of each counts, be it an empty one, as everywhere."""
    assert envelope.command_and_stores(headers) == found


def test_a_receipts_headers_are_read_again() -> None:
    """With and without a trace."""
    read = RecordHeaders(envelope.receipt_headers(ID, "CreateUser", TRACE, store="REDIS"))
    assert (read.correlation_id, read.command, read.trace, read.text(topics.STORE)) == (
        ID,
        "CreateUser",
        TRACE,
        "REDIS",
    )
    assert RecordHeaders(envelope.receipt_headers(ID, "CreateUser", None, store="REDIS")).trace is None


def test_a_dead_letters_headers_are_the_records_own_and_the_lanes() -> None:
    """A record cannot say in a lane's name why it was given up."""
    own = [(topics.COMMAND, b"CreateUser"), (topics.DLQ_REASON, b"FORGED"), ("dlq.other", b"1"), ("x", b"\xff")]
    given_up = dead_letter(record(own), omits_record=False)
    read = RecordHeaders(given_up)
    assert given_up[:2] == [(topics.COMMAND, b"CreateUser"), ("x", b"\xff")]
    assert (read.text(topics.DLQ_REASON), read.dead_letter_error) == ("UNDECODABLE", "it is broken")
    assert (read.dead_letter_source, read.dead_letter_time_ms) == ((2, 9), 12)
    assert (read.text(topics.DLQ_TOPIC), read.text(topics.DLQ_LANE)) == ("user_events", "lane-0")
    assert (read.text(topics.DLQ_STORE), read.omitted_bytes) == ("POSTGRESQL", 0)


def test_a_dead_letter_of_a_record_that_is_left_out_tells_its_size() -> None:
    """And nothing of what it says."""
    given_up = dead_letter(record([(topics.COMMAND, b"CreateUser")]), omits_record=True)
    assert topics.COMMAND not in dict(given_up)
    assert RecordHeaders(given_up).omitted_bytes == record([(topics.COMMAND, b"CreateUser")]).size_bytes


def test_a_command_that_is_sent_again_says_how_often_and_from_where() -> None:
    """Once each, without what the lane had added."""
    first = envelope.redrive_headers(
        dead_letter(record([(topics.COMMAND, b"CreateUser")]), omits_record=False),
        redrives=1,
        first_offset=9,
        action=RedriveAction.REDRIVE,
        principal="ana",
        justification="the table was locked",
    )
    second = envelope.redrive_headers(first, redrives=2, first_offset=9, action=RedriveAction.DISCARD, principal="rui")
    assert dict(second) == {
        topics.COMMAND: b"CreateUser",
        topics.REDRIVES: "2",
        topics.FIRST_OFFSET: "9",
        topics.REDRIVE_ACTION: "discard",
        topics.REDRIVE_STORES: "",
        topics.PRINCIPAL: "rui",
        topics.JUSTIFICATION: "",
    }
    headers = RecordHeaders(second)
    assert (headers.redrives, headers.first_offset, headers.redrive_action) == (2, 9, RedriveAction.DISCARD)
    assert (headers.principal, headers.justification) == ("rui", "")


@pytest.mark.parametrize(
    ("word", "action"), [(None, RedriveAction.REDRIVE), ("repair", RedriveAction.REPAIR), ("erase", None)]
)
def test_what_is_to_be_done_with_a_command_that_is_sent_again(word: str | None, action: RedriveAction | None) -> None:
    """Those that say nothing are of earlier versions; what nobody knows is not done."""
    said = [] if word is None else [(topics.REDRIVE_ACTION, word)]
    assert RecordHeaders([(topics.REDRIVES, "1"), *said]).redrive_action is action
    assert RecordHeaders(said).redrive_action is None


def test_of_two_headers_with_a_name_the_first_counts() -> None:
    """For every reader alike; which command is meant, or which ID, cannot be told then."""
    twice = RecordHeaders(
        [
            (topics.COMMAND, b"CreateUser"),
            (topics.CORRELATION_ID, ID.encode()),
            (topics.CORRELATION_ID, OTHER_ID.encode()),
            (topics.COMMAND, b"DeleteUser"),
        ]
    )
    assert (twice.command, twice.correlation_id, twice.is_ambiguous) == ("CreateUser", ID, True)
    others = RecordHeaders([(topics.ACCEPT_TIME, b"12"), ("x", b""), ("x", b""), (topics.ACCEPT_TIME, b"13")])
    assert (others.accept_time_ms, others.is_ambiguous) == (12, False)


@pytest.mark.parametrize("text", ["", "abc", ID.upper(), f"{ID} ", f"{{{ID}}}", ID * 2, "é" * 36])
def test_a_correlation_id_is_a_uuid_in_lower_case(text: str) -> None:
    """Anything else is none."""
    assert RecordHeaders([(topics.CORRELATION_ID, text.encode())]).correlation_id == ""
    assert RecordHeaders([(topics.CORRELATION_ID, ID.encode())]).correlation_id == ID


@pytest.mark.parametrize("text", ["", "soon", "-1", "²", "1" * 16, "9" * 20, "9" * 5000, str(MAX_TIME_MS + 1)])
def test_an_accept_time_that_is_none_is_the_brokers(text: str) -> None:
    """So every reader tells the same."""
    sent = record([(topics.ACCEPT_TIME, text.encode())])
    assert sent.accept_time_ms(sent.read_headers()) == 5


def test_texts_are_bounded_and_never_raised_over() -> None:
    """What is no UTF-8 is replaced."""
    read = RecordHeaders([("long", "é".encode() * 1000), ("bad", b"\xffa"), ("none", None)])
    assert read.text("long") == "é" * 100
    assert read.text("long", 3) == "ééé"
    assert read.text("bad") == "\N{REPLACEMENT CHARACTER}a"
    assert (read.text("none"), read.text("absent")) == ("", "")
    assert "none" in read
    assert "absent" not in read


@pytest.mark.parametrize("state", [b"a=" + b"b" * 600, "a=é".encode(), b"\xff"])
def test_a_tracestate_that_nobody_may_send_is_left_out(state: bytes) -> None:
    """The trace goes on without it."""
    read = RecordHeaders([(topics.TRACEPARENT, TRACE.traceparent.encode()), (topics.TRACESTATE, state)])
    assert read.trace is not None
    assert (read.trace.trace_id, read.trace.tracestate) == (TRACE.trace_id, "")


def dead_letter(given_up: KafkaRecord, *, omits_record: bool) -> envelope.HeaderList:
    """Return the headers of a record that a lane gives up."""
    return envelope.dead_letter_headers(
        given_up,
        reason="UNDECODABLE",
        error="it is broken",
        lane="lane-0",
        store="POSTGRESQL",
        time_ms=12,
        omits_record=omits_record,
    )
