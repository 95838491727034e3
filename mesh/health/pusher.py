"""Sends a part's reports to the monitor, so that whoever asks for the platform's health hears of every part."""

import threading
from typing import Final

import grpc
import structlog
from polystream.monitor.v1.part_health_pb2 import ReportHealthRequest
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

    def __init__(self, address: str, health: PartHealth, threads: CriticalThreads) -> None:
        """`address` is the monitor's, `host:port`; empty to send nothing."""
        self._address = address
        self._health = health
        self._stopping = threading.Event()
        self._is_heard = True
        self._thread = threads.new("health-pusher", self._run)

    def start(self) -> None:
        """Begin to send. Waits for nobody."""
        if self._address:
            self._thread.start()

    def stop(self) -> None:
        """Tell the monitor that this part leaves, and end; within three seconds."""
        self._stopping.set()
        self._health.ending()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        with grpc.insecure_channel(self._address, options=_CHANNEL_OPTIONS) as channel:
            stub = PartHealthServiceStub(channel)
            seen = 0
            while not self._stopping.wait(_PAUSE_MIN_S):
                waits = self._send(stub, leaving=False)
                # A wait that begins says little yet: whether it lasts is to be told soon.
                pause_s = _WAITING_INTERVAL_S if waits else REPORT_INTERVAL_S
                seen = self._health.wait_for_change(seen, pause_s - _PAUSE_MIN_S)
            self._send(stub, leaving=True)

    def _send(self, stub: PartHealthServiceStub, *, leaving: bool) -> bool:
        """Send the newest report; return whether it tells of a wait."""
        report = self._health.report()
        request = ReportHealthRequest(part=to_message(report), leaving=leaving)
        try:
            stub.ReportHealth(request, timeout=_FAREWELL_S if leaving else _TIMEOUT_S, wait_for_ready=not leaving)
        except grpc.RpcError as error:
            if self._is_heard:
                _LOG.info("the monitor does not hear of this part", error=_code(error))
            self._is_heard = False
        else:
            self._is_heard = True
        return bool(report.waits)


def _code(error: grpc.RpcError) -> str:
    code = getattr(error, "code", None)  # an error of a call is a call too, which its type does not say
    return str(code().name) if callable(code) else type(error).__name__
