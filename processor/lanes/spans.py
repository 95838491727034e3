"""The spans of one command in a lane: the work on it, the store's part of that, and the receipt's way out.

Their IDs follow from the record and from what is answered to it: a lane that is killed before it has sent its spans is
given the record again, and makes the spans that others have for parents.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from mesh import topics
from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError
from mesh.telemetry import names
from mesh.telemetry.context import TraceContext
from mesh.telemetry.tracing import Tracing, context_of


@dataclass(frozen=True, slots=True)
class Step:
    """When the store worked on a batch, in nanoseconds since the epoch, and how large the batch was."""

    start_ns: int
    end_ns: int
    commands: int


class OpenSpans:
    """The spans of one command that end once its receipt is acknowledged."""

    def __init__(self, process: Span, send: Span) -> None:
        self._process = process
        self._send = send

    @property
    def context(self) -> TraceContext:
        """What the receipt's headers say."""
        return context_of(self._send)

    def end(self) -> None:
        """End them."""
        self._send.end()
        self._process.end()


class _SpanIds(NamedTuple):
    """The IDs of a command's spans; None for random ones, where it came without a trace."""

    process: int | None
    write: int | None
    send: int | None


class LaneSpans:
    """Makes a lane's spans."""

    def __init__(self, tracing: Tracing, store: str, group: str) -> None:
        self._tracing = tracing
        self._store = store
        self._group = group

    def open(
        self,
        record: KafkaRecord,
        trace: TraceContext | None,
        receipt: CommandReceipt,
        *,
        cause: PolystreamError | None,
        step: Step | None,
    ) -> OpenSpans | None:
        """Make the spans of a command that is answered; None where it is not traced.

        `step` is the store's part, None where the record never came to the store; `cause` is why it is
        dead-lettered, if it is.
        """
        if not self._is_traced(trace):
            return None
        common: dict[str, AttributeValue] = {
            names.CONVERSATION_ID: receipt.correlation_id,
            names.COMMAND: receipt.command,
            names.STORE: self._store,
        }
        attributes = common | self._process_attributes(record) | _outcome_attributes(receipt)
        ids = self._span_ids(record, trace, receipt)
        process = self._tracing.start(
            *(names.LANE_PROCESS, SpanKind.CONSUMER, trace, attributes),
            start_time_ns=record.receive_time_ns,
            span_id=ids.process,
        )
        if process is None:
            return None
        if cause is not None:
            # A refusal is an answer; this is a fault.
            process.set_status(StatusCode.ERROR, cause.reason.name)
        if step is not None:
            self._write(context_of(process), common, step, receipt.command, ids.write)
        send = self._tracing.start(
            *(names.LANE_SEND, SpanKind.PRODUCER, context_of(process), common | _send_attributes()), span_id=ids.send
        )
        return None if send is None else OpenSpans(process, send)

    def _is_traced(self, trace: TraceContext | None) -> bool:
        # Where the producer knows nothing of traces, the command is admitted here, within the same limit.
        return trace.sampled if trace is not None else self._tracing.enter(None) is None

    def _span_ids(self, record: KafkaRecord, trace: TraceContext | None, receipt: CommandReceipt) -> "_SpanIds":
        if trace is None:
            return _SpanIds(None, None, None)
        answer = (receipt.state, bool(receipt.waits_behind))  # a command that has waited is answered again
        seed = f"{trace.traceparent} {self._store} {record.partition} {record.offset} {answer}"
        digest = hashlib.blake2b(seed.encode(), digest_size=24).digest()
        return _SpanIds(*(int.from_bytes(digest[start : start + 8]) or 1 for start in (0, 8, 16)))

    def _write(
        self,
        parent: TraceContext,
        common: Mapping[str, AttributeValue],
        step: Step,
        command: str,
        span_id: int | None,
    ) -> None:
        store = self._store.lower()
        attributes: dict[str, AttributeValue] = {
            **common,
            names.DB_SYSTEM: store,
            names.DB_OPERATION: command,
            names.DB_BATCH_SIZE: step.commands,
        }
        name = names.LANE_STORE.format(command=command, store=store)
        span = self._tracing.start(
            *(name, SpanKind.CLIENT, parent, attributes), start_time_ns=step.start_ns, span_id=span_id
        )
        if span is not None:
            span.end(step.end_ns)

    def _process_attributes(self, record: KafkaRecord) -> dict[str, AttributeValue]:
        return {
            names.MESSAGING_SYSTEM: "kafka",
            names.MESSAGING_OPERATION_TYPE: "process",
            names.MESSAGING_OPERATION_NAME: "process",
            names.MESSAGING_DESTINATION: topics.COMMANDS,
            names.MESSAGING_PARTITION: str(record.partition),
            names.MESSAGING_OFFSET: record.offset,
            names.MESSAGING_GROUP: self._group,
        }


def _outcome_attributes(receipt: CommandReceipt) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        names.STATE: Operation.State.Name(receipt.state),
        names.DUPLICATE: receipt.duplicate,
    }
    return attributes | {names.ERROR_TYPE: receipt.error.reason} if receipt.HasField("error") else attributes


def _send_attributes() -> dict[str, AttributeValue]:
    return {
        names.MESSAGING_SYSTEM: "kafka",
        names.MESSAGING_OPERATION_TYPE: "send",
        names.MESSAGING_OPERATION_NAME: "send",
        names.MESSAGING_DESTINATION: topics.RECEIPTS,
    }
