"""What is compared of the commands on `user_events`, and what counts as lost."""

import io
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from polystream.v1.events_pb2 import CommandReceipt
from rich.console import Console

from cli.integrity_report import describe_drift, show_drift, show_repair
from mesh import topics
from mesh.catalog import load_catalog
from mesh.dead_letters.dead_letter import DeadLetter
from mesh.dead_letters.reader import DeadLetterEntry, DeadLetterReader
from mesh.dead_letters.redrive import RedriveOutcome, RedriveResult
from mesh.dead_letters.redrive_status import RedriveStatus
from mesh.envelope import KafkaRecord
from mesh.topic_reader import Extent
from processor.integrity.inspection import Drift, Repair
from processor.integrity.lost import Findings, LostCommandSearch, find_lost
from processor.integrity.orphans import LanesBehindError, Orphans, wait_for_lanes

STORES = ("POSTGRESQL", "MONGODB", "REDIS")
POSITIONS = {"POSTGRESQL": {0: 5}, "MONGODB": {0: 5}, "REDIS": {0: 3}}
OLDEST_MS = 1_000


class _Memory:
    """A store that remembers these commands, and no more."""

    def __init__(self, name: str, known: set[str]) -> None:
        self.name = name
        self.asked: list[str] = []
        self._known = known
        self.since_ms = 0

    def applied(self, correlation_ids: Sequence[str]) -> set[str]:
        self.asked += correlation_ids
        return self._known.intersection(correlation_ids)

    def remembers_since_ms(self) -> int:
        return self.since_ms

    def close(self) -> None:
        """There is nothing to close."""


def command_id(number: int) -> str:
    """Return a correlation ID."""
    return f"0197a1b2-0000-7000-8000-{number:012d}"


def record(
    offset: int, command: str, *, accept_ms: int = 5_000, redrives: int = 0, correlation_id: str = ""
) -> KafkaRecord:
    """Return a record of partition 0, whose command has the offset's number."""
    headers = [
        (topics.COMMAND, command),
        (topics.CORRELATION_ID, correlation_id or command_id(offset)),
        (topics.ACCEPT_TIME, str(accept_ms)),
        *([(topics.REDRIVES, str(redrives))] if redrives else []),
    ]
    return KafkaRecord(topics.COMMANDS, 0, offset, 9_000, 0, b"7", b"v", headers)


def search(
    records: Sequence[KafkaRecord], known: Sequence[int] = (), dead_letters: Sequence[DeadLetter] = ()
) -> tuple[list[tuple[str, str]], int]:
    """Return the store and the correlation ID of each lost part, and how many parts were compared."""
    inspectors = [_Memory(store, {command_id(number) for number in known}) for store in STORES]
    looking = LostCommandSearch(load_catalog().commands, POSITIONS, inspectors, dead_letters, oldest_ms=OLDEST_MS)
    for one in records:
        looking.add(one)
    looking.finish()
    return [(part.store, part.correlation_id) for part in looking.lost], looking.compared


def lost_part(offset: int = 0) -> DeadLetter:
    """Return a part of a command that PostgreSQL has lost."""
    inspectors = [_Memory(store, set()) for store in STORES]
    looking = LostCommandSearch(load_catalog().commands, POSITIONS, inspectors, [], oldest_ms=OLDEST_MS)
    looking.add(record(offset, "CreatePayment"))
    looking.finish()
    return looking.lost[0]


def test_each_named_store_is_asked_once_for_each_of_its_commands() -> None:
    """What it knows is not lost."""
    records = [record(0, "CreatePayment"), record(1, "RecordView"), record(2, "DeleteUser")]
    assert search(records, known=[0, 1, 2]) == ([], 5)
    lost = [("POSTGRESQL", command_id(2)), ("MONGODB", command_id(2)), ("REDIS", command_id(2))]
    assert search(records, known=[0, 1]) == (lost, 5)


def test_what_a_lane_has_yet_to_apply_is_not_lost() -> None:
    """Its store is asked only for what is below its lane's position."""
    assert search([record(3, "DeleteUser")]) == ([("POSTGRESQL", command_id(3)), ("MONGODB", command_id(3))], 2)
    assert search([record(5, "DeleteUser")]) == ([], 0)


def test_what_was_given_up_is_not_lost() -> None:
    """By the store that gave it up: another one may have lost it."""
    given_up = lost_part(1)
    assert search([record(1, "CreatePayment")], dead_letters=[given_up]) == ([], 0)
    assert len(search([record(1, "RecordView")], dead_letters=[given_up])[0]) == 1


@pytest.mark.parametrize(
    "one",
    [
        record(0, "NoSuchCommand"),
        record(0, "CreatePayment", correlation_id="no ID"),
        record(0, "CreatePayment", accept_ms=OLDEST_MS - 1),
        record(0, "CreatePayment", accept_ms=OLDEST_MS - 1, redrives=1),  # it was sent again not long ago
    ],
)
def test_what_the_stores_need_not_remember_is_not_compared(one: KafkaRecord) -> None:
    """It was never applied, or is too old."""
    assert search([one]) == ([], 0)


def test_a_store_whose_marks_gave_way_is_asked_for_younger_commands_alone() -> None:
    """What it can have forgotten is not called lost; the other stores are asked all the same."""
    memories = [_Memory(store, set()) for store in STORES]
    memories[-1].since_ms = 6_000
    looking = LostCommandSearch(load_catalog().commands, POSITIONS, memories, [], oldest_ms=OLDEST_MS)
    looking.add(record(0, "DeleteUser", accept_ms=6_000))
    looking.add(record(1, "DeleteUser", accept_ms=6_001))
    looking.finish()
    lost = [(part.store, part.correlation_id) for part in looking.lost]
    assert len(lost) == 5
    assert (STORES[-1], command_id(0)) not in lost


def test_many_are_asked_for_in_bounded_batches() -> None:
    """Nothing is left out at the end."""
    memory = _Memory("POSTGRESQL", set())
    positions = {**POSITIONS, "POSTGRESQL": {0: 10_000}}
    looking = LostCommandSearch(
        load_catalog().commands, positions, [memory, _Memory("MONGODB", set())], [], oldest_ms=OLDEST_MS
    )
    for offset in range(2_500):
        looking.add(record(offset, "CreatePayment"))
    looking.finish()
    assert len(memory.asked) == len(set(memory.asked)) == len(looking.lost) == 2_500


@dataclass
class _Topics:
    """The topics, as a reader gives them."""

    records: Sequence[KafkaRecord]
    partitions: int = 1

    def extents(self, topic: str) -> dict[int, Extent]:
        """Return what there is: all of it is in the first partition."""
        if topic != topics.COMMANDS:
            return {}
        return {p: Extent(0, 0 if p else len(self.records)) for p in range(self.partitions)}

    def read(self, topic: str, _stretches: Any) -> Iterator[KafkaRecord]:
        """Give all of it."""
        return iter(self.records if topic == topics.COMMANDS else ())


def test_a_command_whose_row_is_there_is_not_lost() -> None:
    """Only its mark is. Where nobody tells, and it would add another row, it is sent only if somebody insists."""
    records = [
        record(0, "CreatePayment"),  # its row is there
        record(1, "CreatePayment"),  # it is not
        record(2, "CreateSubscription"),  # no receipt says which one it is
        record(3, "CreateUser"),  # applied again it would be refused
        record(4, "CancelPayment"),
    ]
    reader: Any = _Topics(records)
    commands = load_catalog().commands
    asked: list[str] = []
    receipts = {command_id(number): CommandReceipt(correlation_id=command_id(number)) for number in (0, 1)}

    def read_successes(correlation_ids: Collection[str]) -> dict[str, CommandReceipt]:
        asked.extend(sorted(correlation_ids))
        return receipts

    found = find_lost(
        reader,
        DeadLetterReader(reader, commands),
        commands,
        POSITIONS,
        [_Memory(store, set()) for store in STORES],
        memory_s=time.time() + 10_000,
        read_successes=read_successes,
        has_row=lambda receipt: receipt.correlation_id == command_id(0),
    )
    assert asked == [command_id(number) for number in (0, 1, 2)]
    assert [receipt.correlation_id for receipt in found.unmarked] == [command_id(0)]
    told = {entry.dead_letter.correlation_id: entry.redrive_status for entry in found.lost}
    assert told.keys() == {command_id(number) for number in (1, 2, 3, 4)}
    # All have one key here: those that later ones came after would be overtaken anyhow.
    assert told[command_id(2)] is not RedriveStatus.WAITING
    assert not Drift(Findings(5, [], is_whole=True, unmarked=found.unmarked), []).is_sound


@pytest.mark.parametrize(("receipts", "status"), [({}, RedriveStatus.UNCERTAIN), (None, RedriveStatus.WAITING)])
def test_what_would_add_a_row_is_sent_only_where_it_is_known_to_be_gone(
    receipts: dict[str, CommandReceipt] | None, status: RedriveStatus
) -> None:
    """A receipt says which row it was, and the row is not there: then it is lost."""
    reader: Any = _Topics([record(0, "CreatePayment")])
    commands = load_catalog().commands
    known = {command_id(0): CommandReceipt(correlation_id=command_id(0))} if receipts is None else receipts
    (entry,) = find_lost(
        reader,
        DeadLetterReader(reader, commands),
        commands,
        POSITIONS,
        [_Memory(store, set()) for store in STORES],
        memory_s=time.time() + 10_000,
        read_successes=lambda _: known,
        has_row=lambda _: False,
    ).lost
    assert entry.redrive_status is status


@pytest.mark.parametrize("partitions", range(1, 13))
def test_what_came_before_the_topic_grew_is_sent_only_if_somebody_insists(partitions: int) -> None:
    """Later commands of the key may be in the partition that it has now: order cannot be told from two of them."""
    reader: Any = _Topics([record(0, "UpdateUser")], partitions)
    commands = load_catalog().commands
    (entry,) = find_lost(
        reader,
        DeadLetterReader(reader, commands),
        commands,
        POSITIONS,
        [_Memory(store, set()) for store in STORES],
        memory_s=time.time() + 10_000,
        read_successes=lambda _: {},
        has_row=lambda _: False,
    ).lost
    is_still_there = topics.partition_of(b"7", partitions) == 0
    assert entry.redrive_status is (RedriveStatus.WAITING if is_still_there else RedriveStatus.UNCERTAIN)
    assert entry.redrive_status.can_be_forced is not is_still_there


def test_lanes_are_waited_for() -> None:
    """Until each has passed every partition's end."""
    looks: Iterator[dict[str, dict[int, int]]] = iter(
        [{"REDIS": {0: 3}, "MONGODB": {0: 4}}, {"REDIS": {}, "MONGODB": {0: 4}}, {"REDIS": {0: 9}, "MONGODB": {0: 4}}]
    )
    wait_for_lanes({0: 4, 1: 0}, lambda: next(looks))
    assert list(looks) == []


def test_a_lane_that_stays_behind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its store's name: its commands may explain what looks wrong."""
    monkeypatch.setattr("processor.integrity.orphans._LANES_WAIT_MAX_S", 0.0)
    with pytest.raises(LanesBehindError, match=r"^REDIS: "):
        wait_for_lanes({0: 4}, lambda: {"REDIS": {0: 3}, "MONGODB": {0: 4}})


@pytest.mark.parametrize("redrive_status", [RedriveStatus.WAITING, RedriveStatus.OVERTAKEN])
def test_what_was_found_and_done_is_told(redrive_status: RedriveStatus) -> None:
    """With what to do about it, and no more lines than somebody reads."""
    part = lost_part()
    entries = [DeadLetterEntry(part, redrive_status, ["x"])] * 30
    orphans = [Orphans("MONGODB", list(range(100, 130)))]
    output = io.StringIO()
    console = Console(file=output, width=250)
    unmarked = [CommandReceipt(correlation_id=command_id(1), store="POSTGRESQL")]
    show_drift(Drift(Findings(77, entries, is_whole=False, unmarked=unmarked), orphans), console)
    redriven = [RedriveResult(part, RedriveOutcome.REFUSED, "no")]
    show_repair(Repair(redriven, entries, 4, orphans, is_whole=False, marked=3), console)
    told = output.getvalue()
    for expected in (
        "compared 77",
        "lost: 30 commands, and there are more",
        "without the mark of having been applied, though their effect is there: 1 command",
        "put the mark of having been applied back for 3 commands",
        "and 10 more",
        "what is left of 30 users",
        "--erase-orphans",
        "sent 1 command again: 1 refused",
        "erased what was left of 4 users",
        "dlq list" if redrive_status is RedriveStatus.WAITING else "--force",
    ):
        assert expected in told
    output.truncate(0)
    show_drift(Drift(Findings(77, [], is_whole=True), []), console)
    assert "nothing is lost" in output.getvalue()


def test_nothing_to_compare_with_is_no_success() -> None:
    """Without a command that both Kafka and a store know, nobody can say that a store has lost none."""
    drift, output = Drift(Findings(0, [], is_whole=True), []), io.StringIO()
    assert not drift.is_sound
    show_drift(drift, Console(file=output, width=250))
    assert output.getvalue().startswith("nothing to compare with: user_events has no command")
    assert "nothing is lost" not in output.getvalue()
    assert describe_drift(drift)["problem"] in output.getvalue()
