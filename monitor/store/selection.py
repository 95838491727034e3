"""What a story is told of, where there is more than a story can hold: its ends, and the spans that are its own."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from polystream.v1.operations_pb2 import Span

from monitor.records import TracedEvent
from monitor.span_tree import SpanPlace, parent_of, place_of

EVENTS_MAX: Final = 500  # of one command
_LAST_EVENTS: Final = 100  # of them, from the end: how a command ended matters as much as how it began
FIRST_EVENTS_MAX: Final = EVENTS_MAX - _LAST_EVENTS
LAST_EVENTS_MAX: Final = _LAST_EVENTS
SPANS_MAX: Final = 1000  # of one command, its ancestors among them
_GENERATIONS_MAX: Final = 32  # of ancestors: a trace has a few services above the gateway


def ends_of(events: Iterable[TracedEvent]) -> list[TracedEvent]:
    """Return the events of one command, in no order; of more than a story holds, the first and the last in time."""
    found = list(events)
    if len(found) <= EVENTS_MAX:
        return found
    found.sort(key=lambda traced: (traced.event.timestamp.ToMicroseconds(), traced.event.event_id))
    return found[:FIRST_EVENTS_MAX] + found[-LAST_EVENTS_MAX:]


def with_ancestors(
    own: Sequence[Span], find: Callable[[Sequence[SpanPlace]], Iterable[Span]], max_spans: int = SPANS_MAX
) -> list[Span]:
    """Return a command's own spans and their ancestors, whoever made those: the caller's, a proxy's.

    `find` returns those of some spans that there are.
    """
    known = {place_of(span): span for span in own[:max_spans]}
    generation: Sequence[Span] = list(known.values())
    for _ in range(_GENERATIONS_MAX):
        parents = dict.fromkeys(map(parent_of, generation))
        wanted = [place for place in parents if place and place not in known][: max_spans - len(known)]
        generation = list(find(wanted)) if wanted else []
        if not generation:
            break
        known |= {place_of(span): span for span in generation}
    return list(known.values())
