"""A dead letter: a record of `user_events` that a lane gave up, as it is on the dead-letter topic."""

from dataclasses import dataclass
from typing import Final

from polystream.options.v1 import options_pb2

from mesh import topics
from mesh.envelope import KafkaRecord, RecordHeaders, parse_number, without_dead_letter_headers

_STORES: Final = frozenset(("", *options_pb2.Store.keys()))  # early dead letters named none


@dataclass(frozen=True, slots=True, order=True)
class RecordPosition:
    """Where a record is on a topic: its partition and its offset."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "RecordPosition":
        """Read `PARTITION:OFFSET`. Raises ValueError."""
        partition, offset = map(parse_number, text.split(":", 1)) if ":" in text else (None, None)
        if partition is None or offset is None:
            raise ValueError(f"{text!r} is no PARTITION:OFFSET")
        return cls(partition, offset)

    @classmethod
    def of(cls, record: KafkaRecord) -> "RecordPosition":
        """Return where a record is."""
        return cls(record.partition, record.offset)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What was set apart, and why."""

    position: RecordPosition  # on the dead-letter topic: what it is called by
    source: RecordPosition  # on `user_events`
    first: RecordPosition  # where the command was on `user_events` before any redrive: its position in the order
    correlation_id: str  # empty where the record had none, or was too large to be kept
    command: str  # likewise
    store: str  # whose lane gave it up; empty where the dead letter does not say
    lane: str
    reason: str  # as in ErrorInfo
    error: str
    time_ms: int  # when it was given up, since the epoch
    redrives: int  # how often the command had been sent again before
    omitted_bytes: int  # the size of a record too large to be kept here; 0 where it is kept
    key: bytes | None
    value: bytes | None
    headers: topics.Headers  # the record's own
    # When the lane had read what it then gave up, by its own clock, in microseconds since the epoch: its answer has
    # that, and no other one. 0 where it is not known.
    receive_time_us: int = 0

    @property
    def identity(self) -> tuple[RecordPosition, RecordPosition, str]:
        """What tells it from every other one, also where it stands on no dead-letter topic."""
        return self.position, self.source, self.store


def parse_dead_letter(record: KafkaRecord) -> DeadLetter | None:
    """Return the dead letter that a record of the dead-letter topic is; None for one that no lane has written."""
    headers = record.read_headers()
    if headers.dead_letter_source is None or topics.DLQ_REASON not in headers:
        return None
    if headers.text(topics.DLQ_STORE) not in _STORES:
        return None
    source = RecordPosition(*headers.dead_letter_source)
    return DeadLetter(
        position=RecordPosition.of(record),
        source=source,
        first=first_position(source, headers),
        # Of an ambiguous record nobody can tell which command it was: none, and it is never sent again.
        correlation_id="" if headers.is_ambiguous else headers.correlation_id,
        command=headers.command,
        store=headers.text(topics.DLQ_STORE),
        lane=headers.word(topics.DLQ_LANE),
        reason=headers.dead_letter_reason,
        error=headers.dead_letter_error,
        time_ms=headers.dead_letter_time_ms,
        redrives=headers.redrives,
        omitted_bytes=headers.omitted_bytes,
        key=record.key,
        value=record.value,
        headers=without_dead_letter_headers(record.headers),
    )


def first_position(position: RecordPosition, headers: RecordHeaders) -> RecordPosition:
    """Return where the command of a record was at first, which is where it is if it was never sent again."""
    offset = headers.first_offset
    return position if offset is None or offset > position.offset else RecordPosition(position.partition, offset)
