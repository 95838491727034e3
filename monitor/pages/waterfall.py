"""A trace as a waterfall: its spans as a tree, each a bar over a ruler of time."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from polystream.v1.operations_pb2 import Span

from monitor.span_tree import SpanPlace, parent_of, place_of

_RULER_PARTS: Final = 4
_MAX_DEPTH: Final = 12  # of what is indented
_LEVELS_MAX: Final = 40  # of lists in one another: what is deeper stands beside its parent
_OWN_LOOKS: Final = ("edge", "gateway", "processor", "monitor")  # services with a colour of their own in waterfall.css
_OTHER_LOOKS: Final = 6  # colours that the others share


@dataclass(frozen=True, slots=True)
class Bar:
    """A span in the waterfall. `left` and `width` are in percent of the whole."""

    span: Span
    depth: int
    left: float
    width: float
    look: str  # the class of its service's colour
    attributes: Sequence[tuple[str, str]]
    children: list["Bar"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The spans as a tree, over a ruler."""

    trace_id: str
    roots: Sequence[Bar]
    ruler_ms: Sequence[float]
    spans: int


def waterfall_of(spans: Sequence[Span]) -> Waterfall | None:
    """Return the spans, which come parents first, as a tree; None for none."""
    if not spans:
        return None
    start_ms = min(map(_start_ms, spans))
    length_ms = max(max(_start_ms(span) + span.duration_ms for span in spans) - start_ms, 0.001)
    bars: dict[SpanPlace, Bar] = {}
    homes: dict[SpanPlace, tuple[int, list[Bar]]] = {}  # by span: where its children go, and how deep that is
    roots: list[Bar] = []
    for span in spans:
        place = parent_of(span)
        parent = bars.get(place) if place else None
        level, siblings = homes[place] if place and parent else (0, roots)
        left = min(100 * (_start_ms(span) - start_ms) / length_ms, 99.5)
        bar = Bar(
            span=span,
            depth=min(parent.depth + 1, _MAX_DEPTH) if parent else 0,
            left=round(left, 3),
            width=round(max(min(100 * span.duration_ms / length_ms, 100 - left), 0.4), 3),
            look=service_look(span.service),
            attributes=sorted(span.attributes.items()),
        )
        bars[place_of(span)] = bar
        siblings.append(bar)
        homes[place_of(span)] = (level + 1, bar.children) if level < _LEVELS_MAX else (level, siblings)
    ruler = [length_ms * part / _RULER_PARTS for part in range(_RULER_PARTS + 1)]
    return Waterfall(spans[0].trace_id, roots, ruler, len(spans))


def service_look(service: str) -> str:
    """Return the class of a service's colour: the same one on every page and after every start."""
    if service in _OWN_LOOKS:
        return f"service-{service}"
    return f"service-other-{zlib.crc32(service.encode()) % _OTHER_LOOKS}"


def _start_ms(span: Span) -> float:
    return span.start_time.ToNanoseconds() / 1_000_000
