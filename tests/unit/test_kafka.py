"""What consumers make of batches that librdkafka cannot unpack."""

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from mesh.kafka import PassOver, read_batch


class _Consumer:
    """Takes note of where it is sent."""

    def __init__(self) -> None:
        self.sought: list[tuple[int, int]] = []
        self.is_assigned = True

    def seek(self, position: TopicPartition) -> None:
        """Go there."""
        if not self.is_assigned:
            raise KafkaException(KafkaError(KafkaError._STATE))  # librdkafka's own names
        self.sought.append((position.partition, position.offset))


def failed(code: int, offset: int, partition: int = 3) -> Message:
    """Return an error as `consume` does."""
    return Message(topic="user_events", partition=partition, offset=offset, error=KafkaError(code))


def test_a_batch_that_cannot_be_unpacked_is_passed_over_a_record_at_a_time() -> None:
    """Librdkafka tells where it begins, however far in it was asked for; it is no error of the consumer's."""
    consumer = _Consumer()
    pass_over = PassOver(consumer)  # type: ignore[arg-type] # it only seeks
    bad = KafkaError._BAD_COMPRESSION
    for offset, partition in [(10, 3), (10, 3), (10, 3), (40, 3), (10, 4), (5, 3)]:
        batch = read_batch([failed(bad, offset, partition)], 0, pass_over)
        assert (batch.records, batch.errors) == ([], [])
    assert consumer.sought == [(3, 11), (3, 12), (3, 13), (3, 41), (4, 11), (3, 6)]


def test_an_error_that_is_told_twice_in_one_read_passes_over_one_record() -> None:
    """The second was on its way before the first was acted upon: the next record may be a good one."""
    consumer = _Consumer()
    pass_over = PassOver(consumer)  # type: ignore[arg-type] # it only seeks
    bad = KafkaError._BAD_COMPRESSION
    for _ in range(2):
        read_batch([failed(bad, 10), failed(bad, 10), failed(bad, 20, 4), failed(bad, 10)], 0, pass_over)
    assert consumer.sought == [(3, 11), (4, 21), (3, 12), (4, 22)]


def test_other_errors_are_told() -> None:
    """But for the news that there is no more."""
    consumer = _Consumer()
    pass_over = PassOver(consumer)  # type: ignore[arg-type] # it only seeks
    down, end, garbled = KafkaError._ALL_BROKERS_DOWN, KafkaError._PARTITION_EOF, KafkaError._BAD_MSG
    batch = read_batch([failed(down, 1), failed(end, 2), None, failed(garbled, 3)], 0, pass_over)
    # What came garbled may come whole the next time, and may have been acknowledged.
    assert [error.code() for error in batch.errors] == [down, garbled]
    assert not consumer.sought


def test_a_partition_that_was_taken_away_is_nobodys_to_pass_over() -> None:
    """Nothing is raised: it is another consumer's."""
    consumer = _Consumer()
    consumer.is_assigned = False
    assert not read_batch([failed(KafkaError._BAD_COMPRESSION, 7)], 0, PassOver(consumer)).errors  # type: ignore[arg-type]
