"""What is on the topics, and what the parts have to have counted of it: the rules of the pages, written once more."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS, load_catalog
from mesh.codec import Decoder
from mesh.dead_letters.dead_letter import parse_dead_letter
from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings
from mesh.topic_reader import TopicReader
from tests.support.fuzz.record_sending import TOPICS

GATEWAY: Final = "gateway-0"
MONITOR: Final = "monitor"
_SHOWN_MAX: Final = 5
_TTL_MS: Final = 86_400_000  # OPERATION_TTL_S, for how long Redis keeps operations

Counts = Mapping[str, Mapping[str, int]]  # by part, then by what is counted


@dataclass
class Found:
    """What there is on the topics, by what has to become of it."""

    records: Counter[str] = field(default_factory=Counter)  # by topic
    not_unpacked: Counter[str] = field(default_factory=Counter)  # by topic
    set_apart: dict[str, set[tuple[int, int]]] = field(default_factory=dict)  # by store: what its lane has to set apart
    commands: set[tuple[int, int]] = field(default_factory=set)  # others' that can be read: their lanes tell of them
    letters: dict[str, Counter[tuple[int, int]]] = field(default_factory=dict)  # by store: what it did
    reasons: Counter[str] = field(default_factory=Counter)  # of the dead letters of lanes
    receipts: Counter[str] = field(default_factory=Counter)  # by whether they are such, and why not
    tell_nothing: Counter[str] = field(default_factory=Counter)  # by topic: of what the monitor has no event
    foreign_letters: int = 0  # that say what a lane would: the monitor and `dlq` show them


class TopicCensus:
    """Reads all topics of one platform."""

    def __init__(self, kafka: KafkaSettings, registry: RegistryClient) -> None:
        self._kafka = kafka
        self._commands = load_catalog().commands
        self._decoders = {
            name: Decoder(command.request_class, load_schema(command.request_type), registry)
            for name, command in self._commands.items()
        }
        self._receipts = Decoder(CommandReceipt, load_schema(str(CommandReceipt.DESCRIPTOR.full_name)), registry)

    def take(self) -> Found:
        """Return what there is now."""
        found = Found()
        take = {
            topics.COMMANDS: self._take_command,
            topics.RECEIPTS: self._take_receipt,
            topics.DEAD_LETTERS: self._take_dead_letter,
        }
        with TopicReader(self._kafka) as reader:
            for topic in TOPICS:
                for record in reader.read(topic, reader.extents(topic)):
                    found.records[topic] += 1
                    take[topic](found, record)
                found.not_unpacked[topic] = reader.passed_over
        return found

    def _take_command(self, found: Found, record: KafkaRecord) -> None:
        headers = record.read_headers()
        found.tell_nothing[record.topic] += not headers.correlation_id
        if headers.text(topics.SERVICE) == GATEWAY:
            return
        command = self._commands.get(headers.command)
        if self._is_command(record):
            found.commands.add((record.partition, record.offset))
            return
        for store in command.stores if command else (LANE_OF_UNKNOWN_COMMANDS,):
            found.set_apart.setdefault(store, set()).add((record.partition, record.offset))

    def _is_command(self, record: KafkaRecord) -> bool:
        headers = record.read_headers()
        if headers.command not in self._decoders or headers.is_ambiguous or not headers.correlation_id:
            return False
        try:
            self._decoders[headers.command].decode(record.value, record.receive_time_ns)
        except PolystreamError:
            return False
        return True

    def _take_receipt(self, found: Found, record: KafkaRecord) -> None:
        kind = self._kind(record)
        found.receipts[kind] += 1
        is_old = record.timestamp_ms < time.time() * 1000 - _TTL_MS
        found.receipts["too old"] += is_old and kind == "good"
        found.tell_nothing[record.topic] += kind != "good"

    def _kind(self, record: KafkaRecord) -> str:
        try:
            receipt = self._receipts.decode(record.value, record.receive_time_ns)
        except PolystreamError as error:
            return error.reason.name
        assert isinstance(receipt, CommandReceipt)
        headers = record.read_headers()
        is_of_its_headers = (headers.correlation_id, headers.command) == (receipt.correlation_id, receipt.command)
        return "good" if is_of_its_headers else "under other headers"

    def _take_dead_letter(self, found: Found, record: KafkaRecord) -> None:
        headers = record.read_headers()
        letter = parse_dead_letter(record)
        found.tell_nothing[record.topic] += letter is None or not headers.correlation_id
        if letter is None:
            return
        if not letter.lane.startswith("lane-"):
            found.foreign_letters += 1
            return
        source = (letter.source.partition, letter.source.offset)
        found.letters.setdefault(letter.store, Counter())[source] += 1
        found.reasons[f"{letter.store} {letter.reason}"] += 1


def compare(found: Found, told: Counts) -> list[str]:
    """Return where the parts' counts are not those of what is on the topics."""
    faults = []
    for store, unreadable in found.set_apart.items():
        letters = found.letters.get(store, Counter())
        expected = unreadable | (found.commands & letters.keys())  # a store may be unable to apply what can be read
        if letters.keys() != expected:
            missing, more = sorted(expected - letters.keys()), sorted(letters.keys() - expected)
            faults.append(f"{store}: no dead letter for {missing[:_SHOWN_MAX]}, one for {more[:_SHOWN_MAX]}")
        lane = f"lane-{store.lower()}-0"
        # On a busy machine a lane's session may end: it reads its last batch again, and sets it apart once more.
        faults += _differs(told, lane, "set_apart", letters.total())
        faults += _differs(told, lane, "passed_over", found.not_unpacked[topics.COMMANDS])
    receipts = found.receipts.total() - found.receipts["good"]  # "too old" is of the good ones, and passed over as well
    faults += _differs(told, GATEWAY, "passed_over", receipts + found.not_unpacked[topics.RECEIPTS])
    faults += _differs(told, MONITOR, "passed_over", found.tell_nothing.total() + found.not_unpacked.total())
    return faults


def _differs(told: Counts, part: str, name: str, expected: int) -> list[str]:
    counted = told[part].get(name, 0)
    return [] if counted == expected else [f"{part} counts {counted} as {name}, on the topics are {expected}"]
