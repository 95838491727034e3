"""Redis's back door: its marks, hashes and positions, as a check reads them and a repair sets them right."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from polystream.v1.contents_pb2 import Content
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.sessions_pb2 import Session
from redis.exceptions import ResponseError, WatchError

from mesh.settings import RedisSettings
from mesh.store_names import redis as keys
from processor.handlers.cache_content import content_writes
from processor.handlers.create_session import session_writes
from processor.integrity.contents import ContentWalk
from processor.integrity.contents_redis import key_walks
from processor.integrity.gone import Place
from processor.integrity.kinds import Finding
from processor.integrity.store_errors import under_its_name
from processor.integrity.told_effects import ToldEffect, effect_of, result_of
from processor.stores import redis
from processor.stores.redis import RedisUserMemory
from processor.stores.redis_hashes import content_hash
from processor.stores.redis_markers import MarkerBounds, put_marker
from processor.stores.redis_parking import position_field
from processor.stores.redis_plans import Write

_SCAN_COUNT: Final = 1000
_ATTEMPTS: Final = 5  # at a key that others write meanwhile


class RedisDoor:
    """Redis. Its methods raise PolystreamError with STORE_UNAVAILABLE."""

    name = "REDIS"

    def __init__(self, settings: RedisSettings, markers: MarkerBounds) -> None:
        self.client = redis.connect(settings)
        self._markers = markers
        self._memory = RedisUserMemory(self.client)
        self.walks: Sequence[ContentWalk] = key_walks(self.client)

    def mark_page(self, after: Any, marks_max: int) -> tuple[Sequence[CommandReceipt], Any]:
        """Return the receipts in some markers, and the server's cursor behind them."""
        with self._errors():
            told: Any = self.client.scan(after or 0, match=f"{keys.MARKER_PREFIX}*", count=marks_max)
            cursor, found = told
            values: list[Any] = self.client.mget(found) if found else []
        return [CommandReceipt.FromString(value) for value in values if value is not None], cursor or None

    def absent(self, effects: Sequence[ToldEffect]) -> set[Place]:
        """Return the keys that are not there."""
        places = sorted({(effect.place, effect.key) for effect in effects})
        with self._errors():
            pipeline = self.client.pipeline(transaction=False)
            for place, key in places:
                pipeline.exists(place + key)
            return {place for place, there in zip(places, pipeline.execute(), strict=True) if not there}

    def holds(self, receipt: CommandReceipt) -> bool:
        """Whether the very session or content is there that a receipt tells of."""
        effect = effect_of(receipt)
        if effect is None or effect.is_end:
            return False
        with self._errors():
            if isinstance(effect.result, Content):
                cached: Any = self.client.hget(keys.content_key(effect.result.content_id), "cacheado_em")
                return bool(cached == str(effect.result.cache_time.ToMilliseconds()).encode())
            return effect.key == receipt.correlation_id and bool(self.client.exists(keys.session_key(effect.key)))

    def mark(self, receipts: Sequence[CommandReceipt]) -> None:
        """Put the marks of commands back that were applied."""
        with self._errors():
            for receipt in receipts:
                put_marker(self.client, receipt, self._markers)

    def key_of_marks(self, place: str, key: str) -> str:
        """Return the key that marks have: without the prefix."""
        return key.removeprefix(place)

    def put(self, finding: Finding, user: object = None, *, is_dry: bool = False) -> bool:
        """Put a key back that is gone. Return whether it is there now, or would be."""
        del user
        name = finding.place + finding.key
        writes = _writes(finding.receipts[-1])
        user_id = finding.receipts[-1].user_id
        with self._errors():
            return bool(writes) and self._write(
                name,
                writes,
                # A DeleteUser notes the erasure before it deletes anything.
                lambda now: now == {} and not (user_id and self.client.hget(keys.KNOWN_USERS, str(user_id))),
                also=keys.KNOWN_USERS,
                is_dry=is_dry,
            )

    def mend(self, finding: Finding, user: object = None, *, is_dry: bool = False) -> bool:
        """Give a key the content back that its hash tells of. Return whether it was found."""
        del user
        with self._errors():
            for receipt in reversed(finding.receipts):
                writes = _writes(receipt)
                made = _made_hash(writes)

                def is_told(now: dict[str, str], made: str = made) -> bool:
                    return made in {now.get("hash_conteudo"), content_hash(finding.key, now)}

                if writes and self._write(finding.key, (("DEL", finding.key), *writes), is_told, is_dry=is_dry):
                    return True
        return False

    def accept(self, finding: Finding) -> None:
        """Take a key as it is: it gets the hash of what it holds, and the end that it has."""
        with self._errors():
            now = self._fields(finding.key)
            expire_ms: Any = self.client.pexpiretime(finding.key)
            if now:
                ends: list[Write] = [("HSET", finding.key, "hash_conteudo", content_hash(finding.key, now))]
                ends.append(
                    ("HSET", finding.key, "expira_em", expire_ms)
                    if expire_ms > 0
                    else ("HDEL", finding.key, "expira_em")
                )
                self._write(finding.key, ends, lambda seen: seen == now)

    def erased(self, user_ids: Collection[int]) -> set[int]:
        """Return of users those whom the store knows to have been erased."""
        ids = sorted(user_ids)
        with self._errors():
            return (
                {user_id for user_id, erasure in self._memory.read(ids).items() if erasure is not None}
                if ids
                else set()
            )

    def known_users(self) -> Iterator[int]:
        """Yield the users who are remembered and not erased."""
        with self._errors():
            for user_id, erasure in self.client.hscan_iter(keys.KNOWN_USERS, count=_SCAN_COUNT):
                if not erasure:
                    yield int(user_id)

    def forget_users(self, user_ids: Collection[int]) -> None:
        """Forget users who are remembered and not erased: PostgreSQL is asked for them the next time."""
        with self._errors():
            for user_id in user_ids:
                if self.client.hget(keys.KNOWN_USERS, str(user_id)) == b"":
                    self.client.hdel(keys.KNOWN_USERS, str(user_id))

    def unindexed(self) -> Iterator[Place]:
        """Yield the sessions and contents that are not in their index, so that no list shows them."""
        for index, prefix in ((keys.CONTENTS, keys.CONTENT_PREFIX), ("", keys.SESSION_PREFIX)):
            with self._errors():
                for name in self.client.scan_iter(match=f"{prefix}*", count=_SCAN_COUNT):
                    fields = self._fields(name)
                    user_id = fields.get("user_id", "")
                    if not fields or (not index and not user_id.isdigit()):
                        continue
                    member = name.decode("utf-8", "replace").removeprefix(prefix)
                    if self.client.zscore(index or keys.user_sessions_key(int(user_id)), member) is None:
                        yield prefix, member

    def index(self, finding: Finding) -> None:
        """Put a session or a content into its index."""
        name = finding.place + finding.key
        with self._errors():
            fields = self._fields(name)
            if finding.place == keys.CONTENT_PREFIX and finding.key.isdigit() and fields:
                self.client.zadd(keys.CONTENTS, {finding.key: int(finding.key)})
            elif fields.get("user_id", "").isdigit():
                index = keys.user_sessions_key(int(fields["user_id"]))
                self.client.zadd(index, {finding.key: float(fields.get("criada_em", 0))})
                expire_ms: Any = self.client.pexpiretime(name)
                if expire_ms > 0:
                    self.client.pexpireat(index, expire_ms, nx=True)
                    self.client.pexpireat(index, expire_ms, gt=True)

    def positions(self, topic_id: str) -> Mapping[int, int]:
        """Return how far the store says that it has come."""
        with self._errors():
            found: Any = self.client.hgetall(keys.POSITIONS)
        told = {field.decode(): int(offset) for field, offset in found.items()}
        return {int(f.rpartition(":")[2]): o for f, o in told.items() if f.startswith(f"{topic_id}:")}

    def set_position(self, topic_id: str, partition: int, offset: int) -> None:
        """Say how far it has come."""
        with self._errors():
            self.client.hset(keys.POSITIONS, position_field(topic_id, partition), str(offset))

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _fields(self, name: str | bytes) -> dict[str, str]:
        try:
            found: Any = self.client.hgetall(name)
        except ResponseError:  # a key of another type
            return {}
        return {n.decode("utf-8", "surrogateescape"): v.decode("utf-8", "surrogateescape") for n, v in found.items()}

    def _write(self, name: str, writes: Sequence[Write], may: Any, also: str = "", *, is_dry: bool = False) -> bool:
        """Write, unless the key is other than `may` says; what comes between is seen."""
        for _ in range(_ATTEMPTS):
            with self.client.pipeline(transaction=True) as pipeline:
                pipeline.watch(name, *([also] if also else []))  # type: ignore[no-untyped-call] # the client leaves it so
                if not may(self._fields(name)):
                    return False
                if is_dry:
                    return True
                pipeline.multi()
                for write in writes:
                    pipeline.execute_command(*write)  # type: ignore[no-untyped-call] # likewise
                try:
                    pipeline.execute()
                except WatchError:
                    continue
                return True
        return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with under_its_name(self.name, redis.store_errors):
            yield


def _writes(receipt: CommandReceipt) -> tuple[Write, ...]:
    """Return the writes that make what a mark tells of."""
    result = result_of(receipt)
    match result:
        case Content():
            return content_writes(result)
        case Session():
            return session_writes(result)
    return ()


def _made_hash(writes: Sequence[Write]) -> str:
    words = next((write for write in writes if write[0] == "HSET" and "hash_conteudo" in write), ())
    return str(words[words.index("hash_conteudo") + 1]) if words else ""
