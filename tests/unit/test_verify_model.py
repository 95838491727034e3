"""The model of the self-check: what the stores must hold after a entity's commands, and what they may answer."""

from cli.verify import image
from cli.verify.model import Expected, simulate
from tests.support.verify_histories import Story, content, payment, person, view


def expected_of(story: Story) -> Expected:
    """Return what the story's commands must have led to."""
    return simulate(story.entries, story.image())


def values(expected: Expected, table: str) -> list[tuple[object, ...]]:
    """Return the values of a table's items."""
    return [item.values for item in expected.tables[table]]


def test_the_last_acknowledged_update_holds() -> None:
    """Each changes the fields that it has, and leaves the others."""
    story = Story()
    story.command("CreateUser", person())
    story.command("UpdateUser", {"user_id": 7, "name": "B"})
    story.command("UpdateUser", {"user_id": 7, "email": "c@example.com"})
    assert values(expected_of(story), image.USERS) == [("B", "c@example.com", "52998224725")]


def test_preferences_begin_with_the_defaults_of_the_table() -> None:
    """What was never set has the value that a new row has."""
    story = Story()
    story.command("CreateUser", person())
    story.command("UpdatePreferences", {"user_id": 7, "theme": "DARK"})
    story.command("UpdatePreferences", {"user_id": 7, "language": "en"})
    assert values(expected_of(story), image.PREFERENCES) == [("en", True, "escuro")]


def test_a_new_subscription_ends_the_one_before() -> None:
    """The active one is the last that was created, until it is canceled."""
    story = Story()
    story.command("CreateUser", person())
    story.command("CreateSubscription", {"user_id": 7, "plan": "BASIC", "months": 1}, stamp=1)
    story.command("CreateSubscription", {"user_id": 7, "plan": "PREMIUM", "months": 1}, stamp=2)
    assert values(expected_of(story), image.SUBSCRIPTIONS) == [("básico", "cancelada"), ("premium", "ativa")]
    story.command("CancelSubscription", {"user_id": 7, "subscription_id": 2}, stamp=2)
    assert values(expected_of(story), image.SUBSCRIPTIONS)[1] == ("premium", "cancelada")
    assert expected_of(story).unexpected == []


def test_a_payment_is_taken_back_once() -> None:
    """The second time it must be refused, and so must one that is not there."""
    story = Story()
    story.command("CreateUser", person())
    story.command("CreatePayment", payment(150), stamp=4)
    story.command("CancelPayment", {"user_id": 7, "payment_id": 4}, stamp=4)
    story.command("CancelPayment", {"user_id": 7, "payment_id": 4}, refused="PAYMENT_NOT_APPROVED")
    story.command("CancelPayment", {"user_id": 7, "payment_id": 5}, refused="PAYMENT_NOT_FOUND")
    assert values(expected_of(story), image.PAYMENTS) == [("pix", "estornado")]
    assert expected_of(story).unexpected == []


def test_an_erased_user_has_nothing_anywhere() -> None:
    """In each store, and the user who is created anew begins with nothing."""
    story = Story()
    story.command("CreateUser", person())
    story.command("CreatePayment", payment(150))
    story.command("RecordView", view("a"))
    story.command("CreateSession", {"user_id": 7, "device": "TV"})
    story.command("DeleteUser", {"user_id": 7})
    expected = expected_of(story)
    assert not any(expected.tables.values())
    assert len(expected.erased) == 4
    story.command("CreateUser", person(serial=2))
    assert values(expected_of(story), image.USERS) == [("Pessoa 2", "p2@example.com", "52998224725")]


def test_a_content_is_what_was_cached_last() -> None:
    """And nothing once it was deleted."""
    story = Story("content 5")
    story.command("CacheContent", content("a"))
    story.command("CacheContent", content("b"))
    assert values(expected_of(story), image.CONTENTS) == [("b", "filme", "60")]
    story.command("DeleteContent", {"content_id": 5})
    story.command("DeleteContent", {"content_id": 5}, refused="CONTENT_NOT_FOUND")
    assert expected_of(story).tables[image.CONTENTS] == []
    assert expected_of(story).unexpected == []


def test_a_view_before_its_user_was_created_may_be_taken_or_refused() -> None:
    """PostgreSQL may have the user by the time that it is asked; without a later CreateUser it can't."""
    for refused in ("", "USER_NOT_FOUND"):
        story = Story()
        story.command("RecordView", view("a"), refused=refused)
        assert bool(expected_of(story).unexpected) == (refused == "")
        story.command("CreateUser", person())
        assert expected_of(story).unexpected == []


def test_a_view_of_a_user_who_was_erased_later_may_be_refused() -> None:
    """Whatever it wrote would be erased; of a user who stays it must be taken."""
    story = Story()
    story.command("CreateUser", person())
    story.command("RecordView", view("a"), refused="USER_NOT_FOUND")
    assert [one.store for one in expected_of(story).unexpected] == ["MONGODB"]
    story.command("DeleteUser", {"user_id": 7})
    assert expected_of(story).unexpected == []


def test_a_user_whom_nobody_can_tell_of_is_waited_for_long_enough() -> None:
    """USER_UNVERIFIED is an answer only after a minute."""
    from dataclasses import replace  # noqa: PLC0415 - of this test alone

    story = Story()
    story.command("CreateUser", person())
    entry = story.command("RecordView", view("a"), refused="USER_UNVERIFIED")
    assert len(expected_of(story).unexpected) == 1
    doors = story.told[entry.correlation_id]
    story.told[entry.correlation_id] = {door: replace(told, took_s=61.0) for door, told in doors.items()}
    assert expected_of(story).unexpected == []


def test_an_address_that_somebody_has_is_refused() -> None:
    """The addresses of users whom nobody changes are known."""
    story = Story()
    story.command("CreateUser", person())
    story.command("UpdateUser", {"user_id": 7, "email": "taken@example.com"}, refused="EMAIL_ALREADY_EXISTS")
    assert simulate(story.entries, story.image(), frozenset({"taken@example.com"})).unexpected == []
    assert len(simulate(story.entries, story.image()).unexpected) == 1
