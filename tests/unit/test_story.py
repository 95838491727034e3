"""Events and spans to an operation and its story."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.catalog import Catalog, load_catalog
from mesh.telemetry import names
from monitor.story import fold, tell

CORRELATION_ID = "0197a1b2-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The platform's own catalog."""
    return load_catalog()


def at(milliseconds: int) -> Timestamp:
    """Return a time so many milliseconds after the epoch."""
    stamp = Timestamp()
    stamp.FromMilliseconds(milliseconds)
    return stamp


def event(kind: str, when_ms: int, store: str = "", command: str = "CreateUser", error: str = "") -> Event:
    """Return an event of the test's command."""
    return Event(
        event_id=f"{kind}:{store}:{when_ms}",
        correlation_id=CORRELATION_ID,
        event_type=f"command.{kind}",
        timestamp=at(when_ms),
        store=store,
        command=command,
        user_id=7,
        error=error,
    )


def span(span_id: str, parent: str, name: str, start_ms: int, **attributes: str) -> Span:
    """Return a span of the test's trace."""
    return Span(
        trace_id="t", span_id=span_id, parent_span_id=parent, name=name, start_time=at(start_ms), attributes=attributes
    )


def whole_trace(store: str = "POSTGRESQL") -> Sequence[Span]:
    """Return the spans of a command that went its whole way."""
    return [
        span("a", "", "edge", 1),
        span("b", "a", "polystream.v1.UserService/CreateUser", 2),
        span("c", "b", names.GATEWAY_SEND, 3),
        span("d", "c", names.LANE_PROCESS, 4, **{names.STORE: store}),
        span("e", "d", names.LANE_SEND, 5),
    ]


HAPPY = [event("accepted", 10), event("received", 12, "POSTGRESQL"), event("succeeded", 15, "POSTGRESQL")]


def test_a_command_without_a_receipt_is_accepted(catalog: Catalog) -> None:
    """Nothing is known but that Kafka has it."""
    operation = fold([event("accepted", 10)], catalog)
    assert (operation.state, operation.user_id) == (Operation.ACCEPTED, 7)
    assert not operation.HasField("complete_time")


def test_a_command_succeeds_with_its_stores_receipt(catalog: Catalog) -> None:
    """In whatever order the events came."""
    operation = fold(list(reversed(HAPPY)), catalog)
    assert operation.state == Operation.SUCCEEDED
    assert operation.complete_time == at(15)
    assert operation.accept_time == at(10)


def test_a_command_of_three_stores_waits_for_all_of_them(catalog: Catalog) -> None:
    """Two receipts of three are not enough; the third completes it."""
    events = [event("accepted", 1, command="DeleteUser")]
    for number, store in enumerate(("POSTGRESQL", "MONGODB", "REDIS")):
        assert fold(events, catalog).state == Operation.ACCEPTED
        events.append(event("succeeded", 10 + number, store, command="DeleteUser"))
    assert fold(events, catalog).state == Operation.SUCCEEDED


def test_a_refusal_fails_the_operation_with_its_reason(catalog: Catalog) -> None:
    """The reason's own code comes back from the event log."""
    operation = fold([HAPPY[0], event("failed", 15, "POSTGRESQL", error="USER_NOT_FOUND: no such user")], catalog)
    assert (operation.state, operation.error.code) == (Operation.FAILED, 5)
    assert operation.error.message == "no such user"


DEAD_LETTER = event("failed", 15, "POSTGRESQL", error="HANDLER_FAILED: it failed")
REFUSED = event("failed", 50, "POSTGRESQL", error="USER_NOT_FOUND: no such user")


@pytest.mark.parametrize(
    ("answer", "state"),
    [(event("succeeded", 50, "POSTGRESQL"), Operation.SUCCEEDED), (REFUSED, Operation.FAILED)],
)
def test_a_dead_letter_gives_way_to_what_a_redrive_brought(
    catalog: Catalog, answer: Event, state: Operation.State
) -> None:
    """Neither another dead letter nor anything else takes that answer's place."""
    again = event("failed", 99, "POSTGRESQL", error="HANDLER_FAILED: it failed")
    events = [HAPPY[0], DEAD_LETTER, event("redriven", 40), answer, again, event("succeeded", 100, "POSTGRESQL")]
    operation = fold(events, catalog)
    assert (operation.state, operation.complete_time) == (state, at(50))
    assert len(operation.receipts) == 1
    assert operation.HasField("error") == (state == Operation.FAILED)


def test_a_redrive_comes_before_what_it_brings(catalog: Catalog) -> None:
    """At the same instant, too."""
    told = tell([event("succeeded", 40, "POSTGRESQL"), event("redriven", 40), HAPPY[0]], [], catalog, sampled=False)
    assert [hop.event_type for hop in told.hops] == ["command.accepted", "command.redriven", "command.succeeded"]


def test_the_first_receipt_of_a_store_counts(catalog: Catalog) -> None:
    """A redelivered command's second answer changes nothing."""
    operation = fold([*HAPPY, event("succeeded", 99, "POSTGRESQL")], catalog)
    assert len(operation.receipts) == 1
    assert operation.complete_time == at(15)


def test_a_whole_story_misses_nothing(catalog: Catalog) -> None:
    """Hops in the order of time, spans with parents first, nothing missing."""
    story = tell(list(reversed(HAPPY)), list(reversed(whole_trace())), catalog, sampled=True)
    assert [hop.event_type for hop in story.hops] == ["command.accepted", "command.received", "command.succeeded"]
    assert [s.span_id for s in story.spans] == ["a", "b", "c", "d", "e"]
    assert list(story.missing) == []


def test_a_missing_lane_is_named(catalog: Catalog) -> None:
    """Who has not answered is said."""
    story = tell([event("accepted", 1)], [], catalog, sampled=False)
    assert list(story.missing) == ["the POSTGRESQL lane has not answered"]


def test_a_span_without_its_parent_is_named(catalog: Catalog) -> None:
    """Two trees are not one story."""
    spans = [s for s in whole_trace() if s.span_id != "c"]
    story = tell(HAPPY, spans, catalog, sampled=True)
    assert any("no single tree" in text for text in story.missing)
    assert any(names.GATEWAY_SEND in text for text in story.missing)


def test_a_request_that_was_sent_again_is_a_tree_of_its_own(catalog: Catalog) -> None:
    """Under its request ID it is the same operation, and a call with a trace of its own."""
    hops = [event("accepted", 1), event("received", 4, "POSTGRESQL"), event("succeeded", 5, "POSTGRESQL")]
    again = span("f", "", "polystream.v1.UserService/CreateUser", 6)
    again.kind = "SERVER"
    assert list(tell(hops, [*whole_trace(), again], catalog, sampled=True).missing) == []
    again.kind = "CONSUMER"
    assert any("no single tree" in text for text in tell(hops, [*whole_trace(), again], catalog, sampled=True).missing)


def test_an_unsampled_command_misses_no_spans(catalog: Catalog) -> None:
    """Spans are only expected where the trace was to be recorded."""
    assert list(tell(HAPPY, [], catalog, sampled=False).missing) == []
    assert list(tell(HAPPY, [], catalog, sampled=True).missing) == ["no span of the command's trace has arrived"]


def test_forged_spans_are_told_beside_the_commands_own(catalog: Catalog) -> None:
    """Those that name each other as parents, and those of another trace with the same IDs."""
    forged = [span("x", "y", "x", 1), span("y", "x", "y", 2), span("a", "a", "edge", 3)]
    forged[-1].trace_id = "foreign"
    told = [(s.trace_id, s.span_id) for s in tell(HAPPY, [*whole_trace(), *forged], catalog, sampled=True).spans]
    assert len(told) == len(set(told)) == 8
    assert [span_id for trace_id, span_id in told if trace_id == "t"] == ["a", "b", "c", "d", "e", "x", "y"]


def placed(kind: str, when_ms: int, offset: int, store: str = "", **fields: Any) -> Event:
    """Return an event about the record at an offset of `user_events`, of partition 0."""
    made = event(kind, when_ms, store, command=fields.pop("command", "CreateUser"))
    made.service = fields.pop("service", "")
    if kind == "accepted":
        made.offset = offset
    else:
        made.command_partition, made.command_offset = 0, offset
    for name, value in fields.items():
        setattr(made, name, value)
    return made


ISSUED_MS = int(CORRELATION_ID[:8] + CORRELATION_ID[9:13], 16)
OWN = placed("accepted", ISSUED_MS + 1, 3, service="gateway-0")
FOREIGN = {
    "long before": placed("accepted", 5, 9, service="gateway-0"),
    "later": placed("accepted", ISSUED_MS + 50, 9, service="gateway-0"),
    "of another command": placed("accepted", ISSUED_MS + 1, 1, service="gateway-0", command="DropTables"),
    "of no gateway": placed("accepted", ISSUED_MS, 9),
}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_record_with_the_commands_id_is_not_its_acceptance(catalog: Catalog, foreign: Event) -> None:
    """It is told of as what it is, and what became of it says nothing of the command."""
    dead = placed("failed", ISSUED_MS + 60, foreign.offset, "POSTGRESQL", dead_lettered=True, command=foreign.command)
    story = tell([foreign, dead, OWN], [], catalog, sampled=False)
    assert story.operation.state == Operation.ACCEPTED
    assert story.operation.accept_time == OWN.timestamp
    kinds = {hop.offset: hop.event_type for hop in story.hops if hop.topic == "" and hop.event_type != "command.failed"}
    assert kinds == {OWN.offset: "command.accepted", foreign.offset: "command.repeated"}
    assert list(story.missing) == ["the POSTGRESQL lane has not answered"]
    done = placed("succeeded", ISSUED_MS + 70, OWN.offset, "POSTGRESQL")
    assert fold([foreign, dead, OWN, done], catalog).state == Operation.SUCCEEDED


def test_the_record_that_a_store_applied_is_the_command(catalog: Catalog) -> None:
    """Whatever else looks more like it, as a request's ID has no time to go by."""
    late = placed("accepted", ISSUED_MS + 90, 9)
    story = tell([OWN, late, placed("succeeded", ISSUED_MS + 99, 9, "POSTGRESQL")], [], catalog, sampled=False)
    assert story.operation.accept_time == late.timestamp
    assert [hop.event_type for hop in story.hops] == ["command.repeated", "command.accepted", "command.succeeded"]


def test_a_dead_letter_that_somebody_else_wrote_waits_for_no_store(catalog: Catalog) -> None:
    """Nobody accepted such a command: it is over, and a stop of the platform does not wait for it."""
    operation = fold([event("dead_lettered", 15, "POSTGRESQL", error="HANDLER_FAILED: it failed")], catalog)
    assert (operation.state, operation.complete_time) == (Operation.FAILED, at(15))
    assert operation.error.message == "it failed"
    assert fold([OWN, event("dead_lettered", 15, "POSTGRESQL")], catalog).state == Operation.ACCEPTED
