"""Dead letters that are anybody's: they hide nobody's, change nobody's redrive status, and cost what is bounded."""

import time
from typing import Final

import pytest

from mesh import topics
from mesh.catalog import load_catalog
from mesh.dead_letters import reader as reading
from mesh.dead_letters.dead_letter import DeadLetter, parse_dead_letter
from mesh.dead_letters.reader import DeadLetterReader
from mesh.dead_letters.redrive_status import OVERTAKEN_MAX, History, RedriveStatus
from mesh.envelope import KafkaRecord

_COMMANDS: Final = load_catalog().commands
_MANY: Final = 5_000
_BOUND_S: Final = 10.0  # of the processor: each against each would take far longer


def _id(number: int) -> str:
    return f"0197a1b2-0000-7000-8000-{number:012d}"


def _record(offset: int, number: int, *, value: bytes = b"value", **dlq: str) -> KafkaRecord:
    headers = [(topics.COMMAND, "UpdateUser"), (topics.CORRELATION_ID, _id(number))]
    added = {
        topics.DLQ_REASON: "HANDLER_FAILED",
        topics.DLQ_PARTITION: "3",
        topics.DLQ_OFFSET: str(offset),
        topics.DLQ_STORE: "POSTGRESQL",
        topics.DLQ_TIME: "1700000000000",
        **{f"dlq.{name}": text for name, text in dlq.items()},
    }
    return KafkaRecord(topics.DEAD_LETTERS, 3, offset, 0, 0, b"7", value, [*headers, *(added.items() if dlq else ())])


def _letter(offset: int, number: int, *, value: bytes = b"value", **dlq: str) -> DeadLetter:
    found = parse_dead_letter(_record(offset, number, value=value, **{"lane": "lane-0", **dlq}))
    assert found is not None
    return found


class _Reader:
    """Reads what it was given."""

    def __init__(self, records: list[KafkaRecord]) -> None:
        self._records = records

    def extents(self, _: str) -> dict[int, object]:
        """Return nothing: all of it is read."""
        return {}

    def read(self, *_: object) -> list[KafkaRecord]:
        """Return the records."""
        return self._records


def _read(*records: KafkaRecord) -> tuple[list[DeadLetter], int]:
    return DeadLetterReader(_Reader([*records]), _COMMANDS).read_dead_letters()  # type: ignore[arg-type]


def test_a_forged_one_hides_nobodys() -> None:
    """However early it says it is. What a lane wrote twice is one."""
    true, forged = _record(5, 1, lane="lane-0"), _record(5, 1, value=b"forged", lane="lane-0", time="1")
    other = _record(5, 2, lane="lane-0", time="1")
    letters, left_out = _read(true, forged, other, true)
    assert [letter.value for letter in letters if letter.correlation_id == _id(1)] == [b"forged", b"value"]
    assert (len(letters), left_out) == (3, 0)


@pytest.mark.parametrize("store", ["postgresql", "MYSQL", "\x1b[2J", "POSTGRESQL "])
def test_one_of_a_store_that_there_is_not_is_nobodys(store: str) -> None:
    """No lane has written it."""
    assert _read(_record(5, 1, store=store)) == ([], 0)


def test_one_that_holds_something_else_is_not_sent() -> None:
    """Not under a good command's name: what is on the topic in its place is not what it holds."""
    true, forged = _letter(5, 1), _letter(5, 1, value=b"forged")
    history = History([true, forged], _COMMANDS)
    history.add(_record(5, 1))
    assert [history.status_of(one) for one in (true, forged)] == [RedriveStatus.WAITING, RedriveStatus.UNCERTAIN]


def test_one_that_names_an_applied_command_keeps_it_from_overtaking_nobody() -> None:
    """The applied one was not given up, whatever others say."""
    true, forged = _letter(5, 1), _letter(9, 2, value=b"forged")
    history = History([true, forged], _COMMANDS)
    for offset, number in ((5, 1), (9, 2)):
        history.add(_record(offset, number))
    assert history.status_of(true) is RedriveStatus.OVERTAKEN


def test_many_of_one_key_are_judged_in_bounded_time() -> None:
    """Each tells of a hundred later commands at the most."""
    letters = [_letter(offset, offset) for offset in range(_MANY)]
    history = History(letters, _COMMANDS)
    began_s = time.process_time()
    for offset in range(2 * _MANY):
        history.add(_record(offset, offset))
    for letter in letters:
        history.status_of(letter)
    assert time.process_time() - began_s < _BOUND_S
    # Each was given up itself: only what came behind them all has overtaken them.
    assert [len(history.overtaken_by(letter)) for letter in (letters[0], letters[-1])] == [OVERTAKEN_MAX] * 2
    assert list(history.overtaken_by(letters[0])) == [_id(_MANY + n) for n in range(OVERTAKEN_MAX)]


def test_large_ones_are_kept_within_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest ones, and how many were left out is told."""
    monkeypatch.setattr(reading, "_BYTES_MAX", 10_000)
    letters, left_out = _read(*(_record(n, n, value=bytes(1000), lane="lane-0") for n in range(100)))
    assert len(letters) + left_out == 100
    assert 5 <= len(letters) < 10
    assert letters[-1].source.offset == 99
