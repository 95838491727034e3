"""Dead letters: how they are read, and how they stand by what came on `user_events` behind them."""

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from polystream.v1.events_pb2 import CommandReceipt
from rich.console import Console

from cli.dead_letters import show_dead_letter, show_dead_letters, show_plan
from mesh import topics
from mesh.catalog import load_catalog
from mesh.dead_letters.dead_letter import DeadLetter, RecordPosition, parse_dead_letter
from mesh.dead_letters.redrive_status import REDRIVES_MAX, History, RedriveStatus, extents_from
from mesh.envelope import KafkaRecord, RedriveAction
from mesh.topic_reader import Extent
from processor.dead_letters.listed import ListedDeadLetter, ParkingStatus, combine
from processor.integrity.parked import Parked, ParkedKey
from processor.model import ParkedRecord

COMMANDS = load_catalog().commands
KEY = b"7"
NUMBER = 3  # of the partition

Headers = Sequence[tuple[str, str]]


def id_of(char: str) -> str:
    """Return the correlation ID that these tests name by one character."""
    return f"0197a1b2-0000-7000-8000-{ord(char):012d}"


def command(name: str, char: str, *, redrives: int = 0, first: int = 0) -> Headers:
    """Return the headers of a command, sent again so often from where it was at first."""
    again = [(topics.REDRIVES, str(redrives)), (topics.FIRST_OFFSET, str(first))] if redrives else []
    return [(topics.COMMAND, name), (topics.CORRELATION_ID, id_of(char)), *again]


def record(offset: int, headers: Headers, *, key: bytes = KEY, partition: int = NUMBER) -> KafkaRecord:
    """Return a record with these headers."""
    return KafkaRecord("any", partition, offset, 0, 0, key, b"value", headers)


def dead_letter(
    offset: int, headers: Headers, *, position: int = 0, store: str = "POSTGRESQL", **extra: str
) -> DeadLetter:
    """Return the dead letter of a command that was given up at an offset of `user_events`."""
    added = {
        topics.DLQ_REASON: "HANDLER_FAILED",
        topics.DLQ_ERROR: "it failed",
        topics.DLQ_PARTITION: str(NUMBER),
        topics.DLQ_OFFSET: str(offset),
        topics.DLQ_STORE: store,
        topics.DLQ_LANE: f"lane-{store.lower()}-0",
        topics.DLQ_TIME: "1700000000000",
        **{f"dlq.{name}": value for name, value in extra.items()},
    }
    found = parse_dead_letter(record(position, [*headers, *added.items()]))
    assert found is not None
    return found


def statuses(dead_letters: Sequence[DeadLetter], records: dict[int, Headers], key: bytes = KEY) -> list[RedriveStatus]:
    """Return how dead letters stand when these records are on the topic, by their offsets."""
    history = History(dead_letters, COMMANDS)
    for offset, headers in records.items():
        history.add(record(offset, headers, key=key))
    return [history.status_of(one) for one in dead_letters]


UPDATE = command("UpdateUser", "a")
PAYMENT = command("CreatePayment", "a")


def test_a_dead_letter_is_read_with_its_own_headers_apart() -> None:
    """What the lane added is told, and is not sent again."""
    read = dead_letter(5, command("UpdateUser", "a", redrives=2, first=1), position=9)
    assert (str(read.position), str(read.source), str(read.first)) == ("3:9", "3:5", "3:1")
    assert (read.correlation_id, read.command, read.store, read.redrives) == (id_of("a"), "UpdateUser", "POSTGRESQL", 2)
    assert [name for name, _ in read.headers] == [name for name, _ in command("", "a", redrives=1)]


@pytest.mark.parametrize("headers", [[], [(topics.DLQ_PARTITION, "x")], UPDATE])
def test_what_no_lane_has_written_is_no_dead_letter(headers: Headers) -> None:
    """Whatever else is on the topic is passed over."""
    assert parse_dead_letter(record(0, headers)) is None


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "a:1", "1:-2", "1:2:3", "²:1"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    """A position is PARTITION:OFFSET."""
    with pytest.raises(ValueError, match="PARTITION:OFFSET"):
        RecordPosition.parse(text)
    assert RecordPosition.parse("5:17") == RecordPosition(5, 17)


def test_one_that_nothing_came_behind_waits() -> None:
    """It may be sent again."""
    assert statuses([dead_letter(1, UPDATE)], {0: command("UpdateUser", "x"), 1: UPDATE}) == [RedriveStatus.WAITING]


def test_one_that_was_sent_again_is_not_sent_twice() -> None:
    """Whether it was applied then or given up once more: the new dead letter is the one that waits."""
    again = command("UpdateUser", "a", redrives=1, first=1)
    old, new = dead_letter(1, UPDATE), dead_letter(2, again, position=1)
    assert statuses([old], {1: UPDATE, 2: again}) == [RedriveStatus.REDRIVEN]
    assert statuses([old, new], {1: UPDATE, 2: again}) == [RedriveStatus.REDRIVEN, RedriveStatus.WAITING]


def test_the_same_record_twice_is_no_redrive() -> None:
    """A producer that got no answer sends a record again, and the lane gives both up."""
    assert statuses([dead_letter(1, UPDATE), dead_letter(2, UPDATE, position=1)], {1: UPDATE, 2: UPDATE}) == [
        RedriveStatus.WAITING,
        RedriveStatus.WAITING,
    ]


@pytest.mark.parametrize(
    ("early", "late", "expected"),
    [
        ("UpdateUser", "UpdateUser", RedriveStatus.OVERTAKEN),
        ("UpdateUser", "CreatePayment", RedriveStatus.OVERTAKEN),
        ("CreatePayment", "CancelPayment", RedriveStatus.OVERTAKEN),
        ("CreatePayment", "CreatePayment", RedriveStatus.WAITING),  # neither changes what the other made
        ("UpdateUser", "RecordView", RedriveStatus.WAITING),  # in another store
        ("UpdateUser", "NoSuchCommand", RedriveStatus.OVERTAKEN),  # nobody knows
        ("NoSuchCommand", "UpdateUser", RedriveStatus.OVERTAKEN),
    ],
)
def test_later_commands_of_the_same_key_and_store_overtake(early: str, late: str, expected: RedriveStatus) -> None:
    """Unless both only create something."""
    given_up = command(early, "a")
    assert statuses([dead_letter(1, given_up)], {1: given_up, 2: command(late, "b")}) == [expected]


def test_other_keys_overtake_nobody() -> None:
    """Order is kept by key."""
    history = History([dead_letter(1, UPDATE)], COMMANDS)
    history.add(record(1, UPDATE))
    history.add(record(2, command("UpdateUser", "b"), key=b"8"))
    history.add(record(3, command("UpdateUser", "c"), partition=NUMBER + 1))
    assert history.status_of(dead_letter(1, UPDATE)) is RedriveStatus.WAITING


def test_what_was_given_up_too_has_overtaken_nobody() -> None:
    """Nor does it when it is sent again after an earlier one that was: what counts is where each was at first."""
    first, second = command("UpdateUser", "a"), command("UpdateUser", "b")
    both = [dead_letter(1, first), dead_letter(2, second, position=1)]
    assert statuses(both, {1: first, 2: second}) == [RedriveStatus.WAITING, RedriveStatus.WAITING]
    again = command("UpdateUser", "a", redrives=1, first=1)
    records = {1: first, 2: second, 3: again}
    assert statuses(both, records) == [RedriveStatus.REDRIVEN, RedriveStatus.WAITING]
    # Given up again, it stands behind the second one on the topic, and is before it all the same.
    thrice = [*both, dead_letter(3, again, position=2)]
    assert statuses(thrice, records) == [RedriveStatus.REDRIVEN, RedriveStatus.WAITING, RedriveStatus.WAITING]
    applied = records | {4: command("UpdateUser", "b", redrives=1, first=2)}
    assert statuses(thrice, applied) == [
        RedriveStatus.REDRIVEN,
        RedriveStatus.REDRIVEN,
        RedriveStatus.OVERTAKEN,
    ]


def test_a_command_of_three_stores_overtakes_where_it_was_applied() -> None:
    """One lane gave it up, another one did not."""
    deletion = command("DeleteUser", "b")
    update, view = dead_letter(1, UPDATE), dead_letter(2, command("RecordView", "c"), store="MONGODB", position=1)
    redis_part = dead_letter(3, deletion, store="REDIS", position=2)
    records = {1: UPDATE, 2: command("RecordView", "c"), 3: deletion}
    assert statuses([update, view, redis_part], records) == [
        RedriveStatus.OVERTAKEN,
        RedriveStatus.OVERTAKEN,
        RedriveStatus.WAITING,
    ]
    everywhere = [dead_letter(3, deletion, store=store, position=2) for store in COMMANDS["DeleteUser"].stores]
    assert statuses([update, view, *everywhere], records)[:2] == [RedriveStatus.WAITING, RedriveStatus.WAITING]


def test_one_whose_record_has_left_the_topic_is_uncertain() -> None:
    """It may have been sent again, or overtaken; another record may stand in its position."""
    assert statuses([dead_letter(1, UPDATE)], {}) == [RedriveStatus.UNCERTAIN]
    assert statuses([dead_letter(1, UPDATE)], {1: command("UpdateUser", "z")}) == [RedriveStatus.UNCERTAIN]
    again = command("UpdateUser", "a", redrives=1, first=1)
    assert statuses([dead_letter(2, again)], {2: again}) == [RedriveStatus.UNCERTAIN]


def test_a_record_of_two_commands_has_overtaken_nobody() -> None:
    """Its headers name two correlation IDs: no lane has applied it, and it is never sent again."""
    doubled = [*command("UpdateUser", "b"), (topics.CORRELATION_ID, id_of("c"))]
    assert statuses([dead_letter(1, UPDATE)], {1: UPDATE, 2: doubled}) == [RedriveStatus.WAITING]
    assert statuses([dead_letter(1, doubled)], {1: doubled}) == [RedriveStatus.FOREIGN]


def test_there_is_an_end_to_sending_again() -> None:
    """After so many times somebody has to insist."""
    again = command("UpdateUser", "a", redrives=REDRIVES_MAX, first=1)
    assert statuses([dead_letter(2, again)], {1: UPDATE, 2: again}) == [RedriveStatus.EXHAUSTED]


def test_one_that_nobody_waits_for_is_never_sent() -> None:
    """It has no correlation ID, or is not there to be sent."""
    nameless = dead_letter(1, [(topics.COMMAND, "UpdateUser")])
    too_large = dead_letter(2, UPDATE, omitted_bytes="2000000")
    assert statuses([nameless, too_large], {1: [], 2: UPDATE}) == [RedriveStatus.FOREIGN, RedriveStatus.FOREIGN]
    assert not RedriveStatus.FOREIGN.can_be_forced
    assert not RedriveStatus.REDRIVEN.can_be_forced


def test_no_more_is_read_than_it_takes() -> None:
    """Of each partition, from the first record that was given up; a topic that was made anew may be shorter."""
    dead_letters = [dead_letter(40, command("UpdateUser", "a", redrives=1, first=30)), dead_letter(35, UPDATE)]
    assert extents_from(dead_letters, {NUMBER: Extent(0, 50), 0: Extent(0, 9)}) == {NUMBER: Extent(30, 50)}
    assert extents_from(dead_letters, {NUMBER: Extent(33, 50)}) == {NUMBER: Extent(33, 50)}
    assert extents_from(dead_letters, {NUMBER: Extent(0, 5)}) == {NUMBER: Extent(4, 5)}
    assert extents_from(dead_letters, {}) == {}


@pytest.mark.parametrize("status", list(ParkingStatus))
def test_every_standing_is_explained_and_no_text_is_taken_for_markup(status: ParkingStatus) -> None:
    """With what to do about it, and the dead letter's name."""
    found = replace(dead_letter(1, command("red", "a")), command="[red]")
    entry = ListedDeadLetter(found, status, found.position, ["[/b]"])
    output = io.StringIO()
    console = Console(file=output, width=250)
    show_dead_letters([entry], 3, {"REDIS": "[/i]"}, console)
    show_dead_letter(entry, {"name": "[bold]"}, console)
    show_plan([entry], [entry], {}, RedriveAction.REDRIVE, console)
    told = output.getvalue()
    for expected in (
        "3:0",
        status.value,
        "[red]",
        "[bold]",
        "3 older records",
        "would redrive 1",
        "left as it is: 3:0",
        "goes on: [/b]",
        "REDIS does not say what it has parked ([/i])",
    ):
        assert expected in told
    remedies = ("dlq redrive", "explain", "see who produced it", "start it")
    assert any(remedy in told for remedy in remedies)


def test_what_the_stores_have_parked_stands_beside_what_is_on_the_topic() -> None:
    """A letter is parked where its store says so; what left the topic is listed all the same."""
    on_topic = [
        dead_letter(offset, command("UpdateUser", char), position=offset) for offset, char in ((1, "a"), (2, "b"))
    ]
    foreign = replace(dead_letter(3, command("UpdateUser", "c"), position=3), reason="UNDECODABLE")
    silent = dead_letter(4, command("CacheContent", "d"), position=4, store="REDIS")
    parked = [
        ParkedKey("POSTGRESQL", parked_record(2, "b", given_up=True), [parked_record(5, "e"), parked_record(6, "f")]),
        ParkedKey("MONGODB", parked_record(7, "g", given_up=True), []),
        ParkedKey("MONGODB", parked_record(8, "h"), []),
    ]
    entries = combine([*on_topic, foreign, silent], Parked(parked, {"REDIS": "it is down"}))
    assert {(entry.dead_letter.correlation_id, entry.status) for entry in entries} == {
        (id_of("a"), ParkingStatus.SETTLED),
        (id_of("b"), ParkingStatus.PARKED),
        (id_of("c"), ParkingStatus.FOREIGN),
        (id_of("d"), ParkingStatus.UNKNOWN),
        (id_of("g"), ParkingStatus.PARKED),
        (id_of("h"), ParkingStatus.PARKED),
    }
    of_b = next(entry for entry in entries if entry.is_called(id_of("b")))
    assert list(of_b.waiting) == [id_of("e"), id_of("f")]
    assert of_b.is_called(f"{NUMBER}:2")
    assert of_b.user_id == int(KEY)


def parked_record(offset: int, char: str, *, given_up: bool = False) -> ParkedRecord:
    """Return what a store has parked."""
    receipt = CommandReceipt(correlation_id=id_of(char), dead_lettered=True) if given_up else None
    return ParkedRecord(
        f"t:{NUMBER}:{offset}", KEY, record(offset, command("UpdateUser", char)), id_of(char), "UpdateUser", receipt
    )
