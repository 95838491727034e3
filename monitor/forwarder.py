"""Passes on to Jaeger the spans that were received, as they came, without making anybody wait for it."""

import asyncio
import contextlib
import math
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

import grpc
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from mesh.backoff import Backoff
from mesh.direct import GRPC_OPTIONS
from mesh.error_classes.otlp import classify_otlp
from mesh.errors import Reason
from mesh.health.part import PartHealth
from mesh.settings import JaegerSettings

FORWARDED_KEY = "polystream-forwarded"  # metadata of what is passed on: it is not passed on once more, in a circle

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 2.0
_TELL_INTERVAL_S = 10.0
_REQUEST_BYTES = 200  # beside its content
_CHANNEL_OPTIONS = (
    *GRPC_OPTIONS,
    # A Jaeger that comes back is to be noticed within seconds, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)

log = structlog.stdlib.get_logger(__name__)


class _Request(NamedTuple):
    content: bytes
    span_count: int

    @property
    def size_bytes(self) -> int:
        """What it takes in memory: a million small ones are not little."""
        return len(self.content) + _REQUEST_BYTES


class TraceForwarder:
    """A bounded queue of export requests, and the task that sends them one by one. It belongs to one event loop."""

    def __init__(self, settings: JaegerSettings, health: PartHealth) -> None:
        """Prepare to send to `settings.otlp_endpoint`, which is set. `health` is the monitor's."""
        self._settings = settings
        self._health = health
        self._channel = _open_channel(settings.otlp_endpoint, settings.ca_file)
        # Without a serializer: the bytes as they came.
        self._export: grpc.aio.UnaryUnaryMultiCallable[bytes, ExportTraceServiceResponse] = self._channel.unary_unary(
            _METHOD, response_deserializer=ExportTraceServiceResponse.FromString
        )
        self._waiting: deque[_Request] = deque()
        self._waiting_bytes = 0  # with the one that is being sent
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._task: asyncio.Task[None] | None = None
        self._losses = _Losses()
        self._absence = ""

    @property
    def dropped_spans(self) -> int:
        """How many spans were not passed on and never will be."""
        return self._losses.total

    @property
    def absence(self) -> str:
        """The gRPC code by which Jaeger does not answer now; empty where it does."""
        return self._absence

    @property
    def waiting_bytes(self) -> int:
        """How much waits, with what is being sent."""
        return self._waiting_bytes

    def start(self) -> "asyncio.Task[None]":
        """Begin to send, and return the task that does. It ends with `stop` alone, or by an error."""
        self._task = asyncio.create_task(self._run(), name="forward spans")
        return self._task

    def offer(self, content: bytes, span_count: int) -> None:
        """Take a serialized export request, and return at once. Where the queue is full, the oldest are dropped."""
        request = _Request(content, span_count)
        self._waiting.append(request)
        self._waiting_bytes += request.size_bytes
        while self._waiting and self._waiting_bytes > self._settings.queue_max_bytes:
            oldest = self._waiting.popleft()
            self._waiting_bytes -= oldest.size_bytes
            self._losses.add(oldest.span_count, "too many wait for Jaeger")
        if self._waiting:
            self._drained.clear()
            self._wake.set()

    async def stop(self) -> None:
        """Send what waits, within the settings' bound; drop the rest."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), self._settings.drain_timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for request in self._waiting:
            self._losses.add(request.span_count, "the monitor stopped before Jaeger took them")
        self._losses.tell()
        await self._channel.close()

    async def _run(self) -> None:
        backoff = Backoff(_BACKOFF_FIRST_S, _BACKOFF_MAX_S)
        while True:
            await self._wake.wait()
            while self._waiting:
                request = self._waiting.popleft()
                try:
                    done = await self._send(request)
                except asyncio.CancelledError:
                    self._waiting.appendleft(request)
                    raise
                if done:
                    self._waiting_bytes -= request.size_bytes
                    backoff.reset()
                else:
                    # Back in its place: it is the oldest, and the first to go where others need the room.
                    self._waiting.appendleft(request)
                    await asyncio.sleep(backoff.next_s())
            self._wake.clear()
            self._drained.set()

    async def _send(self, request: _Request) -> bool:
        """Send once; False where it is worth another try."""
        # A Jaeger that hangs has been waited for since it was asked, not since the answer was given up.
        with self._health.calling("jaeger", beats=False):
            try:
                answer = await self._export(
                    request.content, timeout=self._settings.export_timeout_s, metadata=((FORWARDED_KEY, "1"),)
                )
            except grpc.aio.AioRpcError as error:
                verdict = classify_otlp(error.code())
                if verdict.waits:
                    self._absence = verdict.cause
                    self._health.waiting("jaeger", Reason.EVENT_LOG_UNAVAILABLE.name, verdict.cause)
                    self._losses.note_absence(verdict.cause)
                    return False
                self._absence = ""
                self._losses.add(request.span_count, verdict.cause)
                return True
        self._absence = ""
        self._losses.note_presence()
        if answer.partial_success.rejected_spans:
            self._losses.add(answer.partial_success.rejected_spans, "Jaeger refused some of a request")
        return True


class _Losses:
    """Counts spans that are lost, and tells of them and of Jaeger's absence now and then, however often they come."""

    def __init__(self) -> None:
        self.total = 0
        self._untold = 0
        self._reason = ""
        self._told = _Pace()
        self._absence_told = _Pace()
        self._is_absence_open = False  # it was told, and its end was not

    def add(self, span_count: int, reason: str) -> None:
        """Count spans."""
        self.total += span_count
        self._untold += span_count
        self._reason = reason
        if self._told.is_due():
            self.tell()

    def tell(self) -> None:
        """Log what was lost since the last time."""
        if self._untold:
            log.warning("spans not passed on", spans=self._untold, reason=self._reason, total=self.total)
            self._untold = 0
            self._told.begin()

    def note_absence(self, cause: str) -> None:
        """Log that Jaeger takes nothing now."""
        if not self._is_absence_open and self._absence_told.is_due():
            log.warning("Jaeger takes no spans now: they wait", cause=cause)
            self._absence_told.begin()
            self._is_absence_open = True

    def note_presence(self) -> None:
        """Log that Jaeger takes spans again, where it was told that it did not."""
        if self._is_absence_open:
            self._is_absence_open = False
            log.info("Jaeger takes spans again", lost=self._untold)


class _Pace:
    """Lets something happen at once, and then once an interval."""

    def __init__(self) -> None:
        self._last_s = -math.inf

    def is_due(self) -> bool:
        return time.monotonic() - self._last_s >= _TELL_INTERVAL_S

    def begin(self) -> None:
        self._last_s = time.monotonic()


def _open_channel(endpoint: str, ca_file: str) -> grpc.aio.Channel:
    scheme, separator, address = endpoint.rstrip("/").rpartition("://")
    if separator and scheme == "https":
        credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes() if ca_file else None)
        return grpc.aio.secure_channel(address, credentials, options=_CHANNEL_OPTIONS)
    return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
