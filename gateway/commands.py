"""The path of every command: check → complete → validate → encode → Kafka → acknowledge.

There is no code for any one command: what differs is in the catalog.
"""

import asyncio
import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.trace import SpanKind
from polystream.v1.operations_pb2 import Operation

from gateway.acknowledgement import Acknowledgement
from gateway.demo import DemoData, demo_fields, is_silent
from gateway.interceptor import Call
from gateway.operations.redis_store import Claim
from gateway.producer import CommandProducer, Headers
from gateway.validation import RequestRules, named_fields
from mesh import topics
from mesh.catalog import Command
from mesh.codec import Encoder
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.ids import derived_user_id, new_correlation_id, request_correlation_id
from mesh.telemetry import names
from mesh.telemetry.tracing import Tracing, context_of

CALLER = "anonymous"  # whose request IDs these are

_MIN_REMAINING_S = 0.005  # less is not enough for Kafka's answer
_ANSWER_MARGIN_S = 0.2  # kept of a deadline for the answer's way back, or a quarter of a short one

Encoders = Mapping[str, Encoder]  # by the full name of the request


class Operations(Protocol):
    """What the command path asks of the operations."""

    def accepted(self, operation: Operation) -> None:
        """Take note of a command that Kafka has."""

    async def find(self, correlation_id: str) -> Operation | None:
        """Return an operation; None where there is none."""

    async def claim_request(self, correlation_id: str, fingerprint: bytes) -> Claim:
        """Tell whether a request ID is new, or was used with the same or with another request."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A command with what is compiled from its descriptor."""

    command: Command
    rules: RequestRules
    demo_fields: Mapping[str, FieldDescriptor]
    takes_request_id: bool
    assigns_key: bool  # a key of 0 asks for one

    @property
    def method(self) -> str:
        """The RPC's full name: package.Service/Method."""
        return f"{self.command.service}/{self.command.name}"


def prepare(command: Command, validator: protovalidate.Validator) -> Prepared:
    """Compile a command."""
    descriptor: Descriptor = command.request_class.DESCRIPTOR  # type: ignore[assignment] # upb's own class, same members
    key = descriptor.fields_by_name[command.key_field]
    is_id = key.type == FieldDescriptor.TYPE_INT64 and key.name.endswith("_id")
    rules = RequestRules(descriptor, validator)
    key_faults = [fault for fault in rules.faults(command.request_class()) if fault.field == command.key_field]
    return Prepared(
        command=command,
        rules=rules,
        demo_fields=demo_fields(descriptor),
        takes_request_id="request_id" in descriptor.fields_by_name,
        assigns_key=is_id and not key_faults,
    )


class CommandPath:
    """Takes commands and acknowledges them once Kafka has them."""

    def __init__(
        self,
        producer: CommandProducer,
        operations: Operations,
        tracing: Tracing,
        *,
        service: str,
        ack_timeout_s: float,
        demo: DemoData | None,
    ) -> None:
        self._producer = producer
        self._operations = operations
        self._tracing = tracing
        self._service = service
        self._ack_timeout_s = ack_timeout_s
        self._demo = demo
        self._encoders: Encoders = {}
        self._draining = False

    def use_encoders(self, encoders: Encoders) -> None:
        """Begin to take commands: the registry has given their schemas' IDs."""
        self._encoders = encoders

    def refuse_new(self) -> None:
        """Take no more commands."""
        self._draining = True

    @staticmethod
    def identify(prepared: Prepared, request: Any) -> str:
        """Return the correlation ID of a request: the same for the same `request_id`."""
        if prepared.takes_request_id and request.request_id:
            return request_correlation_id(CALLER, request.request_id)
        return new_correlation_id()

    async def handle(self, prepared: Prepared, request: Any, call: Call) -> Operation:
        """Take one command and return its operation, ACCEPTED; a known one as it stands.

        Raises PolystreamError; where Kafka may have the command all the same, the error says so.
        """
        if self._draining:
            raise PolystreamError(Reason.GATEWAY_DRAINING)
        prepared.rules.refuse_unknown(request, call.json_fields)
        fingerprint = None
        if prepared.takes_request_id and request.request_id:
            fingerprint = _fingerprint(prepared.command, request)
        # JSON tells a field that is named with an empty value from one that is not there.
        named = named_fields(call.json_fields)
        silent = bool(prepared.demo_fields) and is_silent(request, named)
        self._complete(prepared, request, call.correlation_id, named if silent else None)
        self._validate(prepared, request, silent=silent)
        if fingerprint is not None:
            known = await self._known(call.correlation_id, fingerprint)
            if known is not None:
                return known
        operation, waits = self._send(prepared, request, call)
        await waits
        return operation

    def _complete(self, prepared: Prepared, request: Any, correlation_id: str, named: Collection[str] | None) -> None:
        """Fill what the caller may leave out; `named` is what a silent command names all the same."""
        if self._demo is not None and named is not None:
            fields = {
                name: field for name, field in prepared.demo_fields.items() if not {name, field.json_name} & {*named}
            }
            self._demo.fill(request, fields, correlation_id)
        if prepared.assigns_key and not getattr(request, prepared.command.key_field):
            setattr(request, prepared.command.key_field, derived_user_id(correlation_id))

    def _validate(self, prepared: Prepared, request: Any, *, silent: bool) -> None:
        faults = prepared.rules.faults(request)
        if not faults:
            return
        # With demo data on, a silent command has been filled, so what is wrong is what was said.
        says_nothing = self._demo is None and silent
        raise PolystreamError(Reason.EMPTY_COMMAND if says_nothing else Reason.INVALID_FIELD, faults=faults)

    async def _known(self, correlation_id: str, fingerprint: bytes) -> Operation | None:
        """Return the operation that the request ID stands for already.

        A command whose operation nobody who answers knows, or whose claim cannot be told, is sent again: lanes
        apply it once.
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

    def _send(self, prepared: Prepared, request: Any, call: Call) -> tuple[Operation, "asyncio.Future[None]"]:
        """Hand the command to Kafka; the future is done when Kafka has it."""
        command = prepared.command
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
        headers: Headers = [
            (topics.CORRELATION_ID, call.correlation_id),
            (topics.COMMAND, command.name),
            (topics.TRACEPARENT, trace.traceparent),
            (topics.ACCEPT_TIME, str(accept_ms)),
            (topics.SERVICE, self._service),
        ]
        if trace.tracestate:
            headers.append((topics.TRACESTATE, trace.tracestate))
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
        """Return how long Kafka may take. Raises PolystreamError DEADLINE_EXCEEDED when that is no time at all."""
        remaining_s: float | None = call.context.time_remaining()
        if remaining_s is None or remaining_s > self._ack_timeout_s + _ANSWER_MARGIN_S:
            return self._ack_timeout_s
        if remaining_s < _MIN_REMAINING_S:
            raise PolystreamError(
                Reason.DEADLINE_EXCEEDED, "the deadline passed before the command was sent; nothing was done"
            )
        return remaining_s - min(_ANSWER_MARGIN_S, remaining_s / 4)


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


def _fingerprint(command: Command, request: Message) -> bytes:
    """Return what tells one request from another, taken before anything is filled in."""
    digest = hashlib.sha256(command.name.encode())
    digest.update(b"\0")
    digest.update(request.SerializeToString(deterministic=True))
    return digest.digest()
