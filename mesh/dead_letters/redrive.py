"""Sending dead letters again: a few first, and the rest once those went well."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from polystream.options.v1 import options_pb2
from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS, Command
from mesh.codec import Decoder, SchemaSource
from mesh.dead_letters.dead_letter import DeadLetter
from mesh.envelope import KafkaRecord, RedriveAction, redrive_headers
from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError
from mesh.kafka import PRODUCER_CONFIG
from mesh.schemas import load_schema
from mesh.settings import KafkaSettings
from mesh.store_errors import has_failed
from mesh.telemetry.logs import KAFKA_LOG
from mesh.topic_reader import TopicError, TopicReader

_BATCHES: Final = (1, 10)  # commands, before the cause is taken for mended
_BATCH_MAX_COMMANDS: Final = 100
_SEND_TIMEOUT_S: Final = 10.0
_ITS_KEYS: Final = -1  # the partition that the key belongs to, as librdkafka has it


class RedriveOutcome(Enum):
    """What came of a command that was sent again."""

    SUCCEEDED = "succeeded"  # its stores applied it, or had done so before
    REFUSED = "refused"  # a store found it wanting, as it might have at first: its operation says why
    DEAD_LETTERED = "dead-lettered"  # it was given up again
    DISCARDED = "discarded"  # it was given up for good, as was asked for
    UNANSWERED = "unanswered"  # no answer in time: it is on `user_events`, and its operation will tell

    @property
    def is_answer(self) -> bool:
        """Whether the command has ended as commands do."""
        return self in {RedriveOutcome.SUCCEEDED, RedriveOutcome.REFUSED, RedriveOutcome.DISCARDED}


@dataclass(frozen=True, slots=True)
class RedriveOrder:
    """What is to be done with dead letters, on whose order, and why."""

    action: RedriveAction
    principal: str
    justification: str = ""


@dataclass(frozen=True, slots=True)
class RedriveResult:
    """A command that was sent again."""

    dead_letter: DeadLetter
    outcome: RedriveOutcome
    error: str  # the reason and what it says, where it was not applied


class Redriver:
    """Sends dead letters' commands again, and reads what the stores answer."""

    def __init__(
        self, kafka: KafkaSettings, reader: TopicReader, schemas: SchemaSource, commands: Mapping[str, Command]
    ) -> None:
        self._reader = reader
        self._receipts = Decoder(CommandReceipt, load_schema(CommandReceipt.DESCRIPTOR.full_name), schemas)
        self._commands = commands
        self._producer = Producer(
            {
                **kafka.client_config("polystream-dlq"),
                **PRODUCER_CONFIG,
                "message.timeout.ms": int(_SEND_TIMEOUT_S * 1000),
            },
            logger=KAFKA_LOG,
        )

    def run(
        self, dead_letters: Iterable[DeadLetter], order: RedriveOrder, *, wait_s: float, keep_going: bool
    ) -> Iterator[Sequence[RedriveResult]]:
        """Send each command once, in order, and yield what came of it, batch by batch.

        Ends before its time when a batch has brought a command that was given up again or not answered within
        `wait_s`, unless it is to keep going. Raises TopicError.
        """
        waiting = iter(_by_command(dead_letters))
        for size in _sizes():
            batch = list(islice(waiting, size))
            if not batch:
                return
            begins = self._reader.ends(topics.RECEIPTS)
            self._send(batch, order)
            done = self._answers(batch, begins, time.monotonic() + wait_s)
            yield done
            if not keep_going and not all(redriven.outcome.is_answer for redriven in done):
                return

    def _send(self, batch: Sequence[Sequence[DeadLetter]], order: RedriveOrder) -> None:
        """Put the commands on `user_events`, and return once Kafka has them."""
        failures: list[KafkaError] = []

        def reported(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        try:
            for same in batch:
                dead_letter = same[0]
                self._producer.produce(
                    topics.COMMANDS,
                    dead_letter.value,
                    dead_letter.key,
                    # What is parked goes on among the commands of its key. What is repaired goes where it was: what
                    # came behind it is looked for there.
                    partition=dead_letter.source.partition if order.action is RedriveAction.REPAIR else _ITS_KEYS,
                    headers=redrive_headers(
                        dead_letter.headers,
                        redrives=dead_letter.redrives + 1,
                        first_offset=dead_letter.first.offset,
                        action=order.action,
                        stores=sorted({one.store for one in same if one.store}),
                        principal=order.principal,
                        justification=order.justification,
                    ),
                    on_delivery=reported,
                )
            unsent = self._producer.flush(_SEND_TIMEOUT_S + 2)
        except KafkaException as error:
            raise TopicError(f"Kafka does not take the commands ({error}); see that it runs, and try again") from error
        if failures or unsent:
            why = failures[0].str() if failures else "no answer"
            raise TopicError(
                f"Kafka did not take {len(failures) + unsent} of {len(batch)} commands ({why}). "
                "Try again: what it did take is not sent twice"
            )

    def _answers(
        self, batch: Sequence[Sequence[DeadLetter]], begins: Mapping[int, int], until_s: float
    ) -> Sequence[RedriveResult]:
        expected = {same[0].correlation_id: self._stores(same) for same in batch}
        # By no more than this: clocks of lanes differ, and one may be set back.
        known = {(one.correlation_id, one.store, one.receive_time_us) for same in batch for one in same}
        answers: dict[str, dict[str, CommandReceipt]] = {correlation_id: {} for correlation_id in expected}
        for record in self._reader.follow(topics.RECEIPTS, begins, until_s):
            correlation_id = record.read_headers().correlation_id
            if correlation_id not in expected:
                continue
            receipt = self._receipt(record)
            if receipt is None:
                continue  # a foreign record
            store = options_pb2.Store.Name(receipt.store)
            if (correlation_id, store, receipt.receive_time.ToMicroseconds()) in known:
                continue  # the answer that the dead letter came with
            answers[correlation_id][store] = receipt
            if all(stores <= answers[id_].keys() for id_, stores in expected.items()):
                break
        return [_conclude(same[0], answers[same[0].correlation_id], expected[same[0].correlation_id]) for same in batch]

    def _stores(self, same: Sequence[DeadLetter]) -> set[str]:
        """Return the stores that are to answer: those that gave the command up, where the dead letters name them."""
        named = {dead_letter.store for dead_letter in same if dead_letter.store}
        if named:
            return named
        command = self._commands.get(same[0].command)
        return set(command.stores) if command else {LANE_OF_UNKNOWN_COMMANDS}

    def _receipt(self, record: KafkaRecord) -> CommandReceipt | None:
        """Return the receipt in a record; None where there is none. Raises TopicError where it can't be told now."""
        try:
            receipt = self._receipts.decode(record.value, record.receive_time_ns)
        except PolystreamError as error:
            if error.reason.value.error_class is not ErrorClass.WAIT:
                return None
            raise TopicError(f"an answer could not be read: {error.message}") from error
        assert isinstance(receipt, CommandReceipt)  # noqa: S101 # the decoder's own type
        return receipt


def _by_command(dead_letters: Iterable[DeadLetter]) -> list[Sequence[DeadLetter]]:
    """Return the dead letters of each command, in their order: several lanes may have given the same one up."""
    found: dict[str, list[DeadLetter]] = {}
    for dead_letter in sorted(dead_letters, key=lambda dead_letter: dead_letter.first):
        found.setdefault(dead_letter.correlation_id, []).append(dead_letter)
    return list(found.values())


def _sizes() -> Iterator[int]:
    yield from _BATCHES
    while True:
        yield _BATCH_MAX_COMMANDS


def _conclude(dead_letter: DeadLetter, answers: Mapping[str, CommandReceipt], expected: set[str]) -> RedriveResult:
    given_up = next((receipt for receipt in answers.values() if receipt.dead_lettered), None)
    if given_up is not None:
        return RedriveResult(dead_letter, RedriveOutcome.DEAD_LETTERED, _error(given_up))
    if not expected <= answers.keys():
        return RedriveResult(
            dead_letter, RedriveOutcome.UNANSWERED, f"no answer from {', '.join(sorted(expected - answers.keys()))}"
        )
    refused = next((receipt for receipt in answers.values() if has_failed(receipt)), None)
    if refused is not None:
        return RedriveResult(dead_letter, RedriveOutcome.REFUSED, _error(refused))
    return RedriveResult(dead_letter, RedriveOutcome.SUCCEEDED, "")


def _error(receipt: CommandReceipt) -> str:
    return f"{receipt.error.reason}: {receipt.error.message}"
