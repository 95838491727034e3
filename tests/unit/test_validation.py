"""The validator of a lane's own store: what it tells, and that nothing that goes wrong there ends it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from mesh.errors import PolystreamError, Reason
from mesh.health.part import PartHealth
from processor.integrity.contents import ContentPage, ContentWalk
from processor.lanes import validation
from processor.lanes.validation import Validator
from tests.support.waiting import eventually


class FakeWalk:
    """A place with so many contents, of which some look changed and some still do at a second look."""

    def __init__(self, contents: int, changed: set[str], again: set[str] | None = None) -> None:
        self.place = "place"
        self.contents = contents
        self.looks_changed = changed
        self.again = changed if again is None else again
        self.pages: list[int] = []

    def page(self, after: Any, records_max: int) -> ContentPage:
        """Return the next of them."""
        begin = int(after or 0)
        keys = [str(number) for number in range(begin, min(begin + records_max, self.contents))]
        self.pages.append(len(keys))
        changed = [key for key in keys if key in self.looks_changed]
        end = begin + len(keys)
        return ContentPage(len(keys), 0, changed, end if end < self.contents else None)

    def changed(self, key: str) -> bool:
        """Look once more."""
        return key in self.again


def health() -> PartHealth:
    """Return the health of a lane."""
    return PartHealth("lane-0", "lane-mongodb")


def never() -> Any:
    """Open nothing."""
    raise AssertionError


def test_a_round_tells_what_is_changed_and_takes_it_back() -> None:
    """Once it is right again, nothing is said any more; what another part says of itself stays."""
    told, walk = health(), FakeWalk(250, {"7", "120"})
    told.note("1 key is parked")
    validator = Validator(never, told, 1e9)
    assert validator.look_once([walk]) == 2
    assert walk.pages == [100, 100, 50]
    assert told.report().counts == {"contents_checked": 250, "contents_changed": 2}
    assert told.report().note.startswith("1 key is parked; 2 contents are not as they were written")
    walk.looks_changed = {"7"}
    assert validator.look_once([walk]) == 1
    assert told.report().note.startswith("1 key is parked; 1 content is not as it was written")
    walk.looks_changed = set()
    assert validator.look_once([walk]) == 0
    assert told.report().counts["contents_changed"] == 0
    assert told.report().note == "1 key is parked"


def test_what_is_right_at_a_second_look_is_not_told() -> None:
    """A command was on its way."""
    told = health()
    assert Validator(never, told, 1e9).look_once([FakeWalk(3, {"1"}, again=set())]) == 0
    assert told.report().note == ""


def test_it_keeps_to_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten a second are pages of ten with a second between them."""
    validator, waits = Validator(never, health(), 10), list[float]()

    def wait(timeout_s: float) -> bool:
        waits.append(timeout_s)
        return False

    monkeypatch.setattr(validator._stopping, "wait", wait)
    walk = FakeWalk(35, set())
    validator.look_once([walk])
    assert (walk.pages, waits) == ([10, 10, 10, 5], [1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    "error", [PolystreamError(Reason.STORE_UNAVAILABLE), ValueError("a bug")], ids=["store down", "bug"]
)
def test_whatever_goes_wrong_it_looks_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """On a new connection, after a pause."""
    monkeypatch.setattr(validation, "_FAILED_PAUSE_S", 0.001)
    monkeypatch.setattr(validation, "_ROUND_PAUSE_S", 0.001)
    walk, opened = FakeWalk(3, {"1"}), list[int]()

    @contextmanager
    def open_walks() -> Iterator[Sequence[ContentWalk]]:
        opened.append(1)
        if len(opened) == 1:
            raise error
        yield [walk]

    told = health()
    validator = Validator(open_walks, told, 1e9)
    validator.start()
    eventually(lambda: told.report().counts.get("contents_changed") == 1, 5)
    validator.stop()
    assert [thread.name for thread in threading.enumerate() if thread.name == "validator"] == []


def test_none_a_second_is_never() -> None:
    """No thread is started."""
    validator = Validator(never, health(), 0)
    validator.start()
    validator.stop()
