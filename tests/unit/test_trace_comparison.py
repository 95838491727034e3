"""Two traces side by side."""

from monitor.trace_comparison import Presence, compare
from tests.support.traces import command_trace, span


def test_the_same_spans_are_beside_each_other() -> None:
    """By service and name along the way, with what the right one takes longer."""
    steps = compare(command_trace(1), command_trace(2, at_ms=99, lane_ms=6.5, failed=True))
    assert [(step.depth, step.service, step.name) for step in steps] == [
        (0, "gateway", "POST /v1/users"),
        (1, "gateway", "send user_events"),
        (2, "processor", "CreateUser postgresql"),
    ]
    assert [step.presence for step in steps] == [Presence.BOTH] * 3
    assert [step.difference_ms for step in steps] == [0, 0, 2.5]
    assert (steps[2].left.errors, steps[2].right.errors) == (0, 1)


def test_what_one_of_them_lacks_is_told() -> None:
    """With everything below it, in its place; the same name elsewhere is something else."""
    left = [*command_trace(1), span(1, 3, 9, parent=2, service="postgresql", name="INSERT")]
    right = [*command_trace(2)[:2], span(2, 3, 9, parent=0, service="processor", name="CreateUser postgresql")]
    told = {(step.depth, step.name): step.presence for step in compare(left, right)}
    assert told == {
        (0, "POST /v1/users"): Presence.BOTH,
        (1, "send user_events"): Presence.BOTH,
        (2, "CreateUser postgresql"): Presence.MISSING,
        (3, "INSERT"): Presence.MISSING,
        (1, "CreateUser postgresql"): Presence.ADDED,
    }
    assert all(step.difference_ms is None for step in compare(left, []))


def test_repetitions_are_counted_together() -> None:
    """A call that was tried again stands at one step."""
    tried = [span(2, 7, 3, parent=0, name="send user_events", duration_ms=3, error=True)]
    (step,) = [each for each in compare(command_trace(1), [*command_trace(2), *tried]) if each.right.count == 2]
    assert (step.name, step.right.duration_ms, step.right.errors) == ("send user_events", 5, 1)
    assert step.difference_ms == 3
