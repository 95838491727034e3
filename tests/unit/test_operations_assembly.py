"""An operation is told from its acceptance and its receipts."""

import itertools
import typing

import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2, error_details_pb2
from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import User

from gateway.operations.assembly import assemble
from mesh.catalog import load_catalog
from mesh.ids import new_correlation_id
from mesh.operation import is_done

COMMANDS = load_catalog().commands
CORRELATION_ID = new_correlation_id()


def receipt(store: str, second: int = 1, **fields: typing.Any) -> CommandReceipt:
    """Return a success of DeleteUser, changed by `fields`."""
    made = CommandReceipt(
        correlation_id=CORRELATION_ID,
        command="DeleteUser",
        store=store,
        state=Operation.SUCCEEDED,
        user_id=7,
        result=CommandReceipt.Result(
            type_url=f"type.googleapis.com/{User.DESCRIPTOR.full_name}", value=User(user_id=7).SerializeToString()
        ),
        **fields,
    )
    made.accept_time.seconds, made.complete_time.seconds = 1, second
    return made


def failure(store: str, second: int = 1, **fields: object) -> CommandReceipt:
    """Return a refusal of DeleteUser."""
    made = receipt(store, second, **fields)
    made.state = Operation.FAILED
    made.ClearField("result")
    made.error.code, made.error.reason, made.error.message = code_pb2.NOT_FOUND, "USER_NOT_FOUND", "no such user"
    made.error.field = "user_id"
    return made


def accepted() -> Operation:
    """Return DeleteUser as the gateway acknowledged it."""
    operation = Operation(
        name=f"operations/{CORRELATION_ID}",
        correlation_id=CORRELATION_ID,
        command="DeleteUser",
        state=Operation.ACCEPTED,
        user_id=7,
    )
    operation.accept_time.seconds = 1
    return operation


def test_nothing_is_known_without_acceptance_and_receipts() -> None:
    """An unknown operation is None, not an empty message."""
    assert assemble(COMMANDS, None, []) is None


def test_an_accepted_command_waits_for_every_store() -> None:
    """Two of three stores leave the operation ACCEPTED, without a result."""
    operation = assemble(COMMANDS, accepted(), [receipt("MONGODB"), receipt("POSTGRESQL")])
    assert operation is not None
    assert operation.state == Operation.ACCEPTED
    assert not is_done(operation)
    assert [r.store for r in operation.receipts] == [Store.POSTGRESQL, Store.MONGODB]
    assert not operation.HasField("result")
    assert not operation.HasField("complete_time")


@pytest.mark.parametrize("order", [*itertools.permutations(("POSTGRESQL", "MONGODB", "REDIS"))], ids=" ".join)
@pytest.mark.parametrize("with_acceptance", [True, False], ids=["accepted", "receipts alone"])
def test_the_last_store_completes_it_in_any_order(order: tuple[str, ...], with_acceptance: bool) -> None:
    """The same operation comes of the same receipts, whatever their order, with and without the acceptance."""
    seconds = {"POSTGRESQL": 3, "MONGODB": 5, "REDIS": 4}
    receipts = [receipt(store, seconds[store]) for store in order]
    operation = assemble(COMMANDS, accepted() if with_acceptance else None, receipts)
    assert operation is not None
    assert operation.state == Operation.SUCCEEDED
    assert operation.complete_time.seconds == 5
    assert [r.store for r in operation.receipts] == [Store.POSTGRESQL, Store.MONGODB, Store.REDIS]
    assert operation.user_id == 7
    result = User()
    assert operation.result.Unpack(result)
    assert result == User(user_id=7)
    assert operation == assemble(COMMANDS, accepted(), reversed(receipts))


def test_one_failure_fails_it_at_once() -> None:
    """The operation is FAILED before the other stores have answered, and says why in a full status."""
    operation = assemble(COMMANDS, accepted(), [failure("MONGODB", 4)])
    assert operation is not None
    assert is_done(operation)
    assert (operation.state, operation.complete_time.seconds) == (Operation.FAILED, 4)
    assert operation.error.code == code_pb2.NOT_FOUND
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert operation.error.details[0].Unpack(info)
    assert (info.reason, dict(info.metadata)) == ("USER_NOT_FOUND", {"store": "MONGODB"})
    assert operation.error.details[1].Unpack(bad_request)
    assert [v.field for v in bad_request.field_violations] == ["user_id"]
    assert operation.receipts[0].error == operation.error


def test_a_failure_stays_what_it_was_when_others_answer() -> None:
    """Later receipts are added; state, time and error are those of the first failure."""
    first = assemble(COMMANDS, accepted(), [failure("MONGODB", 4)])
    later = assemble(COMMANDS, accepted(), [failure("MONGODB", 4), receipt("POSTGRESQL", 9), failure("REDIS", 8)])
    assert first is not None
    assert later is not None
    assert len(later.receipts) == 3
    assert (later.state, later.complete_time, later.error) == (first.state, first.complete_time, first.error)
    assert not later.HasField("result")


def test_a_repeated_receipt_changes_nothing() -> None:
    """The first receipt of a store counts."""
    once = assemble(COMMANDS, accepted(), [receipt("POSTGRESQL", 2)])
    twice = assemble(COMMANDS, accepted(), [receipt("POSTGRESQL", 2), receipt("POSTGRESQL", 6, duplicate=True)])
    assert once == twice


def test_a_redriven_dead_letter_gives_way_to_its_answer() -> None:
    """A dead letter is a failure until the redriven command is answered, whichever of both is seen first."""
    dead, answer = failure("POSTGRESQL", 2, dead_lettered=True), receipt("POSTGRESQL", 9)
    others = [receipt("MONGODB"), receipt("REDIS")]
    alone = assemble(COMMANDS, accepted(), [dead, *others])
    redriven = assemble(COMMANDS, accepted(), [dead, answer, *others])
    assert alone is not None
    assert redriven is not None
    assert alone.state == Operation.FAILED
    assert (redriven.state, len(redriven.receipts)) == (Operation.SUCCEEDED, 3)
    assert redriven == assemble(COMMANDS, accepted(), [answer, dead, *others])


def test_a_failure_that_passes_says_when_to_try_again() -> None:
    """RetryInfo is added where the reason's row has a delay."""
    unverified = failure("MONGODB")
    unverified.error.code, unverified.error.reason = code_pb2.UNAVAILABLE, "USER_UNVERIFIED"
    unverified.error.field = ""
    operation = assemble(COMMANDS, accepted(), [unverified])
    assert operation is not None
    retry = error_details_pb2.RetryInfo()
    assert operation.error.details[1].Unpack(retry)
    assert retry.retry_delay.ToSeconds() == 5


def test_a_command_outside_the_catalog_is_told_by_its_receipt_alone() -> None:
    """A dead letter of a command that nobody knows is a failed operation."""
    foreign = failure("POSTGRESQL", dead_lettered=True)
    foreign.command = "NoSuchCommand"
    operation = assemble(COMMANDS, None, [foreign])
    assert operation is not None
    assert (operation.command, operation.state) == ("NoSuchCommand", Operation.FAILED)


def test_a_result_is_the_first_named_stores() -> None:
    """The contract's first store gives the result, though another store's receipt holds one too."""
    other = receipt("REDIS")
    other.result.value = User(user_id=8).SerializeToString()
    operation = assemble(COMMANDS, accepted(), [other, receipt("MONGODB"), receipt("POSTGRESQL")])
    assert operation is not None
    expected = Any()
    expected.Pack(User(user_id=7))
    assert operation.result == expected
