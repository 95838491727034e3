"""An operation is the same whoever tells it: a gateway, by receipts, or the monitor, by events."""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Final

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Event, Operation
from polystream.v1.users_pb2 import User

from gateway.operations.assembly import assemble
from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Decoder, Encoder
from mesh.dead_letters.dead_letter import RecordPosition
from mesh.envelope import KafkaRecord
from mesh.error_classes.classes import ErrorClass
from mesh.errors import FieldFault, PolystreamError, Reason, read_details
from mesh.schemas import load_schema
from mesh.store_errors import fail, receipt_status
from monitor.records import EventReader, TracedEvent
from monitor.store.documents import event_document, read_event
from monitor.story import fold

CATALOG: Final = load_catalog()
CORRELATION_ID: Final = "0197a1b2-0000-7000-8000-000000000001"
RECEIPT: Final = CommandReceipt.DESCRIPTOR.full_name
ACCEPT_MS: Final = 1_000
OFFSET: Final = 1  # of the command's record
FOREIGN_OFFSET: Final = 5  # of another record with its correlation ID
REFUSAL: Final = PolystreamError(Reason.USER_NOT_FOUND, faults=[FieldFault("user_id", "there is none")])
DEAD_LETTER: Final = PolystreamError(Reason.HANDLER_FAILED, metadata={"exception": "KeyError"})


class _Schemas:
    """A registry that has the receipts' schema."""

    def schema_by_id(self, schema_id: int) -> str:
        assert schema_id == 1
        return json.dumps(load_schema(RECEIPT))


ENCODER: Final = Encoder(CommandReceipt.DESCRIPTOR, load_schema(RECEIPT), 1)  # type: ignore[arg-type] # upb's own class
DECODER: Final = Decoder(CommandReceipt, load_schema(RECEIPT), _Schemas())
READER: Final = EventReader(CATALOG, DECODER)


def answer(
    store: str,
    complete_ms: int,
    cause: PolystreamError | None = None,
    *,
    command: str = "DeleteUser",
    duplicate: bool = False,
    dead_lettered: bool = False,
    state: Operation.State = Operation.SUCCEEDED,
    offset: int | None = None,
    behind: str = "",
) -> CommandReceipt:
    """Return a store's receipt, as it comes out of Kafka: of a state, or a failure where there is a cause.

    `offset` is that of the answered record, in partition 0; None in receipts of earlier versions. `behind` is what the
    command waits behind, by one character.
    """
    receipt = CommandReceipt(
        correlation_id=CORRELATION_ID,
        command=command,
        store=store,
        state=state,
        accept_time=at(ACCEPT_MS),
        receive_time=at(complete_ms - 1),
        complete_time=at(complete_ms),
        user_id=7,
        duplicate=duplicate,
        dead_lettered=dead_lettered,
        command_partition=None if offset is None else 0,
        command_offset=offset,
        waits_behind=behind and f"0197a1b2-0000-7000-8000-{ord(behind):012d}",
    )
    if cause is not None:
        fail(receipt, cause)
    elif behind:
        receipt.state = Operation.ACCEPTED
    else:
        receipt.result.type_url = f"type.googleapis.com/{User.DESCRIPTOR.full_name}"
        receipt.result.value = User(user_id=7).SerializeToString()
    decoded = DECODER.decode(ENCODER.encode(receipt))
    assert isinstance(decoded, CommandReceipt)
    return decoded


def at(milliseconds: int) -> Timestamp:
    """Return a time so many milliseconds after the epoch."""
    stamp = Timestamp()
    stamp.FromMilliseconds(milliseconds)
    return stamp


def read(topic: str, offset: int, command: str, value: bytes | None) -> list[Event]:
    """Return the events that a record tells of, as they come back from a store that keeps documents."""
    headers = [(topics.CORRELATION_ID, CORRELATION_ID), (topics.COMMAND, command)]
    headers += [(topics.ACCEPT_TIME, str(ACCEPT_MS)), (topics.SERVICE, "gateway-0")]
    record = KafkaRecord(topic, 0, offset, ACCEPT_MS + 1, 0, b"7", value, headers)
    return [kept(traced) for traced in READER.read(record)]


def kept(traced: TracedEvent) -> Event:
    """Return an event as a store of documents gives it back."""
    return read_event(json.loads(json.dumps(event_document(traced)))).event


def by_receipts(receipts: Iterable[CommandReceipt], accepted: Operation | None) -> Operation:
    """Return the operation as a gateway has it, but for the result, which no event has."""
    position = None if accepted is None else RecordPosition(0, OFFSET)
    operation = assemble(CATALOG.commands, accepted, receipts, position)
    assert operation is not None
    operation.ClearField("result")
    return operation


def by_events(receipts: Sequence[CommandReceipt], *, with_acceptance: bool) -> list[Event]:
    """Return what the topics' records tell the monitor, receipts in this order."""
    command = receipts[0].command
    events = read(topics.COMMANDS, OFFSET, command, b"") if with_acceptance else []
    for offset, receipt in enumerate(receipts):
        events += read(topics.RECEIPTS, offset, command, ENCODER.encode(receipt))
    return events


def accepted_of(command: str) -> Operation:
    """Return the operation as the gateway acknowledged it."""
    return Operation(
        name=f"operations/{CORRELATION_ID}",
        correlation_id=CORRELATION_ID,
        command=command,
        state=Operation.ACCEPTED,
        accept_time=at(ACCEPT_MS),
        user_id=7,
    )


HISTORIES: Final[dict[str, tuple[list[CommandReceipt], Operation.State]]] = {
    "one of three": ([answer("MONGODB", 1_010)], Operation.ACCEPTED),
    "all of three": (
        [answer("POSTGRESQL", 1_020), answer("MONGODB", 1_010), answer("REDIS", 1_030)],
        Operation.SUCCEEDED,
    ),
    "a refusal before a success": ([answer("MONGODB", 1_010, REFUSAL), answer("REDIS", 1_020)], Operation.FAILED),
    "two failures": (
        [answer("REDIS", 1_010, DEAD_LETTER, dead_lettered=True), answer("POSTGRESQL", 1_020, REFUSAL)],
        Operation.FAILED,
    ),
    "two failures at once": ([answer("REDIS", 1_010, REFUSAL), answer("MONGODB", 1_010, REFUSAL)], Operation.FAILED),
    "a repetition": (
        [answer("POSTGRESQL", 1_010), answer("POSTGRESQL", 1_010, duplicate=True), answer("MONGODB", 1_020)],
        Operation.ACCEPTED,
    ),
    "a redriven dead letter": (
        [
            answer("POSTGRESQL", 1_010, DEAD_LETTER, dead_lettered=True),
            answer("MONGODB", 1_020),
            answer("REDIS", 1_030),
            answer("POSTGRESQL", 9_000),
            answer("POSTGRESQL", 9_000, duplicate=True),
        ],
        Operation.SUCCEEDED,
    ),
    "it waits in a store": (
        [answer("POSTGRESQL", 1_010, behind="a"), answer("MONGODB", 1_020), answer("REDIS", 1_030)],
        Operation.ACCEPTED,
    ),
    "it waits, and then behind another one": (
        [
            answer("POSTGRESQL", 1_010, behind="a", command="CreateUser", offset=OFFSET),
            answer("POSTGRESQL", 1_020, behind="b", command="CreateUser", offset=OFFSET),
        ],
        Operation.ACCEPTED,
    ),
    "it waits, and is applied in its turn": (
        [
            answer("POSTGRESQL", 1_010, behind="a", command="CreateUser"),
            answer("POSTGRESQL", 9_000, command="CreateUser"),
        ],
        Operation.SUCCEEDED,
    ),
    "it waits, and is given up in its turn": (
        [
            answer("POSTGRESQL", 1_010, behind="a", command="CreateUser"),
            answer("POSTGRESQL", 9_000, DEAD_LETTER, command="CreateUser", dead_lettered=True),
        ],
        Operation.FAILED,
    ),
    "it waits in one store and is refused in another": (
        [answer("POSTGRESQL", 1_010, behind="a"), answer("MONGODB", 1_020, REFUSAL)],
        Operation.FAILED,
    ),
    "another record with its ID waits": (
        [answer("POSTGRESQL", 1_010, behind="a", command="CreateUser", offset=OFFSET + 9)],
        Operation.ACCEPTED,
    ),
    "a receipt that says that it waits behind nothing": (
        [answer("POSTGRESQL", 1_010, command="CreateUser", state=Operation.ACCEPTED)],
        Operation.FAILED,
    ),
    "a dead letter for a refusal's reason": (
        [
            answer("POSTGRESQL", 1_010, REFUSAL, command="CreateUser", dead_lettered=True),
            answer("POSTGRESQL", 2_000, command="CreateUser"),
        ],
        Operation.SUCCEEDED,
    ),
    "a store outside of the contract": (
        [answer("REDIS", 1_010, command="CreateUser"), answer("MONGODB", 1_020, command="CreateUser")],
        Operation.ACCEPTED,
    ),
    "the contract's store and another": (
        [answer("REDIS", 5_000, command="CreateUser"), answer("POSTGRESQL", 1_020, command="CreateUser")],
        Operation.SUCCEEDED,
    ),
    # Nothing waits for that store: a foreign record with the command's ID may have been set apart there.
    "a dead letter of a store outside": (
        [answer("REDIS", 1_010, DEAD_LETTER, command="CreateUser", dead_lettered=True)],
        Operation.ACCEPTED,
    ),
    "a dead letter of a store outside, and the command's own answer": (
        [
            answer("REDIS", 1_010, DEAD_LETTER, command="CreateUser", dead_lettered=True),
            answer("POSTGRESQL", 1_020, command="CreateUser"),
        ],
        Operation.SUCCEEDED,
    ),
    "dead letters of foreign records": (
        [
            answer("POSTGRESQL", 1_005, DEAD_LETTER, dead_lettered=True, offset=FOREIGN_OFFSET),
            answer("MONGODB", 1_006, DEAD_LETTER, dead_lettered=True, offset=FOREIGN_OFFSET),
            answer("MONGODB", 1_020, offset=OFFSET),
        ],
        Operation.ACCEPTED,
    ),
    "a dead letter of the command's own": (
        [
            answer("POSTGRESQL", 1_010, DEAD_LETTER, dead_lettered=True, offset=OFFSET),
            answer("MONGODB", 1_005, DEAD_LETTER, dead_lettered=True, offset=FOREIGN_OFFSET),
            answer("MONGODB", 1_020, offset=OFFSET),
        ],
        Operation.FAILED,
    ),
    # What a gateway sent twice is applied once: the second time, the answer is to the first record.
    "a command that was sent twice": (
        [
            answer("POSTGRESQL", 1_010, offset=OFFSET - 1),
            answer("MONGODB", 1_010, offset=OFFSET - 1),
            answer("REDIS", 1_010, offset=OFFSET - 1),
        ],
        Operation.SUCCEEDED,
    ),
    "a receipt that claims no end": (
        [answer("POSTGRESQL", 1_010, command="CreateUser", state=Operation.STATE_UNSPECIFIED)],
        Operation.FAILED,
    ),
    "a receipt that says accepted": (
        [
            answer("POSTGRESQL", 1_010, state=Operation.ACCEPTED),
            answer("MONGODB", 1_020),
            answer("REDIS", 1_030),
        ],
        Operation.FAILED,
    ),
    "a command outside of the contract": (
        [answer("POSTGRESQL", 1_010, PolystreamError(Reason.UNKNOWN_COMMAND), command="Fly", dead_lettered=True)],
        Operation.FAILED,
    ),
}


@pytest.mark.parametrize("with_acceptance", [True, False], ids=["accepted", "answers alone"])
@pytest.mark.parametrize("history", HISTORIES)
def test_receipts_and_events_tell_the_same_operation_in_any_order(history: str, with_acceptance: bool) -> None:
    """All of it, whichever answer comes first and whether or not the acceptance is known."""
    receipts, state = HISTORIES[history]
    accepted = accepted_of(receipts[0].command) if with_acceptance else None
    expected = by_receipts(receipts, accepted)
    assert expected.state == state
    for order in itertools.permutations(receipts):
        assert by_receipts(order, accepted) == expected
        assert fold(by_events(order, with_acceptance=with_acceptance), CATALOG) == expected


def test_an_operation_reads_in_the_contracts_order() -> None:
    """Stores that the contract names first, as it names them; the failure that was first is the operation's."""
    receipts, _ = HISTORIES["two failures"]
    operation = fold(by_events(receipts, with_acceptance=True), CATALOG)
    assert [receipt.store for receipt in operation.receipts] == [Store.POSTGRESQL, Store.REDIS]
    assert operation.error == operation.receipts[1].error
    assert operation.complete_time == at(1_010)
    other, _ = HISTORIES["the contract's store and another"]
    told = fold(by_events(other, with_acceptance=True), CATALOG)
    assert [receipt.store for receipt in told.receipts] == [Store.POSTGRESQL, Store.REDIS]
    assert told.complete_time == at(1_020), "an answer that nobody waits for completes nothing"


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
@pytest.mark.parametrize(
    "faults",
    [
        (),
        (FieldFault("user_id", "não há"),),
        (FieldFault("a.b", "is not liked", "string.min_len"), FieldFault("c", "neither"), FieldFault("", "both")),
    ],
    ids=["no field", "a field", "fields"],
)
@pytest.mark.parametrize("retry_delay_s", [None, 0.0, 2.000_001], ids=["row's delay", "no delay", "delay"])
def test_an_error_stays_whole_on_every_way(
    reason: Reason, faults: tuple[FieldFault, ...], retry_delay_s: float | None
) -> None:
    """Through Kafka, the monitor's events and their documents, it is the status that the processor's error makes."""
    metadata = {"exception": "KeyError", "another": "1"}
    cause = PolystreamError(reason, "did not work: não", faults=faults, metadata=metadata, retry_delay_s=retry_delay_s)
    expected = PolystreamError(
        reason,
        "did not work: não",
        faults=faults,
        metadata={"store": "POSTGRESQL", **metadata},
        retry_delay_s=retry_delay_s,
    ).to_status()
    is_dead = reason.value.error_class is ErrorClass.SET_APART
    receipt = answer("POSTGRESQL", 1_010, cause, command="CreateUser", dead_lettered=is_dead)
    assert receipt_status(receipt) == expected
    assert by_receipts([receipt], None).error == expected
    events = by_events([receipt], with_acceptance=True)
    assert events[-1].error_status == expected
    assert events[-1].error == f"{reason.name}: did not work: não"
    assert fold(events, CATALOG).error == expected
    again = fold([Event.FromString(event.SerializeToString()) for event in events], CATALOG)
    assert again.receipts[0].error == expected


def test_a_receipt_of_an_earlier_version_says_what_it_has() -> None:
    """The one field that it names, with the message for its description, and the delay of the reason's row."""
    receipt = CommandReceipt(store="REDIS", state=Operation.FAILED)
    error = receipt.error
    error.code, error.reason, error.message, error.field = 14, "USER_UNVERIFIED", "try later", "user_id"
    expected = PolystreamError(
        Reason.USER_UNVERIFIED,
        "try later",
        faults=[FieldFault("user_id", "try later")],
        metadata={"store": "REDIS"},
    )
    assert receipt_status(receipt) == expected.to_status()
    assert read_details(receipt_status(receipt)).retry_delay_s == 5.0


def earlier_event(error: str) -> Event:
    """Return a failure as it was told of before events had statuses."""
    event = Event(correlation_id=CORRELATION_ID, command="CreateUser", event_type="command.failed", error=error)
    event.store, event.timestamp.seconds = "POSTGRESQL", 2
    return kept(TracedEvent(event, sampled=False))


@pytest.mark.parametrize(
    ("error", "reason", "message", "code", "delay_s"),
    [
        ("USER_UNVERIFIED: try: later", "USER_UNVERIFIED", "try: later", 14, 5.0),
        ("NO_SUCH_REASON: gone", "NO_SUCH_REASON", "gone", 13, None),
        ("", "INTERNAL", Reason.INTERNAL.value.message, 13, None),
    ],
    ids=["known", "unknown", "none"],
)
def test_an_event_of_an_earlier_version_says_what_it_has(
    error: str, reason: str, message: str, code: int, delay_s: float | None
) -> None:
    """Its text, with the code and the delay of the reason's row."""
    told = fold([earlier_event(error)], CATALOG)
    details = read_details(told.error)
    assert (told.state, told.error.code, told.error.message) == (Operation.FAILED, code, message)
    assert (details.reason, details.metadata, details.retry_delay_s) == (reason, {"store": "POSTGRESQL"}, delay_s)


def test_an_earlier_dead_letter_is_known_by_its_reason() -> None:
    """A redrive's answer takes its place, as if the event said that it is one."""
    dead = earlier_event("HANDLER_FAILED: it failed")
    assert not dead.dead_lettered
    redriven = by_events([answer("POSTGRESQL", 9_000, command="CreateUser")], with_acceptance=True)
    assert fold([dead, *redriven], CATALOG).state == Operation.SUCCEEDED


def test_a_failure_without_a_cause_is_internal() -> None:
    """Not a success's code, by receipts or by events."""
    receipt = CommandReceipt(
        correlation_id=CORRELATION_ID,
        command="CreateUser",
        store="POSTGRESQL",
        state=Operation.FAILED,
        accept_time=at(ACCEPT_MS),
        receive_time=at(1_009),
        complete_time=at(1_010),
    )
    expected = PolystreamError(Reason.INTERNAL, metadata={"store": "POSTGRESQL"}).to_status()
    assert by_receipts([receipt], None).error == expected
    assert fold(by_events([receipt], with_acceptance=True), CATALOG).error == expected


def test_an_answer_of_a_store_nobody_knows_does_no_harm() -> None:
    """A later version's store is shown by its number, one that is not named not at all."""
    unknown, unnamed = answer("REDIS", 1_010, REFUSAL), answer("REDIS", 1_005, REFUSAL)
    unknown.store, unnamed.store = 99, Store.STORE_UNSPECIFIED  # type: ignore[assignment] # as a foreign one may say
    operation = by_receipts([unnamed, unknown], accepted_of("DeleteUser"))
    assert [receipt.store for receipt in operation.receipts] == [99]
    assert read_details(operation.receipts[0].error).metadata["store"] == "99"
    assert operation.state == Operation.ACCEPTED
    nowhere = Event(event_type="command.failed", store="ATLANTIS", correlation_id=CORRELATION_ID, command="CreateUser")
    assert fold([nowhere], CATALOG).state == Operation.ACCEPTED
    assert fold([nowhere], CATALOG).error == status_pb2.Status()
