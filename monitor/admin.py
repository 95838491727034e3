"""The processor's admin service, which the monitor starts when a page needs it, and calls.

It alone knows what is in the stores. It takes some 80 MB, so it does not run all the time: it ends when nobody has
called for two minutes, when the monitor stops, and when the monitor dies.
"""

import asyncio
import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import grpc
import structlog
from grpc_status import rpc_status
from polystream.admin.v1 import dead_letters_pb2, integrity_pb2
from polystream.admin.v1.dead_letters_pb2_grpc import DeadLetterServiceStub
from polystream.admin.v1.integrity_pb2_grpc import IntegrityServiceStub

from mesh.direct import GRPC_OPTIONS
from mesh.errors import PolystreamError, Reason
from monitor.integrity_runs import IntegrityRuns

_START_MAX_S: Final = 60.0  # it takes 2 s; a machine that is very busy gets the time that it needs
_STOP_MAX_S: Final = 5.0
_CALL_MAX_S: Final = 60.0  # of what only reads
_INTEGRITY_MAX_S: Final = 1800.0
_SETTLE_MAX_S: Final = 6 * 3600.0
_PATH_MAX_BYTES: Final = 100  # sun_path holds 104 bytes on macOS, 108 on Linux, its end included
_OPTIONS: Final = (
    *GRPC_OPTIONS,
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # A service that has just begun to listen is to be found at once, not after gRPC's growing pauses.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
)

_LOG = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")


class AdminProcess:
    """The process of the admin service: one at most. It belongs to the event loop."""

    def __init__(self, folder: Path, arguments: Sequence[str] = ()) -> None:
        """`folder` is the monitor's own, in which the socket is; `arguments` are further ones of the process."""
        self._path = _socket(folder)
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self._channel: grpc.aio.Channel | None = None
        self._starting = asyncio.Lock()
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """The process's ID; None where none runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def channel(self) -> grpc.aio.Channel:
        """Return a channel to the service, which is started where it does not run. Raises ADMIN_UNAVAILABLE."""
        async with self._starting:
            if self._is_closed:
                raise _unavailable("the monitor stops")
            if self._channel is not None and self.pid is not None:
                return self._channel
            await self._end()
            return await self._start()

    async def end(self) -> None:
        """End the process, within five seconds, and with it every call."""
        async with self._starting:
            await self._end()

    async def close(self) -> None:
        """End it, and start no other one."""
        self._is_closed = True
        await self.end()

    async def _start(self) -> grpc.aio.Channel:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Its standard input is open for as long as this process lives.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "processor.admin", str(self._path), *self._arguments),
                stdin=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise _unavailable(f"it cannot be started: {type(error).__name__}") from error
        self._process = process
        self._channel = channel = grpc.aio.insecure_channel(f"unix:{self._path}", options=_OPTIONS)
        ready, ended = asyncio.ensure_future(channel.channel_ready()), asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait((ready, ended), timeout=_START_MAX_S, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                _LOG.info("admin service is started", pid=process.pid)
                return channel
            why = f"it has ended with {process.returncode}" if ended.done() else f"no answer for {_START_MAX_S:.0f} s"
        finally:
            ready.cancel()
            ended.cancel()
        await self._end()
        raise _unavailable(f"its start failed: {why}")

    async def _end(self) -> None:
        process, self._process = self._process, None
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_MAX_S)
            except TimeoutError:
                process.kill()
                await process.wait()


class Admin:
    """What the pages do with what is in the stores. Every call raises PolystreamError.

    What its errors say beside those of the service: ADMIN_UNAVAILABLE where the process cannot be started or is gone.
    """

    def __init__(self, process: AdminProcess, runs: IntegrityRuns) -> None:
        """Call the service by `process`, and have `runs` keep what checks and repairs bring."""
        self._process = process
        self._runs = runs

    async def list_dead_letters(
        self, request: dead_letters_pb2.ListDeadLettersRequest
    ) -> dead_letters_pb2.ListDeadLettersResponse:
        """Return a page of dead letters, and their causes."""
        return await self._read(
            lambda channel: DeadLetterServiceStub(channel).ListDeadLetters(request, timeout=_CALL_MAX_S)
        )

    async def get_dead_letter(self, name: str) -> dead_letters_pb2.DeadLetter:
        """Return one, by PARTITION:OFFSET or correlation ID."""
        request = dead_letters_pb2.GetDeadLetterRequest(name=name)
        return await self._read(
            lambda channel: DeadLetterServiceStub(channel).GetDeadLetter(request, timeout=_CALL_MAX_S)
        )

    async def settle(
        self, request: dead_letters_pb2.SettleDeadLettersRequest, *, discard: bool
    ) -> AsyncIterator[dead_letters_pb2.SettleDeadLettersResponse]:
        """Redrive or discard, and yield the plan, each batch, and the end."""
        stub = DeadLetterServiceStub(await self._process.channel())
        call = stub.DiscardDeadLetters if discard else stub.RedriveDeadLetters
        try:
            async for step in call(request, timeout=_SETTLE_MAX_S):
                yield step
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error

    async def check_integrity(self, request: integrity_pb2.CheckIntegrityRequest) -> integrity_pb2.IntegrityRun:
        """Compare everything, and keep the result."""
        stub = IntegrityServiceStub(await self._process.channel())
        return await self._recorded(stub.CheckIntegrity(request, timeout=_INTEGRITY_MAX_S))

    async def repair_integrity(self, request: integrity_pb2.RepairIntegrityRequest) -> integrity_pb2.IntegrityRun:
        """Repair, or tell what a repair would do, and keep the result."""
        stub = IntegrityServiceStub(await self._process.channel())
        return await self._recorded(stub.RepairIntegrity(request, timeout=_INTEGRITY_MAX_S))

    async def _recorded(self, call: Awaitable[integrity_pb2.IntegrityRun]) -> integrity_pb2.IntegrityRun:
        try:
            run = await call
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error
        with contextlib.suppress(PolystreamError):  # it is not kept, and yet it is told
            await asyncio.to_thread(self._runs.record, run)
        return run

    async def _read(self, call: Callable[[grpc.aio.Channel], Awaitable[T]]) -> T:
        """Return what a call that changes nothing brings. One that meets a process on its way out is repeated."""
        try:
            return await call(await self._process.channel())
        except grpc.aio.AioRpcError as error:
            if _is_told(error) or error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise _error(error) from error
        await self._process.end()
        try:
            return await call(await self._process.channel())
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error


def _socket(folder: Path) -> Path:
    """Return the socket's path: in the folder, or among temporary files if that is too long."""
    inside = folder.absolute() / "admin.sock"
    if len(os.fsencode(inside)) <= _PATH_MAX_BYTES:
        return inside
    name = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"polystream-admin-{name}.sock"


def _is_told(error: grpc.aio.AioRpcError) -> bool:
    """Whether the service itself has said what is wrong."""
    return rpc_status.from_call(error) is not None  # type: ignore[arg-type] # it has all that is asked of a call


def _error(error: grpc.aio.AioRpcError) -> PolystreamError:
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # it has all that is asked of a call
    if status is not None:
        return PolystreamError.from_status(status, unknown=Reason.ADMIN_UNAVAILABLE)
    return _unavailable(f"the call ended with {error.code().name}")


def _unavailable(why: str) -> PolystreamError:
    return PolystreamError(Reason.ADMIN_UNAVAILABLE, metadata={"error": why})
