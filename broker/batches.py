"""Record batches: what their heads say. The records inside stay as they came."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Base offset, length of what follows, leader's epoch, magic, checksum, attributes, last offset's delta, base and
# greatest time in ms since the epoch, producer's ID and epoch, first sequence number, number of records.
_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH_FROM: Final = 12  # the bytes that the length does not count
_MAGIC: Final = 2
_CODEC: Final = 0x07  # the attributes' bits that name a compression
_NOT_DATA: Final = 0x30  # those that mark batches of transactions
_SEQUENCES: Final = 2**31  # after the last one comes 0
NO_PRODUCER: Final = -1


class CorruptBatchError(Exception):
    """The bytes are no batch of records that this broker keeps."""


@dataclass(frozen=True, slots=True)
class BatchHead:
    """What a batch says of itself. Its checksum covers nothing that a broker sets, and is its readers' to verify."""

    base_offset: int
    count: int  # of offsets that it takes
    max_timestamp_ms: int
    producer_id: int  # NO_PRODUCER where it is not idempotent
    producer_epoch: int
    first_sequence: int

    @property
    def last_sequence(self) -> int:
        """The sequence number of its last record."""
        return (self.first_sequence + self.count - 1) % _SEQUENCES

    @property
    def next_sequence(self) -> int:
        """The sequence number that the producer's next batch begins with."""
        return (self.first_sequence + self.count) % _SEQUENCES


def stored_head(batch: bytes) -> BatchHead:
    """Return the head of a batch that was taken before; the bytes behind it need not be there."""
    base, _, _, _, _, _, last_delta, _, max_ms, producer, epoch, sequence, _ = _HEAD.unpack_from(batch)
    return BatchHead(base, last_delta + 1, max_ms, producer, epoch, sequence)


def read_head(batch: bytes) -> BatchHead:
    """Return the head of a batch that stands alone. Raises CorruptBatchError."""
    if len(batch) < _HEAD.size:
        raise CorruptBatchError("it is cut off")
    _, length, _, magic, _, attributes, last_delta, _, _, _, _, _, count = _HEAD.unpack_from(batch)
    if magic != _MAGIC:
        raise CorruptBatchError(f"it is of format {magic}")
    if length + _LENGTH_FROM != len(batch) or count <= 0 or last_delta != count - 1:
        raise CorruptBatchError("its length is not what it says")
    if attributes & _NOT_DATA:
        raise CorruptBatchError("it belongs to a transaction")
    return stored_head(batch)


def placed_at(batch: bytes, base_offset: int) -> bytes:
    """Return a batch as it is kept: with its offset, and the epoch of its leader, which is always 0."""
    return struct.pack(">q", base_offset) + batch[8:12] + b"\x00\x00\x00\x00" + batch[16:]


def first_since(batch: bytes, timestamp_ms: int) -> tuple[int, int]:
    """Return the offset and the time of a batch's first record that is no older; of its first where it is compressed.

    Raises CorruptBatchError.
    """
    base, _, _, _, _, attributes, _, base_ms, max_ms, *_ = _HEAD.unpack_from(batch)
    if attributes & _CODEC == 0:
        for offset_delta, time_delta in _records(batch):
            if base_ms + time_delta >= timestamp_ms:
                return base + offset_delta, base_ms + time_delta
    return base, max_ms


def _records(batch: bytes) -> Iterator[tuple[int, int]]:
    """Yield the deltas of offset and time of each record."""
    position = _HEAD.size
    while position < len(batch):
        length, start = _zigzag(batch, position)
        time_delta, after = _zigzag(batch, start + 1)  # behind the record's attributes
        offset_delta, _ = _zigzag(batch, after)
        yield offset_delta, time_delta
        position = start + length


def _zigzag(data: bytes, position: int) -> tuple[int, int]:
    """Return a signed number of as many bytes as it needs, and where it ends."""
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise CorruptBatchError("a record is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
