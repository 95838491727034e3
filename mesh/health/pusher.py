"""Sends a part's reports to the monitor, so that whoever asks for the platform's health hears of every part."""

import threading
from collections.abc import Callable
from typing import Any, Final

import grpc
import structlog
from polystream.monitor.v1.part_health_pb2 import ReportHealthRequest, ReportHealthResponse
from polystream.monitor.v1.part_health_pb2_grpc import PartHealthServiceStub

from mesh.direct import GRPC_OPTIONS
from mesh.health.messages import to_message
from mesh.health.part import PartHealth
from mesh.threads import CriticalThreads

REPORT_INTERVAL_S: Final = 2.0
_WAITING_INTERVAL_S: Final = 0.5
_PAUSE_MIN_S: Final = 0.1  # however often something changes
_TIMEOUT_S: Final = 1.5
_FAREWELL_S: Final = 0.5
_STOP_TIMEOUT_S: Final = 3.0
_CHANNEL_OPTIONS: Final = (
    *GRPC_OPTIONS,
    # A monitor that comes back must hear of every part within seconds, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

_LOG = structlog.stdlib.get_logger(__name__)


class HealthPusher:
    """A thread that sends the newest report every two seconds, and as soon as a wait begins or ends.

    What the monitor misses is not kept for it.
    """

    def __init__(
        self,
        address: str,
        health: PartHealth,
        threads: CriticalThreads,
        on_answer: Callable[[ReportHealthResponse], None] = lambda _: None,
    ) -> None:
        """`address` is the monitor's, `host:port`; empty to send nothing. `on_answer` gets what the monitor answers."""
        self._address = address
        self._health = health
        self._stopping = threading.Event()
        self._on_answer = on_answer
        self._is_heard = True
        self._has_heard = False  # whether the monitor has ever answered
        self._call: grpc.Future[Any] | None = None  # the last report that waits for a monitor that is away
        self._thread = threads.new("health-pusher", self._run)

    def start(self) -> None:
        """Begin to send. Waits for nobody."""
        if self._address:
            self._thread.start()

    def stop(self) -> None:
        """Tell the monitor that this part leaves, and end; within three seconds."""
        self._stopping.set()
        self._health.ending()
        if self._call is not None:
            self._call.cancel()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        with grpc.insecure_channel(self._address, options=_CHANNEL_OPTIONS) as channel:
            stub = PartHealthServiceStub(channel)
            seen = 0
            while not self._stopping.wait(_PAUSE_MIN_S):
                is_soon = self._send(stub)
                pause_s = _WAITING_INTERVAL_S if is_soon else REPORT_INTERVAL_S
                seen = self._health.wait_for_change(seen, pause_s - _PAUSE_MIN_S)
            request = ReportHealthRequest(part=to_message(self._health.report()), leaving=True)
            self._take(stub.ReportHealth.future(request, timeout=_FAREWELL_S))

    def _send(self, stub: PartHealthServiceStub) -> bool:
        """Send the newest report; return whether the next one is to follow soon."""
        report = self._health.report()
        request = ReportHealthRequest(part=to_message(report))
        self._call = stub.ReportHealth.future(request, timeout=_TIMEOUT_S, wait_for_ready=True)
        if self._stopping.is_set():  # since the loop has looked
            self._call.cancel()
        self._take(self._call)
        # A wait that begins says little yet: whether it lasts is to be told soon. A lane that is paused, or has not
        # heard yet whether it is, is to hear soon that it may read.
        return bool(report.waits) or report.pause is not None or not self._has_heard

    def _take(self, call: "grpc.Future[Any]") -> None:
        """Wait for a report's answer."""
        try:
            answer = call.result()
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            if self._is_heard:
                _LOG.info("the monitor does not hear of this part", error=_code(error))
            self._is_heard = False
        else:
            self._is_heard = self._has_heard = True
            self._on_answer(answer)


def _code(error: Exception) -> str:
    code = getattr(error, "code", None)  # an error of a call is a call too, which its type does not say
    return str(code().name) if callable(code) else type(error).__name__
