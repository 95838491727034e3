"""Operations, from wherever they are known: this gateway's memory, then Redis, then the event log."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from typing import Any, Final

import redis.asyncio
import structlog
from opentelemetry.trace import SpanKind
from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation, OperationStory

from gateway.operations.accepted import AcceptedOperation
from gateway.operations.assembly import assemble
from gateway.operations.event_log import EventLogClient
from gateway.operations.fingerprints import first_fingerprint
from gateway.operations.follower import ReceiptFollower, Received
from gateway.operations.marks import StoreMarks
from gateway.operations.memory import OperationMemory
from gateway.operations.receipt_log import ReceiptLog
from gateway.operations.redis_store import Claim, ReceiptWriter, RedisOperationStore
from mesh import topics
from mesh.backoff import Backoff
from mesh.catalog import Catalog
from mesh.codec import Decoder, SchemaSource
from mesh.errors import PolystreamError, Reason, not_found
from mesh.fingerprints import agree
from mesh.ids import issue_time_ms
from mesh.operation import is_done
from mesh.schemas import load_schema
from mesh.settings import GatewaySettings, KafkaSettings, RedisSettings
from mesh.store_errors import has_failed, is_unsettled, is_waiting
from mesh.telemetry import names
from mesh.telemetry.context import TraceContext
from mesh.telemetry.metric_list import OPERATION_DURATION
from mesh.telemetry.tallies import HistogramTable
from mesh.telemetry.tracing import Tracing
from mesh.threads import CriticalThreads

_FRESH_S: Final = 2.0  # an ID that young may be of a command that nobody has told of yet
_FRESH_WAIT_S: Final = 2.0
_FRESH_PAUSE_S: Final = 0.05  # before it is looked for again; twice as long each time
_FRESH_PAUSE_MAX_S: Final = 0.4
_RECHECK_S: Final = 1.0  # while waiting: for news that came to Redis by another gateway alone
_DEFAULT_WAIT_S: Final = 10.0  # where WaitOperation's caller names no timeout
_MAX_WAIT_S: Final = 60.0
_ANSWER_MARGIN_S: Final = 0.1  # kept of the call's deadline for the answer's way back, or a quarter of a short one
_CATCH_UP_MAX_S: Final = 30.0  # after the start: how long a result may wait for its receipt to be read
_WATCH_MAX_S: Final = 3600.0
_STOP_TIMEOUT_S: Final = 5.0
_MARKS_TIMEOUT_S: Final = 1.0  # a store answers in milliseconds, or is away; the first time, it is connected to
_IN_DOUBT: Final = (Claim.UNCERTAIN, Claim.UNKNOWN)
_UNHEARD_OF: Final = "the event log has not heard of the command yet; ask again in a moment"

log = structlog.stdlib.get_logger(__name__)


class OperationTracker:
    """Keeps track of this gateway's commands, and finds everybody's. Belongs to the event loop.

    The clients that the constructor is given stay its caller's, who closes them after `close`. `marks_ttl_s` is for how
    many seconds the stores keep their marks.
    """

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        catalog: Catalog,
        kafka: KafkaSettings,
        redis_settings: RedisSettings,
        redis_client: redis.asyncio.Redis,
        marks: StoreMarks,
        marks_ttl_s: int,
        schemas: SchemaSource,
        event_log: EventLogClient,
        tracing: Tracing,
        threads: CriticalThreads,
    ) -> None:
        self._commands = catalog.commands
        self._memory = OperationMemory(catalog.commands, settings.operation_memory_max)
        self._redis = RedisOperationStore(redis_client, marks_ttl_s, settings.requests_max_bytes)
        self._marks = marks
        self._may_be_first = True  # no request ID has been used before, as far as this gateway knows
        self._event_log = event_log
        self._tracing = tracing
        self._ttl_s = settings.operation_ttl_s
        self._catch_up_until_s = time.monotonic() + _CATCH_UP_MAX_S
        self.group = f"gateway-operations-{settings.name}"  # the consumer group that keeps its positions
        self.durations = HistogramTable(OPERATION_DURATION)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._follower = ReceiptFollower(
            open_log=lambda: ReceiptLog(kafka, self.group),
            decoder=Decoder(CommandReceipt, load_schema(CommandReceipt.DESCRIPTOR.full_name), schemas),
            writer=ReceiptWriter(redis_settings, settings.operation_ttl_s, settings.operations_max_bytes),
            deliver=self._deliver,
            threads=threads,
            max_age_s=settings.operation_ttl_s,
        )

    @property
    def following(self) -> ReceiptFollower:
        """Who follows the receipts, for health: what it waits for, and how far it is behind."""
        return self._follower

    @property
    def remembered(self) -> int:
        """How many operations are in memory."""
        return len(self._memory)

    async def start(self) -> None:
        """Begin to follow the receipts. Waits for no engine."""
        self._loop = asyncio.get_running_loop()
        self._follower.start()

    async def close(self) -> None:
        """Stop following, within five seconds."""
        await asyncio.to_thread(self._follower.stop, _STOP_TIMEOUT_S)

    def accepted(self, operation: AcceptedOperation | Operation) -> None:
        """Take note of a command that Kafka has. Its receipts may have come already."""
        self._memory.accept(operation)

    async def claim_request(self, correlation_id: str, fingerprint: bytes) -> Claim:
        """Tell whether a client's request ID is new, or was used with the same or with another request.

        UNKNOWN when Redis does not answer, and nobody else knows the ID. Where Redis may have forgotten it, the
        receipts tell, and the marks in the stores. A claim is no operation: after SAME, `find` tells whether Kafka
        ever got the command.
        """
        known = self._memory.fingerprint(correlation_id)
        if known is None:
            claim = await self._redis.claim(correlation_id, fingerprint)
            if claim not in _IN_DOUBT:
                return claim
            known = await self._remembered(correlation_id, redis_answers=claim is Claim.UNCERTAIN)
            holder = fingerprint if known is None or agree(known, fingerprint) else known
            if claim is Claim.UNCERTAIN:
                claim = await self._redis.claim(correlation_id, holder, insists=True)
            if claim is Claim.UNKNOWN:
                claim = self._redis.claim_here(correlation_id, holder)
            if known is None:
                return claim
        return Claim.SAME if agree(known, fingerprint) else Claim.OTHER

    async def find(self, correlation_id: str) -> Operation | None:
        """Return an operation; None where there is none.

        An ID made less than two seconds ago, a request ID that was claimed, and a result that is on its way get two
        seconds before they are given up: another gateway may have accepted the command a moment ago. A receipt that
        comes ends the wait; until then the event log is asked seldom.
        Raises PolystreamError: EVENT_LOG_UNAVAILABLE when nobody who answers knows the ID.
        """
        correlation_id = correlation_id.lower()
        give_up_s = time.monotonic() + _FRESH_WAIT_S
        backoff = Backoff(_FRESH_PAUSE_S, _FRESH_PAUSE_MAX_S)
        may_be_new: bool | None = None
        with self._memory.watching(correlation_id) as changed:
            while True:
                changed.clear()
                operation, error = await self._try_to_look_up(correlation_id)
                if operation is not None:
                    is_early = self._awaits_result(operation)
                else:
                    may_be_new = await self._may_be_new(correlation_id) if may_be_new is None else may_be_new
                    is_early = may_be_new
                if not is_early or time.monotonic() >= give_up_s:
                    if error is not None:
                        raise error
                    return operation
                await _set_within(changed, backoff.next_s())

    async def wait(self, correlation_id: str, timeout_s: float) -> Operation | None:
        """Return an operation once it is done, or as it stands after `timeout_s` seconds; None where there is none.

        Raises PolystreamError as `find` does.
        """
        correlation_id = correlation_id.lower()
        give_up_s = time.monotonic() + timeout_s
        with self._memory.watching(correlation_id) as changed:
            while True:
                changed.clear()
                operation = await self.find(correlation_id)
                remaining_s = give_up_s - time.monotonic()
                if operation is None or self._is_final(operation) or remaining_s <= 0:
                    return operation
                await _set_within(changed, min(remaining_s, _RECHECK_S))

    async def watch(self, correlation_id: str) -> AsyncIterator[Operation]:
        """Give an operation as it stands, then after every change, until it is done.

        Raises PolystreamError: OPERATION_NOT_FOUND, DEADLINE_EXCEEDED after an hour, and as `find` does.
        """
        correlation_id = correlation_id.lower()
        give_up_s = time.monotonic() + _WATCH_MAX_S
        last = None
        with self._memory.watching(correlation_id) as changed:
            while time.monotonic() < give_up_s:
                changed.clear()
                operation = await self.find(correlation_id)
                if operation is None:
                    raise not_found(Reason.OPERATION_NOT_FOUND, "correlation_id")
                if operation != last and not self._awaits_result(operation):
                    last = operation
                    yield operation
                if self._is_final(operation):
                    return
                await _set_within(changed, _RECHECK_S)
        raise PolystreamError(Reason.DEADLINE_EXCEEDED, "an operation is watched for an hour at most; watch it again")

    async def explain(self, correlation_id: str) -> OperationStory | None:
        """Return an operation's story from the event log; None where there is none.

        An ID that may be new gets two seconds before it is given up, as `find` has it.

        Of an operation that the event log has yet to hear of, the story is what memory and Redis know.
        Raises PolystreamError: EVENT_LOG_UNAVAILABLE.
        """
        correlation_id = correlation_id.lower()
        give_up_s: float | None = None
        backoff = Backoff(_FRESH_PAUSE_S, _FRESH_PAUSE_MAX_S)
        while True:
            story = await self._event_log.explain(correlation_id)
            if story is not None:
                return story
            if give_up_s is None:
                wait_s = _FRESH_WAIT_S if await self._may_be_new(correlation_id) else 0.0
                give_up_s = time.monotonic() + wait_s
            if time.monotonic() >= give_up_s:
                break
            await asyncio.sleep(backoff.next_s())
        operation = self._assemble(correlation_id, await self._known_receipts(correlation_id))
        return None if operation is None else OperationStory(operation=operation, missing=[_UNHEARD_OF])

    async def _remembered(self, correlation_id: str, *, redis_answers: bool) -> bytes | None:
        """Return the fingerprint of the request that was accepted under an ID; None where nobody tells of one.

        The receipts that are found are kept in memory, for `find`. Where Redis does not answer, which has taken its
        time, the stores get less of it.
        """
        if redis_answers:
            stored, marks, _ = await asyncio.gather(
                self._stored_receipts(correlation_id),
                self._marks.find(correlation_id, _MARKS_TIMEOUT_S),
                self._look_whether_first(),
            )
        else:
            stored, marks = [], await self._marks.find(correlation_id, _MARKS_TIMEOUT_S / 2)
        receipts = [*stored, *marks.receipts]
        for receipt in receipts:
            self._memory.add(receipt)
        return first_fingerprint(receipts) or next(iter(marks.waiting), None)

    async def _look_whether_first(self) -> None:
        """Tell Redis that it has every request ID, where the stores have marks of none: the platform is new then."""
        if not self._may_be_first:
            return
        are_none = await self._marks.are_none(_MARKS_TIMEOUT_S)
        if are_none is None:
            return
        self._may_be_first = False
        if are_none:
            await self._redis.all_are_here()

    async def _may_be_new(self, correlation_id: str) -> bool:
        """Whether nobody may know of a command yet that has been accepted: its ID is young, or somebody claimed it."""
        if issue_time_ms(correlation_id) is None:
            return await self._redis.is_claimed(correlation_id)
        return _is_fresh(correlation_id)

    async def _try_to_look_up(self, correlation_id: str) -> tuple[Operation | None, PolystreamError | None]:
        try:
            return await self._look_up(correlation_id), None
        except PolystreamError as error:
            return None, error

    async def _look_up(self, correlation_id: str) -> Operation | None:
        operation = self._memory.get(correlation_id)
        is_sure = self._is_sure(correlation_id, self._memory.receipts(correlation_id))
        if operation is not None and is_sure and self._is_whole(operation):
            return operation
        receipts = await self._known_receipts(correlation_id)
        operation, is_sure = self._assemble(correlation_id, receipts), self._is_sure(correlation_id, receipts)
        # What this gateway accepted has no receipt that has not come by here or through Redis.
        is_here = self._memory.accepted_here(correlation_id)
        if operation is not None and (is_here or (is_sure and self._is_whole(operation))):
            return operation
        try:
            told = await self._event_log.get(correlation_id)
        except PolystreamError:
            if operation is not None:
                return operation
            raise
        return operation if told is None or (is_sure and _says_more(operation, told)) else told

    def _is_sure(self, correlation_id: str, receipts: Sequence[CommandReceipt]) -> bool:
        """Whether the receipts are the command's own.

        Those that say it was given up, or waits, may be of foreign records with its ID. The event log, which has seen
        the command's own record, can tell then.
        """
        return self._memory.accepted_here(correlation_id) or not all(map(is_unsettled, receipts))

    def _is_whole(self, operation: Operation) -> bool:
        """Whether an operation is done, and no answer that is not known here can make it another.

        Of a command that another gateway accepted, or this one before it was started again, Redis may have forgotten
        an earlier failure when the next one came: then that one alone is known here, and the event log has the first.
        """
        if operation.state != Operation.FAILED or self._memory.accepted_here(operation.correlation_id):
            return is_done(operation)
        command = self._commands.get(operation.command)
        return command is None or len(operation.receipts) >= len(command.stores)

    def _is_final(self, operation: Operation) -> bool:
        return is_done(operation) and not self._awaits_result(operation)

    def _awaits_result(self, operation: Operation) -> bool:
        """Whether a receipt may still bring the result of an operation that the event log, without it, told of.

        The event log may hear of a receipt before this gateway does: by a moment, or by what a gateway that has just
        started has yet to read.
        """
        if operation.state != Operation.SUCCEEDED or operation.result.type_url:
            return False
        age_s = time.time() - operation.complete_time.ToMilliseconds() / 1000
        is_behind = not self._follower.caught_up and time.monotonic() < self._catch_up_until_s
        return age_s < (self._ttl_s if is_behind else _FRESH_S)

    async def _known_receipts(self, correlation_id: str) -> list[CommandReceipt]:
        """Return the receipts that memory and Redis have together; memory alone while Redis is away."""
        return [*await self._stored_receipts(correlation_id), *self._memory.receipts(correlation_id)]

    async def _stored_receipts(self, correlation_id: str) -> list[CommandReceipt]:
        """Return the receipts that Redis has; none while it is away."""
        try:
            return await self._redis.receipts(correlation_id)
        except PolystreamError:
            return []

    def _assemble(self, correlation_id: str, receipts: Sequence[CommandReceipt]) -> Operation | None:
        accepted, position = self._memory.accepted(correlation_id), self._memory.position(correlation_id)
        return assemble(self._commands, accepted, receipts, position)

    def _deliver(self, batch: Sequence[Received]) -> "Future[None]":
        """Hand receipts to the event loop. Called on the follower's thread."""
        applied: Future[None] = Future()
        if self._loop is None:
            raise RuntimeError("the tracker was not started")
        self._loop.call_soon_threadsafe(self._apply, batch, applied)
        return applied

    def _apply(self, batch: Sequence[Received], applied: "Future[None]") -> None:
        try:
            for received in batch:
                if self._memory.add(received.receipt) and self._memory.accepted_here(received.receipt.correlation_id):
                    parent = received.record.read_headers().trace
                    self._measure(received, parent)
                    self._trace(received, parent)
        finally:
            applied.set_result(None)

    def _measure(self, received: Received, parent: TraceContext | None) -> None:
        """Take note of how long a command took that this gateway accepted, once its last store has answered."""
        receipt = received.receipt
        command = self._commands.get(receipt.command)
        if command is None or is_waiting(receipt):
            return
        answers = [receipt]
        if len(command.stores) > 1 or self._memory.receipt_count(receipt.correlation_id) > 1:
            answers = [one for one in self._memory.receipts(receipt.correlation_id) if not is_waiting(one)]
        if len(answers) != len(command.stores):
            return
        accepted = receipt.accept_time
        took_s = received.record.receive_time_ns / 1e9 - accepted.seconds - accepted.nanos / 1e9
        state = "FAILED" if any(map(has_failed, answers)) else "SUCCEEDED"
        self.durations.of(command.name, state).record(max(0.0, took_s), parent)

    def _trace(self, received: Received, parent: TraceContext | None) -> None:
        """Record the last hop of a command that this gateway accepted, where the command is traced."""
        receipt, record = received.receipt, received.record
        if parent is None or not parent.sampled:
            return
        span = self._tracing.start(
            names.GATEWAY_PROCESS,
            SpanKind.CONSUMER,
            parent,
            {
                names.MESSAGING_SYSTEM: "kafka",
                names.MESSAGING_OPERATION_TYPE: "process",
                names.MESSAGING_OPERATION_NAME: "process",
                names.MESSAGING_DESTINATION: topics.RECEIPTS,
                names.MESSAGING_PARTITION: str(record.partition),
                names.MESSAGING_OFFSET: record.offset,
                names.MESSAGING_GROUP: self.group,
                names.CONVERSATION_ID: receipt.correlation_id,
                names.COMMAND: receipt.command,
                names.STORE: Store.Name(receipt.store),
                names.STATE: Operation.State.Name(receipt.state),
                names.DUPLICATE: receipt.duplicate,
            },
            start_time_ns=record.receive_time_ns,
        )
        if span is not None:
            span.end()


def _says_more(operation: Operation | None, told: Operation) -> bool:
    """Whether memory and Redis are ahead of what the event log has told: it may be a moment behind, never back."""
    if operation is None:
        return False
    if is_done(operation) != is_done(told):
        return is_done(operation)
    return len(operation.receipts) > len(told.receipts)


def wait_timeout_s(asked_s: float | None, context: Any) -> float:
    """Return how long a call may wait for an operation, in seconds.

    That is what the caller asked for, `asked_s` seconds, but at most a minute and within the call's own deadline,
    which `context`, a gRPC servicer context, knows. Ten seconds where the caller asked for nothing.
    """
    timeout_s = _DEFAULT_WAIT_S if asked_s is None else min(max(asked_s, 0.0), _MAX_WAIT_S)
    remaining_s: float | None = context.time_remaining()
    if remaining_s is None:
        return timeout_s
    return max(0.0, min(timeout_s, remaining_s - min(_ANSWER_MARGIN_S, remaining_s / 4)))


def _is_fresh(correlation_id: str) -> bool:
    issued_ms = issue_time_ms(correlation_id)
    return issued_ms is not None and abs(time.time() * 1000 - issued_ms) < _FRESH_S * 1000


async def _set_within(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
