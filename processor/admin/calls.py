"""What every call of the admin service has in common: errors as statuses, one change at a time, and who is idle."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import structlog
from grpc_status import rpc_status

from mesh.errors import PolystreamError, Reason
from mesh.telemetry.logs import describe
from mesh.topic_reader import TopicError

Context = grpc.ServicerContext

_LOG = structlog.stdlib.get_logger(__name__)


class AdminCalls:
    """The calls under way. Thread-safe."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._changing = threading.Lock()
        self._open = 0
        self._idle_since_s = clock_s()

    def idle_s(self) -> float:
        """Return for how long no call has been under way, in seconds."""
        with self._lock:
            return 0.0 if self._open else self._clock_s() - self._idle_since_s

    @contextmanager
    def call(self, context: Any) -> Iterator[None]:
        """Surround a call: what goes wrong in it becomes its status."""
        with self._lock:
            self._open += 1
        try:
            yield
        except PolystreamError as error:
            _abort(context, error)
        except TopicError as error:
            _abort(context, PolystreamError(Reason.KAFKA_UNAVAILABLE, str(error)))
        except Exception as error:  # noqa: BLE001 - every call has an answer
            _LOG.exception("a call has failed unexpectedly", error=describe(error))
            _abort(context, PolystreamError(Reason.INTERNAL))
        finally:
            with self._lock:
                self._open -= 1
                self._idle_since_s = self._clock_s()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Surround what changes something. Raises PolystreamError ADMIN_BUSY while another one is under way."""
        if not self._changing.acquire(blocking=False):
            raise PolystreamError(Reason.ADMIN_BUSY)
        try:
            yield
        finally:
            self._changing.release()


def _abort(context: Any, error: PolystreamError) -> None:
    context.abort_with_status(rpc_status.to_status(error.to_status()))
