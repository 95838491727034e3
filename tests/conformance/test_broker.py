"""What the platform asks of any broker that speaks Kafka's protocol: the same suite for each of them."""

import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.cimpl import NewTopic

from mesh.topic_reader import Extent, TopicError, TopicReader
from mesh.topics import COMMANDS, DEAD_LETTERS, PARTITIONS, RECEIPTS, create_topics, partition_of, topic_incarnation
from tests.support.brokers import BROKERS, Broker, all_brokers, read
from tests.support.engine_pool import Lease
from tests.support.waiting import eventually

_TIMEOUT_S = 20.0


@pytest.fixture(scope="module", params=all_brokers())
def broker(request: pytest.FixtureRequest, lease: Lease) -> Broker:
    """A running broker, shared by tests that each use topics and groups of their own."""
    return Broker(request.param, lease)


@pytest.fixture(scope="module", params=list(BROKERS))
def own_broker(request: pytest.FixtureRequest, lease: Lease) -> Broker:
    """A broker without topics, which a test may kill; it leaves it running."""
    return Broker(request.param, lease)


@pytest.fixture
def group() -> str:
    """A consumer group that nobody else uses."""
    return f"group-{uuid4().hex}"


def _produce(broker: Broker, topic: str, count: int, keys: int = 50) -> None:
    """Produce numbers 0 to `count`, each with the key that it has modulo `keys`, and wait for every answer."""
    failed: list[KafkaError] = []

    def answered(error: KafkaError | None, _: Message) -> None:
        if error:
            failed.append(error)

    producer = broker.producer()
    for number in range(count):
        producer.produce(topic, str(number), key=str(number % keys), on_delivery=answered)
        producer.poll(0)
    assert producer.flush(_TIMEOUT_S) == 0
    assert failed == []


def _produce_to(broker: Broker, topic: str, partition: int, count: int) -> None:
    """Produce numbers 0 to `count` to one partition, and wait for every answer."""
    failed: list[KafkaError] = []
    producer = broker.producer()
    for number in range(count):
        producer.produce(
            topic,
            str(number),
            partition=partition,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    assert producer.flush(_TIMEOUT_S) == 0
    assert failed == []


def _number(message: Message) -> int:
    return int(message.value() or b"-1")


class TestRecords:
    """What is produced is what is consumed."""

    def test_a_record_comes_back_as_it_was_sent(self, broker: Broker, group: str) -> None:
        """Key, value, headers in their order with repeated and empty ones, and where the answer said that it is."""
        topic = broker.topic()
        headers: Any = [
            ("correlation_id", b"c"),
            ("traceparent", b"00-1"),
            ("empty", b""),
            ("again", b"1"),
            ("again", b"2"),
        ]
        answers: list[Message] = []
        producer = broker.producer()
        value = bytes(range(256))
        producer.produce(
            topic, value, key="42", headers=headers, on_delivery=lambda _, message: answers.append(message)
        )
        producer.flush(_TIMEOUT_S)
        assert answers[0].error() is None
        with broker.consumer(group, [topic]) as consumer:
            (message,) = read(consumer, 1)
        assert (message.key(), message.value(), message.headers()) == (b"42", value, headers)
        assert (message.partition(), message.offset()) == (answers[0].partition(), answers[0].offset())
        assert message.timestamp() == answers[0].timestamp()

    def test_a_record_without_a_value_comes_back_without_one(self, broker: Broker, group: str) -> None:
        """Nothing is told apart from empty."""
        topic = broker.topic()
        producer = broker.producer()
        producer.produce(topic, None, key="k", partition=0)
        producer.produce(topic, b"", key="k", partition=0)
        producer.flush(_TIMEOUT_S)
        with broker.consumer(group, [topic]) as consumer:
            assert [message.value() for message in read(consumer, 2)] == [None, b""]

    def test_one_key_is_one_partition_in_order(self, broker: Broker, group: str) -> None:
        """Records of a key stay together and in the order of their sending; offsets have no gap and no double."""
        topic = broker.topic()
        _produce(broker, topic, 5000)
        with broker.consumer(group, [topic]) as consumer:
            messages = read(consumer, 5000)
        by_key: dict[bytes | None, list[Message]] = defaultdict(list)
        offsets: dict[int | None, list[int | None]] = defaultdict(list)
        for message in messages:
            by_key[message.key()].append(message)
            offsets[message.partition()].append(message.offset())
        assert len(by_key) == 50
        assert all(of_key[0].partition() == partition_of(key or b"", PARTITIONS) for key, of_key in by_key.items())
        for of_key in by_key.values():
            assert len({message.partition() for message in of_key}) == 1
            assert [_number(message) for message in of_key] == sorted(_number(message) for message in of_key)
        assert all(found == list(range(len(found))) for found in offsets.values())
        assert set(offsets) == set(range(PARTITIONS))

    def test_a_record_beyond_the_bound_is_refused_and_no_other(self, broker: Broker, group: str) -> None:
        """One that is too large is an error of its own; those before and after it get through."""
        topic = broker.topic(1)
        answers: list[KafkaError | None] = []
        producer = broker.producer(**{"message.max.bytes": 20_000_000, "linger.ms": 0})
        for size in (64 * 1024, 12_000_000, 64 * 1024):
            producer.produce(topic, b"x" * size, on_delivery=lambda error, _: answers.append(error))
            producer.flush(_TIMEOUT_S)
        assert [error.code() if error else None for error in answers] == [None, KafkaError.MSG_SIZE_TOO_LARGE, None]
        with broker.consumer(group, [topic]) as consumer:
            assert [len(message.value() or b"") for message in read(consumer, 2)] == [64 * 1024, 64 * 1024]

    def test_an_unknown_topic_is_an_error(self, broker: Broker) -> None:
        """A misspelt name makes no topic."""
        answers: list[KafkaError | None] = []
        producer = broker.producer(**{"topic.metadata.propagation.max.ms": 0, "message.timeout.ms": 10_000})
        producer.produce(f"none-{uuid4().hex}", b"x", on_delivery=lambda error, _: answers.append(error))
        producer.flush(_TIMEOUT_S)
        assert [error.code() for error in answers if error] in (
            [KafkaError.UNKNOWN_TOPIC_OR_PART],
            [KafkaError._UNKNOWN_TOPIC],
        )


class TestGroups:
    """Consumer groups, as lanes and the monitor use them."""

    def test_three_groups_read_everything_while_it_is_produced(self, broker: Broker) -> None:
        """Each lane's group gets every record once, in order within a partition, whatever the others do."""
        topic, count = broker.topic(), 20_000

        def follow(group: str) -> list[Message]:
            with broker.consumer(group, [topic]) as consumer:
                return read(consumer, count, 2 * _TIMEOUT_S)

        with ThreadPoolExecutor(3) as pool:
            reading = [pool.submit(follow, uuid4().hex) for _ in range(3)]
            _produce(broker, topic, count)
            for done in reading:
                messages = done.result()
                assert Counter(map(_number, messages)) == Counter(range(count))
                for partition in range(PARTITIONS):
                    offsets = [message.offset() for message in messages if message.partition() == partition]
                    assert offsets == list(range(len(offsets)))

    def test_what_was_not_committed_comes_again(self, broker: Broker, group: str) -> None:
        """A consumer that starts again goes on after its last commit, partition by partition."""
        topic = broker.topic(2)
        producer = broker.producer()
        for number in range(100):
            producer.produce(topic, str(number), partition=number % 2)
        producer.flush(_TIMEOUT_S)
        with broker.consumer(group, [topic]) as consumer:
            read(consumer, 100)
            consumer.commit(offsets=[TopicPartition(topic, 0, 30)], asynchronous=False)
        with broker.consumer(group, [topic]) as consumer:
            again = read(consumer, 20 + 50)
            assert consumer.consume(1, 1.0) == []
            consumer.commit(offsets=[TopicPartition(topic, 0, 50), TopicPartition(topic, 1, 50)], asynchronous=False)
        first = {partition: min(m.offset() or 0 for m in again if m.partition() == partition) for partition in (0, 1)}
        assert first == {0: 30, 1: 0}
        with broker.consumer(group, [topic]) as consumer:
            eventually(lambda: consumer.consume(1, 0.1) or consumer.assignment(), _TIMEOUT_S, interval_s=0)
            assert consumer.consume(1, 1.0) == []
            assert consumer.position(consumer.assignment()) == consumer.committed(consumer.assignment(), _TIMEOUT_S)

    def test_committed_offsets_are_told(self, broker: Broker, group: str) -> None:
        """A commit can be read back, and a partition without one says so."""
        topic = broker.topic(2)
        _produce(broker, topic, 10)
        with broker.consumer(group, [topic]) as consumer:
            read(consumer, 10)
            consumer.commit(offsets=[TopicPartition(topic, 1, 3)], asynchronous=False)
            found = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], _TIMEOUT_S)
        assert [partition.offset for partition in found] == [-1001, 3]

    def test_a_second_member_shares_the_work_and_a_leaver_gives_it_back(self, broker: Broker, group: str) -> None:
        """Partitions are split between members, and one that leaves loses no record.

        None comes again but where its commit was refused, as it is while partitions change hands.
        """
        topic = broker.topic()
        seen: dict[tuple[int | None, int | None], int] = {}  # by partition and offset
        refused: set[tuple[int | None, int | None]] = set()
        repeated: list[tuple[int | None, int | None]] = []

        def take(consumer: Consumer) -> None:
            # One at a time: what a refused commit leaves in hand would be lost.
            while message := consumer.poll(0.02):
                if message.error() is None:
                    place = message.partition(), message.offset()
                    if place in seen and place not in refused:
                        repeated.append(place)
                    seen[place] = _number(message)
                    try:
                        consumer.commit(message=message, asynchronous=False)
                    except KafkaException:
                        refused.add(place)

        def owned(consumer: Consumer) -> set[int]:
            return {partition.partition for partition in consumer.assignment()}

        with broker.consumer(group, [topic]) as first:

            def first_alone() -> bool:
                take(first)
                return len(owned(first)) == PARTITIONS

            eventually(first_alone, _TIMEOUT_S, interval_s=0)
            _produce(broker, topic, 300)
            with broker.consumer(group, [topic]) as second:

                def shared() -> bool:
                    take(first)
                    take(second)
                    return len(owned(first)) == len(owned(second)) == PARTITIONS // 2

                eventually(shared, _TIMEOUT_S, interval_s=0)
                assert owned(first) | owned(second) == set(range(PARTITIONS))
            _produce(broker, topic, 300)
            eventually(lambda: first_alone() and len(seen) >= 600, _TIMEOUT_S, interval_s=0)
        assert Counter(seen.values()) == Counter(dict.fromkeys(range(300), 2))
        assert repeated == []

    def test_the_end_of_a_partition_is_told(self, broker: Broker, group: str) -> None:
        """The watermarks are the first and the next offset, after batches of many records too."""
        topic = broker.topic(1)
        _produce(broker, topic, 1000)
        with broker.consumer(group, [topic]) as consumer:
            assert consumer.get_watermark_offsets(TopicPartition(topic, 0), _TIMEOUT_S, cached=False) == (0, 1000)


class TestStretches:
    """Reading from here to there, in no group, as those do who look for dead letters."""

    def test_a_topic_is_read_to_its_last_record(self, broker: Broker) -> None:
        """Each partition in its order, whatever end the broker tells of; and once more, from anywhere."""
        topic = broker.topic()
        _produce(broker, topic, 1000)
        with TopicReader(broker.settings) as reader:
            whole = list(reader.read(topic, reader.extents(topic)))
            assert sorted(int(record.value or b"") for record in whole) == list(range(1000))
            partitions = {record.partition for record in whole}
            for partition in partitions:
                offsets = [record.offset for record in whole if record.partition == partition]
                assert offsets == list(range(len(offsets)))
            rest = list(reader.read(topic, dict.fromkeys(partitions, Extent(7, 8))))
            assert len(rest) == 1000 - 7 * len(partitions)

    def test_a_topic_to_which_records_keep_coming_is_read_to_an_end(self, broker: Broker) -> None:
        """There is always one more, every tenth of a second: what was there when the reading began has come, soon."""
        topic, stop = broker.topic(1), threading.Event()

        def trickle() -> None:
            producer = broker.producer()
            while not stop.wait(0.1):
                producer.produce(topic, b"one more")
                producer.flush(_TIMEOUT_S)

        with ThreadPoolExecutor(1) as pool, TopicReader(broker.settings) as reader:
            trickling = pool.submit(trickle)
            try:
                there = eventually(lambda: e if (e := reader.extents(topic))[0].end >= 3 else None, _TIMEOUT_S)
                began_s = time.monotonic()
                seen = [record.offset for record in reader.read(topic, there)]
                took_s = time.monotonic() - began_s
            finally:
                stop.set()
            trickling.result()
        assert seen[: there[0].end] == list(range(there[0].end))
        assert took_s < 8

    def test_what_comes_is_followed_until_a_time(self, broker: Broker) -> None:
        """From an offset on, and no longer."""
        topic = broker.topic(1)
        _produce(broker, topic, 10)
        with TopicReader(broker.settings) as reader:
            followed: Any = reader.follow(topic, {0: 5}, time.monotonic() + _TIMEOUT_S)  # a generator
            assert [next(followed).offset for _ in range(5)] == [5, 6, 7, 8, 9]
            _produce(broker, topic, 1)
            assert next(followed).offset == 10
            followed.close()
            assert list(reader.follow(topic, {0: 11}, time.monotonic() + 0.1)) == []

    def test_a_record_is_found_by_its_time(self, broker: Broker, group: str) -> None:
        """The first one that is no older, within a batch too; after the last one there is none."""
        topic = broker.topic(1)
        producer = broker.producer()
        for number in range(100):
            producer.produce(topic, str(number), partition=0, timestamp=1_000_000 + 10 * number)
        assert producer.flush(_TIMEOUT_S) == 0
        with broker.consumer(group, []) as consumer:

            def at(timestamp_ms: int) -> int:
                (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, timestamp_ms)], _TIMEOUT_S)
                return int(found.offset)

            assert [at(999_999), at(1_000_000), at(1_000_501), at(1_000_990)] == [0, 0, 51, 99]
            assert at(1_000_991) == OFFSET_END

    def test_offsets_that_are_gone_are_told(self, broker: Broker) -> None:
        """Nobody takes a stretch for read that was not."""
        topic = broker.topic(1)
        _produce(broker, topic, 10)
        with TopicReader(broker.settings) as reader, pytest.raises(TopicError, match="try again"):
            list(reader.read(topic, {0: Extent(500, 600)}))


class TestTopics:
    """Creating and describing topics."""

    def test_the_platforms_topics_are_created_by_whoever_comes_first(self, own_broker: Broker) -> None:
        """Several processes that provision at once, and again, all find six partitions of each topic."""
        barrier = threading.Barrier(4)

        def provision(_: int) -> None:
            barrier.wait()
            create_topics(own_broker.config)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(provision, range(4)))
        create_topics(own_broker.config)
        admin = own_broker.admin()

        def partitions() -> dict[str, int]:
            topics = admin.list_topics(timeout=_TIMEOUT_S).topics
            return {name: len(topics[name].partitions) for name in (COMMANDS, RECEIPTS, DEAD_LETTERS)}

        # A broker may know of a topic a moment after its creation was answered.
        assert eventually(partitions, _TIMEOUT_S) == dict.fromkeys((COMMANDS, RECEIPTS, DEAD_LETTERS), PARTITIONS)

    def test_a_topic_has_an_identity(self, broker: Broker) -> None:
        """It stays the same, differs from every other topic's, and from that of one made anew under the same name."""
        topic, other = broker.topic(), broker.topic()
        before = self._identity(broker, topic)
        assert before == self._identity(broker, topic)
        assert before != self._identity(broker, other)
        admin = broker.admin()
        admin.delete_topics([topic])[topic].result(_TIMEOUT_S)
        eventually(lambda: topic not in admin.list_topics(timeout=_TIMEOUT_S).topics, _TIMEOUT_S)
        admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS)])[topic].result(_TIMEOUT_S)
        assert self._identity(broker, topic) != before

    def _identity(self, broker: Broker, topic: str) -> str:
        """Return a topic's ID. A broker may know of a topic a moment after its creation was answered."""
        return eventually(lambda: topic_incarnation(broker.config, topic), _TIMEOUT_S)

    def test_partitions_are_described_with_their_leader(self, broker: Broker) -> None:
        """Every partition of a new topic is led by the one broker."""
        topic = broker.topic()
        admin = broker.admin()
        described = eventually(
            lambda: admin.describe_topics(TopicCollection([topic]))[topic].result(_TIMEOUT_S), _TIMEOUT_S
        )
        assert sorted(partition.id for partition in described.partitions) == list(range(PARTITIONS))
        assert len({partition.leader.id for partition in described.partitions if partition.leader}) == 1


class TestDurability:
    """What was acknowledged stays."""

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_records_and_offsets_survive_an_end(self, own_broker: Broker, group: str, end: str) -> None:
        """After a stop, or a SIGKILL, records are under their offsets, in the same topics, and commits are there."""
        topic, empty = own_broker.topic(2), own_broker.topic()
        _produce_to(own_broker, topic, 0, 1000)
        with own_broker.consumer(group, [topic]) as consumer:
            read(consumer, 1000)
            consumer.commit(offsets=[TopicPartition(topic, 0, 600)], asynchronous=False)
        before = [topic_incarnation(own_broker.config, name) for name in (topic, empty)]

        getattr(own_broker, end)()
        own_broker.start()

        assert [topic_incarnation(own_broker.config, name) for name in (topic, empty)] == before
        with own_broker.consumer(group, [topic]) as consumer:
            messages = read(consumer, 400)
            committed = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], _TIMEOUT_S)
        assert [partition.offset for partition in committed] == [600, -1001]
        assert [message.offset() for message in messages] == list(range(600, 1000))
        assert [_number(message) for message in messages] == list(range(600, 1000))
        _produce_to(own_broker, topic, 0, 1)
        with TopicReader(own_broker.settings) as reader:
            last = list(reader.read(topic, {0: Extent(1000, 1001)}))
        assert [record.offset for record in last] == [1000]

    # kfake notes what a producer has sent after the records: a kill between the two doubles one now and then.
    @pytest.mark.parametrize("own_broker", ["pocket", "kafka"], indirect=True)
    def test_a_producer_gets_over_a_kill(self, own_broker: Broker, group: str) -> None:
        """Under load, one SIGKILL and one start later, every record is there once, in order within its key."""
        topic = own_broker.topic()
        answered: list[int] = []
        stop, enough, recovered = threading.Event(), threading.Event(), threading.Event()

        def produce() -> int:
            producer = own_broker.producer()
            number = 0
            while not stop.wait(0.001):
                producer.produce(
                    topic,
                    str(number),
                    key=str(number % 20),
                    on_delivery=lambda error, message: answered.append(_number(message)) if not error else None,
                )
                producer.poll(0)
                number += 1
                if len(answered) >= 300:
                    enough.set()
            producer.flush(_TIMEOUT_S if recovered.is_set() else 0)
            return number

        with ThreadPoolExecutor(1) as pool:
            producing = pool.submit(produce)
            try:
                assert enough.wait(_TIMEOUT_S)
                own_broker.kill()
                own_broker.start()
                assert topic in own_broker.admin().list_topics(timeout=_TIMEOUT_S).topics
                before = len(answered)
                eventually(lambda: len(answered) > before + 300, _TIMEOUT_S)
                recovered.set()
            finally:
                stop.set()
            sent = producing.result()
        assert sorted(answered) == list(range(sent))
        with own_broker.consumer(group, [topic]) as consumer:
            messages = read(consumer, sent)
            assert consumer.consume(1, 1.0) == []
        by_key: dict[bytes | None, list[int]] = defaultdict(list)
        for message in messages:
            by_key[message.key()].append(_number(message))
        assert Counter(map(_number, messages)) == Counter(range(sent))
        assert all(numbers == sorted(numbers) for numbers in by_key.values())
