"""Comparing the stores with each other and with Kafka, and repairing: the whole of a check, and of a repair.

It reads its settings from the environment, as a lane does.
"""

import math
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.catalog import Catalog, load_catalog
from mesh.codec import Decoder
from mesh.dead_letters.reader import DeadLetterEntry, DeadLetterReader
from mesh.dead_letters.redrive import RedriveOrder, Redriver, RedriveResult
from mesh.envelope import RedriveAction
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import (
    KafkaSettings,
    LaneSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
)
from mesh.topic_reader import Extent, GroupPosition, TopicReader
from processor.incarnation import TopicIncarnation
from processor.integrity.drift_search import DriftSearch
from processor.integrity.effects import read_successes
from processor.integrity.inspectors import MongoInspector, PostgresInspector, RedisInspector
from processor.integrity.kinds import DriftKind, Finding
from processor.integrity.lost import Findings, Positions, find_lost
from processor.integrity.mending import Mended, Mending
from processor.integrity.mongodb_door import MongoDoor
from processor.integrity.orphans import Orphans, erase_orphans, find_orphans, wait_for_lanes
from processor.integrity.postgresql_door import PostgresDoor
from processor.integrity.receipts_again import send_receipts
from processor.integrity.redis_door import RedisDoor
from processor.integrity.user_rows import UserRow, user_rows
from processor.lanes.decoding import CommandDecoder, Item
from processor.stores.redis_markers import MarkerBounds

_REPAIR = RedriveOrder(RedriveAction.REPAIR, principal="integrity repair")
_ANSWER_WAIT_S = 30.0  # for a batch of commands that were sent again
_NAME = "polystream-integrity"


@dataclass(frozen=True, slots=True)
class Drift:
    """What a check has found."""

    findings: Findings
    orphans: Sequence[Orphans]
    others: Sequence[Finding] = ()  # of the kinds that are told by place and key
    unknown: int = 0  # contents of an earlier version, whose hash is not known

    @property
    def is_sound(self) -> bool:
        """Whether something was compared, and nothing is wrong."""
        return self.has_compared and not self.kinds

    @property
    def has_compared(self) -> bool:
        """Whether there was anything to compare with the stores; else nobody knows whether they have lost anything."""
        return self.findings.commands > 0

    @property
    def kinds(self) -> Mapping[DriftKind, int]:
        """How many there are of each kind that was found."""
        counts = Counter(finding.kind for finding in self.others)
        counts[DriftKind.LOST] = len(self.findings.lost)
        counts[DriftKind.MARK_GONE] = len(self.findings.unmarked)
        counts[DriftKind.ORPHAN] = sum(len(found.user_ids) for found in self.orphans)
        return {kind: counts[kind] for kind in DriftKind if counts[kind]}


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair has done, and what it has left."""

    redriven: Sequence[RedriveResult]
    left: Sequence[DeadLetterEntry]  # lost commands that are lost still
    erased: int  # users of whom a store had something left, one a store
    orphans: Sequence[Orphans]  # that are there still
    is_whole: bool  # whether the lost commands that it looked at were all of them
    marked: int = 0  # commands whose effect was there, and whose mark was put back
    mended: Sequence[Mended] = ()  # what was done about the other kinds
    compared: int = 0  # parts of commands
    found: Mapping[DriftKind, int] = field(default_factory=dict)  # how many there were of each kind before

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to repair."""
        return not self.left and not self.orphans and self.is_whole and all(one.is_done for one in self.mended)


def check() -> Drift:
    """Compare everything. Raises TopicError, PolystreamError and LanesBehindError."""
    with _inspection() as inspection:
        return inspection.drift()


def plan(*, accept_content: bool) -> tuple[Drift, Sequence[Mended]]:
    """Return what is wrong, and what a repair would do about the kinds that are told by place and key.

    Raises as `check` does.
    """
    with _inspection() as inspection:
        drift = inspection.drift()
        return drift, inspection.mending.run(drift.others, is_dry=True, accept_content=accept_content)


def repair(*, erase: bool, force: bool, accept_content: bool = False) -> Repair:
    """Send again what was lost, set right what can be, and erase orphans where `erase` says so.

    `force` sends those too that may undo later commands, and `accept_content` takes contents as they are that nothing
    tells the right ones of. What PostgreSQL has lost may be users: as long as some of that is missing, nothing is
    erased. Raises TopicError, PolystreamError and LanesBehindError.
    """
    with _inspection() as inspection:
        drift = inspection.drift()
        findings, orphans, erased = drift.findings, drift.orphans, 0
        mended = inspection.mending.run(drift.others, is_dry=False, accept_content=accept_content)
        inspection.put_marks_back(findings.unmarked)
        redriven = _send_again(inspection, findings.lost, force=force)
        sent = {one.dead_letter.correlation_id for one in redriven if one.outcome.is_answer}
        left = [entry for entry in findings.lost if entry.dead_letter.correlation_id not in sent]
        if redriven or mended:
            orphans = inspection.orphans()
        if erase and findings.is_whole and not any(entry.dead_letter.store == "POSTGRESQL" for entry in left):
            erased = erase_orphans(inspection.postgresql, inspection.others, orphans)
            orphans = inspection.orphans()
    marked = len(findings.unmarked)
    return Repair(
        *(redriven, left, erased, orphans),
        is_whole=findings.is_whole,
        marked=marked,
        mended=mended,
        compared=findings.commands,
        found=drift.kinds,
    )


class Inspection:
    """Everything that is looked at."""

    def __init__(self, catalog: Catalog, stack: ExitStack) -> None:
        self.catalog = catalog
        self.kafka, lane = KafkaSettings(), LaneSettings()
        self.reader = stack.enter_context(TopicReader(self.kafka))
        self.postgresql = PostgresInspector(PostgresSettings())
        stack.callback(self.postgresql.close)
        self.others = (MongoInspector(MongoSettings()), RedisInspector(RedisSettings()))
        for inspector in self.others:
            stack.callback(inspector.close)
        self.doors = (
            PostgresDoor(PostgresSettings()),
            MongoDoor(MongoSettings()),
            RedisDoor(RedisSettings(), MarkerBounds(lane.marker_ttl_s, lane.redis_marks_max_bytes)),
        )
        for door in self.doors:
            stack.callback(door.close)
        self._incarnation = TopicIncarnation(self.kafka.client_config(_NAME))
        self.search = DriftSearch(self.doors, self.postgresql.existing, self._lanes_catch_up)
        self.mending = Mending(self.doors, self.others, self._user_rows, self._send_receipts, self._incarnation)
        self._lanes = {
            inspector.name: stack.enter_context(GroupPosition(self.kafka, topics.lane_group(inspector.name)))
            for inspector in (self.postgresql, *self.others)
        }

    def drift(self) -> Drift:
        """Return everything that is wrong. Raises TopicError, PolystreamError and LanesBehindError."""
        findings = self._without_mark(self.lost())
        gone = self.search.gone()
        orphans, left_over = self._divided(self.orphans(), gone)
        others = [
            *gone,
            *self.search.contents(),
            *left_over,
            *self.search.positions(self._incarnation(), self),
            *self.search.answers(findings.applied, self.reader),
        ]
        return Drift(findings, orphans, others, self.search.unknown)

    def put_marks_back(self, receipts: Sequence[CommandReceipt]) -> None:
        """Put the marks of commands back whose effects are there."""
        for door in self.doors:
            door.mark([one for one in receipts if Store.Name(one.store) == door.name])

    def lost(self) -> Findings:
        """Return what stores have lost. Raises TopicError and PolystreamError."""
        commands = self.catalog.commands
        inspectors = (self.postgresql, *self.others)
        with closing(RegistryClient(RegistrySettings())) as registry:
            decoders = {one.name: CommandDecoder(one.name, self.catalog, registry) for one in inspectors}
            return find_lost(
                self.reader,
                DeadLetterReader(self.reader, commands),
                commands,
                self.committed(),
                inspectors,
                memory_s=LaneSettings().marker_ttl_s,
                read_successes=self._read_successes,
                has_row=self.postgresql.has_row,
                is_command=lambda store, record: isinstance(decoders[store].decode(record), Item),
            )

    def _without_mark(self, findings: Findings) -> Findings:
        """Tell from what is lost what has its effect, and lacks the mark alone: the answer of then says which it is."""
        unmarked = list(findings.unmarked)
        for door in self.doors:
            parts = {one.dead_letter.correlation_id for one in findings.lost if one.dead_letter.store == door.name}
            receipts = self._read_successes(parts, door.name)
            unmarked += [receipt for receipt in receipts.values() if door.holds(receipt)]
        marked = {(Store.Name(receipt.store), receipt.correlation_id) for receipt in unmarked}
        lost = [one for one in findings.lost if (one.dead_letter.store, one.dead_letter.correlation_id) not in marked]
        return replace(findings, lost=lost, unmarked=unmarked)

    def _divided(self, orphans: Sequence[Orphans], gone: Sequence[Finding]) -> tuple[list[Orphans], list[Finding]]:
        """Tell what is nobody's from what is an erased person's, what is only remembered, and what is to come back."""
        returning = {int(one.key) for one in gone if one.place == "usuarios"}
        sources = self.search.sources()
        holders = {one.name: set(one.holders()) if orphans else set() for one in self.others}
        left = {one.store: holders[one.store].intersection(one.user_ids) - returning for one in orphans}
        erased_left = self.search.erased_left(left)
        erased = {(one.store, int(one.key)) for one in erased_left if one.store in left}
        nobodys = [
            Orphans(store, sorted(id_ for id_ in user_ids if (store, id_) not in erased))
            for store, user_ids in left.items()
        ]
        parked = {one.name: one.parked_users() for one in self.others}
        remembered = [
            one for one in sources if one.place != "usuarios" or int(one.key) not in returning | parked[one.store]
        ]
        return [one for one in nobodys if one.user_ids], [*erased_left, *remembered]

    def _user_rows(self, user_ids: Collection[int]) -> Mapping[int, UserRow]:
        with closing(RegistryClient(RegistrySettings())) as registry:
            decoder = CommandDecoder(self.postgresql.name, self.catalog, registry)
            return user_rows(self.reader, decoder, self.doors[0], user_ids)

    def _send_receipts(self, receipts: Sequence[CommandReceipt]) -> None:
        with closing(RegistryClient(RegistrySettings())) as registry:
            send_receipts(self.kafka, registry, receipts)

    def _read_successes(
        self, correlation_ids: Collection[str], store: str = "POSTGRESQL"
    ) -> Mapping[str, CommandReceipt]:
        with closing(RegistryClient(RegistrySettings())) as registry:
            decoder = Decoder(CommandReceipt, load_schema(CommandReceipt.DESCRIPTOR.full_name), registry)
            return read_successes(self.reader, decoder, correlation_ids, store)

    def orphans(self) -> list[Orphans]:
        """Return what is left of users who are gone. Raises TopicError, PolystreamError and LanesBehindError."""
        return find_orphans(self.postgresql, self.others, self._lanes_catch_up)

    def committed(self) -> Positions:
        """Return how far each lane has come."""
        partitions = list(self.reader.extents(topics.COMMANDS))
        return {store: lane.committed(topics.COMMANDS, partitions) for store, lane in self._lanes.items()}

    def ends(self) -> Mapping[int, int]:
        """Return the offsets of the next commands to come. Raises TopicError."""
        return self.reader.ends(topics.COMMANDS)

    def age_s(self, partition: int, offset: int) -> float:
        """Return how old the command at an offset is; infinite where it is gone. Raises TopicError."""
        there = self.reader.extents(topics.COMMANDS)[partition]
        if offset < there.begin:
            return math.inf
        first = next(self.reader.read(topics.COMMANDS, {partition: Extent(offset, there.end)}), None)
        return 0.0 if first is None else time.time() - first.timestamp_ms / 1000

    def _lanes_catch_up(self) -> None:
        wait_for_lanes(self.reader.ends(topics.COMMANDS), self.committed)


def _send_again(inspection: Inspection, lost: Sequence[DeadLetterEntry], *, force: bool) -> list[RedriveResult]:
    chosen = [entry.dead_letter for entry in lost if entry.redrive_status.may_be_sent(force=force)]
    if not chosen:
        return []
    with closing(RegistryClient(RegistrySettings())) as registry:
        redriver = Redriver(inspection.kafka, inspection.reader, registry, inspection.catalog.commands)
        return [
            one for batch in redriver.run(chosen, _REPAIR, wait_s=_ANSWER_WAIT_S, keep_going=False) for one in batch
        ]


@contextmanager
def _inspection() -> Iterator[Inspection]:
    with ExitStack() as stack:
        yield Inspection(load_catalog(), stack)
