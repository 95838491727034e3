"""What keeps the event log within its bounds: step by step, whatever goes wrong, on a full disk too."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.settings import MonitorSettings
from monitor import retention
from monitor.listing.listing import Listing
from monitor.retention import Retention
from monitor.store.disk_reserve import DiskReserve
from monitor.store.local import LocalEventStore
from monitor.store.port import Bounds
from tests.support.event_stores import fill_store

_DAY_US = 86_400_000_000
_CATALOG = load_catalog()
_SETTINGS = MonitorSettings()
_MIB = 1024 * 1024


class Purged:
    """A store that is asked to forget, and fails or succeeds as a test has planned."""

    def __init__(self, *plan: int | Exception) -> None:
        self.plan = list(plan)
        self.asked: list[Bounds] = []

    def purge(self, bounds: Bounds) -> int:
        """Do what is planned; nothing is beyond the bounds afterwards."""
        self.asked.append(bounds)
        step = self.plan.pop(0) if self.plan else 0
        if isinstance(step, Exception):
            raise step
        return step


async def _run(store: Purged, until: Callable[[], bool], clock_us: Callable[[], int] = lambda: 0) -> None:
    """Let retention run until a condition holds."""
    task = asyncio.create_task(Retention(store, _SETTINGS, clock_us).run())  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(10):
            while not until():  # noqa: ASYNC110 # the store is asked in a thread
                await asyncio.sleep(0)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_INTERVAL_S", "_RETRY_S", "_STEP_PAUSE_S"):
        monkeypatch.setattr(retention, pause, 0.001)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    "error",
    [PolystreamError(Reason.EVENT_LOG_UNAVAILABLE), KeyError("deleted"), OSError(28, "No space left on device")],
    ids=["unavailable", "odd-answer", "full-disk"],
)
async def test_it_goes_on_whatever_goes_wrong(error: Exception) -> None:
    """A round that failed is taken up again, with the steps that it had left."""
    store = Purged(5, error, error, 5, 0, error, 3)
    await _run(store, lambda: not store.plan)


@pytest.mark.usefixtures("_quick")
async def test_a_clock_that_jumps_ahead_makes_nothing_old_at_once() -> None:
    """What is kept moves on by an hour a round at the most, and follows a clock that is set back at once."""
    day = itertools.chain([100, 130, 130, 90], itertools.repeat(90))
    store = Purged()
    await _run(store, lambda: len(store.asked) >= 5, lambda: next(day) * _DAY_US)
    since = [bounds.since_us / _DAY_US + _SETTINGS.retention_days for bounds in store.asked[:5]]
    assert since[0] == 100
    assert 100 < since[1] < 100.05
    assert since[1] < since[2] < 100.1
    assert since[3] == 90


def _purge(store: LocalEventStore, bounds: Bounds) -> None:
    while store.purge(bounds):
        pass


def test_the_file_keeps_within_its_bytes(tmp_path: Path) -> None:
    """Written again and again, it grows no further: the oldest goes, the newest stays."""
    store = LocalEventStore(tmp_path, _CATALOG)
    bounds = Bounds(since_us=0, max_spans=1_000_000, max_bytes=12 * _MIB)
    sizes = []
    newest: list[str] = []
    for turn in range(8):
        newest = fill_store(store, 4000, 1 + turn * 10_000_000)
        _purge(store, bounds)
        sizes.append((tmp_path / "events.sqlite").stat().st_size)
    assert max(sizes) < 12 * _MIB + 1.1 * sizes[0]  # what came between two looks at it
    assert sizes[-1] <= 1.05 * max(sizes[:4])
    assert all(store.events_of(id_) and store.spans_of(id_).spans for id_ in newest[-1000:])
    store.close()


def test_what_is_freed_is_given_back_to_the_disk(tmp_path: Path) -> None:
    """Where most of the file is free, it shrinks, step by step."""
    store = LocalEventStore(tmp_path, _CATALOG)
    fill_store(store, 10_000)
    before = (tmp_path / "events.sqlite").stat().st_size
    _purge(store, Bounds(since_us=1 << 60, max_spans=0, max_bytes=1 << 40))
    for _ in range(5):
        store.purge(Bounds(since_us=1 << 60, max_spans=0, max_bytes=1 << 40))
    store.close()  # the log before the file is written into it
    assert (tmp_path / "events.sqlite").stat().st_size < before / 2


def test_writers_without_a_pause_do_not_keep_it_from_its_work(tmp_path: Path) -> None:
    """Two that always have something newer to write: what is old goes all the same."""
    store = LocalEventStore(tmp_path, _CATALOG)
    fill_store(store, 8000)
    stopping = threading.Event()

    def write(start_s: int) -> None:
        while not stopping.is_set():
            fill_store(store, 50, start_s * 1_000_000)

    writers = [threading.Thread(target=write, args=(start_s,)) for start_s in (1000, 2000)]
    for writer in writers:
        writer.start()
    try:
        _purge(store, Bounds(since_us=500_000_000, max_spans=1_000_000, max_bytes=1 << 40))
    finally:
        stopping.set()
        for writer in writers:
            writer.join()
    assert {o.accept_time.seconds for o in store.operations(Listing(1_000_000))} <= {1000, 2000}
    store.close()


def test_room_for_tidying_is_taken_again_when_there_is_some(tmp_path: Path) -> None:
    """Given up once, and no more than once."""
    reserve = DiskReserve(tmp_path / "reserve", 100_000)
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 100_000
    assert reserve.release()
    assert not reserve.release()
    reserve.fill()
    assert (tmp_path / "reserve").stat().st_size == 100_000
