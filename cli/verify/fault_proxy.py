"""A TCP proxy that stands between the platform and an engine, and misbehaves when it is told to.

    with FaultProxy(port, target_port) as proxy:
        with proxy.set_to(Behaviour.BLACK_HOLE):
            ...                              # connections are open, and nothing comes through

It serves in a thread of its own. All it holds is bounded: connections, what waits in each, and its own end.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

_HOST: Final = "127.0.0.1"
_CONNECTIONS_MAX: Final = 500
_CHUNK_BYTES: Final = 64 * 1024
_CHUNKS_MAX: Final = 64  # that wait in one direction of one connection
_CALL_TIMEOUT_S: Final = 10.0
_CONNECT_TIMEOUT_S: Final = 5.0
_END_TIMEOUT_S: Final = 3.0
_ABORTED: Final = struct.pack("ii", 1, 0)  # SO_LINGER: the connection is reset when it is closed


class Behaviour(Enum):
    """What the proxy does with connections, those that are open and those that come."""

    PASS = "passes all on"  # noqa: S105 - no password
    REFUSE = "does not listen"
    RESET = "accepts, and resets at once"
    DELAY = "passes each answer on late"
    BLACK_HOLE = "accepts, and passes nothing on"
    DEAF = "passes requests on, and no answer"
    ANSWER = "answers by itself"


# With these, nobody could tell an open connection from a new one: those that are open end.
_ENDS_OPEN_ONES: Final = {Behaviour.REFUSE, Behaviour.RESET, Behaviour.ANSWER}

# Given a request as far as it has come: the answer, or None to pass the request on.
Answerer = Callable[[bytes], bytes | None]


def http_answer(status: int, body: str) -> Answerer:
    """Return what answers every HTTP request with a status and a JSON body, and asks to close the connection."""
    head = f"HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n"
    answer = f"{head}Connection: close\r\n\r\n{body}".encode()
    return lambda _: answer


class FaultProxy:
    """Listens on a port of the loopback interface, and leads to another one."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._behaviour = Behaviour.PASS
        self._delay_s = 0.0
        self._answerer: Answerer | None = None
        self._closes_after_answer = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"fault proxy {port}", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[_ProxiedConnection] = set()
        self.passing = asyncio.Event()
        self.on_time = asyncio.Event()  # what is late goes on at once when the delay ends

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        self._thread.start()
        self._call(self._listen())
        self._loop.call_soon_threadsafe(self.passing.set)

    def stop(self) -> None:
        """End every connection, and the thread."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_TIMEOUT_S)
        self._loop.close()

    @contextmanager
    def set_to(
        self,
        behaviour: Behaviour,
        *,
        delay_s: float = 0.0,
        answerer: Answerer | None = None,
        closes_after_answer: bool = True,
    ) -> Iterator[None]:
        """Behave like that while the block runs, then pass all on again.

        `delay_s` is how late DELAY is with each answer; `answerer` answers for ANSWER, and where it does not, the
        request is passed on.
        """
        self._delay_s, self._answerer, self._closes_after_answer = delay_s, answerer, closes_after_answer
        self._call(self._behave(behaviour))
        try:
            yield
        finally:
            self._call(self._behave(Behaviour.PASS))

    def cut(self) -> None:
        """Reset every connection that is open, once."""
        self._call(self._cut())

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_TIMEOUT_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, _HOST, self.port, backlog=_CONNECTIONS_MAX, reuse_address=True
        )

    async def _behave(self, behaviour: Behaviour) -> None:
        before, self._behaviour = self._behaviour, behaviour
        if behaviour is Behaviour.BLACK_HOLE:
            self.passing.clear()
        else:
            self.passing.set()
        if behaviour is Behaviour.DELAY:
            self.on_time.clear()
        else:
            self.on_time.set()
        # What was swallowed is missing in the streams: they can't go on.
        if behaviour in _ENDS_OPEN_ONES or before in {Behaviour.DEAF, *_ENDS_OPEN_ONES}:
            await self._cut()
        if behaviour is Behaviour.REFUSE and self._server is not None:
            self._server.close()
            self._server = None
        elif behaviour is not Behaviour.REFUSE and self._server is None:
            await self._listen()

    async def _cut(self) -> None:
        for connection in list(self._open):
            connection.reset()

    async def _close(self) -> None:
        self.passing.set()
        if self._server is not None:
            self._server.close()
        await self._cut()
        tasks = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_END_TIMEOUT_S)  # with its connection, each ends by itself
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _ProxiedConnection(self, reader, writer)
        if self._behaviour is Behaviour.RESET or len(self._open) >= _CONNECTIONS_MAX:
            client.reset()
            return
        self._open.add(client)
        try:
            await client.serve(self._target_port)
        except (OSError, TimeoutError):
            pass  # either end has gone: both have
        finally:
            self._open.discard(client)
            client.reset()

    def answer_to(self, request: bytes) -> bytes | None:
        """Return what the proxy answers by itself, or None."""
        if self._behaviour is not Behaviour.ANSWER or self._answerer is None:
            return None
        return self._answerer(request)

    @property
    def closes_after_answer(self) -> bool:
        """Tell whether a connection ends with the proxy's own answer."""
        return self._closes_after_answer

    @property
    def delay_s(self) -> float:
        """How late the next answer is."""
        return self._delay_s if self._behaviour is Behaviour.DELAY else 0.0

    @property
    def swallows_answers(self) -> bool:
        """Tell whether answers get lost."""
        return self._behaviour is Behaviour.DEAF


class _ProxiedConnection:
    """A client's connection, and the one to the engine that belongs to it."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._engine: asyncio.StreamWriter | None = None

    def reset(self) -> None:
        """End both connections at once, whatever they still have to send."""
        for writer in filter(None, (self._writer, self._engine)):
            with suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTED)
            writer.transport.abort()

    async def serve(self, target_port: int) -> None:
        """Pass on until either end has gone. Raises OSError."""
        # Whoever connects to a black hole is connected, and no more.
        await self._proxy.passing.wait()
        connecting = asyncio.open_connection(_HOST, target_port)
        answers, engine = await asyncio.wait_for(connecting, _CONNECT_TIMEOUT_S)
        self._engine = engine
        directions = {
            asyncio.create_task(self._pass_requests(engine)),
            asyncio.create_task(self._pass_answers(answers)),
        }
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _pass_requests(self, engine: asyncio.StreamWriter) -> None:
        while data := await self._reader.read(_CHUNK_BYTES):
            await self._proxy.passing.wait()
            answer = self._proxy.answer_to(data)
            if answer is None:
                engine.write(data)
                await engine.drain()
                continue
            self._writer.write(answer)
            await self._writer.drain()
            if self._proxy.closes_after_answer:
                self._writer.close()
                await self._writer.wait_closed()
                return

    async def _pass_answers(self, answers: asyncio.StreamReader) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_MAX)
        sending = asyncio.create_task(self._send_answers(waiting))
        try:
            while data := await answers.read(_CHUNK_BYTES):
                await waiting.put((asyncio.get_running_loop().time(), data))
            await waiting.put((0.0, b""))
            await sending
        finally:
            sending.cancel()

    async def _send_answers(self, waiting: "asyncio.Queue[tuple[float, bytes]]") -> None:
        while True:
            came_s, data = await waiting.get()
            if not data:
                return
            late_s = came_s + self._proxy.delay_s - asyncio.get_running_loop().time()
            if late_s > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._proxy.on_time.wait(), late_s)
            await self._proxy.passing.wait()
            if not self._proxy.swallows_answers:
                self._writer.write(data)
                await self._writer.drain()
