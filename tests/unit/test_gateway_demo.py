"""Demo data: every kind that the protos name can be made, and what is made keeps the protos' own rules."""

import itertools
import re
from typing import Any

import protovalidate
import pytest
from polystream.options.v1 import options_pb2
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest
from polystream.v1.subscriptions_pb2 import CreateSubscriptionRequest
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest, UpdateUserRequest

from gateway.admission import Admissions
from gateway.demo import FIXTURE_USER_ID, KINDS, DemoData, demo_fields, is_silent
from gateway.validation import RequestRules
from mesh.catalog import Command, load_catalog
from mesh.ids import derived_user_id, new_correlation_id, request_correlation_id

COMMANDS = load_catalog().commands
DEMO = DemoData()
SOME_UUID = "0190a5c4-0000-7000-8000-000000000001"


def filled(command: Command, correlation_id: str) -> Any:
    """Return a silent request of a command, as a path gives it, filled."""
    request = command.request_class()
    for field in command.request_class.DESCRIPTOR.fields:
        # What has no demo value is an identifier that the path gives.
        if field.name.endswith("_id") and field.name != "request_id" and field.name not in demo_fields(_of(command)):
            setattr(request, field.name, SOME_UUID if field.type == field.TYPE_STRING else 7)
    assert is_silent(request, demo_fields(_of(command)))
    DEMO.fill(request, demo_fields(_of(command)), correlation_id)
    return request


def _of(command: Command) -> Any:
    return command.request_class.DESCRIPTOR


def test_every_kind_of_the_protos_has_a_generator() -> None:
    """And none is left over."""
    named: set[str] = {
        field.GetOptions().Extensions[options_pb2.demo]  # type: ignore[index] # the generated stub says FieldDescriptor
        for command in COMMANDS.values()
        for field in demo_fields(_of(command)).values()
    }
    assert named == set(KINDS)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_made_is_valid(command: Command) -> None:
    """A silent command of any kind, with the identifiers that its path has, passes its own rules."""
    rules = RequestRules(_of(command), protovalidate.Validator())
    for _ in range(50):
        assert rules.faults(filled(command, new_correlation_id())) == []


def test_the_same_command_is_filled_alike() -> None:
    """A retry with the same request ID asks for the same thing, in every process."""
    correlation_id = request_correlation_id("anonymous", "retry")
    first, other = filled(COMMANDS["CreateUser"], correlation_id), new_correlation_id()
    assert filled(COMMANDS["CreateUser"], other) != first
    again = CreateUserRequest(user_id=7)
    DemoData().fill(again, demo_fields(_of(COMMANDS["CreateUser"])), correlation_id)
    assert again == first


def test_addresses_are_unique() -> None:
    """A thousand demo users are not refused for their addresses; CPFs are eleven digits that pass."""
    users = [filled(COMMANDS["CreateUser"], new_correlation_id()) for _ in range(1000)]
    assert len({user.email for user in users}) == 1000
    assert len({user.cpf for user in users}) > 995
    assert all(re.fullmatch("[0-9]{11}", user.cpf) for user in users)


def test_recommendations_are_made_for_the_fixture_user() -> None:
    """The old demo's call names nobody."""
    request = filled(COMMANDS["GenerateRecommendations"], new_correlation_id())
    assert request.user_id == FIXTURE_USER_ID


@pytest.mark.parametrize(
    ("request_", "named", "silent"),
    [
        (CreateUserRequest(), (), True),
        (CreateUserRequest(user_id=1, request_id="x"), (), True),
        (CreateUserRequest(user_id=1), ("user_id", "request_id"), True),
        (DeleteUserRequest(user_id=1), (), True),
        (CreateUserRequest(name="Maria"), ("name",), False),
        (UpdateUserRequest(user_id=1, name=""), (), False),  # set, since its presence counts
        (CreateUserRequest(), ("name",), False),  # an empty value is one
        (CreateSubscriptionRequest(user_id=1), ("user_id", "months"), False),
        (GenerateRecommendationsRequest(), (), True),
        (GenerateRecommendationsRequest(user_id=1), (), False),  # its user is what may be made up
        (GenerateRecommendationsRequest(), ("user_id",), False),
        (GenerateRecommendationsRequest(max_items=5), (), False),
    ],
)
def test_silence_is_having_no_more_than_identifiers(request_: Any, named: tuple[str, ...], silent: bool) -> None:
    """They come from paths; everything else is said, and so is an identifier that could be made up."""
    command = COMMANDS[type(request_).__name__.removesuffix("Request")]
    assert is_silent(request_, demo_fields(_of(command)), named) is silent


def test_only_create_user_may_leave_its_key_out() -> None:
    """A key of 0 asks for one where the rules allow 0; everywhere else they refuse it."""
    admissions = Admissions(max_request_bytes=1000, demo_data=True)
    assert [name for name, command in COMMANDS.items() if admissions.of_command(command).assigns_key] == ["CreateUser"]
    ids = {derived_user_id(new_correlation_id()) for _ in itertools.repeat(None, 1000)}
    assert len(ids) == 1000
    assert max(ids) < 2**53
