"""Redis as a lane's store: one script a command, in which effect, precondition and receipt are one step.

The receipt is kept in the marker `comando:{correlation_id}` by the very step that writes the effect, and the server's
append-only file has both or neither. So a repetition finds either nothing, and applies, or the receipt, and repeats
it: whenever the lane or the server died, and though two lanes applied the same batch at the same time.

The script writes keys that it does not declare, since one command's keys would be in several slots: a Redis Cluster
is not supported. Markers must not be evicted: `maxmemory-policy` is to be `noeviction`. They keep within a number of
bytes by themselves: of more, the oldest give way, and up to when is noted.
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict
from importlib import resources
from typing import Any, Final

from polystream.v1.events_pb2 import CommandReceipt
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from mesh.error_classes.redis import classify_redis
from mesh.errors import PolystreamError, Reason
from mesh.settings import PostgresSettings, RedisSettings
from mesh.store_names.redis import (
    KNOWN_USERS,
    MARKER_PREFIX,
    MARKERS,
    MARKERS_BYTES,
    MARKERS_GONE,
    PARKED,
    PING_KEY,
    POSITIONS,
    marker_key,
    parked_key,
)
from processor.application import Decided, apply_in_batches, park_given_up, refusals_of, run_handlers
from processor.handlers import AnyHandler
from processor.model import Answer, Delivery, GivenUp, ParkedRecord
from processor.parking import Known, may_be_marked, waiting_record
from processor.receipts import make_receipt, repeat
from processor.stores.redis_markers import KEEP_MARKERS, MARKER_BYTES, MarkerBounds, put_marker
from processor.stores.redis_parking import RedisParking, RedisPositions, position_field
from processor.stores.redis_plans import RedisPlan, Word
from processor.user_lookup import PostgresUsers
from processor.users import BatchUsers, Erasure, UserDirectory

_CONNECT_TIMEOUT_S = 2.0
_ANSWER_TIMEOUT_S = 10.0
_APPLIED: Final = 1
_PING_TTL_MS: Final = 1000
_SCRIPT: Final = "apply.lua"
_SCRIPT_KEYS: Final = 3
_OUTRUN: Final = {-1, -2}  # what the script says of a command that another lane has passed, or that has to wait
_KNOWN_USERS_MAX: Final = 200_000  # users who were found to exist; of more, some are forgotten, and asked for again


def connect(settings: RedisSettings) -> Redis:
    """Return a client that connects when it is first used, whose calls are bounded in time and never repeated."""
    client: Redis = Redis.from_url(
        settings.url,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=_ANSWER_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        client_name="polystream-lane-redis",
    )
    return client


class RedisStore:
    """The Redis lane's store. One caller at a time."""

    name = "REDIS"

    def __init__(
        self,
        settings: RedisSettings,
        users_in: PostgresSettings,
        handlers: Mapping[str, AnyHandler],
        incarnation: Callable[[], str],
        markers: MarkerBounds,
    ) -> None:
        self.parking_bounds = markers.parking
        self._client = connect(settings)
        self._incarnation = incarnation
        self._parking = RedisParking(self._client)
        self._positions = RedisPositions(self._client)
        self._handlers = handlers
        self._users = UserDirectory(RedisUserMemory(self._client), PostgresUsers(users_in), incarnation)
        self._markers = markers
        self._recorded: dict[tuple[str, int], int] = {}  # positions, by topic ID and partition
        self._script = resources.files(__package__).joinpath(_SCRIPT).read_bytes()
        self._sha = hashlib.sha1(self._script, usedforsecurity=False).hexdigest()
        self._keep_sha = hashlib.sha1(KEEP_MARKERS.encode(), usedforsecurity=False).hexdigest()

    def ping(self) -> None:
        """Ask the server for a sign of life, and whether it takes writes: a replica answers to PING.

        Raises PolystreamError.
        """
        with store_errors():
            self._client.set(PING_KEY, b"", px=_PING_TTL_MS)

    def apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> Sequence[Answer]:
        """Apply a batch, as `processor.model.Store` has it."""
        if not batch:
            return []
        with store_errors():
            return apply_in_batches(batch, overdue, self._users, self)

    def park(self, given_up: Sequence[GivenUp]) -> Sequence[Answer]:
        """Note that records are given up, one after the other: a repetition finds those that it had come to."""
        with store_errors():
            return park_given_up(given_up, self, self._parking)

    def parked(self, key: bytes) -> Sequence[ParkedRecord]:
        """Return what is parked under a key."""
        with store_errors():
            return self._parking.records(key)

    def discard(self, parked: ParkedRecord) -> None:
        """Let go of a record that was given up: its answer is its mark from now on."""
        key = parked.key
        with store_errors():
            if may_be_marked(parked, self._parking.records(key)) and parked.receipt is not None:
                put_marker(self._client, parked.receipt, self._markers)
            self._parking.remove(key, [parked.id])

    def count_parked(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records."""
        with store_errors():
            return self._parking.count()

    def record_positions(self, next_offsets: Mapping[int, int]) -> None:
        """Note how far the lane has come, where that is further than before."""
        topic_id = self._incarnation()
        news = {p: offset for p, offset in next_offsets.items() if offset > self._recorded.get((topic_id, p), 0)}
        if news:
            with store_errors():
                self._positions.write(topic_id, news)
            self._recorded.update({(topic_id, partition): offset for partition, offset in news.items()})

    def close(self) -> None:
        """Close the connections."""
        self._users.close()
        self._client.close()

    def topic_id(self) -> str:
        """Return which incarnation of the topic the offsets belong to."""
        return self._incarnation()

    def read_known(
        self, topic_id: str, correlation_ids: Sequence[str], keys: Collection[bytes], partitions: Collection[int]
    ) -> Known:
        """Return the receipts of what was applied before, what is parked, and how far the lane has come."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.mget([PING_KEY, *map(marker_key, correlation_ids)])  # a list that is never empty
        pipeline.hmget(PARKED, list(keys))
        pipeline.hmget(POSITIONS, [position_field(topic_id, partition) for partition in partitions])
        (_, *receipts), counts, offsets = pipeline.execute()
        parked = [key for key, count in zip(keys, counts, strict=True) if count is not None]
        queues = self._parking.queues(parked)
        waiting = [entry.correlation_id for queue in queues.values() for entry in queue]
        marks: list[Any] = self._client.mget(map(marker_key, waiting)) if waiting else []
        known = zip([*correlation_ids, *waiting], [*receipts, *marks], strict=True)
        return Known(
            receipts={id_: CommandReceipt.FromString(receipt) for id_, receipt in known if receipt is not None},
            queues=queues,
            positions={p: int(told) for p, told in zip(partitions, offsets, strict=True) if told is not None},
            room=self.parking_bounds.records_max - self._parking.count()[1] if parked else 0,
        )

    def park_waiting(self, waiting: Sequence[tuple[str, Delivery]]) -> None:
        """Put deliveries behind what is parked under their keys."""
        for id_, delivery in waiting:
            self._parking.add(waiting_record(id_, delivery))

    def remove_parked(self, key: bytes, ids: Sequence[str]) -> None:
        """Let go of records that were parked: their marks are there."""
        with store_errors():
            self._parking.remove(key, ids)

    def apply_decided(self, batch: Sequence[Decided], users: BatchUsers) -> dict[str, CommandReceipt]:
        """Run the script for each command, all in one round trip."""
        plans = {id_: RedisPlan(outcome=refusal) for id_, refusal in refusals_of(batch).items()}
        plans |= run_handlers(batch, users, self._handlers, self._client)
        deliveries = [decided.delivery for decided in batch]
        topic_id = self._incarnation()
        prepared = [self._prepare(decided, plans[decided.delivery.correlation_id], topic_id) for decided in batch]
        results = self._run([call for call, _, _ in prepared], self._markers_of(prepared))
        if _OUTRUN & set(results):
            # What was read of them has changed since: read anew, it tells what they are.
            raise PolystreamError(
                Reason.STORE_UNAVAILABLE, metadata={"store": self.name, "error": "another lane has applied commands"}
            )
        return {
            delivery.correlation_id: _receipt(result, applied, refused)
            for delivery, (_, applied, refused), result in zip(deliveries, prepared, results, strict=True)
        }

    def _prepare(
        self, decided: Decided, plan: RedisPlan, topic_id: str
    ) -> tuple[list[Word], CommandReceipt, CommandReceipt | None]:
        """Return the script's keys and arguments, and the receipts for either end."""
        delivery, now_ns = decided.delivery, time.time_ns()
        applied = make_receipt(delivery, plan.outcome, self.name, now_ns)
        refused = None if plan.refusal is None else make_receipt(delivery, plan.refusal, self.name, now_ns)
        words: list[Word] = [
            marker_key(delivery.correlation_id),
            POSITIONS,
            parked_key(delivery.key),
            self._markers.ttl_s,
            applied.SerializeToString(),
            b"" if refused is None else refused.SerializeToString(),
            plan.requires,
            # What comes from the queue was found to be next in it.
            "" if delivery.parked_as or decided.refusal else 1,
            b"" if delivery.parked_as or delivery.is_repair else position_field(topic_id, delivery.partition),
            delivery.offset,
        ]
        for write in plan.writes:
            words.append(len(write))
            words += write
        return words, applied, refused

    def _markers_of(
        self, prepared: Sequence[tuple[list[Word], CommandReceipt, CommandReceipt | None]]
    ) -> Sequence[Word]:
        """Return the arguments of the script that keeps markers within their bytes: a batch's and all others."""
        now_ms = time.time_ns() // 1_000_000
        sizes = {applied.correlation_id: applied.ByteSize() + MARKER_BYTES for _, applied, _ in prepared}
        return [self._markers.max_bytes, MARKER_PREFIX, sum(sizes.values()), now_ms, *sizes]

    def _run(self, calls: Sequence[Sequence[Word]], markers: Sequence[Word]) -> list[Any]:
        results = self._evaluate(calls, markers)
        if any(isinstance(result, NoScriptError) for result in results):
            # The server has started anew, or was told to forget. In a transaction, none was found or all were.
            self._client.script_load(self._script)
            self._client.script_load(KEEP_MARKERS)
            results = self._evaluate(calls, markers)
        for result in results:
            if isinstance(result, Exception):
                raise result
        return results[: len(calls)]

    def _evaluate(self, calls: Sequence[Sequence[Word]], markers: Sequence[Word]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=True)
        for words in calls:
            pipeline.evalsha(self._sha, _SCRIPT_KEYS, *words)
        pipeline.evalsha(self._keep_sha, 3, MARKERS, MARKERS_BYTES, MARKERS_GONE, *markers)
        results: list[Any] = pipeline.execute(raise_on_error=False)
        return results


class RedisUserMemory:
    """What the Redis lane remembers of users: the hash `usuarios:conhecidos`, empty text or an erasure a user."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def read(self, user_ids: Sequence[int]) -> dict[int, Erasure | None]:
        """Return the users that are remembered, the erased ones with their erasure."""
        found: list[Any] = self._client.hmget(KNOWN_USERS, [str(user_id) for user_id in user_ids])
        return {
            user_id: Erasure(**json.loads(value)) if value else None
            for user_id, value in zip(user_ids, found, strict=True)
            if value is not None
        }

    def remember(self, user_ids: Sequence[int]) -> None:
        """Remember that the users exist. Of more than 200,000, some are forgotten: those who are drawn at random."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hset(KNOWN_USERS, items=[word for user_id in user_ids for word in (str(user_id), "")])
        pipeline.hlen(KNOWN_USERS)
        _, remembered = pipeline.execute()
        if remembered <= _KNOWN_USERS_MAX:
            return
        drawn: Any = self._client.hrandfield(KNOWN_USERS, 2 * len(user_ids) + 10, withvalues=True)
        if forgotten := [user for user, erasure in zip(drawn[::2], drawn[1::2], strict=True) if not erasure]:
            self._client.hdel(KNOWN_USERS, *forgotten)

    def erase(self, erasures: Mapping[int, Erasure]) -> None:
        """Remember that the users were erased."""
        items = [(str(user_id), json.dumps(asdict(erasure))) for user_id, erasure in erasures.items()]
        self._client.hset(KNOWN_USERS, items=[word for item in items for word in item])


def _receipt(result: bytes | int, applied: CommandReceipt, refused: CommandReceipt | None) -> CommandReceipt:
    if isinstance(result, bytes):
        return repeat(CommandReceipt.FromString(result))
    return applied if result == _APPLIED or refused is None else refused


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise an error of the server's, or of the way to it, as STORE_UNAVAILABLE."""
    try:
        yield
    except RedisError as error:
        verdict = classify_redis(error)
        if not verdict.waits:
            raise
        raise PolystreamError(
            Reason.STORE_UNAVAILABLE, metadata={"store": RedisStore.name, "error": verdict.cause}
        ) from error
