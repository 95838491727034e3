"""The tree of spans: whoever forges IDs and parents, every span is told once, and nobody looks for ever."""

from collections.abc import Sequence

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Span

from monitor.pages.waterfall import Bar, waterfall_of
from monitor.span_tree import parents_first
from monitor.store.selection import with_ancestors
from monitor.trace_comparison import compare
from tests.support.traces import span


def _named(name: str, trace: str, span_id: str, parent: str = "") -> Span:
    """Return a span; its name says when it starts, too."""
    start = Timestamp(seconds=int(name))
    return Span(name=name, trace_id=trace, span_id=span_id, parent_span_id=parent, start_time=start)


FORGED = {
    "a circle": [_named("1", "a", "1", "2"), _named("2", "a", "2", "1"), _named("3", "a", "3", "2")],
    "its own parent": [_named("1", "a", "1", "1"), _named("2", "a", "2", "1")],
    "no span ID": [_named("1", "a", ""), _named("2", "a", "2"), _named("3", "a", "3", "2")],
    "one ID in two traces": [_named("1", "a", "1"), _named("2", "b", "1", "1"), _named("3", "b", "3", "1")],
    "one place twice": [_named("1", "a", "1"), _named("2", "a", "1", "1"), _named("3", "a", "3", "1")],
    "one place twice in a circle": [*[_named("1", "a", "1", "2")] * 2, _named("2", "a", "2", "1")],
}


@pytest.mark.parametrize("spans", FORGED.values(), ids=FORGED.keys())
def test_every_span_is_told_once_whatever_its_ids_are(spans: list[Span]) -> None:
    """In the list, the waterfall, and the comparison; their ancestors are looked for within a bound."""
    ordered = parents_first(list(reversed(spans)))
    assert sorted(each.name for each in ordered) == [each.name for each in spans]
    waterfall = waterfall_of(ordered)
    assert waterfall is not None
    assert sorted(_names_of(waterfall.roots)) == [each.name for each in spans]
    assert sum(step.left.count for step in compare(spans, [])) == len(spans)
    places = {(each.trace_id, each.span_id) for each in spans}
    assert len(
        with_ancestors(spans, lambda wanted: [each for each in spans if (each.trace_id, each.span_id) in wanted])
    ) == len(places)


def _names_of(bars: Sequence[Bar]) -> list[str]:
    return [name for bar in bars for name in (bar.span.name, *_names_of(bar.children))]


def test_a_parent_is_one_of_the_same_trace() -> None:
    """A story may have spans of two: none stands beneath the other one's."""
    first, forged, child = FORGED["one ID in two traces"]
    waterfall = waterfall_of(parents_first([first, forged, child]))
    assert waterfall is not None
    assert [(bar.span, [each.span for each in bar.children]) for bar in waterfall.roots] == [
        (first, []),
        (forged, [child]),
    ]


def test_a_span_without_an_id_is_nobodys_parent() -> None:
    """Those that name no parent are roots."""
    waterfall = waterfall_of(parents_first(FORGED["no span ID"]))
    assert waterfall is not None
    assert [(bar.span.name, _names_of(bar.children)) for bar in waterfall.roots] == [("1", []), ("2", ["3"])]


def test_parents_come_first_whatever_the_clocks_say() -> None:
    """Also where a parent is not there."""
    child_before = [span(1, 2, 0, parent=1), span(1, 1, 5, parent=0), span(1, 0, 9), span(1, 5, 1, parent=77)]
    assert [int(each.span_id[8:], 16) for each in parents_first(child_before)] == [5, 0, 1, 2]
