"""Threads that a process cannot do without."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

import structlog

_LOG = structlog.stdlib.get_logger(__name__)


class CriticalThreads:
    """A process's threads. Where one dies, the process is to end with exit code 1, and its supervisor starts it anew.

    A process that lives on without one looks well, and does only half of its work.
    """

    def __init__(self) -> None:
        self._death: Future[str] = Future()
        self._lock = threading.Lock()

    @property
    def all_alive(self) -> bool:
        """Whether none has died."""
        return not self._death.done()

    def new(self, name: str, run: Callable[[], None]) -> threading.Thread:
        """Return a daemon thread that is to be started: it dies when `run` raises, and ends when `run` returns."""
        return threading.Thread(target=self._watched, args=(name, run), name=name, daemon=True)

    def on_death(self, call: Callable[[], object]) -> None:
        """Have something called, on any thread, once a thread or a task has died: what makes the process end."""
        self._death.add_done_callback(lambda _: call())

    async def first_death(self) -> str:
        """Wait until a thread or a task has died, and return its name."""
        # Whoever gives up waiting cancels no more than that.
        return await asyncio.shield(asyncio.wrap_future(self._death))

    def watch(self, name: str, task: "asyncio.Task[None]") -> "asyncio.Task[None]":
        """Take a task of the event loop for such a thread, and return it: it dies when it raises."""
        task.add_done_callback(lambda done: self._look_at(name, done))
        return task

    def _look_at(self, name: str, done: "asyncio.Task[None]") -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            _LOG.critical("a task died: the process ends", task=name, error=type(error).__name__, exc_info=error)
            self._die(name)

    def _die(self, name: str) -> None:
        with self._lock:
            if not self._death.done():
                self._death.set_result(name)

    def _watched(self, name: str, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - the thread is gone, for whatever reason
            _LOG.critical("a thread died: the process ends", thread=name, error=type(error).__name__, exc_info=True)
            self._die(name)
