"""Listing dead letters, and redriving or discarding those that hold up their keys.

It reads its settings from the environment, as a lane does.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from mesh.catalog import load_catalog
from mesh.dead_letters.dead_letter import DeadLetter
from mesh.dead_letters.reader import DeadLetterReader
from mesh.dead_letters.redrive import RedriveOrder, RedriveOutcome, Redriver, RedriveResult
from mesh.envelope import RedriveAction
from mesh.schemas import RegistryClient
from mesh.settings import KafkaSettings, RegistrySettings
from mesh.topic_reader import TopicReader
from processor.dead_letters.listed import ListedDeadLetter, ParkingStatus, combine
from processor.integrity.parked import read_parked

_TOO_LARGE_BYTES: Final = 900_000  # with more headers, Kafka may not take the record: the store has it whole


@dataclass(frozen=True, slots=True)
class ListedDeadLetters:
    """All dead letters."""

    entries: Sequence[ListedDeadLetter]  # the oldest first
    left_out: int  # older records of the topic that were not read
    silent: Mapping[str, str]  # why stores do not answer, by store


@dataclass(frozen=True, slots=True)
class DeadLetterChoice:
    """Which dead letters are meant. What is None leaves them all. Times are in milliseconds since the epoch."""

    reason: str | None = None
    command: str | None = None
    user_id: int | None = None
    store: str | None = None
    status: ParkingStatus | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def of(self, entries: Sequence[ListedDeadLetter]) -> list[ListedDeadLetter]:
        """Return those that are meant."""
        return [
            entry
            for entry in entries
            if self.reason in {None, entry.dead_letter.reason}
            and self.command in {None, entry.dead_letter.command}
            and self.user_id in {None, entry.user_id}
            and self.store in {None, entry.dead_letter.store}
            and self.status in {None, entry.status}
            and (self.since_ms is None or entry.dead_letter.time_ms >= self.since_ms)
            and (self.until_ms is None or entry.dead_letter.time_ms < self.until_ms)
        ]


def read_listing() -> ListedDeadLetters:
    """Read the dead-letter topic, and ask the stores what they have parked. Raises TopicError."""
    with TopicReader(KafkaSettings()) as reader:
        dead_letters, left_out = DeadLetterReader(reader, load_catalog().commands).read_dead_letters()
    parked = read_parked()
    return ListedDeadLetters(combine(dead_letters, parked), left_out, parked.silent)


def settle(
    chosen: Sequence[ListedDeadLetter], order: RedriveOrder, *, wait_s: float, keep_going: bool
) -> Iterator[Sequence[RedriveResult]]:
    """Redrive or discard what is parked, and yield what came of it, batch by batch, as `Redriver.run` does.

    Raises TopicError.
    """
    if not chosen:
        return
    with TopicReader(KafkaSettings()) as reader, closing(RegistryClient(RegistrySettings())) as registry:
        redriver = Redriver(KafkaSettings(), reader, registry, load_catalog().commands)
        dead_letters = [_bounded(entry.dead_letter) for entry in chosen]
        for batch in redriver.run(dead_letters, order, wait_s=wait_s, keep_going=keep_going):
            yield [_as_ordered(one, order.action) for one in batch]


def still_parked(chosen: Sequence[ListedDeadLetter]) -> list[ListedDeadLetter]:
    """Return what holds up the same keys now: one that had waited may have been given up in its turn."""
    keys = {(entry.dead_letter.store, entry.dead_letter.key) for entry in chosen}
    return [
        entry
        for entry in read_listing().entries
        if entry.status is ParkingStatus.PARKED and (entry.dead_letter.store, entry.dead_letter.key) in keys
    ]


def is_done(redriven: RedriveResult, action: RedriveAction) -> bool:
    """Tell whether what was asked for was done: what somebody else redrove in time was not discarded."""
    if action is RedriveAction.DISCARD:
        return redriven.outcome is RedriveOutcome.DISCARDED
    return redriven.outcome.is_answer


def _bounded(dead_letter: DeadLetter) -> DeadLetter:
    is_too_large = len(dead_letter.value or b"") > _TOO_LARGE_BYTES
    return replace(dead_letter, value=None) if is_too_large else dead_letter


def _as_ordered(redriven: RedriveResult, action: RedriveAction) -> RedriveResult:
    """Return a result in the words of what was asked for: that it is given up is what a discard is for."""
    if action is RedriveAction.DISCARD and redriven.outcome is RedriveOutcome.DEAD_LETTERED:
        return replace(redriven, outcome=RedriveOutcome.DISCARDED, error="")
    return redriven
