"""Two traces side by side: their spans by the way that leads to them, what took longer, and what only one of them has.

A step is known by the names of a span and of its ancestors, each with its service: IDs and times are other ones in
every trace. Several spans of one step, as of a call that was tried again, are counted together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from polystream.v1.operations_pb2 import Span

from monitor.span_tree import SpanPlace, parent_of, parents_first, place_of

StepName = tuple[str, str]  # a service, and the name of a span of it


class Presence(Enum):
    """Which of the two traces has spans of a step."""

    BOTH = "both"
    MISSING = "missing"  # the left one alone has
    ADDED = "added"  # the right one alone has


@dataclass(slots=True)
class StepSpans:
    """The spans of one step in one trace."""

    count: int = 0
    duration_ms: float = 0.0  # of all of them
    errors: int = 0

    def add(self, span: Span) -> None:
        """Count a span."""
        self.count += 1
        self.duration_ms += span.duration_ms
        self.errors += span.error


@dataclass(slots=True)
class ComparedStep:
    """A step in either trace."""

    service: str
    name: str
    depth: int  # 0 at a root
    left: StepSpans = field(default_factory=StepSpans)
    right: StepSpans = field(default_factory=StepSpans)
    below: dict[StepName, "ComparedStep"] = field(default_factory=dict)

    @property
    def presence(self) -> Presence:
        """Which of the traces has it."""
        if self.left.count and self.right.count:
            return Presence.BOTH
        return Presence.MISSING if self.left.count else Presence.ADDED

    @property
    def difference_ms(self) -> float | None:
        """How much longer the right one takes here; None where one of them has nothing."""
        return self.right.duration_ms - self.left.duration_ms if self.presence is Presence.BOTH else None


def compare(left: Sequence[Span], right: Sequence[Span]) -> list[ComparedStep]:
    """Return every step of two traces, parents before what is below them."""
    roots: dict[StepName, ComparedStep] = {}
    for spans, is_left in ((left, True), (right, False)):
        steps: dict[SpanPlace, ComparedStep] = {}
        for span in parents_first(spans):
            place = parent_of(span)
            parent = steps.get(place) if place else None
            siblings, depth = (parent.below, parent.depth + 1) if parent else (roots, 0)
            name = span.service, span.name
            step = siblings.setdefault(name, ComparedStep(*name, depth))
            (step.left if is_left else step.right).add(span)
            steps[place_of(span)] = step
    ordered: list[ComparedStep] = []
    waiting = list(reversed(roots.values()))
    while waiting:
        step = waiting.pop()
        ordered.append(step)
        waiting += reversed(step.below.values())
    return ordered
