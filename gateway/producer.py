"""Commands to Kafka: one producer, which the event loop itself polls while records are under way.

A thread that polled would take the interpreter from the event loop for every answer of the broker. One looks after the
producer ten times a second instead: what must not wait for the event loop, or would hold it up.
"""

import asyncio
import math
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from mesh.envelope import HeaderList
from mesh.error_classes.classes import ErrorClass
from mesh.error_classes.kafka import classify_kafka
from mesh.errors import PolystreamError, Reason
from mesh.kafka import PRODUCER_CONFIG, QUIET_CONFIG
from mesh.telemetry.metric_list import SENT
from mesh.telemetry.tallies import CounterTable
from mesh.threads import CriticalThreads

_LINGER_MS = 1  # 0.2 did worse: more requests to the broker, and more wake-ups here
_SCAN_MARGIN_S = 1.5  # librdkafka looks for expired messages once a second
_TICK_S = 0.001  # how often the event loop asks for the broker's answers while there are records under way
_HOLD_S = 0.005  # how long records are held back for one another at most; a busy event loop ticks less often
_LOOK_AFTER_S = 0.1
_PROBES = 16  # commands that try Kafka at the same time while it does not answer
_REPLACE_PAUSE_S = 1.0
_UNREACHED = "no broker is reached"
_REFUSED_S = 10.0  # how long it counts that a broker has refused a command, if no other one is sent
_RETIRED_MIN_S = 1.0  # far longer than the loop takes from reading which producer it is to handing it a record

# librdkafka's own codes.
_ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_QUEUE_FULL = KafkaError._QUEUE_FULL  # noqa: SLF001
_TIMED_OUT = KafkaError._MSG_TIMED_OUT  # noqa: SLF001
_GIVEN_BACK = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL)  # noqa: SLF001

# A broker that knows this producer no more, or takes it for another's, as of a topic that was made anew, says so of all
# records from then on.
_OUTLIVED = frozenset(
    (
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.UNKNOWN_PRODUCER_ID,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.UNKNOWN,
    )
)

log = structlog.stdlib.get_logger(__name__)


class PendingRecord(ABC):
    """One record on its way to Kafka. Who sends it makes a class of this that takes Kafka's answer."""

    __slots__ = ("error", "give_up_s", "headers", "key", "record", "settled", "value")

    key: str
    value: bytes
    headers: HeaderList  # the record that is reported on has none
    give_up_s: float  # on the monotonic clock
    settled: deque["PendingRecord"]  # where the producer collects what Kafka has answered
    error: KafkaError | None  # Kafka's answer, once it is there
    record: Message

    def reported(self, error: KafkaError | None, record: Message) -> None:
        """Take Kafka's answer, on whichever thread polls."""
        self.error = error
        self.record = record
        self.settled.append(self)

    @abstractmethod
    def settle(self) -> None:
        """Pass the answer on, on the event loop."""


def not_sent(error: KafkaError) -> PolystreamError:
    """Return what a caller is told of a command that is not in Kafka, for certain."""
    verdict = classify_kafka(error)
    if verdict.error_class is not ErrorClass.REFUSE:
        return PolystreamError(Reason.KAFKA_UNAVAILABLE, metadata={"error": verdict.cause})
    return PolystreamError(Reason.REFUSED_BY_KAFKA, metadata={"error": verdict.cause})


class CommandProducer:
    """Produces to one topic, acks=all and idempotent.

    `send` belongs to the event loop that called `start`. Every record sent is settled exactly once, on that
    loop, before `ack_timeout_s` has passed: librdkafka gives up earlier, so its answer is the last word. A record
    that is sent again gets the same time once more.

    A producer that failed for good, or lost every broker, is replaced, and what it had is sent again by the new
    one: a broker that comes back without its memory knows no producer IDs, refuses the old one for ever, or takes
    it for another's. A record that is then in Kafka twice is applied once, by its correlation ID.
    """

    def __init__(
        self,
        client_config: Mapping[str, str | int | bool],
        topic: str,
        threads: CriticalThreads,
        *,
        max_in_flight: int,
        ack_timeout_s: float,
    ) -> None:
        self._topic = topic
        self._max_in_flight = max_in_flight
        self._timeout_s = max(1.0, ack_timeout_s - _SCAN_MARGIN_S)
        self._config: dict[str, Any] = {
            **client_config,
            **PRODUCER_CONFIG,
            **QUIET_CONFIG,
            "linger.ms": _LINGER_MS,
            "message.timeout.ms": int(self._timeout_s * 1000),
            # The producer's own bound stands behind the gateway's, and must not be met first.
            "queue.buffering.max.messages": max_in_flight * 2,
            "error_cb": self._on_error,
        }
        # Held back while others are under way, as Nagle's algorithm has it (RFC 896): a request to the broker costs
        # more than a record, and there is one for each partition.
        self._held: list[PendingRecord] = []  # bounded by max_in_flight
        self._handed_s = 0.0  # when records were last handed to librdkafka, on the monotonic clock
        self._ticker: asyncio.TimerHandle | None = None  # while there are records under way
        self._settled: deque[PendingRecord] = deque()  # bounded by max_in_flight
        self._in_flight = 0
        self._answers = True  # whether Kafka answered last time
        self._trouble = ""  # what was wrong with the last record that was settled
        self.acknowledged = 0  # records that Kafka has taken
        self.not_taken = CounterTable(SENT)  # and those that it has not
        self.settled_bursts = 0  # how often Kafka has answered, with however many records
        self._refused_s = -math.inf  # when a broker that answers last refused a command, on the monotonic clock
        self._refusal = ""
        self._down = False  # whether every broker is out of reach, as far as is known
        self._worn_out = False
        self._replace_after_s = 0.0  # on the monotonic clock: a broker that stays away does not wear out one a moment
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: asyncio.Event | None = None
        self._producer: Any = None
        self._retired: list[tuple[Any, float]] = []  # producers that were replaced, and when, on the monotonic clock
        self._thread = threads.new("kafka-producer", self._look_after)

    @property
    def trouble(self) -> str:
        """Why Kafka took no command the last time, in a few words; empty where it did."""
        return self._refusal or self._trouble or (_UNREACHED if self._down else "")

    @property
    def is_refused(self) -> bool:
        """Whether a broker that answers has refused a command within ten seconds, and has taken none since."""
        return time.monotonic() - self._refused_s < _REFUSED_S

    @property
    def in_flight(self) -> int:
        """Records sent and not settled."""
        return self._in_flight

    def start(self) -> None:
        """Begin, on the running event loop. Kafka need not answer yet."""
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._producer = Producer(self._config)
        self._thread.start()

    def send(self, pending: PendingRecord) -> None:
        """Hand a record to Kafka, alone or soon with others; its `settle` is called with Kafka's answer.

        Raises PolystreamError, and then nothing was sent: TOO_MANY_COMMANDS when as many wait as may,
        KAFKA_UNAVAILABLE when Kafka has stopped answering and enough commands try it already, or none may be sent.
        """
        if self._refusal:
            raise PolystreamError(Reason.KAFKA_UNAVAILABLE, metadata={"error": self._refusal})
        if self._in_flight >= (self._max_in_flight if self._answers else _PROBES):
            raise PolystreamError(Reason.TOO_MANY_COMMANDS if self._answers else Reason.KAFKA_UNAVAILABLE)
        now_s = time.monotonic()
        pending.settled = self._settled
        pending.give_up_s = now_s + self._timeout_s
        if self._ticker is not None:
            self._held.append(pending)
        else:
            try:
                self._produce(pending)
            except BufferError as error:
                raise PolystreamError(Reason.TOO_MANY_COMMANDS) from error
            except KafkaException as error:
                # One record that Kafka would not take; or a producer that has failed for good: it is being replaced.
                raise not_sent(error.args[0]) from error
            self._handed_s = now_s
            self._ticker = self._next_tick()
        self._in_flight += 1

    def refuse(self, why: str) -> None:
        """Take no command from now on, for a reason in a few words; an empty one takes them again. Any thread may."""
        self._refusal = why

    def renew(self) -> None:
        """Go on with a new producer soon: the topic is another one, which knows nothing of this one. Any thread may."""
        self._worn_out = True

    async def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight, and tell whether that came in time."""
        if self._in_flight == 0 or self._idle is None:
            return True
        self._idle.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def close(self, timeout_s: float) -> None:
        """Wait for what is in flight, within the timeout, and stop."""
        if self._producer is None:
            return
        await self.drain(timeout_s)
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def _next_tick(self) -> asyncio.TimerHandle:
        return cast(asyncio.AbstractEventLoop, self._loop).call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """Take the broker's answers, and hand it the records that were held back if it is time."""
        try:
            self._producer.poll(0)
            self._settle_all()
            now_s = time.monotonic()
            if self._held and (now_s - self._handed_s >= _HOLD_S or len(self._held) == self._in_flight):
                self._handed_s = now_s
                held, self._held = self._held, []
                for pending in held:
                    self._produce_held(pending)
                self._settle_all()
        finally:
            self._ticker = self._next_tick() if self._in_flight else None

    def _produce_held(self, pending: PendingRecord) -> None:
        """Hand a record to librdkafka; one that it does not take is settled with the error."""
        try:
            self._produce(pending)
        except BufferError:
            pending.error = KafkaError(_QUEUE_FULL)
            self._settled.append(pending)
        except KafkaException as error:
            pending.error = error.args[0]
            self._settled.append(pending)

    def _look_after(self) -> None:
        """Serve the producer's callbacks where the event loop does not, and replace it where that is due."""
        while not self._stopping.wait(_LOOK_AFTER_S):
            self._producer.poll(0)
            if self._retired:
                self._take_back()
            self._announce()
            if self._worn_out and time.monotonic() >= self._replace_after_s:
                self._replace()

    def _announce(self) -> None:
        """Wake the event loop for what has been reported, once however much it is."""
        if not self._settled or self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._settle_all)
        except RuntimeError:
            # The loop was closed without close(): there is nobody left to tell.
            self._stopping.set()

    def _settle_all(self) -> None:
        if self._settled:
            self.settled_bursts += 1
        while self._settled:
            pending = self._settled.popleft()
            error = pending.error
            if error is None:
                self.acknowledged += 1
                if self._trouble or self._down:
                    self._answers, self._down, self._trouble, self._refused_s = True, False, "", -math.inf
                    log.info("kafka answers again")
            elif error.code() in _GIVEN_BACK and self._send_again(pending):
                continue
            else:
                self._worn_out = self._worn_out or error.code() in _OUTLIVED
                self._answers = self._answers and error.code() != _TIMED_OUT
                self._trouble = f"commands are not acknowledged: {error.name()}"
                self.not_taken.add(1, self._topic, error.name())
                # librdkafka's own codes are negative. What breaks a rule is refused to its caller alone.
                if error.code() > 0 and classify_kafka(error).error_class is not ErrorClass.REFUSE:
                    self._refused_s = time.monotonic()
            self._in_flight -= 1
            try:
                pending.settle()
            except Exception as fault:  # noqa: BLE001 - the others are answered all the same
                log.error("a command was not answered", error=type(fault).__name__)
        if self._in_flight == 0 and self._idle is not None:
            self._idle.set()

    def _produce(self, pending: PendingRecord) -> None:
        self._producer.produce(
            self._topic, pending.value, pending.key, on_delivery=pending.reported, headers=pending.headers
        )

    def _send_again(self, pending: PendingRecord) -> bool:
        """Send a record that the producer gave back, if there is time left."""
        if time.monotonic() > pending.give_up_s:
            return False
        try:
            self._produce(pending)
        except (BufferError, KafkaException):
            return False
        return True

    def _on_error(self, error: KafkaError) -> None:
        """Take an error that concerns no single record, on whichever thread polls."""
        if error.fatal():
            log.error("the kafka producer failed for good and is replaced", error=error.name())
            self._worn_out = True
        elif error.code() == _ALL_BROKERS_DOWN:
            if not self._down:
                log.warning("kafka does not answer")
            self._down = True
            self._worn_out = True

    def _replace(self) -> None:
        """Put a new producer in the place of one that cannot go on, which gives back what it had."""
        self._retired.append((self._producer, time.monotonic()))
        self._producer = Producer(self._config)
        self._worn_out = False
        self._replace_after_s = time.monotonic() + _REPLACE_PAUSE_S

    def _take_back(self) -> None:
        """Make the retired producers give back what they have, and let go of those that have nothing.

        Once is not enough: what comes back from a broken connection is queued again, after the purge, and the event
        loop may be in the middle of handing a record to one that was just replaced. Each ends at the latest when its
        records' time is up.
        """
        for old, _ in self._retired:
            old.purge()
            old.poll(0)
        latest_s = time.monotonic() - _RETIRED_MIN_S
        self._retired = [(old, since_s) for old, since_s in self._retired if since_s > latest_s or len(old)]
