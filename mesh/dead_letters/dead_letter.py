"""A dead letter: a record of `user_events` that a lane gave up, as it is on the dead-letter topic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mesh import topics

_PREFIX: Final = "dlq."
_DIGITS_MAX: Final = 19  # of an offset


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
        partition, _, offset = text.partition(":")
        if not (partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
            raise ValueError(f"{text!r} is no PARTITION:OFFSET")
        return cls(int(partition), int(offset))


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

    @property
    def identity(self) -> tuple[RecordPosition, RecordPosition, str]:
        """What tells it from every other one, also where it stands on no dead-letter topic."""
        return self.position, self.source, self.store


def parse_dead_letter(
    position: RecordPosition, key: bytes | None, value: bytes | None, headers: topics.Headers
) -> DeadLetter | None:
    """Return the dead letter that a record of the dead-letter topic is; None for one that no lane has written."""
    text = topics.header_text(headers)
    try:
        source = RecordPosition(int(text[topics.DLQ_PARTITION]), int(text[topics.DLQ_OFFSET]))
        return DeadLetter(
            position=position,
            source=source,
            first=first_position(source, text),
            correlation_id=text.get(topics.CORRELATION_ID, ""),
            command=text.get(topics.COMMAND, ""),
            store=text.get(topics.DLQ_STORE, ""),
            lane=text.get(topics.DLQ_LANE, ""),
            reason=text[topics.DLQ_REASON],
            error=text.get(topics.DLQ_ERROR, ""),
            time_ms=int(text.get(topics.DLQ_TIME, "0")),
            redrives=redrives_of(text),
            omitted_bytes=int(text.get(topics.DLQ_OMITTED, "0")),
            key=key,
            value=value,
            headers=[(name, content) for name, content in headers if not name.startswith(_PREFIX)],
        )
    except (KeyError, ValueError):
        return None


def redrives_of(headers: Mapping[str, str]) -> int:
    """Return how often a command was sent again, as its headers say; 0 where they say nothing."""
    return _number(headers.get(topics.REDRIVES, "")) or 0


def first_position(position: RecordPosition, headers: Mapping[str, str]) -> RecordPosition:
    """Return where the command of a record was at first, which is where it is if it was never sent again."""
    offset = _number(headers.get(topics.FIRST_OFFSET, "")) if redrives_of(headers) else None
    return position if offset is None or offset > position.offset else RecordPosition(position.partition, offset)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS_MAX else None
