"""Draws records that are none of the platform's, for each of its topics: the same ones for the same seed."""

import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from mesh import topics
from mesh.ids import new_correlation_id
from tests.support.foreign_records import RawRecord

_WEIGHTS: Final = {topics.COMMANDS: 50, topics.RECEIPTS: 30, topics.DEAD_LETTERS: 20}
_RECORD_MAX_BYTES: Final = 990_000  # a little below what brokers take of a batch if they are not told otherwise
_HUGE_SHARE: Final = 0.0005  # of the records
_FORGED_SHARE: Final = 0.05  # of the correlation IDs
_NEWEST: Final = 20  # of the good commands
_DAY_MS: Final = 86_400_000
_NAMES: Final = (
    *(topics.CORRELATION_ID, topics.COMMAND, topics.TRACEPARENT, topics.TRACESTATE, topics.ACCEPT_TIME, topics.SERVICE),
    *(topics.STORE, topics.REDRIVES, topics.FIRST_OFFSET, topics.DLQ_REASON, topics.DLQ_ERROR, topics.DLQ_TOPIC),
    *(topics.DLQ_PARTITION, topics.DLQ_OFFSET, topics.DLQ_LANE, topics.DLQ_STORE, topics.DLQ_TIME, topics.DLQ_OMITTED),
)
_PACKED: Final = zlib.compress(bytes(5_000_000))
_NUMBERS: Final = (b"", b"-1", b"0", b"7", b"1" * 13, b"1" * 16, b"9" * 18, b"9" * 19, b"9" * 20, b"9" * 5000, b"1e3")
_TEXTS: Final = (
    *(b"", b"\0", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", "²³".encode(), b"\x1b[2J\x1b]0;x\x07", b"[/x]", b"%s%n"),
    *("\u202egnp".encode(), b"<script>alert(1)</script>", b"'; DROP TABLE usuarios; --", b"a\r\nb", b"x" * 2000),
)

Change = Callable[[Random, RawRecord], RawRecord]


@dataclass(frozen=True)
class Templates:
    """Good values of the run, which records are made of that are not good."""

    commands: Sequence[tuple[str, bytes]]  # names, and values of such commands
    receipt: bytes
    schema_ids: Sequence[int]  # that the registry has given


@dataclass(frozen=True)
class Case:
    """One record, and the topic and partition that it is for."""

    topic: str
    partition: int
    record: RawRecord


class RecordGenerator:
    """Makes cases out of a seed and their numbers."""

    def __init__(self, seed: int, templates: Templates, good_ids: Sequence[str]) -> None:
        """`good_ids` are correlation IDs of good commands, the newest last, which some records forge.

        Others may add to them meanwhile: which record forges one is the seed's, and whose it is the moment's.
        """
        self._seed = seed
        self._templates = templates
        self._good_ids = good_ids

    def case(self, index: int) -> Case:
        """Return the case of this number."""
        draw = Random(f"{self._seed}/{index}")
        topic = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        record = _SPOILED[topic](self, draw)
        for change in draw.choices(_CHANGES, k=draw.randrange(3)):
            record = change(draw, record)
        if draw.random() < _HUGE_SHARE:
            record = replace(record, value=(record.value or b"\0")[:20] + bytes(_RECORD_MAX_BYTES - _size(record)))
        return Case(topic, draw.randrange(topics.PARTITIONS), record)

    def spoiled_command(self, draw: Random) -> RawRecord:
        """Return a record that no lane can apply: by its value, or by its headers."""
        name, value = draw.choice(self._templates.commands)
        headers = self._headers(draw, name)
        if draw.random() < 0.7:
            return RawRecord(_key(draw), self._spoiled_value(draw, value), headers)
        others = tuple(pair for pair in headers if pair[0] != b"command")
        spoiled = (
            others,
            (*others, (b"command", draw.choice((b"DropTables", b"", b"\xff", b"createuser", b"X" * 50_000)))),
            (*others, (b"command", None)),
            (*headers, (b"command", b"CreateUser")),
            (*headers, (b"correlation_id", new_correlation_id().encode())),
            tuple(pair for pair in headers if pair[0] != b"correlation_id"),
            (*headers, (b"caf\xe9", b"")),
        )
        return RawRecord(_key(draw), value, draw.choice(spoiled))

    def spoiled_receipt(self, draw: Random) -> RawRecord:
        """Return a record that is no receipt, or one of a command that never was."""
        headers = (*self._headers(draw, "DeleteUser"), (b"store", b"POSTGRESQL"))
        good = self._templates.receipt
        value = good if draw.random() < 0.1 else self._spoiled_value(draw, good)
        return RawRecord(_key(draw), value, headers)

    def spoiled_dead_letter(self, draw: Random) -> RawRecord:
        """Return a record that no lane has given up, though some say so."""
        name, value = draw.choice(self._templates.commands)
        headers = self._headers(draw, name)
        if draw.random() < 0.5:
            forged = {
                b"dlq.reason": draw.choice((b"HANDLER_FAILED", *_TEXTS)),
                b"dlq.error": draw.choice(_TEXTS),
                b"dlq.partition": draw.choice((b"1", b"5", b"6", *_NUMBERS)),
                b"dlq.offset": draw.choice((b"3", *_NUMBERS)),
                b"dlq.store": draw.choice((b"POSTGRESQL", b"REDIS", *_TEXTS)),
                b"dlq.time": draw.choice(_NUMBERS),
                b"dlq.lane": draw.choice(_TEXTS),
            }
            headers = (*headers, *((k, v) for k, v in forged.items() if draw.random() < 0.9))
        return RawRecord(_key(draw), value if draw.random() < 0.5 else _bytes(draw), headers)

    def _headers(self, draw: Random, command: str) -> tuple[tuple[bytes, bytes | None], ...]:
        id_ = self._newest(draw.randrange(_NEWEST)) if draw.random() < _FORGED_SHARE else _uuid(draw)
        return (
            (b"correlation_id", id_.encode()),
            (b"command", command.encode()),
            (
                b"accept_time",
                str(draw.choice((1_700_000_000_000, time.time_ns() // 10**6)) - draw.randrange(10**7)).encode(),
            ),
        )

    def _newest(self, number: int) -> str:
        """Return one of the newest good commands' IDs: it may not be applied yet."""
        return self._good_ids[-1 - number % min(len(self._good_ids), _NEWEST)]

    def _spoiled_value(self, draw: Random, good: bytes) -> bytes | None:
        """Return a value that is none of its type."""
        schema_id = draw.choice((*self._templates.schema_ids, 1, 2**31 - 1, 2**31, 2**32 - 1, draw.getrandbits(32)))
        prefix = b"\0" + schema_id.to_bytes(4, "big")
        return draw.choice(
            (
                None,
                b"",
                good[: draw.randrange(len(good))],  # truncated: each byte of an Avro record is needed
                _bytes(draw),
                prefix + _bytes(draw) + b"\xff" * 12,
                good[:5] + b"\xfe" + b"\xff" * 8 + b"\x01" + _bytes(draw),  # a length of 2⁶³
                good[:5] + b"\xff" * 40,
                b"\x01" + good[1:],
                b"\0" + (2**31 + schema_id % 2**31).to_bytes(4, "big") + good[5:],
                good[1:],
                b'{"user_id": 5}',
                _PACKED,
            )
        )


def _uuid(draw: Random) -> str:
    """Return a correlation ID that the seed gives, with its version and variant."""
    text = f"{draw.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _bytes(draw: Random) -> bytes:
    return draw.randbytes(int(draw.paretovariate(0.7)) % 3000)


def _key(draw: Random) -> bytes | None:
    return draw.choice((None, b"", b"7", b"0", b"-7", b"9" * 19, b"9" * 5000, "²".encode(), b"\xff\xfe", _bytes(draw)))


def _with_time(draw: Random, record: RawRecord) -> RawRecord:
    now_ms = time.time_ns() // 1_000_000
    times = (
        1,
        -5,
        now_ms - 2 * _DAY_MS,
        now_ms - 400 * _DAY_MS,
        now_ms + 1000,
        now_ms * 1000,
        now_ms * 10**6,
        2**63 - 1,
    )
    return replace(record, timestamp_ms=draw.choice(times))


def _with_header(draw: Random, record: RawRecord) -> RawRecord:
    """Add a header behind the others: the first of its name counts."""
    name = draw.choice(_NAMES).encode()
    if name in {b"command", b"correlation_id"} and any(pair[0] == name for pair in record.headers):
        name = b"x-" + name
    struct_number = struct.pack(">q", draw.getrandbits(62))
    value = draw.choice((None, struct_number, *_NUMBERS, *_TEXTS, b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"))
    return replace(record, headers=(*record.headers, (name, value)))


def _with_odd_header(draw: Random, record: RawRecord) -> RawRecord:
    name = draw.choice((b"", b"caf\xe9", b"\xff" * 20, b"a\0b", b"n" * 20_000, "ação".encode(), b"\x1b[2J"))
    return replace(record, headers=(*record.headers, (name, draw.choice((None, *_TEXTS)))))


def _with_many_headers(draw: Random, record: RawRecord) -> RawRecord:
    count = draw.choice((10, 100, 1000))
    return replace(record, headers=(*record.headers, *((f"h{n}".encode(), b"") for n in range(count))))


def _with_key(draw: Random, record: RawRecord) -> RawRecord:
    return replace(record, key=_key(draw))


def _size(record: RawRecord) -> int:
    headers = sum(len(name) + len(value or b"") + 10 for name, value in record.headers)
    return len(record.key or b"") + headers + 100


_SPOILED: Final = {
    topics.COMMANDS: RecordGenerator.spoiled_command,
    topics.RECEIPTS: RecordGenerator.spoiled_receipt,
    topics.DEAD_LETTERS: RecordGenerator.spoiled_dead_letter,
}
_CHANGES: Final[Sequence[Change]] = (
    *(_with_time, _with_header, _with_header, _with_header, _with_odd_header, _with_many_headers, _with_key),
)
