"""What the same request with the same `request_id` is, by what has become of the operation that it stands for."""

from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from polystream.v1.operations_pb2 import Operation
from polystream.v1.sessions_pb2 import CreateSessionRequest

from gateway.commands import _ATTEMPTS_MAX, CommandPath, PendingCommand
from gateway.operations.redis_store import Claim
from gateway.producer import PendingRecord
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.ids import next_attempt_id, request_correlation_id
from mesh.settings import TelemetrySettings
from mesh.telemetry.context import trace_context
from mesh.telemetry.tracing import Tracing
from tests.support.waiting import eventually_async

COMMAND: Final = load_catalog().commands["CreateSession"]
FIRST: Final = request_correlation_id("somebody", "order-4711")
SECOND: Final = next_attempt_id(FIRST)


@dataclass
class Known:
    """What is known of operations and request IDs."""

    operations: dict[str, Operation] = field(default_factory=dict)
    claims: dict[str, bytes] = field(default_factory=dict)

    def accepted(self, _operation: Any) -> None:
        """Take no note: the test says what is known."""

    async def find(self, correlation_id: str) -> Operation | None:
        """Return an operation."""
        return self.operations.get(correlation_id)

    async def claim_request(self, correlation_id: str, fingerprint: bytes) -> Claim:
        """Tell who has a request ID."""
        holder = self.claims.setdefault(correlation_id, fingerprint)
        if correlation_id not in self.operations:
            return Claim.NEW
        return Claim.SAME if holder == fingerprint else Claim.OTHER

    def closed(self, correlation_id: str, *receipts: PolystreamError | None) -> None:
        """Let an operation end with these receipts, None for a success."""
        made = Operation(correlation_id=correlation_id, command="CreateSession", state=Operation.SUCCEEDED)
        for error in receipts:
            state = Operation.SUCCEEDED if error is None else Operation.FAILED
            receipt = made.receipts.add(state=state)
            if error is not None:
                made.state = Operation.FAILED
                made.error.CopyFrom(error.to_status())
                receipt.error.CopyFrom(error.to_status())
        self.operations[correlation_id] = made
        self.claims[correlation_id] = b"the request"


class Pending(PendingCommand):
    """A caller who takes note."""

    def __init__(self, fingerprint: bytes) -> None:
        super().__init__()
        self.correlation_id, self.fingerprint = FIRST, fingerprint
        self.deadline_s, self.send_span, self.tick = None, None, 0
        self.trace = trace_context("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=False)
        self.answers: list[Any] = []

    def succeed(self, operation: Any) -> None:
        """Take an operation."""
        self.answers.append(operation)

    def fail(self, error: Exception) -> None:
        """Take an error."""
        self.answers.append(error)


@dataclass
class Sent:
    """Stands where the producer is."""

    ids: list[str] = field(default_factory=list)

    def send(self, pending: PendingRecord) -> None:
        """Take a record."""
        self.ids.append(dict(pending.headers)["correlation_id"])  # type: ignore[arg-type] # a text, here


class Encoder:
    """Writes nothing."""

    def encode(self, _request: Any) -> bytes:
        """Write a request."""
        return b""


async def _submitted(known: Known, fingerprint: bytes = b"the request") -> tuple[list[str], list[Any]]:
    """Send the request, and return which correlation IDs were sent, and what the caller was answered."""
    sent, pending = Sent(), Pending(fingerprint)
    path = CommandPath(
        sent,  # type: ignore[arg-type]
        known,
        Tracing("gateway", "test", TelemetrySettings(OTEL_SDK_DISABLED=True)),
        service="gateway",
        ack_timeout_s=60,
        max_claims=10,
    )
    path.use_encoders({COMMAND.request_type: Encoder()})  # type: ignore[dict-item]
    path.submit(COMMAND, CreateSessionRequest(user_id=1), pending)

    async def is_done() -> bool:
        return bool(sent.ids or pending.answers)

    await eventually_async(is_done, 5)
    if not pending.answers:
        assert sent.ids == [pending.correlation_id]  # what the caller will be told
    return sent.ids, pending.answers


UNVERIFIED: Final = PolystreamError(Reason.USER_UNVERIFIED)


async def test_a_command_that_could_not_be_told_is_tried_again() -> None:
    """As an operation of its own, the same for whoever asks; the first one stays as it is."""
    known = Known()
    known.closed(FIRST, UNVERIFIED)
    assert await _submitted(known) == ([SECOND], [])
    known.closed(SECOND, None)
    sent, (answer,) = await _submitted(known)
    assert (sent, answer.correlation_id, answer.state) == ([], SECOND, Operation.SUCCEEDED)


async def test_the_next_attempt_may_fail_so_too() -> None:
    """Up to a bound: then the last one is the answer."""
    known, id_ = Known(), FIRST
    for _ in range(_ATTEMPTS_MAX - 1):
        known.closed(id_, UNVERIFIED)
        id_ = next_attempt_id(id_)
        assert await _submitted(known) == ([id_], [])
    known.closed(id_, UNVERIFIED)
    sent, (answer,) = await _submitted(known)
    assert (sent, answer.correlation_id) == ([], id_)


@pytest.mark.parametrize(
    "receipts",
    [
        [None],
        [PolystreamError(Reason.USER_NOT_FOUND)],  # it would fail again
        [PolystreamError(Reason.HANDLER_FAILED)],  # it is a dead letter, and may be redriven
        [PolystreamError(Reason.LANE_OUTDATED)],
        [None, UNVERIFIED],  # a part of it was applied
        [UNVERIFIED, UNVERIFIED],  # of another number of stores than the command names
        [],
    ],
)
async def test_any_other_operation_is_the_answer(receipts: list[PolystreamError | None]) -> None:
    """The same request never has an effect twice."""
    known = Known()
    known.closed(FIRST, *receipts)
    sent, (answer,) = await _submitted(known)
    assert (sent, answer.correlation_id) == ([], FIRST)


async def test_an_operation_that_is_not_closed_is_the_answer() -> None:
    """It may still succeed."""
    known = Known()
    known.closed(FIRST)
    known.operations[FIRST].state = Operation.ACCEPTED
    sent, (answer,) = await _submitted(known)
    assert (sent, answer.correlation_id) == ([], FIRST)


async def test_another_request_is_refused_whatever_became_of_the_first() -> None:
    """The request ID stands for the request, in all its attempts."""
    known = Known()
    known.closed(FIRST, UNVERIFIED)
    sent, (error,) = await _submitted(known, b"another request")
    assert (sent, error.reason) == ([], Reason.REQUEST_ID_REUSED)
