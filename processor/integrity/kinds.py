"""The kinds of drift, and a finding of one."""

from dataclasses import dataclass, field
from enum import StrEnum

from polystream.v1.events_pb2 import CommandReceipt


class DriftKind(StrEnum):
    """What is wrong. Each difference is of one kind."""

    LOST = "LOST"  # a lane has passed a command, and its store has neither the effect nor the mark
    MARK_GONE = "MARK_GONE"  # the effect is there, and the mark is not: sent again, the command would be applied twice
    ROW_GONE = "ROW_GONE"  # the mark is there, and what it tells of is not
    CONTENT_CHANGED = "CONTENT_CHANGED"  # a row, a document or a hash is not as the platform has written it
    ORPHAN = "ORPHAN"  # a store has something of a user who is not in PostgreSQL
    ERASED_LEFT = "ERASED_LEFT"  # a store has something of a person who was erased
    POSITION_WRONG = "POSITION_WRONG"  # a store's position is behind the topic's end, or before what its lane committed
    RECEIPT_MISSING = "RECEIPT_MISSING"  # a store has applied a command, and its answer is not on the topic
    SOURCE_DIFFERS = "SOURCE_DIFFERS"  # what is kept to find something faster is not as what it is made from


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference of one of the kinds that are told by place and key."""

    kind: DriftKind
    store: str
    place: str  # a table, a collection, a prefix of keys, a topic
    key: str  # in it; no personal data
    repair: str  # what a repair does about it, and where it cannot, what to do by hand
    can_repair: bool = True
    # What a repair works with: the marks that tell of it, the newest last.
    receipts: tuple[CommandReceipt, ...] = field(default=(), repr=False)
    position: int = 0  # of POSITION_WRONG: the right one
