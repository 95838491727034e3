"""Events and spans to an operation and its story. Pure."""

from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from polystream.options.v1 import options_pb2
from polystream.v1.operations_pb2 import Event, Operation, OperationStory, Span

from mesh.catalog import Catalog, Command
from mesh.errors import Reaction, Reason, build_status
from mesh.telemetry import names
from monitor.records import ACCEPTED, DEAD_LETTERED, FAILED, RECEIVED, REDRIVEN, SUCCEEDED

# At the same instant, what causes comes before what follows.
_ORDER = {ACCEPTED: 0, REDRIVEN: 0, RECEIVED: 1, DEAD_LETTERED: 2, SUCCEEDED: 3, FAILED: 3}


def ordered(events: Iterable[Event]) -> list[Event]:
    """Return the hops in the order of their time."""
    return sorted(events, key=lambda e: (e.timestamp.ToMicroseconds(), _ORDER.get(e.event_type, 9), e.event_id))


def fold(events: Sequence[Event], catalog: Catalog) -> Operation:
    """Return the operation that the events of one correlation ID add up to."""
    hops = ordered(events)
    first = next((e for e in hops if e.event_type == ACCEPTED), hops[0])
    operation = Operation(
        name=f"operations/{first.correlation_id}",
        correlation_id=first.correlation_id,
        command=first.command,
        state=Operation.ACCEPTED,
        accept_time=first.timestamp,
    )
    if first.HasField("user_id"):
        operation.user_id = first.user_id
    operation.receipts.extend(map(_receipt, _answers(hops)))
    _settle(operation, catalog.commands.get(first.command))
    return operation


def tell(events: Sequence[Event], spans: Sequence[Span], catalog: Catalog, *, sampled: bool) -> OperationStory:
    """Return the whole story of one correlation ID. `sampled` says whether its trace was to be recorded."""
    operation = fold(events, catalog)
    tree = parents_first(spans)
    command = catalog.commands.get(operation.command)
    missing = [*_missing_hops(events, command)]
    if sampled:
        missing += _missing_spans(tree, operation, command)
    return OperationStory(operation=operation, hops=ordered(events), spans=tree, missing=missing)


def parents_first(spans: Sequence[Span]) -> list[Span]:
    """Return the spans depth first, each parent before its children, siblings by start time."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda s: s.start_time.ToNanoseconds()):
        parent = span.parent_span_id if span.parent_span_id in known else ""
        children.setdefault(parent, []).append(span)
    result: list[Span] = []
    waiting = list(reversed(children.get("", [])))
    while waiting:
        span = waiting.pop()
        result.append(span)
        waiting.extend(reversed(children.get(span.span_id, [])))
    return result


def _answers(hops: Sequence[Event]) -> Iterable[Event]:
    """Return one answer a store: its first one, except that a dead letter gives way to what a redrive brought."""
    chosen: dict[str, Event] = {}
    for event in hops:
        if event.event_type not in (SUCCEEDED, FAILED) or not event.store:
            continue
        known = chosen.get(event.store)
        if known is None or (_tells_of_dead_letter(known) and not _tells_of_dead_letter(event)):
            chosen[event.store] = event
    return chosen.values()


def _tells_of_dead_letter(answer: Event) -> bool:
    reason = _reason(answer)
    return reason is not None and reason.value.reaction is Reaction.DEAD_LETTER


def _receipt(answer: Event) -> Operation.Receipt:
    return Operation.Receipt(
        store=answer.store,
        state=Operation.SUCCEEDED if answer.event_type == SUCCEEDED else Operation.FAILED,
        complete_time=answer.timestamp,
        duplicate=answer.duplicate,
        error=_status(answer),
    )


def _settle(operation: Operation, command: Command | None) -> None:
    failed = next((receipt for receipt in operation.receipts if receipt.state == Operation.FAILED), None)
    expected = len(command.stores) if command else 1
    if failed is not None:
        operation.state = Operation.FAILED
        operation.error.CopyFrom(failed.error)
        operation.complete_time.CopyFrom(failed.complete_time)
    elif len(operation.receipts) >= expected:
        operation.state = Operation.SUCCEEDED
        operation.complete_time.CopyFrom(_latest(operation))


def _latest(operation: Operation) -> Timestamp:
    return max((r.complete_time for r in operation.receipts), key=lambda time: time.ToNanoseconds())


def _status(event: Event) -> status_pb2.Status | None:
    if event.event_type != FAILED:
        return None
    name, _, message = event.error.partition(": ")
    known = _reason(event)
    code = known.value.code if known else Reason.INTERNAL.value.code
    return build_status(code, name or Reason.INTERNAL.name, message)


def _reason(event: Event) -> Reason | None:
    """Return the reason that an event's error begins with, where it is one of the platform's."""
    return Reason.__members__.get(event.error.partition(": ")[0])


def _missing_hops(events: Sequence[Event], command: Command | None) -> list[str]:
    kinds = {(event.event_type, event.store) for event in events}
    missing = []
    if (ACCEPTED, "") not in kinds:
        missing.append("the command's record on user_events has not been seen")
    stores = command.stores if command else ()
    return missing + [f"the {store} lane has not answered" for store in stores if (RECEIVED, store) not in kinds]


def _missing_spans(spans: Sequence[Span], operation: Operation, command: Command | None) -> list[str]:
    if not spans:
        return ["no span of the command's trace has arrived"]
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_span_id not in ids]
    missing = []
    if len(roots) > 1:
        adrift = ", ".join(f"{span.service}: {span.name}" for span in roots[1:])
        missing.append(f"the spans are no single tree; their parents are missing: {adrift}")
    if not any(span.name == names.GATEWAY_SEND for span in spans):
        missing.append(f"the gateway's span `{names.GATEWAY_SEND}` has not arrived")
    stores = {span.attributes.get(names.STORE) for span in spans if span.name == names.LANE_PROCESS}
    answered = {options_pb2.Store.Name(receipt.store) for receipt in operation.receipts}
    silent = [store for store in (command.stores if command else ()) if store in answered and store not in stores]
    return missing + [f"the {store} lane's span `{names.LANE_PROCESS}` has not arrived" for store in silent]
