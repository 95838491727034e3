"""The path of every admitted command: encode → Kafka → acknowledge.

There is no code for any one command: what differs is in the catalog.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from polystream.v1.operations_pb2 import Operation

from gateway.operations.accepted import AcceptanceForm, AcceptedOperation, Serializable
from gateway.operations.redis_store import Claim
from gateway.producer import CommandProducer, PendingRecord, not_sent
from gateway.waiting import WaitingRoom
from mesh import topics
from mesh.catalog import Command
from mesh.codec import Encoder
from mesh.envelope import command_headers
from mesh.error_classes.classes import ErrorClass
from mesh.error_classes.kafka import classify_kafka
from mesh.errors import FieldFault, PolystreamError, Reason, read_details
from mesh.ids import next_attempt_id
from mesh.telemetry import names
from mesh.telemetry.context import TraceContext
from mesh.telemetry.tracing import Tracing, context_of

_MIN_REMAINING_S: Final = 0.005  # less is not enough for Kafka's answer
_ANSWER_MARGIN_S: Final = 0.2  # kept of a deadline for the answer's way back, or a quarter of a short one
_ATTEMPTS_MAX: Final = 16  # that one request ID stands for; each may wait a minute for its user
_MAYBE_SENT: Final = (
    "the command may still be applied: ask for the operation, or send it again with the same request_id, "
    "which applies it once"
)

Encoders = Mapping[str, Encoder]  # by the full name of the request


class Operations(Protocol):
    """What the command path asks of the operations."""

    def accepted(self, operation: AcceptedOperation) -> None:
        """Take note of a command that Kafka has."""

    async def find(self, correlation_id: str) -> Operation | None:
        """Return an operation; None where there is none. Raises PolystreamError where nobody answers who may know."""

    async def claim_request(self, correlation_id: str, fingerprint: bytes) -> Claim:
        """Tell whether a request ID is new, or was used with the same or with another request."""


class PendingCommand(PendingRecord):
    """One command between its admission and its answer: its record, and whoever waits for it."""

    __slots__ = ("correlation_id", "deadline_s", "fingerprint", "operation", "path", "send_span", "tick", "trace")

    correlation_id: str
    fingerprint: bytes | None  # of its request, where the correlation ID stands for its `request_id`
    deadline_s: float | None  # its caller's, on the monotonic clock
    trace: TraceContext  # what its children get
    send_span: Span | None  # None where it is not traced
    # From here on they are set once it is on its way.
    path: "CommandPath"
    operation: AcceptedOperation
    tick: int  # of the waiting room; 0 where its caller waits no longer

    @abstractmethod
    def succeed(self, operation: Serializable) -> None:
        """Answer the caller with the operation."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """Answer the caller with an error; what is no PolystreamError is unexpected."""

    def settle(self) -> None:
        """Take Kafka's answer, on the event loop."""
        self.path.settle(self)


class CommandPath:
    """Takes commands and acknowledges them once Kafka has them. Belongs to the event loop.

    `service` is the gateway's name, which each record bears. `ack_timeout_s` is how many seconds a caller waits for
    Kafka at most, and less where the call's own deadline is nearer. `max_claims` is how many commands may ask Redis
    for their `request_id` at once.
    """

    def __init__(
        self,
        producer: CommandProducer,
        operations: Operations,
        tracing: Tracing,
        *,
        service: str,
        ack_timeout_s: float,
        max_claims: int,
    ) -> None:
        self._producer = producer
        self._operations = operations
        self._tracing = tracing
        self._service = service
        self._ack_timeout_s = ack_timeout_s
        self._max_claims = max_claims
        self._claims: set[asyncio.Task[None]] = set()
        self._waiting: WaitingRoom[PendingCommand] = WaitingRoom(self._expire)
        self._encoders: Encoders = {}
        self._forms: dict[str, AcceptanceForm] = {}  # by the command's name

    def use_encoders(self, encoders: Encoders) -> None:
        """Begin to take commands: the registry has given their schemas' IDs."""
        self._encoders = encoders

    def submit(self, command: Command, request: Any, pending: PendingCommand) -> None:
        """Take one admitted command; `pending` is told its operation, ACCEPTED, or a known one as it stands.

        Raises PolystreamError, and then `pending` is told nothing: REGISTRY_UNAVAILABLE, TOO_MANY_COMMANDS,
        KAFKA_UNAVAILABLE, DEADLINE_EXCEEDED. It is told of these too where they come later, and of REQUEST_ID_REUSED.
        Where Kafka may have the command all the same, the error says so.
        """
        if pending.fingerprint is None:
            self._send(command, request, pending)
            return
        if len(self._claims) >= self._max_claims:
            raise PolystreamError(Reason.TOO_MANY_COMMANDS)
        claim = asyncio.get_running_loop().create_task(self._claim(command, request, pending, pending.fingerprint))
        self._claims.add(claim)
        claim.add_done_callback(self._claims.discard)

    async def drain(self, timeout_s: float) -> bool:
        """Wait until Kafka has answered for every command, and tell whether that came in time."""
        give_up_s = time.monotonic() + timeout_s
        if self._claims:
            await asyncio.wait(self._claims, timeout=timeout_s)
        return await self._producer.drain(max(0.0, give_up_s - time.monotonic()))

    def settle(self, pending: PendingCommand) -> None:
        """Take Kafka's answer: the operation is accepted, or the caller gets KAFKA_UNAVAILABLE."""
        waits = pending.tick != 0
        if waits:
            self._waiting.leave(pending)
        if pending.error is not None:
            _end_span(pending, pending.error.name())
            if waits:
                pending.fail(_kafka_error(pending.error, pending.correlation_id))
            return
        pending.operation.partition, pending.operation.offset = pending.record.partition(), pending.record.offset()
        self._operations.accepted(pending.operation)
        if pending.send_span is not None:
            pending.send_span.set_attribute(names.MESSAGING_PARTITION, str(pending.record.partition()))
            pending.send_span.set_attribute(names.MESSAGING_OFFSET, pending.record.offset() or 0)
            _end_span(pending, None)
        if waits:
            pending.succeed(pending.operation)

    async def _claim(self, command: Command, request: Any, pending: PendingCommand, fingerprint: bytes) -> None:
        """Send a command whose request ID is new; answer one that is known.

        An operation that has failed with a delay after which to try again has done nothing, and is closed: the same
        request is the next attempt then, an operation of its own.
        """
        try:
            known = await self._known(pending.correlation_id, fingerprint)
            for _ in range(_ATTEMPTS_MAX - 1):
                if known is None or not _may_be_tried_again(known, command):
                    break
                pending.correlation_id = next_attempt_id(pending.correlation_id)
                known = await self._known(pending.correlation_id, fingerprint)
            if known is None:
                self._send(command, request, pending)
                return
        except Exception as error:  # noqa: BLE001 - every command has an answer
            pending.fail(error)
        else:
            pending.succeed(known)

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

    def _send(self, command: Command, request: Any, pending: PendingCommand) -> None:
        """Hand the command to Kafka."""
        encoder = self._encoders.get(command.request_type)
        if encoder is None:
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE, "the schemas are not known yet; send the command again")
        now_s = time.monotonic()
        wait_s = self._wait_s(pending.deadline_s, now_s)
        accept_ms = time.time_ns() // 1_000_000
        trace = pending.trace
        if trace.sampled:
            span = self._tracing.start(names.GATEWAY_SEND, SpanKind.PRODUCER, trace, _attributes(pending, command))
            if span is not None:
                pending.send_span, trace = span, context_of(span)
        pending.path = self
        try:
            form = self._forms.get(command.name)
            if form is None:
                form = self._forms[command.name] = AcceptanceForm(command)
            user_id = request.user_id if command.about_user else 0
            pending.operation = form.fill_in(pending.correlation_id, accept_ms, user_id)
            pending.operation.fingerprint = pending.fingerprint
            pending.key = command.key_of(request)
            pending.headers = command_headers(
                pending.correlation_id,
                command.name,
                trace,
                stores=command.stores,
                accept_time_ms=accept_ms,
                service=self._service,
                request_fingerprint=pending.fingerprint,
            )
            pending.value = encoder.encode(request)
            self._producer.send(pending)
        except Exception as error:
            _end_span(pending, error.reason.name if isinstance(error, PolystreamError) else type(error).__name__)
            raise
        self._waiting.enter(pending, now_s + wait_s)

    def _wait_s(self, deadline_s: float | None, now_s: float) -> float:
        """Return how many seconds Kafka may take. Raises PolystreamError DEADLINE_EXCEEDED when there are none left."""
        if deadline_s is None or (remaining_s := deadline_s - now_s) > self._ack_timeout_s + _ANSWER_MARGIN_S:
            return self._ack_timeout_s
        if remaining_s < _MIN_REMAINING_S:
            raise PolystreamError(
                Reason.DEADLINE_EXCEEDED, "the deadline passed before the command was sent; nothing was done"
            )
        return remaining_s - min(_ANSWER_MARGIN_S, remaining_s / 4)

    def _expire(self, pending: PendingCommand) -> None:
        """Answer a caller who waits no longer; Kafka's answer is taken note of when it comes later, too."""
        deadline_s = pending.deadline_s
        if deadline_s is not None and deadline_s - time.monotonic() <= _ANSWER_MARGIN_S:
            reason, what = Reason.DEADLINE_EXCEEDED, "the deadline passed"
        else:
            reason, what = Reason.KAFKA_UNAVAILABLE, "Kafka did not answer in time"
        pending.fail(
            PolystreamError(
                reason,
                f"{what} before Kafka had acknowledged the command; {_MAYBE_SENT}",
                metadata={topics.CORRELATION_ID: pending.correlation_id},
            )
        )


def _may_be_tried_again(operation: Operation, command: Command) -> bool:
    """Tell whether an operation is closed, without any effect, and the same command may succeed later."""
    receipts = operation.receipts
    return (
        operation.state == Operation.FAILED
        and len(receipts) == len(command.stores)
        and all(receipt.state == Operation.FAILED for receipt in receipts)
        and read_details(operation.error).retry_delay_s is not None
    )


def _end_span(pending: PendingCommand, error_type: str | None) -> None:
    """End the PRODUCER span, if there is one; `error_type` is what it failed with, and None where it did not."""
    span = pending.send_span
    if span is None:
        return
    if error_type is not None:
        span.set_attribute(names.ERROR_TYPE, error_type)
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def _attributes(pending: PendingCommand, command: Command) -> dict[str, str]:
    return {
        names.MESSAGING_SYSTEM: "kafka",
        names.MESSAGING_OPERATION_TYPE: "send",
        names.MESSAGING_OPERATION_NAME: "send",
        names.MESSAGING_DESTINATION: topics.COMMANDS,
        names.CONVERSATION_ID: pending.correlation_id,
        names.COMMAND: command.name,
    }


def _kafka_error(error: KafkaError, correlation_id: str) -> PolystreamError:
    verdict = classify_kafka(error)
    if verdict.error_class is ErrorClass.REFUSE:
        return not_sent(error)
    # Never "nothing was done": a record given back by librdkafka may have been sent once before.
    return PolystreamError(
        Reason.KAFKA_UNAVAILABLE,
        f"Kafka did not acknowledge the command; {_MAYBE_SENT}",
        metadata={topics.CORRELATION_ID: correlation_id, "kafka_error": error.name(), "error": verdict.cause},
    )
