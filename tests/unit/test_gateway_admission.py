"""How requests are admitted: decoded, identified, completed where a command may leave something out, and checked."""

from typing import Any

import pytest
from polystream.v1.subscriptions_pb2 import CreateSubscriptionRequest
from polystream.v1.users_pb2 import CreateUserRequest, GetUserRequest

from gateway.admission import Admission, Admissions
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.ids import derived_user_id, issue_time_ms, new_correlation_id

COMMANDS = load_catalog().commands
STRICT = Admissions(max_request_bytes=100, demo_data=False)
FILLING = Admissions(max_request_bytes=100, demo_data=True)
MARIA: dict[str, Any] = {"name": "Maria Silva", "email": "maria" + "@" + "example.com", "cpf": "52998224725"}
SOME_ID = new_correlation_id()


def refusal(admission: Admission, decoded: Any, json_fields: str | None = None) -> PolystreamError:
    """Return why a request is not admitted."""
    with pytest.raises(PolystreamError) as caught:
        admission.admit(decoded, json_fields, SOME_ID)
    return caught.value


def test_decoding_gives_errors_back() -> None:
    """A server words an exception in its own way; an error that is given back is answered like any other."""
    read = STRICT.of_query(CreateUserRequest).decode
    assert read(CreateUserRequest(name="Maria").SerializeToString()) == CreateUserRequest(name="Maria")
    large, malformed = read(b"\x12\x65" + b"x" * 101), read(b"\x12\x64xx")
    assert isinstance(large, PolystreamError)
    assert isinstance(malformed, PolystreamError)
    assert (large.reason, malformed.reason) == (Reason.REQUEST_TOO_LARGE, Reason.MALFORMED_REQUEST)


@pytest.mark.parametrize("admission", [STRICT.of_query(GetUserRequest), STRICT.of_command(COMMANDS["CreateUser"])])
def test_what_could_not_be_decoded_is_refused_under_an_id_of_its_own(admission: Admission) -> None:
    """The error that stands in the request's place is the call's."""
    malformed = admission.decode(b"\x12\x64xx")
    correlation_id, fingerprint = admission.identify(malformed)
    assert issue_time_ms(correlation_id) is not None
    assert fingerprint is None
    assert refusal(admission, malformed) is malformed


def test_a_request_id_identifies_a_command_and_its_fingerprint_the_request() -> None:
    """A retry is known by both; the same ID with another request, or for another command, by its fingerprint."""
    users, subscriptions = STRICT.of_command(COMMANDS["CreateUser"]), STRICT.of_command(COMMANDS["CreateSubscription"])
    first = users.identify(CreateUserRequest(request_id="r", **MARIA))
    assert users.identify(CreateUserRequest(request_id="r", **MARIA)) == first
    for other in (
        users.identify(CreateUserRequest(request_id="r", name="Ana")),
        subscriptions.identify(CreateSubscriptionRequest(request_id="r")),
    ):
        assert other[0] == first[0]
        assert other[1] != first[1]
    fresh = [users.identify(CreateUserRequest(**MARIA)) for _ in range(2)]
    assert fresh[0][0] != fresh[1][0]
    assert [fingerprint for _, fingerprint in fresh] == [None, None]


def test_a_user_without_an_id_gets_the_one_of_its_command() -> None:
    """The same for every delivery of it; an ID that is given is kept."""
    admission = STRICT.of_command(COMMANDS["CreateUser"])
    assert admission.admit(CreateUserRequest(**MARIA), None, SOME_ID) == CreateUserRequest(
        user_id=derived_user_id(SOME_ID), **MARIA
    )
    given = CreateUserRequest(user_id=7, **MARIA)
    assert admission.admit(given, None, SOME_ID) == CreateUserRequest(user_id=7, **MARIA)


def test_a_command_that_says_nothing_is_filled_or_refused_as_empty() -> None:
    """Demo data decides which; what is said is never filled up, be it an empty value that JSON names."""
    strict, filling = (admissions.of_command(COMMANDS["CreateUser"]) for admissions in (STRICT, FILLING))
    assert refusal(strict, CreateUserRequest(user_id=7)).reason is Reason.EMPTY_COMMAND
    assert filling.admit(CreateUserRequest(user_id=7), "user_id", SOME_ID).name  # type: ignore[attr-defined]
    for admission in (strict, filling):
        assert refusal(admission, CreateUserRequest(name="Maria")).reason is Reason.INVALID_FIELD
        assert refusal(admission, CreateUserRequest(), "name").reason is Reason.INVALID_FIELD


def test_a_query_is_held_to_its_rules_and_completed_with_nothing() -> None:
    """Demo data is for commands alone."""
    admission = FILLING.of_query(GetUserRequest)
    assert admission.admit(GetUserRequest(user_id=7), "user_id", SOME_ID) == GetUserRequest(user_id=7)
    assert refusal(admission, GetUserRequest()).reason is Reason.INVALID_FIELD
    assert refusal(admission, GetUserRequest(user_id=7), "user").reason is Reason.UNKNOWN_FIELD
