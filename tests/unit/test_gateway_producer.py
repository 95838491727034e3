"""Records on their way to Kafka: the first goes at once, and those behind it are held back for one another."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from gateway import producer
from gateway.producer import CommandProducer, PendingRecord
from mesh.threads import CriticalThreads
from tests.support.waiting import eventually_async

_TIMEOUT_S = 10.0

Report = Callable[[KafkaError | None, Any], None]


class FakeClient:
    """librdkafka's producer, with a broker that answers when it is told to."""

    def __init__(self, _config: dict[str, Any]) -> None:
        self.taken: list[str] = []
        self.error: Exception | None = None
        self._unanswered: list[Report] = []
        self._answers: list[tuple[Report, KafkaError | None]] = []

    def produce(self, _topic: str, _value: bytes, key: str, *, on_delivery: Report, headers: object) -> None:
        """Take a record."""
        del headers
        if self.error is not None:
            raise self.error
        self.taken.append(key)
        self._unanswered.append(on_delivery)

    def answer(self, error: KafkaError | None = None) -> None:
        """Let the broker have all that was taken, or refuse it."""
        self._answers, self._unanswered = [*self._answers, *((report, error) for report in self._unanswered)], []

    def poll(self, _timeout_s: float) -> None:
        """Report what the broker has."""
        answers, self._answers = self._answers, []
        for report, error in answers:
            report(error, object())


class Record(PendingRecord):
    """A record, and whoever waits for it."""

    __slots__ = ("done",)

    def __init__(self, key: str) -> None:
        self.key, self.value, self.headers = key, b"", []
        self.done = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        """Tell who waits."""
        self.done.set_result(self.error)


@pytest.fixture
async def started(monkeypatch: pytest.MonkeyPatch) -> tuple[CommandProducer, FakeClient]:
    """A producer that has begun, and the client below it."""
    clients: list[FakeClient] = []

    def make(config: dict[str, Any]) -> FakeClient:
        clients.append(FakeClient(config))
        return clients[-1]

    monkeypatch.setattr(producer, "Producer", make)
    made = CommandProducer({}, "user_events", CriticalThreads(), max_in_flight=10, ack_timeout_s=30)
    made.start()
    return made, clients[0]


async def _settled(*records: Record) -> list[KafkaError | None]:
    async with asyncio.timeout(_TIMEOUT_S):
        return list(await asyncio.gather(*(record.done for record in records)))


async def test_the_first_goes_at_once_and_the_others_as_soon_as_it_is_answered(
    started: tuple[CommandProducer, FakeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long they may be held back: nothing is under way that they could wait for."""
    monkeypatch.setattr(producer, "_HOLD_S", 1e9)
    sender, client = started
    first, second, third = Record("1"), Record("2"), Record("3")
    for record in (first, second, third):
        sender.send(record)
    assert client.taken == ["1"]
    assert sender.in_flight == 3
    client.answer()
    assert await _settled(first) == [None]
    assert client.taken == ["1", "2", "3"]
    client.answer()
    assert await _settled(second, third) == [None, None]
    assert sender.in_flight == 0
    await sender.close(_TIMEOUT_S)


async def test_a_broker_that_is_slow_gets_them_all_the_same(started: tuple[CommandProducer, FakeClient]) -> None:
    """After some milliseconds they are handed on together, though the first has no answer."""
    sender, client = started
    records = [Record(str(number)) for number in range(4)]
    for record in records:
        sender.send(record)

    async def all_taken() -> bool:
        return len(client.taken) == len(records)

    await eventually_async(all_taken, _TIMEOUT_S)
    assert client.taken == ["0", "1", "2", "3"]
    assert not any(record.done.done() for record in records)
    client.answer()
    assert await _settled(*records) == [None] * 4
    await sender.close(_TIMEOUT_S)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BufferError(), KafkaError._QUEUE_FULL),
        (KafkaException(KafkaError(KafkaError._TIMED_OUT)), KafkaError._TIMED_OUT),
        (KafkaException(KafkaError(KafkaError._FATAL)), KafkaError._FATAL),
    ],
)
async def test_one_that_is_not_taken_after_all_is_settled_with_the_error(
    started: tuple[CommandProducer, FakeClient], error: Exception, code: int
) -> None:
    """Whoever sent it has gone on by then, and is told like everybody; the next one is sent again as usual."""
    sender, client = started
    first, second = Record("1"), Record("2")
    sender.send(first)
    sender.send(second)
    client.error = error
    client.answer()
    answers = await _settled(first, second)
    assert answers[0] is None
    assert answers[1] is not None
    assert answers[1].code() == code
    assert sender.in_flight == 0
    client.error = None
    third = Record("3")
    sender.send(third)
    assert client.taken == ["1", "3"]
    client.answer()
    assert await _settled(third) == [None]
    await sender.close(_TIMEOUT_S)


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, True),
        (KafkaError.NOT_ENOUGH_REPLICAS, True),
        (KafkaError.MSG_SIZE_TOO_LARGE, False),  # this record alone
        (KafkaError._MSG_TIMED_OUT, False),  # librdkafka's own name: nobody has answered
    ],
)
async def test_a_broker_that_answers_and_refuses_counts_until_it_takes_one(
    started: tuple[CommandProducer, FakeClient], code: int, counts: bool
) -> None:
    """Whether it answers other questions says nothing meanwhile."""
    sender, client = started
    assert not sender.is_refused
    refused, taken = Record("1"), Record("2")
    sender.send(refused)
    client.answer(KafkaError(code))
    await _settled(refused)
    assert sender.is_refused == counts
    assert KafkaError(code).name() in sender.trouble
    sender.send(taken)
    client.answer()
    await _settled(taken)
    assert (sender.is_refused, sender.trouble) == (False, "")
    await sender.close(_TIMEOUT_S)
