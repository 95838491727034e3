"""How requests are admitted: decoded, identified, completed where a command may leave something out, and checked."""

from dataclasses import dataclass
from typing import Any, cast

import pytest
from polystream.v1.subscriptions_pb2 import CreateSubscriptionRequest
from polystream.v1.users_pb2 import CreateUserRequest, GetUserRequest

from gateway.admission import Admission, Admissions
from gateway.demo import demo_fields, is_silent
from mesh.catalog import Command, load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.ids import derived_user_id, issue_time_ms, new_correlation_id

COMMANDS = load_catalog().commands
STRICT = Admissions(max_request_bytes=100, demo_data=False)
FILLING = Admissions(max_request_bytes=100, demo_data=True)
MARIA: dict[str, Any] = {"name": "Maria Silva", "email": "maria" + "@" + "example.com", "cpf": "52998224725"}
SOME_ID = new_correlation_id()
# Commands that have something to say beside identifiers, each with demo data for it.
SPEAKING = [name for name, command in COMMANDS.items() if demo_fields(cast(Any, command.request_class.DESCRIPTOR))]


@dataclass(frozen=True, slots=True)
class Told:
    """What a door tells of a request."""

    named: frozenset[str] = frozenset()
    may_fill: bool = False


PLAIN = Told()
INHERITED = Told(may_fill=True)


def refusal(admission: Admission, decoded: Any, said: Told = PLAIN) -> PolystreamError:
    """Return why a request is not admitted."""
    with pytest.raises(PolystreamError) as caught:
        admission.admit(decoded, said, SOME_ID)
    return caught.value


def silent(command: Command) -> Any:
    """Return a request with its identifiers, and nothing else."""
    request, descriptor = command.request_class(), cast(Any, command.request_class.DESCRIPTOR)
    for field in descriptor.fields:
        if field.name.endswith("_id") and field.name != "request_id" and field.name not in demo_fields(descriptor):
            setattr(request, field.name, SOME_ID if field.type == field.TYPE_STRING else 7)
    return request


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
    assert admission.admit(CreateUserRequest(**MARIA), PLAIN, SOME_ID) == CreateUserRequest(
        user_id=derived_user_id(SOME_ID), **MARIA
    )
    given = CreateUserRequest(user_id=7, **MARIA)
    assert admission.admit(given, PLAIN, SOME_ID) == CreateUserRequest(user_id=7, **MARIA)


@pytest.mark.parametrize("name", SPEAKING)
@pytest.mark.parametrize(
    ("admissions", "said"), [(STRICT, PLAIN), (STRICT, INHERITED), (FILLING, PLAIN)], ids=["off", "off-inherited", "v1"]
)
def test_a_command_that_says_nothing_is_refused_as_empty(name: str, admissions: Admissions, said: Told) -> None:
    """Whatever the setting says: only a call of the earlier demo is filled. Its faults say what is missing."""
    error = refusal(admissions.of_command(COMMANDS[name]), silent(COMMANDS[name]), said)
    assert error.reason is Reason.EMPTY_COMMAND
    assert error.faults


@pytest.mark.parametrize("name", SPEAKING)
def test_a_call_of_the_earlier_demo_that_says_nothing_is_filled(name: str) -> None:
    """The same for every delivery of it."""
    admission = FILLING.of_command(COMMANDS[name])
    first, again = (admission.admit(silent(COMMANDS[name]), INHERITED, SOME_ID) for _ in range(2))
    assert first == again
    assert not is_silent(first, demo_fields(cast(Any, first.DESCRIPTOR)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CreateUser", {"name": "Maria"}),
        ("CreateSubscription", {"user_id": 7, "months": 3}),
        ("RecordView", {"user_id": 7, "content_id": 7, "completed": True}),
        ("GenerateRecommendations", {"max_items": 5}),
        ("GenerateRecommendations", {"user_id": -1}),
        ("UpdateUser", {"user_id": 7, "email": ""}),
    ],
)
def test_what_is_said_is_never_filled_up(name: str, said: dict[str, Any]) -> None:
    """One field is enough, also in a call of the earlier demo: what is missing is at fault."""
    request = COMMANDS[name].request_class(**said)
    assert refusal(FILLING.of_command(COMMANDS[name]), request, INHERITED).reason is Reason.INVALID_FIELD


@pytest.mark.parametrize("name", SPEAKING)
def test_an_empty_value_that_is_named_is_said(name: str) -> None:
    """JSON, path and query can name one; binary protobuf doesn't tell it from nothing."""
    command = COMMANDS[name]
    for field in demo_fields(cast(Any, command.request_class.DESCRIPTOR)):
        said = Told(named=frozenset({field}), may_fill=True)
        assert refusal(FILLING.of_command(command), silent(command), said).reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    ("name", "rule"), [("UpdateUser", "update_user.nothing"), ("UpdatePreferences", "update_preferences.nothing")]
)
def test_an_update_of_nothing_is_refused_by_its_own_rule(name: str, rule: str) -> None:
    """It replaced a name by an invented one."""
    for admissions in (STRICT, FILLING):
        error = refusal(admissions.of_command(COMMANDS[name]), COMMANDS[name].request_class(user_id=7))
        assert [fault.rule for fault in error.faults] == [rule]


def test_a_query_is_held_to_its_rules_and_completed_with_nothing() -> None:
    """Demo data is for commands alone."""
    admission = FILLING.of_query(GetUserRequest)
    assert admission.admit(GetUserRequest(user_id=7), INHERITED, SOME_ID) == GetUserRequest(user_id=7)
    assert refusal(admission, GetUserRequest(), INHERITED).reason is Reason.INVALID_FIELD
    unknown = GetUserRequest.FromString(b"\xf8\x07\x01")  # field 127, a number
    assert refusal(admission, unknown).reason is Reason.UNKNOWN_FIELD
