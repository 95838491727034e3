"""Work that only the main thread may do: Linux ends a process with the thread that started it."""

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

_LOOK_S: Final = 0.1


class MainThread:
    """Takes work from other threads, and does it in the thread that serves."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()

    def do(self, work: Callable[[], None], timeout_s: float) -> None:
        """Have work done, and wait for it. Raises what it raises, TimeoutError, and CancelledError."""
        done: Future[None] = Future()
        self._asked.put((work, done))
        done.result(timeout_s)

    def serve(self, is_over: Callable[[], bool], timeout_s: float) -> None:
        """Do what is asked until it is over, or the time is."""
        give_up_s = time.monotonic() + timeout_s
        while not is_over() and time.monotonic() < give_up_s:
            try:
                work, done = self._asked.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised where it was asked for
                done.set_exception(error)
            except BaseException:  # somebody ends this process: whoever asked is not to wait for it
                done.cancel()
                raise
            else:
                done.set_result(None)
