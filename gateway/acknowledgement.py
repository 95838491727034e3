"""What becomes of a command between its sending and Kafka's answer."""

import asyncio
from collections.abc import Callable

from confluent_kafka import KafkaError
from opentelemetry.trace import Span, Status, StatusCode
from polystream.v1.operations_pb2 import Operation

from gateway.producer import PendingRecord
from mesh import topics
from mesh.errors import PolystreamError, Reason
from mesh.telemetry import names

_MAYBE_SENT = (
    "the command may still be applied: ask for the operation, or send it again with the same request_id, "
    "which applies it once"
)


class Acknowledgement:
    """A command between its sending and Kafka's answer, and the caller who waits for that."""

    __slots__ = ("_accepted", "_operation", "_span", "_timer", "future")

    def __init__(self, accepted: Callable[[Operation], None], operation: Operation, span: Span | None) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._accepted = accepted
        self._operation = operation
        self._span = span
        self._timer: asyncio.TimerHandle | None = None

    def expire_after(self, wait_s: float, *, bounded_by_caller: bool) -> None:
        """Give the caller up to `wait_s`; Kafka's answer is taken note of when it comes later, too."""
        reason = Reason.DEADLINE_EXCEEDED if bounded_by_caller else Reason.KAFKA_UNAVAILABLE
        self._timer = self.future.get_loop().call_later(wait_s, self._expire, reason)

    def settle(self, pending: PendingRecord) -> None:
        """Take Kafka's answer."""
        if self._timer is not None:
            self._timer.cancel()
        if pending.error is None:
            self._accepted(self._operation)
            if self._span is not None and pending.record is not None:
                self._span.set_attribute(names.MESSAGING_PARTITION, str(pending.record.partition()))
                self._span.set_attribute(names.MESSAGING_OFFSET, pending.record.offset() or 0)
            self.end_span(None)
            if not self.future.done():
                self.future.set_result(None)
            return
        self.end_span(pending.error.name())
        self._fail(_kafka_error(pending.error, self._operation.correlation_id))

    def end_span(self, error_type: str | None) -> None:
        """End the PRODUCER span, if there is one."""
        if self._span is None:
            return
        if error_type is not None:
            self._span.set_attribute(names.ERROR_TYPE, error_type)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def _expire(self, reason: Reason) -> None:
        what = "the deadline passed" if reason is Reason.DEADLINE_EXCEEDED else "Kafka did not answer in time"
        self._fail(
            PolystreamError(
                reason,
                f"{what} before Kafka had acknowledged the command; {_MAYBE_SENT}",
                metadata={topics.CORRELATION_ID: self._operation.correlation_id},
            )
        )

    def _fail(self, error: PolystreamError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def _kafka_error(error: KafkaError, correlation_id: str) -> PolystreamError:
    # Never "nothing was done": a record given back by librdkafka may have been sent once before.
    return PolystreamError(
        Reason.KAFKA_UNAVAILABLE,
        f"Kafka did not acknowledge the command; {_MAYBE_SENT}",
        metadata={topics.CORRELATION_ID: correlation_id, "kafka_error": error.name()},
    )
