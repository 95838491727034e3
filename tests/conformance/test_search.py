"""Every event store finds the same: what a filter says of an entry's values, in the order that was asked for."""

import random
from collections.abc import Iterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event, ListEventsRequest, ListOperationsRequest, ListSpansRequest, Span

from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.telemetry.names import CONVERSATION_ID
from monitor.listing.checking import conditions_of
from monitor.listing.conditions import fulfils
from monitor.listing.fields import EVENTS, OPERATIONS, SPANS, event_values, operation_values, span_values
from monitor.listing.listing import Listing, order_of, pick
from monitor.records import TracedEvent
from monitor.service import EventLog
from monitor.store.port import EventStore
from monitor.story import fold
from tests.support.engine_pool import Lease
from tests.support.event_stores import STORE_ENGINES, open_store, store_engine

CATALOG = load_catalog()
FIRST_MS = 1_790_000_000_123
COMMANDS = 60
_REASONS = ("USER_NOT_FOUND", "EMAIL_ALREADY_EXISTS", "HANDLER_FAILED")
_MESSAGES = ("there is no such user; create it first", "100% of [it] *failed*", "a_b \\ NÃO c")
_TIME = "2026-09-21T14:13:20.133Z"


def _stamp(at_us: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(at_us)
    return stamp


def _command(number: int, chance: random.Random) -> list[Event]:
    """Return the events of one command: accepted, and answered by the store or not."""
    correlation_id = new_correlation_id()
    command, store = chance.choice(
        [("CreateUser", "POSTGRESQL"), ("RecordView", "MONGODB"), ("CreateSession", "REDIS")]
    )
    at_us = (FIRST_MS + number // 3) * 1000 + chance.randrange(1000)
    trace_id = f"{number:032x}" if number % 4 else ""
    base = Event(correlation_id=correlation_id, command=command, trace_id=trace_id, topic="user_events")
    if number % 5:
        base.user_id = number % 7
    accepted = Event(event_type="command.accepted", status="ACCEPTED", service="gateway-0", timestamp=_stamp(at_us))
    made = [accepted]
    if number % 3:
        done = Event(service="processor", store=store, duration_ms=chance.choice([0.25, 7, 100]))
        done.timestamp.CopyFrom(_stamp(at_us + 10_000 + number))
        kind, done.status = ("failed", "FAILED") if number % 3 == 1 else ("succeeded", "SUCCEEDED")
        done.event_type = f"command.{kind}"
        if kind == "failed":
            reason, message = chance.choice(_REASONS), chance.choice(_MESSAGES)
            done.error = f"{reason}: {message}"
            done.error_status.CopyFrom(PolystreamError(Reason[reason], message).to_status())
        made.append(done)
    for event in made:
        event.MergeFrom(base)
        event.event_id = f"{correlation_id}:{event.event_type}:{event.store}"
    return made


def _spans(number: int, correlation_id: str) -> list[Span]:
    attributes = {CONVERSATION_ID: correlation_id} if number % 4 else {}
    attributes |= {"rpc.method": ("CreateUser", "RecordView", "")[number % 3], "a=b": f"c{number % 2}", "a": "b=c1"}
    if number % 5 == 0:
        attributes |= {"só \\": "não é", "messaging.kafka.offset": str(number)}
    return [
        Span(
            trace_id=f"{number:032x}",
            span_id=f"{number:015x}{part}",
            parent_span_id=f"{number:015x}0" if part else "",
            name=("POST /v1/users", "send user_events")[part],
            service=("gateway", "processor")[part],
            kind=("SERVER", "PRODUCER")[part],
            start_time=_stamp((FIRST_MS + number // 2) * 1000 + part),
            duration_ms=number / 4,
            error=number % 6 == 0,
            attributes=attributes,
        )
        for part in (0, 1)
    ]


_CHANCE = random.Random(7)  # the same entries in every run
TOLD = [_command(number, _CHANCE) for number in range(COMMANDS)]
EVENT_LIST = [event for events in TOLD for event in events]
SPAN_LIST = [span for number, events in enumerate(TOLD) for span in _spans(number, events[0].correlation_id)]
FOLDED = [(fold(events, CATALOG), events) for events in TOLD]


@pytest.fixture(scope="module", params=STORE_ENGINES)
def store(
    request: pytest.FixtureRequest, lease: Lease, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EventStore]:
    """A store with all of them in it."""
    engine = store_engine(str(request.param), lease, tmp_path_factory.mktemp("events"))
    engine.empty()
    made = open_store(str(request.param), engine.target)
    made.append([TracedEvent(event, sampled=True) for event in EVENT_LIST])
    made.add_spans(SPAN_LIST)
    yield made
    made.close()


OPERATION_FILTERS = (
    "",
    "state = FAILED",
    "state != FAILED",
    "store = MONGODB",
    "NOT store:*",
    "store_states.postgresql = FAILED OR store_states.REDIS = SUCCEEDED",
    'command = "Create*" AND NOT user_id = 3',
    "user_id:* (user_id != 2) duration_ms > 0.01s",
    "-user_id:*",
    "reason = USER_NOT_FOUND",
    'reason != ""',
    "handler_failed",
    'error:"100% OF [it]"',
    r'error:"\\*failed\\*"',
    'error:"a_B"',
    'error:"não"',
    f'accept_time >= "{_TIME}" AND accept_time < "2026-09-21T14:13:20.140Z"',
    f"complete_time > {_TIME}",
    "NOT complete_time:*",
    'trace_id = "0000*5"',
    'trace_id = ""',
    "duration_ms < 10.02 OR state = ACCEPTED command = RecordView",
)
EVENT_FILTERS = (
    "event_type = command.failed",
    'event_type = "command.*ed" AND -store = REDIS',
    "status = SUCCEEDED service = processor",
    "duration_ms = 7 OR duration_ms >= 100",
    "reason = EMAIL_ALREADY_EXISTS OR -error:*",
    f'timestamp <= "{_TIME}"',
    "user_id = 4 topic = user_events",
    "waits_behind:*",
    "FAILED",
)
SPAN_FILTERS = (
    "service = gateway AND duration_ms > 5",
    "error = true",
    "-error = true kind = PRODUCER",
    'name = "POST *"',
    "users",
    'correlation_id:* parent_span_id = ""',
    f'start_time > "{_TIME}"',
    "attributes.rpc.method = CreateUser",
    'attributes."rpc.method" != CreateUser AND service = gateway',
    "attributes.rpc.method:*",
    'attributes.rpc.method = ""',
    'attributes."a=b" = c1',
    r'attributes."só \\" = "não é" OR attributes.rpc.method = RecordView',
    "attributes.messaging.kafka.offset = 10 duration_ms > 1 -kind = CONSUMER",
    "NOT (attributes.messaging.kafka.offset:* OR attributes.rpc.method = CreateUser)",
)


@pytest.mark.parametrize("order_by", ["", "duration_ms desc", "complete_time, duration_ms desc"])
@pytest.mark.parametrize("text", OPERATION_FILTERS)
def test_operations_are_found_as_their_values_say(store: EventStore, text: str, order_by: str) -> None:
    """In their order, whatever is missing among them."""
    listing = Listing(1000, conditions_of(text, OPERATIONS), order_of(order_by, OPERATIONS))
    expected = [operation for operation, _ in pick(FOLDED, lambda told: operation_values(*told), listing, OPERATIONS)]
    assert [o.correlation_id for o in store.operations(listing)] == [o.correlation_id for o in expected]


@pytest.mark.parametrize("order_by", ["", "duration_ms", "timestamp"])
@pytest.mark.parametrize("text", EVENT_FILTERS)
def test_events_are_found_as_their_values_say(store: EventStore, text: str, order_by: str) -> None:
    """In their order."""
    listing = Listing(1000, conditions_of(text, EVENTS), order_of(order_by, EVENTS))
    expected = pick(EVENT_LIST, event_values, listing, EVENTS)
    assert [e.event_id for e in store.events(listing)] == [e.event_id for e in expected]
    assert len(expected) < len(EVENT_LIST)


@pytest.mark.parametrize("order_by", ["", "duration_ms desc, start_time"])
@pytest.mark.parametrize("text", SPAN_FILTERS)
def test_spans_are_found_as_their_values_say(store: EventStore, text: str, order_by: str) -> None:
    """In their order."""
    listing = Listing(1000, conditions_of(text, SPANS), order_of(order_by, SPANS))
    expected = pick(SPAN_LIST, span_values, listing, SPANS)
    assert [s.span_id for s in store.spans(listing)] == [s.span_id for s in expected]
    assert 0 < len(expected) < len(SPAN_LIST)


@pytest.mark.parametrize(
    ("text", "at", "rule"),
    [
        ("attributes = x", 1, "unknown_field"),
        ("attributes..x = 1", 1, "unknown_field"),
        ("attributes.rpc.method = Create*", 25, "wrong_type"),
        ("attributes.http.status > 400", 1, "unknown_operator"),
    ],
)
def test_what_cannot_be_asked_of_attributes_is_said(text: str, at: int, rule: str) -> None:
    """With the character, and what would be right."""
    with pytest.raises(PolystreamError) as raised:
        conditions_of(text, SPANS)
    (fault,) = raised.value.faults
    assert (fault.field, fault.rule) == ("filter", f"filter.{rule}")
    assert fault.description.startswith(f"at character {at}: ")


def _random_filter(chance: random.Random, depth: int = 0) -> str:
    roll = chance.random()
    if depth < 4 and roll < 0.5:
        word = chance.choice([" AND ", " OR ", " "])
        return f"({word.join(_random_filter(chance, depth + 1) for _ in range(chance.randint(2, 3)))})"
    if depth < 4 and roll < 0.65:
        return f"NOT ({_random_filter(chance, depth + 1)})"
    return chance.choice([text for text in OPERATION_FILTERS if text and " " not in text.strip()] + list(_TERMS))


_TERMS = (
    "state = ACCEPTED",
    "store = REDIS",
    "store_states.mongodb:*",
    "user_id = 1",
    "duration_ms >= 10.02",
    "duration_ms != 10.02",
    'command = "*e*"',
    "failed",
    f'complete_time < "{_TIME}"',
)


def test_random_filters_mean_the_same_everywhere(store: EventStore) -> None:
    """However they are nested."""
    chance = random.Random(11)  # the same filters in every run
    for _ in range(60):
        text = _random_filter(chance)
        where = conditions_of(text, OPERATIONS)
        expected = {told[0].correlation_id for told in FOLDED if fulfils(operation_values(*told), where)}
        assert {o.correlation_id for o in store.operations(Listing(1000, where))} == expected, text


def _walk(log: EventLog, size: int, **request: str) -> tuple[list[list[str]], str]:
    pages, token = [], ""
    while True:
        page = log.events_page(ListEventsRequest(page_size=size, page_token=token, **request))
        pages.append([event.event_id for event in page.events])
        if not page.next_page_token:
            return pages, page.previous_page_token
        token = page.next_page_token


@pytest.mark.parametrize("order_by", ["", "duration_ms", "duration_ms desc, timestamp"])
def test_pages_join_onwards_and_back(store: EventStore, order_by: str) -> None:
    """Each entry is on one page, and the way back leads over the same pages."""
    log = EventLog(store, CATALOG)
    pages, back = _walk(log, 9, filter="topic = user_events", order_by=order_by)
    listing = Listing(1000, conditions_of("topic = user_events", EVENTS), order_of(order_by, EVENTS))
    assert [name for page in pages for name in page] == [
        e.event_id for e in pick(EVENT_LIST, event_values, listing, EVENTS)
    ]
    for before in reversed(pages[:-1]):
        page = log.events_page(
            ListEventsRequest(page_size=9, page_token=back, filter="topic = user_events", order_by=order_by)
        )
        assert [event.event_id for event in page.events] == before
        assert page.next_page_token
        back = page.previous_page_token
    assert back == ""


@pytest.mark.parametrize("order_by", ["duration_ms", "duration_ms desc", "complete_time, duration_ms", "accept_time"])
def test_pages_go_on_behind_operations_that_are_open(store: EventStore, order_by: str) -> None:
    """Those have no time of completion and no duration, and stand together at one end of the list."""
    log = EventLog(store, CATALOG)
    expected = pick(
        FOLDED, lambda told: operation_values(*told), Listing(1000, order=order_of(order_by, OPERATIONS)), OPERATIONS
    )
    onwards: list[list[str]] = []
    tokens = [""]
    while tokens[-1] or not onwards:
        page = log.operations_page(ListOperationsRequest(page_size=7, page_token=tokens[-1], order_by=order_by))
        onwards.append([operation.correlation_id for operation in page.operations])
        tokens.append(page.next_page_token)
        back = page.previous_page_token
    assert [name for each in onwards for name in each] == [operation.correlation_id for operation, _ in expected]
    for before in reversed(onwards[:-1]):
        page = log.operations_page(ListOperationsRequest(page_size=7, page_token=back, order_by=order_by))
        assert [operation.correlation_id for operation in page.operations] == before
        back = page.previous_page_token


def test_a_token_is_of_its_filter_and_order(store: EventStore) -> None:
    """Another one is no page of that list."""
    log = EventLog(store, CATALOG)
    token = log.spans_page(ListSpansRequest(page_size=1)).next_page_token
    for other in (ListSpansRequest(filter="error = true"), ListSpansRequest(order_by="duration_ms")):
        other.page_token = token
        with pytest.raises(PolystreamError) as raised:
            log.spans_page(other)
        assert raised.value.reason is Reason.INVALID_PAGE_TOKEN


def test_the_fields_of_the_request_narrow_the_filter(store: EventStore) -> None:
    """State, command and user, as before there were filters."""
    log = EventLog(store, CATALOG)

    def listed(**request: object) -> set[str]:
        page = log.operations_page(ListOperationsRequest(page_size=1000, **request))  # type: ignore[arg-type]
        return {operation.correlation_id for operation in page.operations}

    failed = {o.correlation_id for o, _ in FOLDED if o.state == 3}
    create = {o.correlation_id for o, _ in FOLDED if o.command == "CreateUser"}
    assert listed(state=3, filter="command = CreateUser") == failed & create == listed(state=3, command="CreateUser")
    assert listed(user_id=3, filter="state = FAILED") == {
        o.correlation_id for o, _ in FOLDED if o.user_id == 3 and o.state == 3
    }
