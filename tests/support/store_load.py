"""Lanes' stores under load, for tests that disturb the engine below them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import pytest
from polystream.v1.events_pb2 import CommandReceipt

from mesh.errors import PolystreamError, Reason
from processor.model import Delivery, Store
from tests.support.stores import apply
from tests.support.waiting import eventually

_LANES: Final = 3
_PAUSE_S: Final = 0.02
_TIMEOUT_S: Final = 30.0


class Load:
    """Lanes that write batch after batch, and go on with another one where a store did not answer."""

    def __init__(self, open_store: Callable[[], Store], make_batch: Callable[[], list[Delivery]]) -> None:
        self.answered: dict[str, CommandReceipt] = {}  # by correlation ID
        self.sent: list[list[Delivery]] = []
        self._open_store = open_store
        self._make_batch = make_batch
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write while the block runs. What a lane raises is raised in the end."""
        with ThreadPoolExecutor(_LANES) as pool:
            lanes = [pool.submit(self._lane) for _ in range(_LANES)]
            try:
                yield
            finally:
                self._stop.set()
            for lane in lanes:
                lane.result(_TIMEOUT_S)

    def wait_answers(self, count: int) -> None:
        """Wait until so many more commands have been answered."""
        wanted = len(self.answered) + count
        eventually(lambda: len(self.answered) >= wanted, _TIMEOUT_S, interval_s=0.001)

    def _lane(self) -> None:
        store = self._open_store()
        while not self._stop.is_set():
            batch = self._make_batch()
            self.sent.append(batch)
            try:
                self.answered.update((receipt.correlation_id, receipt) for receipt in apply(store, *batch))
            except PolystreamError as error:
                assert error.reason is Reason.STORE_UNAVAILABLE  # noqa: PT017 - the loop goes on after it
                self._stop.wait(_PAUSE_S)
        store.close()


def apply_side_by_side(stores: Sequence[Store], batches: Sequence[Sequence[Delivery]]) -> list[list[CommandReceipt]]:
    """Apply each batch in its store, all at the same moment, and return the receipts of each."""
    together = threading.Barrier(len(stores))

    def run(store: Store, batch: Sequence[Delivery]) -> list[CommandReceipt]:
        together.wait(_TIMEOUT_S)
        return apply(store, *batch)

    with ThreadPoolExecutor(len(stores)) as pool:
        return list(pool.map(run, stores, batches))


def is_unavailable(call: Callable[[], object]) -> None:
    """Check that a call is refused as STORE_UNAVAILABLE."""
    with pytest.raises(PolystreamError) as raised:
        call()
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
