"""The checks of the self-check: for each kind of violation, a history in which exactly that one is found."""

from dataclasses import replace

import pytest

from cli.verify import image
from cli.verify.collecting import changed_since
from cli.verify.history import Answer, Attempt, CommandEntry, Purpose
from cli.verify.image import DeadLetterAt, ForeignRecord, RecordAt, StoredItem
from cli.verify.violations import ViolationKind
from cli.verify.workload import has_personal_data
from tests.support.verify_histories import Story, content, payment, person, view


@pytest.fixture
def story() -> Story:
    """Return a user's history in which every promise was kept."""
    told = Story()
    told.command("CreateUser", person(), stamp=100)
    told.command("UpdateUser", {"user_id": 7, "name": "B"}, stamp=100)
    told.command("UpdateUser", {"user_id": 7, "name": "C"}, stamp=100)
    told.command("UpdatePreferences", {"user_id": 7, "theme": "DARK"}, stamp=101)
    told.command("CreateSubscription", {"user_id": 7, "plan": "BASIC", "months": 1}, stamp=1)
    told.command("CreateSubscription", {"user_id": 7, "plan": "PREMIUM", "months": 1}, stamp=2)
    told.command("CreatePayment", payment(150), stamp=3)
    told.command("CreatePayment", payment(151), stamp=4)
    told.command("CancelPayment", {"user_id": 7, "payment_id": 99}, refused="PAYMENT_NOT_FOUND")
    told.command("RecordView", view("a"))
    told.command("GenerateRecommendations", {"user_id": 7})
    told.command("CreateSession", {"user_id": 7, "device": "TV"}, stamp=102)
    told.store_all()
    return told


def entry_of(story: Story, command: str, number: int = 0) -> CommandEntry:
    """Return one of the story's commands of a name."""
    return [entry for entry in story.entries if entry.command == command][number]


def test_a_good_history_has_no_violation(story: Story) -> None:
    """Else every other test here would find too much."""
    assert story.violations() == []


@pytest.mark.parametrize(
    "table",
    [
        image.USERS,
        image.SUBSCRIPTIONS,
        image.PAYMENTS,
        image.PREFERENCES,
        image.VIEWS,
        image.RECOMMENDATIONS,
        image.SESSIONS,
    ],
)
def test_an_item_that_is_not_there_is_lost(story: Story, table: str) -> None:
    """In each table: the first command's effect is gone."""
    del story.items(table)[0]
    assert story.kinds() == ["LOST"]


@pytest.mark.parametrize("table", [image.PAYMENTS, image.VIEWS, image.RECOMMENDATIONS, image.SESSIONS])
def test_an_item_that_is_there_twice_was_applied_twice(story: Story, table: str) -> None:
    """Under the same identity: the payment's amount, the view's ID."""
    story.items(table).append(replace(story.items(table)[-1], stamp=999))
    assert story.kinds() == ["TWICE"]


def test_a_subscription_under_another_id_was_applied_twice(story: Story) -> None:
    """It has none but PostgreSQL's number: no answer names it, and its plan is one that was bought."""
    story.items(image.SUBSCRIPTIONS).append(StoredItem(9, ("premium", "ativa"), 9))
    assert story.kinds() == ["TWICE"]


@pytest.mark.parametrize("table", [image.USERS, image.PREFERENCES, image.PAYMENTS, image.SESSIONS])
def test_an_item_with_another_stamp_is_of_a_second_application(story: Story, table: str) -> None:
    """The answer names an ID or a time; what is there has another one."""
    items = story.items(table)
    items[0] = replace(items[0], stamp=555)
    assert story.kinds() == ["TWICE"]


def test_an_earlier_value_means_another_order(story: Story) -> None:
    """UpdateUser's last value is not there, and the one before is."""
    items = story.items(image.USERS)
    items[0] = replace(items[0], values=("B", *items[0].values[1:]))
    violations = story.violations()
    assert [violation.kind for violation in violations] == [ViolationKind.ORDER]
    assert "Pessoa 1" in "\n".join(violations[0].history)
    assert "CreatePayment" not in "\n".join(violations[0].history)  # the least that shows it


def test_rows_in_another_order_are_named(story: Story) -> None:
    """Payments are numbered as they are made."""
    items = story.items(image.PAYMENTS)
    items.reverse()
    assert story.kinds() == ["ORDER"]


def test_a_content_that_was_deleted_and_is_there_means_another_order() -> None:
    """Neither lost nor nobody's: a later command has undone it."""
    story = Story("content 5")
    story.command("CacheContent", content("a"), stamp=1)
    story.store_all()
    before = list(story.items(image.CONTENTS))
    story.command("DeleteContent", {"content_id": 5})
    story.store_all()
    assert story.kinds() == []
    story.items(image.CONTENTS)[:] = before
    assert story.kinds() == ["ORDER"]


def test_records_in_another_order_than_the_acknowledgements_are_named(story: Story) -> None:
    """Of one key, on the topic."""
    first, second = entry_of(story, "CreatePayment", 0), entry_of(story, "CreatePayment", 1)
    records = story.records
    records[first.correlation_id], records[second.correlation_id] = (
        records[second.correlation_id],
        records[first.correlation_id],
    )
    assert story.kinds() == ["ORDER"]


@pytest.mark.parametrize("table", [image.PAYMENTS, image.VIEWS, image.SESSIONS])
def test_what_is_left_of_an_erased_user_is_half_an_erasure(story: Story, table: str) -> None:
    """In one store; the others have erased it."""
    left = list(story.items(table))[:1]
    story.command("DeleteUser", {"user_id": 7})
    story.store_all()
    assert story.kinds() == []
    story.items(table).extend(left)
    assert story.kinds() == ["HALF"]


def test_a_refused_payment_that_is_there_is_a_trace(story: Story) -> None:
    """Its operation says that the store has refused it."""
    entry = story.command("DeleteUser", {"user_id": 7})
    story.command("CreatePayment", payment(500), refused="USER_NOT_FOUND")
    story.store_all()
    assert story.kinds() == []
    story.items(image.PAYMENTS).append(StoredItem(500, ("pix", "aprovado"), 8))
    violations = story.violations()
    assert [violation.kind.name for violation in violations] == ["TRACE"]
    assert entry.correlation_id not in violations[0].correlation_ids


def test_a_value_that_only_a_refused_command_has_is_a_trace(story: Story) -> None:
    """An UpdateUser that was refused for its e-mail address, and the address is there."""
    taken = frozenset({"t@example.com"})
    story.command("UpdateUser", {"user_id": 7, "email": "t@example.com"}, refused="EMAIL_ALREADY_EXISTS")
    assert story.kinds(taken_emails=taken) == []
    items = story.items(image.USERS)
    items[0] = replace(items[0], values=(items[0].values[0], "t@example.com", items[0].values[2]))
    assert story.kinds(taken_emails=taken) == ["TRACE"]


def test_a_value_that_no_command_has_is_wrong(story: Story) -> None:
    """Neither an earlier one nor a refused one."""
    items = story.items(image.PREFERENCES)
    items[0] = replace(items[0], values=("xx", False, "claro"))
    assert story.kinds() == ["WRONG"]


def test_what_nobody_has_made_is_strange(story: Story) -> None:
    """An item under a known user, one under an unknown user, and a record."""
    story.items(image.VIEWS).append(StoredItem("another", (5, "x")))
    assert story.kinds() == ["STRANGE"]
    story.items(image.VIEWS).pop()
    story.tables[image.SESSIONS]["user 8"] = [StoredItem("another", ("tv", "indexed"))]
    assert story.kinds() == ["STRANGE"]
    del story.tables[image.SESSIONS]["user 8"]
    story.records["another"] = [RecordAt(1, 1, "7", "CreateUser")]
    assert story.kinds() == ["STRANGE"]


def test_what_was_there_before_must_still_be_the_same() -> None:
    """The fixtures are nobody's in a run: one that has changed is strange."""
    fixture = StoredItem("user 1234", ("a",))
    before = {image.USERS: {"user 1234": [fixture], "user 5": [fixture]}}
    after = {image.USERS: {"user 1234": [fixture, fixture], "user 5": [fixture], "user 7": [fixture]}}
    assert set(changed_since(after, before)[image.USERS]) == {"user 1234", "user 7"}


def test_an_answer_that_the_order_forbids_is_named(story: Story) -> None:
    """A payment of a user who exists, refused as if there was no such user."""
    entry = entry_of(story, "CreatePayment", 1)
    story.answer(entry, "POSTGRESQL", "USER_NOT_FOUND")
    del story.items(image.PAYMENTS)[1]
    violations = story.violations()
    assert [violation.kind.name for violation in violations] == ["OUTCOME"]
    assert any("receipt" in line for line in violations[0].history)


def test_an_acknowledged_command_without_a_record_is_lost(story: Story) -> None:
    """Though its effect is there."""
    del story.records[entry_of(story, "RecordView").correlation_id]
    assert story.kinds() == ["LOST"]


def test_an_operation_that_stays_open_is_not_final(story: Story) -> None:
    """At every door, and its store has not answered on the topic either."""
    entry = entry_of(story, "RecordView")
    doors = story.told[entry.correlation_id]
    story.told[entry.correlation_id] = {door: replace(told, state="ACCEPTED") for door, told in doors.items()}
    assert story.kinds() == ["UNFINISHED"]
    story.told[entry.correlation_id] = doors
    story.receipts[entry.correlation_id] = []
    assert story.kinds() == ["UNFINISHED"]


def test_an_operation_that_is_not_the_sum_of_its_answers_is_named(story: Story) -> None:
    """It says SUCCEEDED while a store has refused."""
    entry = entry_of(story, "CancelPayment")
    doors = story.told[entry.correlation_id]
    story.told[entry.correlation_id] = {
        door: replace(told, state="SUCCEEDED", reason="") for door, told in doors.items()
    }
    assert story.kinds() == ["UNFINISHED"]


def test_two_answers_of_one_store_must_be_the_same(story: Story) -> None:
    """A repeated receipt that says the same is none."""
    receipts = story.receipts[entry_of(story, "RecordView").correlation_id]
    receipts.append(replace(receipts[0], offset=9000, duplicate=True))
    assert story.kinds() == []
    receipts.append(replace(receipts[0], offset=9001, result="ff"))
    assert story.kinds() == ["ANSWERS"]


@pytest.mark.parametrize("door", ["rest", "longrunning", "explain"])
def test_doors_must_tell_the_same(story: Story, door: str) -> None:
    """The operation's state and each store's part of it."""
    doors = story.told[entry_of(story, "RecordView").correlation_id]
    doors[door] = replace(doors[door], state="ACCEPTED")
    assert story.kinds() == ["DOORS"]


def test_a_story_must_be_complete(story: Story) -> None:
    """What is missing is told."""
    entry = entry_of(story, "RecordView")
    story.others["missing"] = {entry.correlation_id: ["the MONGODB lane has not answered"]}
    violations = story.violations()
    assert [violation.kind.name for violation in violations] == ["STORY"]
    assert "the MONGODB lane has not answered" in violations[0].sentence


def test_spans_may_be_lost_with_a_process_and_hops_may_not(story: Story) -> None:
    """A service keeps spans in memory; the event log is built from the topics."""
    entry = entry_of(story, "RecordView")
    excused = frozenset({entry.serial})
    lost = "the MONGODB lane's span `process user_events` has not arrived"
    story.others["missing"] = {entry.correlation_id: [lost]}
    assert story.kinds() == ["STORY"]
    assert story.kinds(excused_spans=excused) == []
    story.others["missing"] = {entry.correlation_id: [lost, "the MONGODB lane has not answered"]}
    violations = story.violations(excused_spans=excused)
    assert [violation.kind.name for violation in violations] == ["STORY"]
    assert lost not in violations[0].sentence


def attempt(purpose: Purpose, answer: Answer, reason: str = "", correlation_id: str = "") -> Attempt:
    """Return an attempt of a client's."""
    return Attempt(purpose, "rest", 1.0, 2.0, answer, "CODE" if reason else "", reason, correlation_id)


def test_a_request_id_stands_for_one_operation(story: Story) -> None:
    """Sent again it is the same one; another request under it must be refused."""
    entry = entry_of(story, "RecordView")
    entry.attempts.append(attempt(Purpose.AGAIN, Answer.ACKNOWLEDGED, correlation_id=entry.correlation_id))
    entry.attempts.append(attempt(Purpose.OTHER, Answer.REFUSED, "REQUEST_ID_REUSED"))
    assert story.kinds() == []
    entry.attempts.append(attempt(Purpose.AGAIN, Answer.ACKNOWLEDGED, correlation_id="another"))
    assert story.kinds() == ["REQUEST_ID"]
    entry.attempts[-1] = attempt(Purpose.OTHER, Answer.ACKNOWLEDGED, correlation_id=entry.correlation_id)
    assert story.kinds() == ["REQUEST_ID"]
    assert story.kinds(excused_reuses=frozenset({entry.serial})) == []


def test_the_gateway_refuses_what_it_must_and_nothing_else(story: Story) -> None:
    """An invalid command by its own reason, a valid one never."""
    story.records.pop(entry_of(story, "RecordView").correlation_id)
    entry = entry_of(story, "RecordView")
    story.items(image.VIEWS).clear()
    entry.attempts[:] = [attempt(Purpose.FIRST, Answer.REFUSED, "INVALID_FIELD")]
    assert story.kinds() == ["REFUSED"]
    entry.refusal = "INVALID_FIELD"
    assert story.kinds() == []
    story.records[entry.correlation_id] = [RecordAt(3, 900, "7", "RecordView")]
    assert story.kinds() == ["TRACE"]


def test_an_unanswered_command_counts_if_it_is_on_the_topic(story: Story) -> None:
    """Its client has not heard of it: it is applied whole, or not at all."""
    entry = entry_of(story, "RecordView")
    entry.attempts[:] = [attempt(Purpose.FIRST, Answer.UNKNOWN, "")]
    assert story.kinds() == []
    del story.items(image.VIEWS)[0]
    assert story.kinds() == ["LOST"]
    del story.records[entry.correlation_id]
    assert story.kinds() == []


def test_foreign_records_and_nothing_else_are_set_apart(story: Story) -> None:
    """Each by the lanes that it concerns; a good command never."""
    story.others["foreign"] = [ForeignRecord("no headers", 2, 5, ("POSTGRESQL",))]
    story.records[""] = [RecordAt(2, 5, "nobody", "")]
    story.others["dead_letters"] = [DeadLetterAt(2, 5, "POSTGRESQL", "", "UNKNOWN_COMMAND")]
    assert story.kinds() == []
    story.others["dead_letters"] = []
    assert story.kinds() == ["SET_APART"]
    entry = entry_of(story, "RecordView")
    story.others["dead_letters"] = [
        DeadLetterAt(2, 5, "POSTGRESQL", "", "UNKNOWN_COMMAND"),
        DeadLetterAt(3, 10, "MONGODB", entry.correlation_id, "HANDLER_FAILED"),
    ]
    violations = story.violations()
    assert [violation.kind.name for violation in violations] == ["SET_APART"]
    assert violations[0].entity == "user 7"


def test_a_platform_that_is_not_well_again_is_told(story: Story) -> None:
    """A lane that stays behind, a process that is not ready."""
    story.others["unwell"] = ["lanes are behind: postgresql 0@1 of 2"]
    assert story.kinds() == ["UNWELL"]


def test_personal_data_in_receipts_and_stories_is_told(story: Story) -> None:
    """Names and e-mail addresses, whoever's; titles are none."""
    story.others["exposed"] = ["a receipt of 5"]
    assert story.kinds() == ["EXPOSED"]
    assert has_personal_data(b"\n\x0bPessoa v7 41\x12")
    assert has_personal_data(b"v7.41@example.com")
    assert not has_personal_data("Conteúdo v7 41".encode())


def test_every_kind_has_a_test() -> None:
    """What no test here names, no check is known to find."""
    from pathlib import Path  # noqa: PLC0415 - of this test alone

    text = Path(__file__).read_text(encoding="utf-8")
    assert [
        kind.name for kind in ViolationKind if f'["{kind.name}"]' not in text and kind is not ViolationKind.ORDER
    ] == []
