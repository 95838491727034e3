"""What the supervisor does for others: tells how each part is, shows the logs, and starts a part again.

The protocol is in `mesh.supervisor_client`. It runs in the supervisor's own event loop, so that a restart is a step of
the part's own life; whoever asks slowly, too much or without end is let go.
"""

import asyncio
import json
import os
import re
import socket
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Any, Final, NoReturn

import psutil

from mesh.supervisor_client import (
    ANSWER_MAX_BYTES,
    LOG_LINES_MAX,
    REQUEST_MAX_BYTES,
    RESTART_MAX_S,
    SupervisedPart,
    SupervisorError,
    SupervisorReport,
)
from stack.engines.spec import StackContext, StackError
from stack.logs import LogReader, parts_with_logs
from stack.supervisor.state import PlatformState
from stack.supervisor.supervised_process import SupervisedProcess

_CLIENTS_MAX: Final = 16
_REQUEST_TIMEOUT_S: Final = 1.0
_WRITE_TIMEOUT_S: Final = 5.0  # a client that reads nothing for so long is let go
_FOLLOW_INTERVAL_S: Final = 0.25
_CORRELATION_ID: Final = re.compile(r"[0-9A-Fa-f-]{1,36}")
_Answers = AsyncGenerator[dict[str, Any], None]


class ControlServer:
    """Answers the questions of those who are connected to the state's socket."""

    def __init__(self, state: PlatformState, parts: Sequence[SupervisedProcess], context: StackContext) -> None:
        self._state = state
        self._parts = {part.spec.name: part for part in parts}
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._began_s = time.monotonic()
        self._serving: set[asyncio.Task[None]] = set()

    def take(self, client: socket.socket) -> None:
        """Serve a client. From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._begin, client)
        except RuntimeError:  # the loop has ended meanwhile
            client.close()

    async def close(self) -> None:
        """Let everybody go."""
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def _begin(self, client: socket.socket) -> None:
        task = asyncio.create_task(self._serve(client, is_one_too_many=len(self._serving) >= _CLIENTS_MAX))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: socket.socket, *, is_one_too_many: bool) -> None:
        client.setblocking(False)
        try:
            reader, writer = await asyncio.open_connection(sock=client, limit=REQUEST_MAX_BYTES)
        except OSError:
            client.close()
            return
        try:
            with suppress(OSError, TimeoutError):
                await self._answer(reader, writer, is_one_too_many=is_one_too_many)
        finally:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_one_too_many: bool
    ) -> None:
        try:
            question = await _read_question(reader)
            if is_one_too_many:
                _refuse()
            async with aclosing(self._answers_to(question)) as answers:
                gone = asyncio.create_task(reader.read(1))  # it says no more: this ends with its connection
                try:
                    await _write_all(writer, answers, gone)
                finally:
                    gone.cancel()
        except SupervisorError as error:
            await _write(writer, {"error": {"reason": error.reason, "message": str(error)}})

    def _answers_to(self, question: dict[str, Any]) -> _Answers:
        methods: dict[str, Callable[[dict[str, Any]], _Answers]] = {
            "parts": self._tell_parts,
            "restart": self._restart,
            "logs": self._logs,
        }
        method = methods.get(str(question.get("method")))
        if method is None:
            raise SupervisorError("UNKNOWN_METHOD", f"method is none of {', '.join(methods)}")
        return method(question)

    async def _tell_parts(self, _: dict[str, Any]) -> _Answers:
        memory_bytes = await asyncio.to_thread(_memory_bytes)
        ports = self._context.ports
        told = [
            SupervisedPart(
                name=part.state.name,
                kind=part.state.kind,
                status=part.state.status,
                detail=part.state.detail,
                since_time_s=part.state.since_time_s,
                pid=part.state.pid,
                uptime_s=part.uptime_s,
                memory_bytes=memory_bytes(part.state.pid, family=True) if part.state.pid else None,
                restarts=part.state.restarts,
                last_exit=part.state.last_exit,
                last_cause=part.state.last_cause,
                ports={name: getattr(ports, name) for name in part.spec.ports},
            )
            for part in self._parts.values()
        ]
        yield asdict(
            SupervisorReport(
                status=self._state.status,
                detail=self._state.detail,
                engines=self._state.engines,
                pid=os.getpid(),
                uptime_s=time.monotonic() - self._began_s,
                memory_bytes=memory_bytes(os.getpid(), family=False),
                parts=tuple(told),
            )
        )

    async def _restart(self, question: dict[str, Any]) -> _Answers:
        part = self._parts.get(str(question.get("part")))
        if part is None:
            raise SupervisorError("UNKNOWN_PART", f"there is no such part; there are {', '.join(self._parts)}")
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(RESTART_MAX_S):
                await part.restart()
        except StackError as error:
            raise SupervisorError("NOT_RESTARTED", str(error)) from error
        except TimeoutError as error:
            raise SupervisorError("NOT_RESTARTED", f"it is not ready after {RESTART_MAX_S:.0f} s") from error
        yield {"seconds": round(time.monotonic() - began_s, 2)}

    async def _logs(self, question: dict[str, Any]) -> _Answers:
        folder = self._context.log_path("supervisor").parent
        there = await asyncio.to_thread(parts_with_logs, folder)
        parts, lines = question.get("parts") or list(there), question.get("lines", 0)
        sought = question.get("correlation_id", "")
        if not isinstance(parts, list) or not all(part in there or part in self._parts for part in map(str, parts)):
            raise SupervisorError("UNKNOWN_PART", f"parts are some of {', '.join(there)}")
        if not isinstance(lines, int) or not 0 <= lines <= LOG_LINES_MAX:
            raise SupervisorError("MALFORMED_REQUEST", f"lines is a whole number from 0 to {LOG_LINES_MAX}")
        if sought and not (isinstance(sought, str) and _CORRELATION_ID.fullmatch(sought)):
            raise SupervisorError("MALFORMED_REQUEST", "correlation_id is a UUID")
        reader = LogReader(folder, parts, sought)
        for line in await asyncio.to_thread(reader.last, lines):
            yield asdict(line)
        while question.get("follow"):
            for line in await asyncio.to_thread(reader.new):
                yield asdict(line)
            await asyncio.sleep(_FOLLOW_INTERVAL_S)


def _refuse() -> NoReturn:
    raise SupervisorError("TOO_MANY_CLIENTS", f"{_CLIENTS_MAX} are being answered: ask again later")


async def _read_question(reader: asyncio.StreamReader) -> dict[str, Any]:
    try:
        line = await asyncio.wait_for(reader.readline(), _REQUEST_TIMEOUT_S)
        question = json.loads(line)
    except (ValueError, RecursionError) as error:  # longer than the limit, or no JSON
        raise SupervisorError(
            "MALFORMED_REQUEST", f"a question is a JSON object on one line of {REQUEST_MAX_BYTES} bytes at most"
        ) from error
    if not isinstance(question, dict):
        raise SupervisorError("MALFORMED_REQUEST", "a question is a JSON object")
    return question


async def _write_all(writer: asyncio.StreamWriter, answers: _Answers, gone: "asyncio.Task[bytes]") -> None:
    """Write one answer after another, until there are no more or the client has gone."""
    while True:
        following: asyncio.Task[dict[str, Any]] = asyncio.ensure_future(anext(answers))
        await asyncio.wait([following, gone], return_when=asyncio.FIRST_COMPLETED)
        if not following.done():
            following.cancel()
            await asyncio.wait([following])
            return
        try:
            answer = following.result()
        except StopAsyncIteration:
            return
        await _write(writer, answer)


async def _write(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    line = json.dumps(answer).encode() + b"\n"
    assert len(line) <= ANSWER_MAX_BYTES  # noqa: S101 - a logged line and the parts are bounded
    writer.write(line)
    await asyncio.wait_for(writer.drain(), _WRITE_TIMEOUT_S)


def _memory_bytes() -> Callable[..., int | None]:
    """Look at every process once; return what tells how much memory one has, with its children or without."""
    children: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    for process in psutil.process_iter(["ppid", "memory_info"]):
        if process.info["memory_info"] is not None:
            sizes[process.pid] = process.info["memory_info"].rss
            children.setdefault(process.info["ppid"], []).append(process.pid)

    def of(pid: int, *, family: bool) -> int | None:
        if pid not in sizes:
            return None
        members, found = [pid], set[int]()
        while members:
            member = members.pop()
            found.add(member)
            members += [child for child in children.get(member, ()) if family and child not in found]
        return sum(sizes.get(member, 0) for member in found)

    return of
