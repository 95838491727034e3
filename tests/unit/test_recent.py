"""What the monitor keeps in memory of the newest commands is bounded in bytes too."""

from polystream.v1.operations_pb2 import Event, Span

from mesh.telemetry.names import CONVERSATION_ID
from monitor.records import TracedEvent
from monitor.store.recent import RecentEvents, RecentSpans


def event(command: int, number: int, text_bytes: int) -> TracedEvent:
    """Return an event of a command."""
    made = Event(correlation_id=f"c{command}", event_id=f"{command}:{number}", error="x" * text_bytes)
    return TracedEvent(made, sampled=False)


def test_large_events_push_out_the_oldest_commands_and_not_themselves() -> None:
    """By bytes, long before there are too many commands."""
    recent = RecentEvents(max_commands=1000, max_bytes=100_000)
    for command in range(50):
        recent.add([event(command, number, 1000) for number in range(10)])
    kept = [command for command in range(50) if recent.of(f"c{command}")]
    assert kept == list(range(50 - len(kept), 50))
    assert 8 <= len(kept) <= 10
    assert all(len(recent.of(f"c{command}")) == 10 for command in kept)
    recent.add([event(100, 1, 1_000_000)])
    assert len(recent.of("c100")) == 1
    recent.add([event(101, 1, 10)])
    assert (len(recent.of("c100")), len(recent.of("c101"))) == (0, 1)


def test_the_same_event_counts_once() -> None:
    """However often it comes."""
    recent = RecentEvents(max_commands=1000, max_bytes=10_000)
    recent.add([event(1, 1, 1000)])
    for _ in range(100):
        recent.add([event(2, 1, 1000)])
    assert len(recent.of("c1")) == 1


def test_spans_are_found_by_their_command_or_their_place() -> None:
    """Those that name a command under it, the others under their trace, bounded each."""
    recent = RecentSpans(max_commands=10, max_spans=5)
    own = [Span(trace_id="t", span_id=f"s{n}", attributes={CONVERSATION_ID: "c"}) for n in range(8)]
    others = [Span(trace_id="t", span_id=f"o{n}") for n in range(3)]
    recent.add([*own, *others])
    assert recent.of("c") == own[:5]
    assert recent.at([("t", "o1"), ("t", "s1"), ("u", "o1")]) == [others[1]]
