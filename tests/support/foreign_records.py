"""Records that are not as the platform writes them: one table, for every reader of its topics.

A case changes a good record. Whatever becomes of the changed one, no thread may end over it, and the good record
behind it is handled: `with_good_ones` gives both, and a test of a reader waits for all good ones.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from mesh import topics
from tests.support.foreign_registry import FOREIGN_SCHEMAS

_ABSENT_SCHEMA_ID: Final = 987_654_321


@dataclass(frozen=True)
class RawRecord:
    """A record in bytes."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]
    timestamp_ms: int = 0  # since the epoch; 0 is now


Change = Callable[[RawRecord], RawRecord]


def _key(key: bytes | None) -> Change:
    return lambda good: replace(good, key=key)


def _value(value: bytes | None) -> Change:
    return lambda good: replace(good, value=value)


def _schema(schema_id: int) -> Change:
    return lambda good: replace(good, value=b"\0" + schema_id.to_bytes(4, "big") + (good.value or b"")[5:])


def _time(timestamp_ms: int) -> Change:
    return lambda good: replace(good, timestamp_ms=timestamp_ms)


def _header(name: str, value: bytes | None) -> Change:
    """Put a header in the place of those with its name."""
    others = name.encode()
    return lambda good: replace(
        good, headers=(*(pair for pair in good.headers if pair[0] != others), (name.encode(), value))
    )


def _added(*pairs: tuple[bytes, bytes | None]) -> Change:
    return lambda good: replace(good, headers=(*good.headers, *pairs))


def _twice(name: str, value: bytes) -> Change:
    """Put a header before and behind the one with its name, each with another value."""
    return lambda good: replace(good, headers=((name.encode(), value), *good.headers, (name.encode(), value[::-1])))


CASES: Final[dict[str, Change]] = {
    "no key": _key(None),
    "a key of 5,000 digits": _key(b"9" * 5000),
    "a key of 19 nines": _key(b"9" * 19),
    "a key of 900,000 bytes": _key(b"\xff" * 900_000),
    "foreign bytes under a key of 950,000 bytes": lambda good: replace(good, key=b"\xff" * 950_000, value=b"\xff"),
    "a key of digits that are not ASCII": _key("²³".encode()),
    "a key that is no UTF-8": _key(b"\xe9"),
    "no value": _value(None),
    "an empty value": _value(b""),
    "half a schema ID": _value(b"\0\0\0"),
    "foreign bytes": _value(b"\xde\xad\xbe\xef" * 4),
    "JSON": _value(b'{"user_id": 5}'),
    "foreign bytes behind a schema ID": lambda good: replace(good, value=(good.value or b"")[:5] + b"\xff" * 40),
    "no bytes behind a schema ID": lambda good: replace(good, value=(good.value or b"")[:5]),
    "a schema ID that nobody has given": _schema(_ABSENT_SCHEMA_ID),
    "a schema ID beyond 31 bits": _schema(2**32 - 1),
    **{f"a foreign schema: {json.dumps(each)[:50]}": _schema(schema_id) for schema_id, each in FOREIGN_SCHEMAS.items()},
    "no headers": lambda good: replace(good, headers=()),
    "10,000 headers": _added(*((f"h{n}".encode(), b"") for n in range(10_000))),
    "a header without a value": _header(topics.TRACESTATE, None),
    "a header name that is no UTF-8": _added((b"caf\xe9", b"au lait")),
    "a header name that is empty": _added((b"", b"")),
    "a header name with a NUL": _added((b"a\0b", b"\0")),
    "a header value that is no UTF-8": _header(topics.SERVICE, b"\xff\xfe"),
    "no correlation ID": _header(topics.CORRELATION_ID, None),
    "a correlation ID that is no UUID": _header(topics.CORRELATION_ID, b"<b>1</b>"),
    "a correlation ID that is no UTF-8": _header(topics.CORRELATION_ID, b"\xff" * 36),
    "two correlation IDs more": _twice(topics.CORRELATION_ID, b"0190b0b0-0000-7000-8000-000000000001"),
    "no command": _header(topics.COMMAND, None),
    "a command that nobody knows": _header(topics.COMMAND, b"DropTables" * 10_000),
    "a command that is no UTF-8": _header(topics.COMMAND, b"\xff"),
    "two commands more": _twice(topics.COMMAND, b"CreateUser"),
    **{
        f"an accept_time of {text[:20].decode()}, {len(text)} bytes": _header(topics.ACCEPT_TIME, text)
        for text in (
            b"",
            b"soon",
            b"-1",
            "²".encode(),
            b"1" * 16,
            b"9" * 20,
            b"9" * 5000,
            b"253402300799999",
            b"253402300800000",
        )
    },
    "two accept times more": _twice(topics.ACCEPT_TIME, b"12"),
    "a traceparent that is none": _header(topics.TRACEPARENT, b"00-" + b"0" * 100_000),
    "a tracestate that is too long": _header(topics.TRACESTATE, b"a=" + b"b" * 100_000),
    "a tracestate that is no ASCII": _header(topics.TRACESTATE, "a=é".encode()),
    "redrives of 5,000 digits": _added((b"redrives", b"9" * 5000), (b"first_offset", b"9" * 5000)),
    "a first offset that is none": _added((b"redrives", b"1"), (b"first_offset", "²".encode())),
    "a dead letter's time of 18 nines": _header(topics.DLQ_TIME, b"9" * 18),
    "a dead letter's time of 5,000 digits": _header(topics.DLQ_TIME, b"9" * 5000),
    "a dead letter's offset that is none": _header(topics.DLQ_OFFSET, "²".encode()),
    "a dead letter's partition of 5,000 digits": _header(topics.DLQ_PARTITION, b"9" * 5000),
    "a dead letter's size of 5,000 digits": _header(topics.DLQ_OMITTED, b"9" * 5000),
    "a dead letter's reason that is no UTF-8": _header(topics.DLQ_REASON, b"\xff"),
    "a time in microseconds": _time(1_700_000_000_000_000),
    "a time in nanoseconds": _time(1_700_000_000_000_000_000),
    "the greatest time": _time(2**63 - 1),
    "a time before the epoch": _time(-5),
}


@dataclass(frozen=True)
class Sent:
    """What was sent of one case."""

    case: str
    changed: RawRecord
    good: RawRecord  # the next one in the same partition
    good_id: str  # its correlation ID


def with_good_ones(
    make: Callable[[], tuple[str, RawRecord]], others: Mapping[str, Change] | None = None
) -> Iterator[Sent]:
    """Yield each case of the table, and of a topic's own, with a good record that is to come behind it.

    `make` returns a new good record, and the correlation ID in it.
    """
    for name, change in {**CASES, **(others or {})}.items():
        correlation_id, good = make()
        yield Sent(name, change(make()[1]), good, correlation_id)
