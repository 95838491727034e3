"""`polystream replay`: a store built anew from PostgreSQL, which knows who exists, and the log of commands.

The commands of a store are read in the order of the log, and applied by the store's own class and handlers, in a target
beside the live database. What is applied is what the live store says on `response_events` that it has applied. Nothing
is sent to Kafka, no offset is committed, and nothing is written to another store.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from mesh import topics
from mesh.catalog import Catalog, load_catalog
from mesh.codec import Decoder
from mesh.env_file import SettingsError
from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError
from mesh.operation import answered_position
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
from processor.handlers import find_handlers
from processor.incarnation import TopicIncarnation
from processor.integrity.inspectors import PostgresInspector
from processor.integrity.orphans import wait_for_lanes
from processor.lanes.decoding import CommandDecoder, Item, Redrive, Taken
from processor.model import Answer, Delivery, Store
from processor.replay.answers import AnswerIndex
from processor.replay.outcome import LeftOut, Missing, Replayed
from processor.replay.target_check import check_target
from processor.replay.targets import ReplayTarget, open_target
from processor.replay.told_handlers import ToldHandlers
from processor.stores.mongodb import MongoStore
from processor.stores.redis import RedisStore
from processor.stores.redis_markers import MarkerBounds

_BATCH_COMMANDS: Final = 500
_USERS_IN: Final = "POSTGRESQL"
_NAME: Final = "polystream-replay"


class TargetRefusedError(Exception):
    """The target is none that may be filled; says what to do."""


def replay(store: str, url: str, *, overwrite: bool, is_dry: bool) -> Replayed:
    """Build a store anew in the database that a URL names; a dry run only counts, and reaches for no target.

    Raises TargetRefusedError, SettingsError, TopicError, LanesBehindError and PolystreamError.
    """
    with ExitStack() as stack:
        return _Replay(store, stack, load_catalog(), Replayed(store, is_dry)).run(url, overwrite=overwrite)


class _Replay:
    """One replay, from its beginning to the check."""

    def __init__(self, store: str, stack: ExitStack, catalog: Catalog, done: Replayed) -> None:
        self._store_name = store
        self._stack = stack
        self._done = done
        self._kafka = KafkaSettings()
        self._lane = LaneSettings()
        self._reader = stack.enter_context(TopicReader(self._kafka))
        registry = RegistryClient(RegistrySettings())
        stack.callback(registry.close)
        self._decoder = CommandDecoder(store, catalog, registry)
        self._receipts = Decoder(CommandReceipt, load_schema(CommandReceipt.DESCRIPTOR.full_name), registry)
        self._answers = stack.enter_context(AnswerIndex())
        self._incarnation = TopicIncarnation(self._kafka.client_config(_NAME))
        self._handlers = ToldHandlers(find_handlers(catalog, store))
        self._users = PostgresInspector(PostgresSettings())
        stack.callback(self._users.close)
        self._passed: Mapping[int, int] = {}  # by partition: what the live lane has committed
        self._positions: dict[int, int] = {}

    def run(self, url: str, *, overwrite: bool) -> Replayed:
        """Do it."""
        done = self._done
        target = None if done.is_dry else self._open_target(url, overwrite=overwrite)
        there = self._reader.extents(topics.COMMANDS)
        ends = self._reader.ends(topics.COMMANDS)
        self._passed = self._committed(self._store_name, ends)
        # PostgreSQL says who exists: it must have come as far as what is applied here.
        wait_for_lanes(ends, lambda: {_USERS_IN: self._committed(_USERS_IN, ends)})
        self._answers.read(self._reader, self._receipts, self._store_name, ends)
        done.begins = {partition: extent.begin for partition, extent in there.items() if extent.begin}
        self._positions = {partition: end for partition, end in ends.items() if end}
        stretches = {partition: Extent(extent.begin, ends[partition]) for partition, extent in there.items()}
        store = None if target is None else self._open_store(url)
        commands = self._commands(stretches)
        while batch := list(islice(commands, _BATCH_COMMANDS)):
            self._take(batch, store, target)
        done.positions = self._positions
        if store is not None and target is not None:
            store.record_positions(self._positions)
            done.cannot = target.cannot
            done.check = check_target(target, self._users, self._incarnation(), self._positions)
        return done

    def _open_target(self, url: str, *, overwrite: bool) -> ReplayTarget:
        live = MongoSettings() if self._store_name == "MONGODB" else RedisSettings()
        try:
            target = open_target(url, live, self._lane)
        except SettingsError as error:
            example = "mongodb://host:27017/database" if self._store_name == "MONGODB" else "redis://host:6379/0"
            raise TargetRefusedError(f"--into names no such database: it takes a URL, as {example} is one") from error
        self._stack.callback(target.close)
        if url == live.url or target.is_live():
            raise TargetRefusedError("the target is the live database: name another one")
        if not target.is_empty():
            if not overwrite:
                raise TargetRefusedError(
                    "the target has data of the platform's: name an empty database, or have it deleted with --overwrite"
                )
            target.clear()
        target.prepare()
        return target

    def _open_store(self, url: str) -> Store:
        if self._store_name == "MONGODB":
            handlers = self._handlers.for_mongodb()
            store: Store = MongoStore(MongoSettings(url=url), PostgresSettings(), handlers, self._incarnation)
        else:
            markers = MarkerBounds(self._lane.marker_ttl_s, self._lane.redis_marks_max_bytes)
            handlers = self._handlers.for_redis()
            store = RedisStore(RedisSettings(url=url), PostgresSettings(), handlers, self._incarnation, markers)
        self._stack.callback(store.close)
        return store

    def _committed(self, store: str, partitions: Collection[int]) -> Mapping[int, int]:
        with GroupPosition(self._kafka, topics.lane_group(store)) as lane:
            return lane.committed(topics.COMMANDS, partitions)

    def _commands(self, stretches: Mapping[int, Extent]) -> Iterator[Taken]:
        """Yield what the store's lane takes for its own, up to the end of each stretch."""
        for record in self._reader.read(topics.COMMANDS, stretches):
            if record.offset >= stretches[record.partition].end:
                continue
            taken = self._decoder.decode(record)
            if taken is not None and not isinstance(taken, Redrive):
                yield taken

    def _take(self, batch: Sequence[Taken], store: Store | None, target: ReplayTarget | None) -> None:
        items = [one for one in batch if isinstance(one, Item)]
        self._done.left_out.update({LeftOut.GIVEN_UP: len(batch) - len(items)} if len(items) < len(batch) else {})
        answers = self._answers.find({item.delivery.correlation_id for item in items})
        about = {int(item.key) for item in items if item.delivery.command.about_user}
        existing = self._users.existing(about) if about else set[int]()
        chosen = [item.delivery for item in items if self._is_chosen(item.delivery, answers, existing)]
        applied = [one for one in chosen if answers[one.correlation_id].state == Operation.SUCCEEDED]
        self._handlers.answers = answers
        self._handlers.sessions = self._answers.last_of_sessions(answers)
        self._done.expired += sum(self._handlers.has_expired(answers[one.correlation_id]) for one in applied)
        if store is None or target is None:
            self._done.applied.update(one.command.name for one in applied)
            return
        self._handlers.differing.clear()
        done = self._apply(store, chosen)
        target.keep_answers([answers[one.correlation_id] for one in done])
        self._done.applied.update(one.command.name for one in done if one in applied)
        self._done.missing.update({Missing.DIFFERS: n} if (n := len(self._handlers.differing)) else {})

    def _is_chosen(self, delivery: Delivery, answers: Mapping[str, CommandReceipt], existing: Collection[int]) -> bool:
        """Tell whether a command comes to the target; count why not.

        What was refused comes too, for its mark: a repetition is then refused as before.
        """
        answer, command = answers.get(delivery.correlation_id), delivery.command
        if answer is None:
            self._note_unanswered(delivery)
            return False
        if answered_position(answer) not in (None, delivery.first_position):
            self._done.left_out[LeftOut.REPEATED] += 1
        elif answer.waits_behind:
            self._done.missing[Missing.WAITS] += 1
        elif answer.dead_lettered:
            self._done.left_out[LeftOut.GIVEN_UP] += 1
        elif answer.state != Operation.SUCCEEDED:
            self._done.left_out[LeftOut.REFUSED] += 1
            return not command.erases_user and (not command.about_user or int(delivery.key) in existing)
        elif command.about_user and not command.erases_user and int(delivery.key) not in existing:
            self._done.left_out[LeftOut.USER_GONE] += 1
        else:
            return True
        return False

    def _note_unanswered(self, delivery: Delivery) -> None:
        if delivery.offset < self._passed.get(delivery.partition, 0):
            self._done.missing[Missing.UNANSWERED] += 1
            return
        self._done.left_out[LeftOut.NOT_YET] += 1
        known = self._positions[delivery.partition]
        self._positions[delivery.partition] = min(known, delivery.offset)

    def _apply(self, store: Store, batch: Sequence[Delivery]) -> list[Delivery]:
        """Apply a batch, and return what is done; one by one where something in it cannot be applied."""
        try:
            return self._answered(batch, store.apply(batch, frozenset()))
        except Exception as error:
            if _waits(error):
                raise
        done: list[Delivery] = []
        for delivery in batch:
            try:
                done += self._answered([delivery], store.apply([delivery], frozenset()))
            except Exception as error:
                if _waits(error):
                    raise
                self._done.missing[Missing.FAILED] += 1
        return done

    def _answered(self, batch: Sequence[Delivery], answers: Sequence[Answer]) -> list[Delivery]:
        done: list[Delivery] = []
        for delivery, answer in zip(batch, answers, strict=True):
            told = self._handlers.answers[delivery.correlation_id]
            if not isinstance(answer, CommandReceipt):
                self._done.missing[Missing.USER_UNTOLD] += 1
            elif answer.state != told.state:
                self._done.left_out[LeftOut.USER_GONE] += 1  # in this very moment: nothing else is refused here
            elif answer.duplicate:
                self._done.left_out[LeftOut.REPEATED] += 1
            else:
                done.append(delivery)
        return done


def _waits(error: Exception) -> bool:
    """Whether it is an error of the way to the store, or of Kafka, which is nobody's command's."""
    return isinstance(error, PolystreamError) and error.reason.value.error_class is ErrorClass.WAIT
