"""Commands whose answers come in any order: each caller is told once, every span ends once, and nothing is kept."""

import gc
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from confluent_kafka import KafkaError
from google.rpc import status_pb2
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from polystream.v1.users_pb2 import DeleteUserRequest

from gateway.admission import Admissions
from gateway.calls import Caller, Calls, CommandCall
from gateway.commands import CommandPath
from gateway.operations.redis_store import Claim
from gateway.producer import PendingRecord
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.settings import TelemetrySettings
from mesh.telemetry.sampling import HeadSampler
from mesh.telemetry.tracing import Tracing
from tests.support.waiting import eventually_async

DELETE: Final = "polystream.v1.UserService/DeleteUser"
DEADLINE_S: Final = 0.02
_COMMANDS: Final = 1_000
_FAILED: Final = KafkaError(KafkaError._MSG_TIMED_OUT)


class Delivered:
    """A record as Kafka has it."""

    def partition(self) -> int:
        """Return its partition."""
        return 1

    def offset(self) -> int:
        """Return its offset."""
        return 2


@dataclass
class Held:
    """Stands where the producer is: what is sent waits for the test's word, or is refused."""

    sent: list[PendingRecord] = field(default_factory=list)
    error: Exception | None = None

    def send(self, pending: PendingRecord) -> None:
        """Keep a record."""
        if self.error is not None:
            raise self.error
        self.sent.append(pending)

    def answer(self, pending: PendingRecord, error: KafkaError | None = None) -> None:
        """Give Kafka's answer."""
        pending.error, pending.record = error, Delivered()  # type: ignore[assignment]
        pending.settle()


@dataclass
class Noted:
    """Stands where the operations are."""

    accepted_ids: list[str] = field(default_factory=list)

    def accepted(self, operation: Any) -> None:
        """Take note."""
        self.accepted_ids.append(operation.correlation_id)

    async def find(self, _correlation_id: str) -> None:
        """Know none."""

    async def claim_request(self, _correlation_id: str, _fingerprint: bytes) -> Claim:
        """Find every request new."""
        return Claim.NEW


class Encoder:
    """Writes nothing, or fails."""

    error: Exception | None = None

    def encode(self, _request: Any) -> bytes:
        """Write a request."""
        if self.error is not None:
            raise self.error
        return b""


@dataclass
class Door:
    """One caller's door, which may fail where it is told."""

    told: Counter[str]
    fails: bool = False

    def succeed(self, correlation_id: str, _response: Any) -> None:
        """Count."""
        self._take(correlation_id)

    def fail(self, correlation_id: str, _status: status_pb2.Status) -> None:
        """Count."""
        self._take(correlation_id)

    def _take(self, correlation_id: str) -> None:
        self.told[correlation_id] += 1
        if self.fails:
            raise RuntimeError("the door is gone")


class Ends(SpanProcessor):
    """Counts the spans that began and that ended."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK's
        """Count one."""
        self.begun[span.name] += 1

    def on_end(self, span: ReadableSpan) -> None:
        """Count one."""
        self.ended[span.name] += 1


class Rig:
    """Calls, with the test in the place of Kafka and of the doors."""

    def __init__(self, tracing: Tracing) -> None:
        catalog = load_catalog()
        self.producer, self.operations, self.encoder = Held(), Noted(), Encoder()
        self.told: Counter[str] = Counter()
        path = CommandPath(
            self.producer,  # type: ignore[arg-type]
            self.operations,
            tracing,
            service="gateway",
            ack_timeout_s=60,
            max_claims=10,
        )
        path.use_encoders({DeleteUserRequest.DESCRIPTOR.full_name: self.encoder})  # type: ignore[dict-item]
        self.room = path._waiting
        admissions = Admissions(max_request_bytes=1000, demo_data=False)
        self.calls = Calls(catalog, catalog.services, path, {}, admissions=admissions, tracing=tracing, max_streams=1)

    def command(self, *, deadline_s: float | None = None, fails: bool = False) -> None:
        """Give a command to the calls."""
        due = None if deadline_s is None else time.monotonic() + deadline_s
        caller = Caller(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", deadline_s=due)
        self.calls.command(self.calls.rpcs[DELETE], DeleteUserRequest(user_id=1), caller, Door(self.told, fails))


@pytest.fixture
def ends() -> Ends:
    """Return a count of spans."""
    return Ends()


@pytest.fixture
def rig(ends: Ends) -> Rig:
    """Return calls whose every command is traced, without a collector."""
    tracing = Tracing("gateway", "test", TelemetrySettings(OTEL_SDK_DISABLED=True))
    provider = TracerProvider()
    provider.add_span_processor(ends)
    tracing._provider, tracing._tracer = provider, provider.get_tracer("test")
    tracing._head_sampler = HeadSampler(None, ALWAYS_ON)
    return Rig(tracing)


async def test_each_is_told_once_in_whatever_order(rig: Rig, ends: Ends) -> None:
    """Kafka answers before the deadline, after it or at the same time, well or not; some doors are gone by then."""
    chance = random.Random(14)  # the same orders every time
    for _ in range(_COMMANDS):
        rig.command(deadline_s=chance.choice([None, DEADLINE_S]), fails=chance.random() < 0.2)
        if chance.random() < 0.3 and rig.producer.sent:
            sent = rig.producer.sent.pop(chance.randrange(len(rig.producer.sent)))
            rig.producer.answer(sent, chance.choice([None, _FAILED]))

    async def those_with_a_deadline_are_told() -> bool:
        return all(pending.deadline_s is None or pending.tick == 0 for pending in _calls_of(rig))

    await eventually_async(those_with_a_deadline_are_told, 10)
    assert 0 < len(rig.told) < _COMMANDS
    chance.shuffle(rig.producer.sent)
    for sent in rig.producer.sent:
        rig.producer.answer(sent, chance.choice([None, _FAILED]))
    assert len(rig.told) == _COMMANDS
    assert set(rig.told.values()) == {1}
    assert rig.calls._calls == len(rig.room) == 0
    assert ends.begun[DELETE] == _COMMANDS
    assert ends.ended == ends.begun


def _calls_of(rig: Rig) -> list[CommandCall]:
    return [pending for pending in rig.producer.sent if isinstance(pending, CommandCall)]


async def test_one_door_that_fails_takes_no_answer_from_the_next(rig: Rig) -> None:
    """Neither where their time is up together, nor where they are refused."""
    for fails in (True, False, True, False):
        rig.command(deadline_s=DEADLINE_S, fails=fails)

    async def all_are_told() -> bool:
        return len(rig.told) == 4

    await eventually_async(all_are_told, 10)
    rig.producer.error = PolystreamError(Reason.TOO_MANY_COMMANDS)
    rig.command(fails=True)
    assert len(rig.told) == 5
    assert rig.calls._calls == 0


@pytest.mark.parametrize("error", [PolystreamError(Reason.KAFKA_UNAVAILABLE), ValueError("no such branch")])
async def test_what_is_not_sent_ends_its_spans(rig: Rig, ends: Ends, error: Exception) -> None:
    """Whether the producer refuses a command or it cannot be encoded."""
    rig.producer.error = error
    rig.command()
    rig.producer.error, rig.encoder.error = None, error
    rig.command()
    assert set(rig.told.values()) == {1}
    assert len(rig.told) == 2
    assert sum(ends.begun.values()) == 4
    assert ends.ended == ends.begun
    assert len(rig.room) == 0


async def test_answered_commands_are_not_kept(rig: Rig) -> None:
    """Nor do they need the collector of cycles."""

    def alive() -> int:
        # Not isinstance: it asks an object for its class, and a dead weak proxy raises.
        return sum(type(kept) is CommandCall for kept in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        for _ in range(500):
            rig.command(deadline_s=60)
            rig.producer.answer(rig.producer.sent.pop())
        assert alive() == before
    finally:
        gc.enable()
