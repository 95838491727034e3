"""When a lane commits what it has answered."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from processor.lanes.committing import Commits


@dataclass
class Spans:
    """How far the spans have come, as the test says."""

    ended: int = 0
    settled: int = 0


class Rig:
    """Commits with spans and a clock of the test's."""

    def __init__(self) -> None:
        self.spans = Spans()
        self.committed: list[dict[int, int]] = []
        self.now_s = 100.0
        self.commits = Commits(self._commit, self.spans, lambda: self.now_s)

    def _commit(self, offsets: Mapping[int, int]) -> None:
        self.committed.append(dict(offsets))


@pytest.fixture
def rig() -> Rig:
    """Nothing is held yet."""
    return Rig()


def test_without_spans_under_way_nothing_is_held(rig: Rig) -> None:
    """Untraced commands are committed at once."""
    rig.spans = Spans()
    rig.commits.offer({0: 5})
    assert rig.committed == [{0: 5}]
    told: list[Mapping[int, int]] = []
    Commits(told.append, None).offer({1: 2})
    assert told == [{1: 2}]


def test_an_offset_waits_for_the_spans_of_its_command(rig: Rig) -> None:
    """It is committed once they are sent, and with it whatever came meanwhile and has no spans."""
    rig.spans.ended = 3
    rig.commits.offer({0: 5})
    rig.commits.offer({0: 7})
    assert rig.committed == []
    rig.spans.settled = 3
    rig.commits.offer({0: 9})
    assert rig.committed == [{0: 9}]


def test_a_steady_stream_of_spans_keeps_nothing_back_for_good(rig: Rig) -> None:
    """Of what is held, the part whose spans are out is committed, though later ones are under way."""
    rig.spans.ended = 3
    rig.commits.offer({0: 5})
    rig.spans.ended, rig.spans.settled = 6, 3
    rig.commits.offer({0: 8})
    assert rig.committed == [{0: 5}]
    rig.spans.ended, rig.spans.settled = 9, 6
    rig.commits.offer({0: 11})
    assert rig.committed == [{0: 5}, {0: 8}]


def test_spans_that_nobody_takes_hold_an_offset_for_two_seconds(rig: Rig) -> None:
    """A monitor that is away is no reason to answer thousands of commands again."""
    rig.spans.ended = 1
    rig.commits.offer({0: 5})
    rig.now_s += 1.9
    rig.commits.offer({0: 6})
    assert rig.committed == []
    rig.now_s += 0.1
    rig.commits.offer({0: 6})
    assert rig.committed == [{0: 5}]


def test_a_stop_commits_everything(rig: Rig) -> None:
    """The spans are sent before the process ends."""
    rig.spans.ended = 1
    rig.commits.offer({0: 5})
    rig.commits.flush({0: 6})
    assert rig.committed == [{0: 6}]


def test_a_stop_in_the_middle_of_a_batch_commits_what_is_held(rig: Rig) -> None:
    """That is answered; what the lane was about to apply is not."""
    rig.spans.ended = 1
    rig.commits.offer({0: 5})
    rig.commits.flush()
    assert rig.committed == [{0: 5}]


def test_a_partition_that_was_taken_away_is_not_committed(rig: Rig) -> None:
    """It is another lane's by then."""
    rig.spans.ended = 1
    rig.commits.offer({0: 5, 1: 7})
    rig.commits.drop([0])
    rig.now_s += 2
    rig.commits.offer({1: 8})
    assert rig.committed == [{1: 7}]
