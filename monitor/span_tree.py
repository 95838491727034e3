"""The tree that spans make by the parents they name. Anybody may send spans, so that it need not be one. Pure."""

from collections.abc import Sequence

from polystream.v1.operations_pb2 import Span

SpanPlace = tuple[str, str]  # a trace ID and a span ID: span IDs alone are of one trace only


def place_of(span: Span) -> SpanPlace:
    """Return where a span stands."""
    return span.trace_id, span.span_id


def parent_of(span: Span) -> SpanPlace | None:
    """Return where a span's parent stands; None where it names none, or itself."""
    if span.parent_span_id in ("", span.span_id):
        return None
    return span.trace_id, span.parent_span_id


def parents_first(spans: Sequence[Span]) -> list[Span]:
    """Return every span once, depth first, each one behind its parent, and those of one parent by their start."""
    known = set(map(place_of, spans))
    children: dict[SpanPlace | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.start_time.ToNanoseconds(), span.span_id)):
        parent = parent_of(span)
        children.setdefault(parent if parent in known else None, []).append(span)
    ordered: list[Span] = []
    waiting = list(reversed(children.pop(None, [])))
    while waiting:
        span = waiting.pop()
        ordered.append(span)
        # Taken out, so that several spans with one place, or a circle, lead nobody to the same ones again.
        waiting += reversed(children.pop(place_of(span), []))
    # What is left stands in a circle, which no tracer makes; it is told all the same.
    return [*ordered, *(span for some in children.values() for span in some)]
