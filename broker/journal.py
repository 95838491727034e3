"""Writing to the disk beside the event loop: what comes while one transaction is written is the next one."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from broker.store import BrokerStore, Statement

_LOG = logging.getLogger(__name__)

Done = Callable[[bool], None]  # told whether it is on the disk


@dataclass(frozen=True, slots=True)
class _JournalEntry:
    statements: Sequence[Statement]
    done: Done
    synced: bool


class Journal:
    """Applies entries in their order, many in one transaction, and tells each when it is on the disk.

    Where a transaction fails, all that was entered by then has failed: what comes later may have built on it.
    """

    def __init__(self, store: BrokerStore, on_failure: Callable[[], None]) -> None:
        """`on_failure` is called on the event loop when everything that was entered has been told of a failure."""
        self._store = store
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._writer = ThreadPoolExecutor(1, "journal")
        self._entries: list[_JournalEntry] = []
        self._scheduled = False
        self._is_writing = False
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self, statements: Sequence[Statement], done: Done, *, synced: bool = True) -> None:
        """Have the statements applied; without any, `done` is told when all is on the disk that came before.

        What need not be `synced` survives this process's end, and waits for no disk.
        """
        self._entries.append(_JournalEntry(statements, done, synced))
        self._idle.clear()
        if not self._scheduled and not self._is_writing:
            # What else this round of the event loop brings is written with it.
            self._scheduled = True
            self._loop.call_soon(self._begin)

    async def drain(self) -> None:
        """Return when everything is on the disk, or has failed; nothing may be entered after that."""
        await self._idle.wait()
        self._writer.shutdown()

    def _begin(self) -> None:
        self._scheduled, self._is_writing = False, True
        entries, self._entries = self._entries, []
        writing = self._loop.run_in_executor(self._writer, self._write, entries)
        writing.add_done_callback(lambda done: self._written(entries, done.result()))

    def _write(self, entries: Sequence[_JournalEntry]) -> Exception | None:
        try:
            self._store.apply(
                [statement for entry in entries for statement in entry.statements],
                synced=any(entry.synced for entry in entries),
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            return error
        return None

    def _written(self, entries: list[_JournalEntry], error: Exception | None) -> None:
        self._is_writing = False
        if error is not None:
            _LOG.error("the disk does not take it, and producers are told to try again: %s", error)
            entries += self._entries
            self._entries = []
        for entry in entries:
            entry.done(error is None)
        if error is not None:
            self._on_failure()
        if self._entries:
            self._begin()
        else:
            self._idle.set()
