"""The path of every admitted command: encode → Kafka → acknowledge.

There is no code for any one command: what differs is in the catalog.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from polystream.v1.operations_pb2 import Operation

from gateway.interceptor import Call
from gateway.operations.redis_store import Claim
from gateway.producer import CommandProducer, PendingRecord
from mesh import topics
from mesh.catalog import Command
from mesh.codec import Encoder
from mesh.envelope import command_headers
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.telemetry import names
from mesh.telemetry.tracing import Tracing, context_of

_MIN_REMAINING_S: Final = 0.005  # less is not enough for Kafka's answer
_ANSWER_MARGIN_S: Final = 0.2  # kept of a deadline for the answer's way back, or a quarter of a short one
_MAYBE_SENT: Final = (
    "the command may still be applied: ask for the operation, or send it again with the same request_id, "
    "which applies it once"
)

Encoders = Mapping[str, Encoder]  # by the full name of the request


class Operations(Protocol):
    """What the command path asks of the operations."""

    def accepted(self, operation: Operation) -> None:
        """Take note of a command that Kafka has."""

    async def find(self, correlation_id: str) -> Operation | None:
        """Return an operation; None where there is none. Raises PolystreamError where nobody answers who may know."""

    async def claim_request(self, correlation_id: str, fingerprint: bytes) -> Claim:
        """Tell whether a request ID is new, or was used with the same or with another request."""


class CommandPath:
    """Takes commands and acknowledges them once Kafka has them.

    `service` is the gateway's name, which each record bears. `ack_timeout_s` is how many seconds a caller waits for
    Kafka at most, and less where the call's own deadline is nearer.
    """

    def __init__(
        self,
        producer: CommandProducer,
        operations: Operations,
        tracing: Tracing,
        *,
        service: str,
        ack_timeout_s: float,
    ) -> None:
        self._producer = producer
        self._operations = operations
        self._tracing = tracing
        self._service = service
        self._ack_timeout_s = ack_timeout_s
        self._encoders: Encoders = {}

    def use_encoders(self, encoders: Encoders) -> None:
        """Begin to take commands: the registry has given their schemas' IDs."""
        self._encoders = encoders

    async def handle(self, command: Command, request: Any, call: Call) -> Operation:
        """Take one admitted command and return its operation, ACCEPTED; a known one as it stands.

        Raises PolystreamError: REQUEST_ID_REUSED, REGISTRY_UNAVAILABLE, TOO_MANY_COMMANDS, KAFKA_UNAVAILABLE,
        DEADLINE_EXCEEDED. Where Kafka may have the command all the same, the error says so.
        """
        if call.fingerprint is not None:
            known = await self._known(call.correlation_id, call.fingerprint)
            if known is not None:
                return known
        operation, acknowledged = self._send(command, request, call)
        await acknowledged
        return operation

    async def _known(self, correlation_id: str, fingerprint: bytes) -> Operation | None:
        """Return the operation that the request ID stands for already.

        Returns None if the request ID is new, or if nobody can tell: the command is then sent, and the lanes apply
        it only once, however often it comes.
        """
        claim = await self._operations.claim_request(correlation_id, fingerprint)
        if claim is Claim.OTHER:
            fault = FieldFault("request_id", "was used with another request; use a new one", "request_id.unique")
            raise PolystreamError(
                Reason.REQUEST_ID_REUSED, faults=[fault], metadata={topics.CORRELATION_ID: correlation_id}
            )
        if claim is not Claim.SAME:
            return None
        try:
            return await self._operations.find(correlation_id)
        except PolystreamError:
            return None

    def _send(self, command: Command, request: Any, call: Call) -> tuple[Operation, "asyncio.Future[None]"]:
        """Hand the command to Kafka; the future is done when Kafka has it."""
        encoder = self._encoders.get(command.request_type)
        if encoder is None:
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE, "the schemas are not known yet; send the command again")
        wait_s = self._wait_s(call)
        accept_ms = time.time_ns() // 1_000_000
        trace, span = call.trace, None
        if call.span is not None:
            span = self._tracing.start(names.GATEWAY_SEND, SpanKind.PRODUCER, trace, _attributes(call, command))
            if span is not None:
                trace = context_of(span)
        headers = command_headers(
            call.correlation_id, command.name, trace, accept_time_ms=accept_ms, service=self._service
        )
        operation = _operation(command, request, call.correlation_id, accept_ms)
        acknowledgement = Acknowledgement(self._operations.accepted, operation, span)
        try:
            self._producer.send(command.key_of(request), encoder.encode(request), headers, acknowledgement.settle)
        except PolystreamError as error:
            acknowledgement.end_span(error.reason.name)
            raise
        acknowledgement.expire_after(wait_s, bounded_by_caller=wait_s < self._ack_timeout_s)
        return operation, acknowledgement.future

    def _wait_s(self, call: Call) -> float:
        """Return how many seconds Kafka may take. Raises PolystreamError DEADLINE_EXCEEDED when there are none left."""
        remaining_s: float | None = call.context.time_remaining()
        if remaining_s is None or remaining_s > self._ack_timeout_s + _ANSWER_MARGIN_S:
            return self._ack_timeout_s
        if remaining_s < _MIN_REMAINING_S:
            raise PolystreamError(
                Reason.DEADLINE_EXCEEDED, "the deadline passed before the command was sent; nothing was done"
            )
        return remaining_s - min(_ANSWER_MARGIN_S, remaining_s / 4)


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
        """Let the caller wait up to `wait_s` seconds; Kafka's answer is taken note of when it comes later, too.

        `bounded_by_caller` says whose bound it is, the call's own deadline or the gateway's, and so which error the
        caller gets: DEADLINE_EXCEEDED or KAFKA_UNAVAILABLE.
        """
        reason = Reason.DEADLINE_EXCEEDED if bounded_by_caller else Reason.KAFKA_UNAVAILABLE
        self._timer = self.future.get_loop().call_later(wait_s, self._expire, reason)

    def settle(self, pending: PendingRecord) -> None:
        """Take Kafka's answer: the operation is accepted, or the caller gets KAFKA_UNAVAILABLE."""
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
        """End the PRODUCER span, if there is one; `error_type` is what it failed with, and None where it did not."""
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


def _operation(command: Command, request: Any, correlation_id: str, accept_ms: int) -> Operation:
    operation = Operation(
        name=f"operations/{correlation_id}",
        correlation_id=correlation_id,
        command=command.name,
        state=Operation.ACCEPTED,
    )
    accept_time = operation.accept_time
    accept_time.seconds, accept_time.nanos = accept_ms // 1000, accept_ms % 1000 * 1_000_000
    if command.about_user:
        operation.user_id = request.user_id
    return operation


def _attributes(call: Call, command: Command) -> dict[str, str]:
    return {
        names.MESSAGING_SYSTEM: "kafka",
        names.MESSAGING_OPERATION_TYPE: "send",
        names.MESSAGING_OPERATION_NAME: "send",
        names.MESSAGING_DESTINATION: topics.COMMANDS,
        names.CONVERSATION_ID: call.correlation_id,
        names.COMMAND: command.name,
    }


def _kafka_error(error: KafkaError, correlation_id: str) -> PolystreamError:
    # Never "nothing was done": a record given back by librdkafka may have been sent once before.
    return PolystreamError(
        Reason.KAFKA_UNAVAILABLE,
        f"Kafka did not acknowledge the command; {_MAYBE_SENT}",
        metadata={topics.CORRELATION_ID: correlation_id, "kafka_error": error.name()},
    )
