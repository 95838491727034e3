"""What the pages ask the supervisor, where there is one: once for all who look, within bounds.

Questions are asked on daemon threads: one that waits for an answer holds up neither a page nor the monitor's own end,
not even where the monitor itself is what is started again. The supervisor goes on with a restart whose asker has gone.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import structlog

from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.justification import require_justified
from mesh.supervisor_client import LoggedLine, SupervisorClient, SupervisorError, SupervisorReport

LINES_MAX: Final = 200  # of one question
_LINE_MAX_CHARACTERS: Final = 2000
_REPORT_MAX_AGE_S: Final = 0.9
_LOGS_MAX_AGE_S: Final = 0.9
_SEARCH_MAX_AGE_S: Final = 2.0  # it reads more than the ends of the logs
_ANSWER_TIMEOUT_S: Final = 3.0
_QUESTIONS_MAX: Final = 4  # at a time; the supervisor answers sixteen clients
_KEPT_MAX: Final = 64
_RESTARTS_MAX: Final = 4  # at a time
_RESTARTS_TOLD: Final = 10

T = TypeVar("T")
_LOG = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """The supervisor's answer, or why there is none."""

    answer: T | None = None
    reason: str = ""  # a constant, of `SupervisorError`; empty with an answer
    fault: str = ""  # one sentence


@dataclass(frozen=True, slots=True)
class AskedRestart:
    """A part that is started again, or was."""

    part: str
    principal: str
    justification: str
    since_ms: int  # since the epoch
    took_s: float | None = None  # until it was ready; None as long as it is not
    fault: str = ""  # why it did not come up, in a line

    @property
    def goes_on(self) -> bool:
        """Whether its end is not known yet."""
        return self.took_s is None and not self.fault


class SupervisorWatch:
    """Asks the supervisor for all pages. It belongs to the event loop."""

    def __init__(self, socket_path: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        """`socket_path` is the supervisor's, empty where there is none."""
        self._client = SupervisorClient(Path(socket_path)) if socket_path else None
        self._clock_s = clock_s
        self._asking = asyncio.Semaphore(_QUESTIONS_MAX)
        self._kept: dict[tuple[str, ...], tuple[float, asyncio.Task[Told[Any]]]] = {}  # the oldest first
        self._restarts: dict[str, AskedRestart] = {}  # by part, the newest last
        self._waiting: set[asyncio.Task[None]] = set()

    @property
    def is_there(self) -> bool:
        """Whether the platform has a supervisor; it may not answer."""
        return self._client is not None

    @property
    def restarts(self) -> list[AskedRestart]:
        """The last restarts that were asked for here, the newest first."""
        return list(reversed(self._restarts.values()))

    async def report(self) -> Told[SupervisorReport]:
        """Return how each part is, as of this second."""
        return await self._shared(("parts",), _REPORT_MAX_AGE_S, lambda client: client.report(_ANSWER_TIMEOUT_S))

    async def log_of(self, part: str, correlation_id: str = "") -> Told[tuple[LoggedLine, ...]]:
        """Return the last lines of a part's log; with a correlation ID, those that name it."""
        age_s = _SEARCH_MAX_AGE_S if correlation_id else _LOGS_MAX_AGE_S
        key = ("log", part, correlation_id)
        return await self._shared(key, age_s, lambda client: _lines(client, (part,), correlation_id))

    async def lines_of(self, correlation_id: str, *, as_of_now: bool = False) -> Told[tuple[LoggedLine, ...]]:
        """Return the last lines of all logs that name a correlation ID; `as_of_now`, no kept answer."""
        age_s = 0.0 if as_of_now else _SEARCH_MAX_AGE_S
        return await self._shared(("lines", correlation_id), age_s, lambda client: _lines(client, (), correlation_id))

    async def restart(self, part: str, principal: str, justification: str) -> None:
        """Have a part started again, and don't wait for it: `restarts` tells how it goes.

        Raises PolystreamError INVALID_FIELD, also where no supervisor answers.
        """
        require_justified(principal, justification)
        told = await self.report()
        if self._client is None or told.answer is None:
            raise _no_good(told.fault or "can't be started again from here: the platform has no supervisor")
        names = [each.name for each in told.answer.parts]
        if part not in names:
            raise _no_good(f"is none of {', '.join(names)}")
        going_on = [each.part for each in self._restarts.values() if each.goes_on]
        if part in going_on:
            raise _no_good("is being started again already")
        if len(going_on) >= _RESTARTS_MAX:
            raise _no_good(f"has to wait: {', '.join(going_on)} are being started again")
        asked = AskedRestart(part, principal.strip(), justification.strip(), time.time_ns() // 1_000_000)
        # Before it is done: the part may be the monitor.
        by = {"principal": asked.principal, "justification": asked.justification}
        _LOG.info("part is to be started again", part=part, **by)
        self._note(asked)
        waiting = asyncio.create_task(self._restart(self._client, asked))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    async def _restart(self, client: SupervisorClient, asked: AskedRestart) -> None:
        try:
            took_s = await _on_daemon_thread(lambda: client.restart(asked.part))
        except SupervisorError as error:
            self._note(replace(asked, fault=str(error).partition("\n")[0]))
            _LOG.warning("part was not started again", part=asked.part, reason=error.reason)
        else:
            self._note(replace(asked, took_s=took_s))
            _LOG.info("part was started again", part=asked.part, seconds=took_s)

    def _note(self, asked: AskedRestart) -> None:
        if asked.goes_on:
            self._restarts.pop(asked.part, None)
        self._restarts[asked.part] = asked
        ended = [each.part for each in self._restarts.values() if not each.goes_on]
        for part in ended[: max(0, len(self._restarts) - _RESTARTS_TOLD)]:
            del self._restarts[part]

    async def _shared(
        self, key: tuple[str, ...], max_age_s: float, question: Callable[[SupervisorClient], T]
    ) -> Told[T]:
        """Ask, unless somebody has asked the same less than `max_age_s` ago."""
        if self._client is None:
            return Told(reason="NO_SUPERVISOR")
        now_s = self._clock_s()
        kept = self._kept.pop(key, None)
        if kept is None or (kept[1].done() and now_s - kept[0] >= max_age_s) or kept[1].cancelled():
            while len(self._kept) >= _KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            client = self._client
            kept = (now_s, asyncio.create_task(self._ask(lambda: question(client))))
        self._kept[key] = kept
        return await asyncio.shield(kept[1])  # whoever goes leaves the answer to the others

    async def _ask(self, question: Callable[[], T]) -> Told[T]:
        async with self._asking:
            try:
                return Told(await _on_daemon_thread(question))
            except SupervisorError as error:
                return Told(reason=error.reason, fault=str(error))


def _lines(client: SupervisorClient, parts: tuple[str, ...], correlation_id: str) -> tuple[LoggedLine, ...]:
    """Read lines within the time that an answer has. Raises SupervisorError."""
    lines = []
    end_s = time.monotonic() + _ANSWER_TIMEOUT_S
    for line in client.logs(parts, lines=LINES_MAX, correlation_id=correlation_id):
        lines.append(replace(line, text=line.text[:_LINE_MAX_CHARACTERS]))
        if time.monotonic() > end_s:
            raise SupervisorError("UNREACHABLE", f"the supervisor took more than {_ANSWER_TIMEOUT_S:.0f} s to answer")
    return tuple(lines[-LINES_MAX:])


def _on_daemon_thread(call: Callable[[], T]) -> Awaitable[T]:
    """Call on a thread that no end of the process waits for, as it would for one of `asyncio.to_thread`."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # with no error there is one

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as raised:  # noqa: BLE001 # it is raised again where it is awaited
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="ask the supervisor", daemon=True).start()
    return done


def _no_good(description: str) -> PolystreamError:
    return PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault("part", description, "string.in")])
