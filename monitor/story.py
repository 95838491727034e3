"""Events and spans to an operation and its story. Pure."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.options.v1.options_pb2 import Store
from polystream.v1.operations_pb2 import Event, Operation, OperationStory, Span

from mesh.catalog import Catalog, Command
from mesh.dead_letters.dead_letter import RecordPosition
from mesh.error_classes.classes import ErrorClass
from mesh.errors import Reason
from mesh.ids import issue_time_ms
from mesh.operation import Acceptance, StoreAnswer, answered_position, fold_answers
from mesh.store_errors import text_status
from mesh.telemetry import names
from monitor.records import ACCEPTED, DEAD_LETTERED, DISCARDED, FAILED, PARKED, RECEIVED, REDRIVEN, REPEATED, SUCCEEDED
from monitor.span_tree import parent_of, parents_first, place_of

# At the same instant, what causes comes before what follows.
_ORDER = {
    ACCEPTED: 0,
    REDRIVEN: 0,
    DISCARDED: 0,
    RECEIVED: 1,
    PARKED: 2,
    DEAD_LETTERED: 2,
    SUCCEEDED: 3,
    FAILED: 3,
}
_ANSWERS = {SUCCEEDED: Operation.SUCCEEDED, FAILED: Operation.FAILED, PARKED: Operation.ACCEPTED}

# gRPC's clients take messages of 4 MiB, if they are not told otherwise.
_HOPS_MAX_BYTES: Final = 1_000_000
_SPANS_MAX_BYTES: Final = 1_500_000

_STORES = frozenset(Store.keys())
_CALL: Final = "SERVER"  # the kind of a span of a call that somebody from outside has made


def ordered(events: Iterable[Event]) -> list[Event]:
    """Return the hops in the order of their time."""
    return sorted(events, key=lambda e: (e.timestamp.ToMicroseconds(), _ORDER.get(e.event_type, 9), e.event_id))


def fold(events: Sequence[Event], catalog: Catalog) -> Operation:
    """Return the operation that the events of one correlation ID add up to, as `mesh.operation.fold_answers` says."""
    hops = ordered(events)
    answers = [_answer(hop) for hop in hops if hop.event_type in _ANSWERS and hop.store in _STORES]
    operation = fold_answers(_acceptance(hops, catalog), answers, catalog.commands)
    if all(hop.event_type == DEAD_LETTERED for hop in hops):
        _give_up(operation, hops[0])
    return operation


def _give_up(operation: Operation, dead_letter: Event) -> None:
    """Conclude what is known by a dead letter alone: nobody has accepted it, and nobody will answer."""
    operation.state = Operation.FAILED
    operation.complete_time.CopyFrom(dead_letter.timestamp)
    operation.error.CopyFrom(text_status(dead_letter.error, dead_letter.store))


def tell(
    events: Sequence[Event],
    spans: Sequence[Span],
    catalog: Catalog,
    *,
    sampled: bool,
    events_left_out: int = 0,
    spans_left_out: int = 0,
) -> OperationStory:
    """Return the whole story of one correlation ID, of at most two and a half million bytes.

    `sampled` says whether its trace was to be recorded; the others, how many more events and spans there are. What is
    left out is among what is missing.
    """
    operation = fold(events, catalog)
    command = catalog.commands.get(operation.command)
    missing = [*_missing_hops(events, operation, command)]
    tree = parents_first(spans)
    shown = _first_within(_SPANS_MAX_BYTES, tree)
    spans_left_out += len(tree) - len(shown)
    if spans_left_out:
        missing.append(f"{spans_left_out} more spans name the command: a story has its first {len(shown)}")
    elif sampled:
        missing += _missing_spans(tree, operation, command)
    hops = _ends_within(_HOPS_MAX_BYTES, _with_repeated(ordered(events), catalog))
    if more := events_left_out + len(events) - len(hops):
        missing.append(f"{more} more hops are left out: a story has its first and its last ones")
    return OperationStory(operation=operation, hops=hops, spans=shown, missing=missing)


def _first_within(max_bytes: int, spans: Sequence[Span]) -> Sequence[Span]:
    for position, size in enumerate(itertools.accumulate(span.ByteSize() for span in spans)):
        if size > max_bytes:
            return spans[:position]
    return spans


def _ends_within(max_bytes: int, hops: Sequence[Event]) -> Sequence[Event]:
    """Return the hops whole, or what fits of their beginning and of their end, a quarter of it from the end."""
    sizes = [hop.ByteSize() for hop in hops]
    if sum(sizes) <= max_bytes:
        return hops
    last = next(n for n, size in enumerate(itertools.accumulate(reversed(sizes))) if size > max_bytes / 4)
    first = next(n for n, size in enumerate(itertools.accumulate(sizes)) if size > max_bytes * 3 / 4)
    return [*hops[:first], *hops[len(hops) - last :]]


def _acceptance(hops: Sequence[Event], catalog: Catalog) -> Acceptance:
    """Return the acceptance that the hops tell of, or what the earliest of them says of it.

    What a store has applied or refused is the command; a dead letter may be of a foreign record with its ID.
    """
    first = _accepted_hop(hops, catalog)
    if first is not None:
        accept_time, position = first.timestamp, RecordPosition(first.partition, first.offset)
    else:
        first = next((hop for hop in hops if _is_applied(hop)), hops[0])
        of_command = [hop for hop in hops if hop.command == first.command]
        accept_time, position = min(map(_begun, of_command), key=Timestamp.ToNanoseconds), None
    user_id = first.user_id if first.HasField("user_id") else None
    return Acceptance(first.correlation_id, first.command, accept_time, user_id, position)


def _accepted_hop(hops: Sequence[Event], catalog: Catalog) -> Event | None:
    """Return the hop of the record that a gateway sent; None where none has been seen.

    Anybody may write a record with a command's correlation ID. That which a store has applied or refused is the
    command. Before that, it is one of a command that there is, which names its gateway, and was accepted nearest to
    when its ID was made; of a client's request ID, which has no time, the earliest.
    """
    accepted = [hop for hop in hops if hop.event_type == ACCEPTED]
    if len(accepted) <= 1:
        return accepted[0] if accepted else None
    applied = {answered_position(hop) for hop in hops if _is_applied(hop)}
    issued_us = (issue_time_ms(accepted[0].correlation_id) or 0) * 1000

    def rank(hop: Event) -> tuple[bool, bool, bool, int, int, int]:
        position = RecordPosition(hop.partition, hop.offset)
        distance_us = abs(hop.timestamp.ToMicroseconds() - issued_us)
        is_known = hop.command in catalog.commands
        return position not in applied, not is_known, not hop.service, distance_us, hop.partition, hop.offset

    return min(accepted, key=rank)


def _with_repeated(hops: Sequence[Event], catalog: Catalog) -> list[Event]:
    """Return the hops, those of other records on `user_events` than the accepted one as what they are."""
    accepted = _accepted_hop(hops, catalog)
    return [_repeated(hop) if hop.event_type == ACCEPTED and hop is not accepted else hop for hop in hops]


def _repeated(hop: Event) -> Event:
    repeated = Event()
    repeated.CopyFrom(hop)
    repeated.event_type = REPEATED
    return repeated


def _is_applied(hop: Event) -> bool:
    is_answer = hop.event_type in (SUCCEEDED, FAILED) and hop.store in _STORES
    return is_answer and not hop.dead_lettered and not _tells_of_dead_letter(hop)


def _begun(hop: Event) -> Timestamp:
    """Return when the step to a hop began: of the one that a lane receives, that is when the command was accepted."""
    begun = Timestamp()
    taken_us = round(hop.duration_ms * 1000) if hop.event_type == RECEIVED else 0
    begun.FromMicroseconds(hop.timestamp.ToMicroseconds() - taken_us)
    return begun


def _answer(hop: Event) -> StoreAnswer:
    error = None
    if hop.event_type == FAILED:
        error = hop.error_status if hop.HasField("error_status") else text_status(hop.error, hop.store)
    return StoreAnswer(
        command=hop.command,
        store=Store.Value(hop.store),
        state=_ANSWERS[hop.event_type],
        complete_time=hop.timestamp,
        duplicate=hop.duplicate,
        dead_lettered=hop.dead_lettered or _tells_of_dead_letter(hop),
        error=error,
        user_id=hop.user_id if hop.HasField("user_id") else None,
        position=answered_position(hop),
        waits_behind=hop.waits_behind,
    )


def _tells_of_dead_letter(hop: Event) -> bool:
    """Whether the reason alone says so: events of earlier versions have nothing else that does."""
    reason = Reason.__members__.get(hop.error.partition(": ")[0])
    is_earlier = not hop.HasField("error_status")
    return is_earlier and reason is not None and reason.value.error_class is ErrorClass.SET_APART


def _missing_hops(events: Sequence[Event], operation: Operation, command: Command | None) -> list[str]:
    missing = []
    if all(event.event_type != ACCEPTED for event in events):
        missing.append("the command's record on user_events has not been seen")
    answers: dict[int, str] = {receipt.store: receipt.waits_behind for receipt in operation.receipts}
    for store in command.stores if command else ():
        behind = answers.get(Store.Value(store))
        if behind is None:
            missing.append(f"the {store} lane has not answered")
        elif behind:
            missing.append(
                f"the command waits in {store} behind {behind}, which was given up: redrive or discard that one"
            )
    return missing


def _missing_spans(spans: Sequence[Span], operation: Operation, command: Command | None) -> list[str]:
    if not spans:
        return ["no span of the command's trace has arrived"]
    places = set(map(place_of, spans))
    roots = [span for span in spans if parent_of(span) not in places]
    # A request that is sent again under its request ID is another call, with a trace of its own.
    adrift = ", ".join(f"{span.service}: {span.name}" for span in roots[1:] if span.kind != _CALL)
    missing = []
    if adrift:
        missing.append(f"the spans are no single tree; their parents are missing: {adrift}")
    if not any(span.name == names.GATEWAY_SEND for span in spans):
        missing.append(f"the gateway's span `{names.GATEWAY_SEND}` has not arrived")
    stores = {span.attributes.get(names.STORE) for span in spans if span.name == names.LANE_PROCESS}
    answered = {Store.Name(receipt.store) for receipt in operation.receipts}
    silent = [store for store in (command.stores if command else ()) if store in answered and store not in stores]
    return missing + [f"the {store} lane's span `{names.LANE_PROCESS}` has not arrived" for store in silent]
