"""Comparing the stores with each other and with Kafka, and repairing: the whole of a check, and of a repair.

It reads its settings from the environment, as a lane does.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

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
from mesh.topic_reader import GroupPosition, TopicReader
from processor.integrity.effects import read_successes
from processor.integrity.inspectors import MongoInspector, PostgresInspector, RedisInspector
from processor.integrity.lost import Findings, Positions, find_lost
from processor.integrity.orphans import Orphans, erase_orphans, find_orphans, wait_for_lanes
from processor.lanes.decoding import CommandDecoder, Item

_REPAIR = RedriveOrder(RedriveAction.REPAIR, principal="integrity repair")
_ANSWER_WAIT_S = 30.0  # for a batch of commands that were sent again


@dataclass(frozen=True, slots=True)
class Drift:
    """What a check has found."""

    findings: Findings
    orphans: Sequence[Orphans]

    @property
    def is_sound(self) -> bool:
        """Whether something was compared, nothing is lost, and nothing is left over."""
        findings = self.findings
        return self.has_compared and not findings.lost and not findings.unmarked and not self.orphans

    @property
    def has_compared(self) -> bool:
        """Whether there was anything to compare with the stores; else nobody knows whether they have lost anything."""
        return self.findings.commands > 0


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair has done, and what it has left."""

    redriven: Sequence[RedriveResult]
    left: Sequence[DeadLetterEntry]  # lost commands that are lost still
    erased: int  # users of whom a store had something left, one a store
    orphans: Sequence[Orphans]  # that are there still
    is_whole: bool  # whether the lost commands that it looked at were all of them
    marked: int = 0  # commands whose effect was there, and whose mark was put back

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to repair."""
        return not self.left and not self.orphans and self.is_whole


def check() -> Drift:
    """Compare everything. Raises TopicError, PolystreamError and LanesBehindError."""
    with _inspection() as inspection:
        return Drift(inspection.lost(), inspection.orphans())


def repair(*, erase: bool, force: bool) -> Repair:
    """Send again what was lost, and erase orphans where `erase` says so.

    `force` sends those too that may undo later commands. What PostgreSQL has lost may be users: as long as some of that
    is missing, nothing is erased. Raises TopicError, PolystreamError and LanesBehindError.
    """
    with _inspection() as inspection:
        findings, orphans, erased = inspection.lost(), inspection.orphans(), 0
        inspection.postgresql.mark(findings.unmarked)
        redriven = _send_again(inspection, findings.lost, force=force)
        sent = {one.dead_letter.correlation_id for one in redriven if one.outcome.is_answer}
        left = [entry for entry in findings.lost if entry.dead_letter.correlation_id not in sent]
        if redriven:
            orphans = inspection.orphans()
        if erase and findings.is_whole and not any(entry.dead_letter.store == "POSTGRESQL" for entry in left):
            erased = erase_orphans(inspection.postgresql, inspection.others, orphans)
            orphans = inspection.orphans()
    marked = len(findings.unmarked)
    return Repair(redriven, left, erased, orphans, is_whole=findings.is_whole, marked=marked)


class Inspection:
    """Everything that is looked at."""

    def __init__(self, catalog: Catalog, stack: ExitStack) -> None:
        self.catalog = catalog
        self.kafka = KafkaSettings()
        self.reader = stack.enter_context(TopicReader(self.kafka))
        self.postgresql = PostgresInspector(PostgresSettings())
        stack.callback(self.postgresql.close)
        self.others = (MongoInspector(MongoSettings()), RedisInspector(RedisSettings()))
        for inspector in self.others:
            stack.callback(inspector.close)
        self._lanes = {
            inspector.name: stack.enter_context(GroupPosition(self.kafka, topics.lane_group(inspector.name)))
            for inspector in (self.postgresql, *self.others)
        }

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
                self.positions(),
                inspectors,
                memory_s=LaneSettings().marker_ttl_s,
                read_successes=self._read_successes,
                has_row=self.postgresql.has_row,
                is_command=lambda store, record: isinstance(decoders[store].decode(record), Item),
            )

    def _read_successes(self, correlation_ids: Collection[str]) -> Mapping[str, CommandReceipt]:
        with closing(RegistryClient(RegistrySettings())) as registry:
            decoder = Decoder(CommandReceipt, load_schema(CommandReceipt.DESCRIPTOR.full_name), registry)
            return read_successes(self.reader, decoder, correlation_ids)

    def orphans(self) -> list[Orphans]:
        """Return what is left of users who are gone. Raises TopicError, PolystreamError and LanesBehindError."""
        return find_orphans(self.postgresql, self.others, self._lanes_catch_up)

    def positions(self) -> Positions:
        """Return how far each lane has come."""
        partitions = list(self.reader.extents(topics.COMMANDS))
        return {store: lane.committed(topics.COMMANDS, partitions) for store, lane in self._lanes.items()}

    def _lanes_catch_up(self) -> None:
        wait_for_lanes(self.reader.ends(topics.COMMANDS), self.positions)


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
