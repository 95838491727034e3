"""The envelope of a Kafka record: its position, key, times and headers, read and written here and nowhere else.

Anybody may write to the topics. Whatever the bytes of a record are, reading it raises nothing: what is not as the
platform writes it reads as absent. Where a header's name occurs twice, its first value counts for every reader.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from operator import methodcaller
from typing import Final, NamedTuple

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from mesh import topics
from mesh.fingerprints import MARK_BYTES, shorten
from mesh.ids import CORRELATION_ID
from mesh.personal_data import redact
from mesh.telemetry import context
from mesh.telemetry.context import TraceContext
from mesh.topics import Headers

# 9999-12-31T23:59:59.999Z in milliseconds since the epoch, the last that google.protobuf.Timestamp holds
# (google/protobuf/timestamp.proto). Times in microseconds or nanoseconds are beyond it.
MAX_TIME_MS: Final = 253_402_300_799_999

# How far a time may be ahead of this machine's clock: others differ, by a time zone at the worst. What is further ahead
# would head every list, and be kept for ever.
_MAX_TIME_AHEAD_MS: Final = 86_400_000

_MAX_INT64: Final = 2**63 - 1
_MAX_INT32: Final = 2**31 - 1
_MAX_INT64_DIGITS: Final = 19
MAX_NAME_CHARACTERS: Final = 100  # of a command, a service, a store, a lane: the platform's own are much shorter
_MAX_ERROR_CHARACTERS: Final = 1000
_MAX_TRACE_BYTES: Final = 512  # what the W3C's specification asks everybody to pass on of a tracestate
_HEADER_FRAME_BYTES: Final = 10  # the two lengths of a header, as Kafka's record format writes them
_MAX_UTF8_BYTES: Final = 4  # of a character
_FINGERPRINT = re.compile(rf"[0-9a-f]{{{2 * MARK_BYTES}}}")
_WORD: Final = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)
_DEAD_LETTER_PREFIX: Final = "dlq."

# Of a header name that is no UTF-8, confluent-kafka 2.16 sets an exception and returns a list with a null pointer in it
# all the same. CPython looks for that in every call but those that its interpreter has specialized, as it does a plain
# `message.headers()` that runs often: the error then surfaces anywhere, and the pointer ends the process.
_headers_of = methodcaller("headers")

HeaderList = list[tuple[str, bytes | str | None]]


class RedriveAction(StrEnum):
    """What a lane is to do with a command that is sent again."""

    REDRIVE = "redrive"  # try what it gave up once more, and what waits behind it
    DISCARD = "discard"  # give it up for good, and go on with what waits behind it
    REPAIR = "repair"  # apply it where the store has no mark of it, though it is past its position


class KafkaRecord(NamedTuple):
    """One record of a topic, as it came."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int  # the broker's, since the epoch; that of the reading where the broker's can be no record's
    receive_time_ns: int  # when it was read, since the epoch
    key: bytes | None
    value: bytes | None
    headers: Headers
    has_readable_headers: bool = True  # not where a header's name is no UTF-8: `headers` is empty then

    @property
    def size_bytes(self) -> int:
        """The size of key, value and headers as Kafka writes them, in bytes, or a little more."""
        headers = sum(len(name) + len(value or "") + _HEADER_FRAME_BYTES for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    @property
    def user_id(self) -> int | None:
        """The user ID in the key, as commands about users have it; None where the key is not such a number."""
        return parse_number(self.key)

    def read_headers(self) -> "RecordHeaders":
        """Return the headers by name."""
        return RecordHeaders(self.headers)

    def accept_time_ms(self, headers: "RecordHeaders") -> int:
        """Return when the command was accepted, in milliseconds since the epoch.

        That is the broker's time where no header tells another, or one that is still to come.
        """
        told_ms = headers.accept_time_ms
        return self.timestamp_ms if told_ms is None or told_ms > self.latest_time_ms else told_ms

    @property
    def latest_time_ms(self) -> int:
        """The latest time that the record may tell of, in milliseconds since the epoch."""
        return self.receive_time_ns // 1_000_000 + _MAX_TIME_AHEAD_MS


class RecordHeaders:
    """A record's headers by name, each read within its bounds."""

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Headers) -> None:
        self._pairs = pairs
        self._values = dict(reversed(pairs))  # of two with one name, the first

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def is_ambiguous(self) -> bool:
        """Whether they name two commands, or two correlation IDs: nobody can tell which one is meant."""
        if len(self._values) == len(self._pairs):
            return False
        names = [name for name, _ in self._pairs]
        return names.count(topics.CORRELATION_ID) > 1 or names.count(topics.COMMAND) > 1

    @property
    def correlation_id(self) -> str:
        """The correlation ID, a UUID in lower case; empty where there is none."""
        text = self._ascii(topics.CORRELATION_ID)
        return text if text is not None and CORRELATION_ID.fullmatch(text) is not None else ""

    @property
    def command(self) -> str:
        """The command's name, or the beginning of what stands in its place, if that is a name."""
        return self.word(topics.COMMAND)

    @property
    def service(self) -> str:
        """The name of the gateway that accepted the command."""
        return self.word(topics.SERVICE)

    @property
    def accept_time_ms(self) -> int | None:
        """When a gateway accepted the command, in milliseconds since the epoch."""
        return self.number(topics.ACCEPT_TIME, MAX_TIME_MS)

    @property
    def request_fingerprint(self) -> bytes:
        """What tells the command's request from another one with its `request_id`; empty where there was none."""
        if topics.REQUEST_FINGERPRINT not in self._values:
            return b""
        text = self._ascii(topics.REQUEST_FINGERPRINT)
        return b"" if text is None or _FINGERPRINT.fullmatch(text) is None else bytes.fromhex(text)

    @property
    def trace(self) -> TraceContext | None:
        """The span that the record was written in."""
        return context.parse(self._ascii(topics.TRACEPARENT), self._ascii(topics.TRACESTATE))

    @property
    def redrives(self) -> int:
        """How often the command was sent again from the dead-letter topic."""
        return self.number(topics.REDRIVES, _MAX_INT32) or 0

    @property
    def redrive_action(self) -> RedriveAction | None:
        """What is to be done with a command that was sent again; None where it was not, or nobody knows the word."""
        if not self.redrives:
            return None
        word = self.text(topics.REDRIVE_ACTION) or RedriveAction.REDRIVE
        return RedriveAction(word) if word in list(RedriveAction) else None

    @property
    def redrive_stores(self) -> frozenset[str]:
        """The stores that are to act on a command that was sent again; none where all are."""
        return frozenset(filter(None, self.text(topics.REDRIVE_STORES).split(",")))

    @property
    def principal(self) -> str:
        """Who sent the command again."""
        return redact(self.text(topics.PRINCIPAL))

    @property
    def justification(self) -> str:
        """Why the command was sent again."""
        return redact(self.text(topics.JUSTIFICATION, _MAX_ERROR_CHARACTERS))

    @property
    def first_offset(self) -> int | None:
        """Where a command that was sent again was at first, in the same partition."""
        return self.number(topics.FIRST_OFFSET) if self.redrives else None

    @property
    def dead_letter_source(self) -> tuple[int, int] | None:
        """Partition and offset on `user_events` of what was given up; None in what no lane has written."""
        partition, offset = self.number(topics.DLQ_PARTITION, _MAX_INT32), self.number(topics.DLQ_OFFSET)
        return None if partition is None or offset is None else (partition, offset)

    @property
    def dead_letter_time_ms(self) -> int:
        """When a lane gave the record up, in milliseconds since the epoch; 0 where that is not told."""
        return self.number(topics.DLQ_TIME, MAX_TIME_MS) or 0

    @property
    def dead_letter_reason(self) -> str:
        """Why a lane gave the record up, as in ErrorInfo."""
        return self.word(topics.DLQ_REASON)

    @property
    def dead_letter_error(self) -> str:
        """What happened, as the lane that gave the record up says."""
        return redact(self.text(topics.DLQ_ERROR, _MAX_ERROR_CHARACTERS))

    @property
    def omitted_bytes(self) -> int:
        """The size in bytes of a record that was too large for the dead-letter topic; 0 where the record is there."""
        return self.number(topics.DLQ_OMITTED) or 0

    def name(self, correlation_id: str, command: str) -> bool:
        """Whether they are of this command, as those of a lane's receipt are of the command in its value."""
        return self.correlation_id == correlation_id and self.command == command[:MAX_NAME_CHARACTERS]

    def word(self, name: str) -> str:
        """Return the beginning of a header's text where it is a name as the platform gives them to its own things.

        Empty for anything else: it goes into logs, spans and events, and might be somebody's name or address.
        """
        text = self.text(name)
        return text if _WORD.fullmatch(text) is not None else ""

    def text(self, name: str, max_characters: int = MAX_NAME_CHARACTERS) -> str:
        """Return the beginning of a header's text, with bytes that are not UTF-8 replaced; empty if it is absent."""
        value = self._values.get(name) or ""
        if isinstance(value, bytes):
            value = value[: max_characters * _MAX_UTF8_BYTES].decode("utf-8", "replace")
        return value[:max_characters]

    def number(self, name: str, maximum: int = _MAX_INT64) -> int | None:
        """Return a header's number, from 0 to the maximum; None if it is absent or not such a number."""
        return parse_number(self._values.get(name), maximum)

    def _ascii(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None or len(value) > _MAX_TRACE_BYTES or not value.isascii():
            return None
        return value.decode() if isinstance(value, bytes) else value


def read_message(message: Message, receive_time_ns: int) -> KafkaRecord:
    """Return the record in a message of librdkafka's client. The message must not stand for an error.

    `receive_time_ns` is when it was received, in nanoseconds since the epoch. Do not read the message's headers again
    afterwards: the message keeps those that could not be read.
    """
    is_readable = True
    try:
        headers: Headers = _headers_of(message) or ()
    except Exception:  # noqa: BLE001 - a SystemError, see above; whatever another version raises is no reason to stop
        headers, is_readable = (), False
    kind, timestamp_ms = message.timestamp()
    receive_time_ms = receive_time_ns // 1_000_000
    if kind == TIMESTAMP_NOT_AVAILABLE or not 0 <= timestamp_ms <= receive_time_ms + _MAX_TIME_AHEAD_MS:
        timestamp_ms = receive_time_ms
    return KafkaRecord(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        timestamp_ms,
        receive_time_ns,
        message.key(),
        message.value(),
        headers,
        is_readable,
    )


def command_and_stores(headers: Headers) -> tuple[bytes, bytes]:
    """Return the command's name and its stores as they are in the headers: all that a lane reads of others' records.

    Of a header that occurs twice, the first value counts; where there is none, it is empty.
    """
    command: bytes | None = None
    stores: bytes | None = None
    for name, value in headers:
        if name == topics.COMMAND and command is None:
            command = value if isinstance(value, bytes) else (value or "").encode()
        elif name == topics.STORES and stores is None:
            stores = value if isinstance(value, bytes) else (value or "").encode()
        else:
            continue
        if command is not None and stores is not None:
            break
    return command or b"", stores or b""


def parse_number(text: bytes | str | None, maximum: int = _MAX_INT64) -> int | None:
    """Read a number of ASCII digits from 0 to the maximum; None for anything else.

    Python's `int` takes `²` for no number although `isdigit` says so, and no more than 4,300 digits.
    """
    if not text or len(text) > _MAX_INT64_DIGITS or not text.isascii() or not text.isdigit():
        return None
    number = int(text)
    return number if number <= maximum else None


def command_headers(
    correlation_id: str,
    command: str,
    trace: TraceContext,
    *,
    stores: Sequence[str],
    accept_time_ms: int,
    service: str,
    request_fingerprint: bytes | None = None,
) -> HeaderList:
    """Return the headers of a command that `service` accepted, at a time in milliseconds since the epoch.

    `request_fingerprint` is its request's, where the client gave a `request_id`.
    """
    headers: HeaderList = [
        (topics.CORRELATION_ID, correlation_id),
        (topics.COMMAND, command),
        (topics.STORES, ",".join(stores)),
        (topics.TRACEPARENT, trace.traceparent),
        (topics.ACCEPT_TIME, str(accept_time_ms)),
        (topics.SERVICE, service),
    ]
    if trace.tracestate:
        headers.append((topics.TRACESTATE, trace.tracestate))
    if request_fingerprint is not None:
        headers.append((topics.REQUEST_FINGERPRINT, shorten(request_fingerprint).hex()))
    return headers


def receipt_headers(correlation_id: str, command: str, trace: TraceContext | None, *, store: str) -> HeaderList:
    """Return the headers of a store's answer."""
    headers: HeaderList = [
        (topics.CORRELATION_ID, correlation_id),
        (topics.COMMAND, command),
        (topics.STORE, store),
    ]
    if trace is not None:
        headers.append((topics.TRACEPARENT, trace.traceparent))
        if trace.tracestate:
            headers.append((topics.TRACESTATE, trace.tracestate))
    return headers


def dead_letter_headers(
    record: KafkaRecord, *, reason: str, error: str, lane: str, store: str, time_ms: int, omits_record: bool
) -> HeaderList:
    """Return the headers of a record that a lane gives up, at a time in milliseconds since the epoch.

    They are the record's own and behind them why and where it was given up; those alone where the record is left out.
    `error` says what happened without a value of the record.
    """
    added: HeaderList = [
        (topics.DLQ_REASON, reason),
        (topics.DLQ_ERROR, error),
        (topics.DLQ_TOPIC, record.topic),
        (topics.DLQ_PARTITION, str(record.partition)),
        (topics.DLQ_OFFSET, str(record.offset)),
        (topics.DLQ_LANE, lane),
        (topics.DLQ_STORE, store),
        (topics.DLQ_TIME, str(time_ms)),
    ]
    if omits_record:
        return [*added, (topics.DLQ_OMITTED, str(record.size_bytes))]
    return [*without_dead_letter_headers(record.headers), *added]


def redrive_headers(
    headers: Headers,
    *,
    redrives: int,
    first_offset: int,
    action: RedriveAction,
    stores: Sequence[str] = (),
    principal: str = "",
    justification: str = "",
) -> HeaderList:
    """Return the headers of a command that is sent again, for some stores or, where none is named, for all.

    `redrives` counts how often it was sent again, this time included; `first_offset` is its offset from before the
    first time. `principal` says who sends it, and `justification` why.
    """
    own: HeaderList = [
        (topics.REDRIVES, str(redrives)),
        (topics.FIRST_OFFSET, str(first_offset)),
        (topics.REDRIVE_ACTION, action.value),
        (topics.REDRIVE_STORES, ",".join(stores)),
        (topics.PRINCIPAL, principal),
        (topics.JUSTIFICATION, justification),
    ]
    names = [name for name, _ in own]
    return [*(pair for pair in without_dead_letter_headers(headers) if pair[0] not in names), *own]


def without_dead_letter_headers(headers: Headers) -> Sequence[tuple[str, bytes | str | None]]:
    """Return a record's headers without those that only a lane may add, when it gives the record up."""
    return [pair for pair in headers if not pair[0].startswith(_DEAD_LETTER_PREFIX)]
