"""Dead letters: how they are read, and how they stand by what came on `user_events` behind them."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from cli.dead_letters import show_case, show_cases, show_plan
from mesh import topics
from mesh.catalog import load_catalog
from mesh.dead_letters.dead_letter import Letter, Place, read_letter
from mesh.dead_letters.reader import Case
from mesh.dead_letters.redrive_status import REDRIVES_MAX, History, Standing, stretches_from
from mesh.topic_reader import Extent

COMMANDS = load_catalog().commands
KEY = b"7"
NUMBER = 3  # of the partition

Headers = Sequence[tuple[str, str]]


def command(name: str, correlation_id: str, *, redrives: int = 0, first: int = 0) -> Headers:
    """Return the headers of a command, sent again so often from where it was at first."""
    again = [(topics.REDRIVES, str(redrives)), (topics.FIRST_OFFSET, str(first))] if redrives else []
    return [(topics.COMMAND, name), (topics.CORRELATION_ID, correlation_id), *again]


def letter(offset: int, headers: Headers, *, place: int = 0, store: str = "POSTGRESQL", **extra: str) -> Letter:
    """Return the letter of a command that was given up at an offset of `user_events`."""
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
    found = read_letter(Place(NUMBER, place), KEY, b"value", [*headers, *added.items()])
    assert found is not None
    return found


def standings(letters: Sequence[Letter], records: dict[int, Headers], key: bytes = KEY) -> list[Standing]:
    """Return how letters stand when these records are on the topic, by their offsets."""
    history = History(letters, COMMANDS)
    for offset, headers in records.items():
        history.add(Place(NUMBER, offset), key, headers)
    return [history.standing(one) for one in letters]


UPDATE = command("UpdateUser", "a")
PAYMENT = command("CreatePayment", "a")


def test_a_letter_is_read_with_its_own_headers_apart() -> None:
    """What the lane added is told, and is not sent again."""
    read = letter(5, command("UpdateUser", "a", redrives=2, first=1), place=9)
    assert (str(read.place), str(read.source), str(read.first)) == ("3:9", "3:5", "3:1")
    assert (read.correlation_id, read.command, read.store, read.redrives) == ("a", "UpdateUser", "POSTGRESQL", 2)
    assert [name for name, _ in read.headers] == [name for name, _ in command("", "", redrives=1)]


@pytest.mark.parametrize("headers", [[], [(topics.DLQ_PARTITION, "x")], UPDATE])
def test_what_no_lane_has_written_is_no_letter(headers: Headers) -> None:
    """Whatever else is on the topic is passed over."""
    assert read_letter(Place(0, 0), None, None, headers) is None


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "a:1", "1:-2", "1:2:3", "²:1"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    """A place is PARTITION:OFFSET."""
    with pytest.raises(ValueError, match="PARTITION:OFFSET"):
        Place.parse(text)
    assert Place.parse("5:17") == Place(5, 17)


def test_one_that_nothing_came_behind_waits() -> None:
    """It may be sent again."""
    assert standings([letter(1, UPDATE)], {0: command("UpdateUser", "x"), 1: UPDATE}) == [Standing.WAITING]


def test_one_that_was_sent_again_is_not_sent_twice() -> None:
    """Whether it was applied then or given up once more: the new letter is the one that waits."""
    again = command("UpdateUser", "a", redrives=1, first=1)
    old, new = letter(1, UPDATE), letter(2, again, place=1)
    assert standings([old], {1: UPDATE, 2: again}) == [Standing.REDRIVEN]
    assert standings([old, new], {1: UPDATE, 2: again}) == [Standing.REDRIVEN, Standing.WAITING]


def test_the_same_record_twice_is_no_redrive() -> None:
    """A producer that got no answer sends a record again, and the lane gives both up."""
    assert standings([letter(1, UPDATE), letter(2, UPDATE, place=1)], {1: UPDATE, 2: UPDATE}) == [
        Standing.WAITING,
        Standing.WAITING,
    ]


@pytest.mark.parametrize(
    ("early", "late", "expected"),
    [
        ("UpdateUser", "UpdateUser", Standing.OVERTAKEN),
        ("UpdateUser", "CreatePayment", Standing.OVERTAKEN),
        ("CreatePayment", "CancelPayment", Standing.OVERTAKEN),
        ("CreatePayment", "CreatePayment", Standing.WAITING),  # neither changes what the other made
        ("UpdateUser", "RecordView", Standing.WAITING),  # in another store
        ("UpdateUser", "NoSuchCommand", Standing.OVERTAKEN),  # nobody knows
        ("NoSuchCommand", "UpdateUser", Standing.OVERTAKEN),
    ],
)
def test_later_commands_of_the_same_key_and_store_overtake(early: str, late: str, expected: Standing) -> None:
    """Unless both only create something."""
    given_up = command(early, "a")
    assert standings([letter(1, given_up)], {1: given_up, 2: command(late, "b")}) == [expected]


def test_other_keys_overtake_nobody() -> None:
    """Order is kept by key."""
    history = History([letter(1, UPDATE)], COMMANDS)
    history.add(Place(NUMBER, 1), KEY, UPDATE)
    history.add(Place(NUMBER, 2), b"8", command("UpdateUser", "b"))
    history.add(Place(NUMBER + 1, 3), KEY, command("UpdateUser", "c"))
    assert history.standing(letter(1, UPDATE)) is Standing.WAITING


def test_what_was_given_up_too_has_overtaken_nobody() -> None:
    """Nor does it when it is sent again after an earlier one that was: what counts is where each was at first."""
    first, second = command("UpdateUser", "a"), command("UpdateUser", "b")
    both = [letter(1, first), letter(2, second, place=1)]
    assert standings(both, {1: first, 2: second}) == [Standing.WAITING, Standing.WAITING]
    again = command("UpdateUser", "a", redrives=1, first=1)
    records = {1: first, 2: second, 3: again}
    assert standings(both, records) == [Standing.REDRIVEN, Standing.WAITING]
    # Given up again, it stands behind the second one on the topic, and is before it all the same.
    thrice = [*both, letter(3, again, place=2)]
    assert standings(thrice, records) == [Standing.REDRIVEN, Standing.WAITING, Standing.WAITING]
    applied = records | {4: command("UpdateUser", "b", redrives=1, first=2)}
    assert standings(thrice, applied) == [Standing.REDRIVEN, Standing.REDRIVEN, Standing.OVERTAKEN]


def test_a_command_of_three_stores_overtakes_where_it_was_applied() -> None:
    """One lane gave it up, another one did not."""
    deletion = command("DeleteUser", "b")
    update, view = letter(1, UPDATE), letter(2, command("RecordView", "c"), store="MONGODB", place=1)
    redis_part = letter(3, deletion, store="REDIS", place=2)
    records = {1: UPDATE, 2: command("RecordView", "c"), 3: deletion}
    assert standings([update, view, redis_part], records) == [
        Standing.OVERTAKEN,
        Standing.OVERTAKEN,
        Standing.WAITING,
    ]
    everywhere = [letter(3, deletion, store=store, place=2) for store in COMMANDS["DeleteUser"].stores]
    assert standings([update, view, *everywhere], records)[:2] == [Standing.WAITING, Standing.WAITING]


def test_one_whose_record_has_left_the_topic_is_uncertain() -> None:
    """It may have been sent again, or overtaken; another record may stand in its place."""
    assert standings([letter(1, UPDATE)], {}) == [Standing.UNCERTAIN]
    assert standings([letter(1, UPDATE)], {1: command("UpdateUser", "z")}) == [Standing.UNCERTAIN]
    again = command("UpdateUser", "a", redrives=1, first=1)
    assert standings([letter(2, again)], {2: again}) == [Standing.UNCERTAIN]


def test_there_is_an_end_to_sending_again() -> None:
    """After so many times somebody has to insist."""
    again = command("UpdateUser", "a", redrives=REDRIVES_MAX, first=1)
    assert standings([letter(2, again)], {1: UPDATE, 2: again}) == [Standing.EXHAUSTED]


def test_one_that_nobody_waits_for_is_never_sent() -> None:
    """It has no correlation ID, or is not there to be sent."""
    nameless = letter(1, [(topics.COMMAND, "UpdateUser")])
    too_large = letter(2, UPDATE, omitted_bytes="2000000")
    assert standings([nameless, too_large], {1: [], 2: UPDATE}) == [Standing.FOREIGN, Standing.FOREIGN]
    assert not Standing.FOREIGN.can_be_forced
    assert not Standing.REDRIVEN.can_be_forced


def test_no_more_is_read_than_it_takes() -> None:
    """Of each partition, from the first record that was given up; a topic that was made anew may be shorter."""
    letters = [letter(40, command("UpdateUser", "a", redrives=1, first=30)), letter(35, UPDATE)]
    assert stretches_from(letters, {NUMBER: Extent(0, 50), 0: Extent(0, 9)}) == {NUMBER: Extent(30, 50)}
    assert stretches_from(letters, {NUMBER: Extent(33, 50)}) == {NUMBER: Extent(33, 50)}
    assert stretches_from(letters, {NUMBER: Extent(0, 5)}) == {NUMBER: Extent(4, 5)}
    assert stretches_from(letters, {}) == {}


@pytest.mark.parametrize("standing", list(Standing))
def test_every_standing_is_explained_and_no_text_is_taken_for_markup(standing: Standing) -> None:
    """With what to do about it, and the letter's name."""
    case = Case(letter(1, command("[red]", "a")), standing, ["[/b]"])
    output = io.StringIO()
    console = Console(file=output, width=250)
    show_cases([case], 3, console)
    show_case(case, {"name": "[bold]"}, console)
    show_plan([case], [case], console)
    told = output.getvalue()
    for expected in ("3:0", standing.value, "[red]", "[bold]", "3 older records", "would send 1", "not sent: 3:0"):
        assert expected in told
    assert standing is Standing.FOREIGN or any(word in told for word in ("--force", "explain", "dlq redrive"))
