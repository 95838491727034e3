"""The lane's handlers, led by what the live store has answered.

What depends on the moment, or on what others had watched by then, is in the answer: a session's end, when a content was
cached, and recommendations. It is taken from there, so that it comes out as it is in the live store.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message
from polystream.v1.contents_pb2 import Content
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.sessions_pb2 import Session

from mesh.errors import PolystreamError, Reason
from mesh.store_names.redis import CONTENTS, content_key
from processor.handlers import AnyHandler
from processor.handlers.cache_content import content_writes
from processor.handlers.create_session import session_writes
from processor.integrity.told_effects import result_of
from processor.model import Delivery, Outcome
from processor.replay.told_recommendations import insert_told
from processor.stores.redis_plans import RedisPlan, Write, now_ms

_MAKING: Final = frozenset({"CacheContent", "CreateSession"})


class ToldHandlers:
    """The handlers of a store, each with the answers of the batch that is applied. One batch at a time."""

    def __init__(self, handlers: Mapping[str, AnyHandler]) -> None:
        self._own = handlers
        self.answers: Mapping[str, CommandReceipt] = {}  # by correlation ID: of the batch that is applied
        self.sessions: Mapping[str, CommandReceipt] = {}  # by session: what was last done to those that it creates
        self._now_ms = 0  # by the target's clock, which ends the lifetime of its keys
        self.differing: set[str] = set()  # correlation IDs of what the handler has answered otherwise

    def for_mongodb(self) -> dict[str, AnyHandler]:
        """Return what `MongoStore` takes for handlers."""
        return {name: self._mongodb(handler) for name, handler in self._own.items()}

    def for_redis(self) -> dict[str, AnyHandler]:
        """Return what `RedisStore` takes for handlers."""
        return {name: self._redis(handler) for name, handler in self._own.items()}

    def _mongodb(self, handler: AnyHandler) -> AnyHandler:
        def told(batch: Sequence[Delivery], db: Any) -> Sequence[Outcome]:
            applied = [one for one in batch if self._is_applied(one)]
            insert_told(db, [self.answers[one.correlation_id] for one in applied])
            outcomes = zip(applied, handler(applied, db) if applied else (), strict=True)
            made = {delivery.correlation_id: outcome for delivery, outcome in outcomes}
            self.differing |= {
                id_
                for id_, outcome in made.items()
                if outcome.refusal is not None or outcome.result != result_of(self.answers[id_])
            }
            return [made.get(one.correlation_id) or self._refusal(one) for one in batch]

        return told

    def _redis(self, handler: AnyHandler) -> AnyHandler:
        def told(batch: Sequence[Delivery], db: Any) -> Sequence[RedisPlan]:
            self._now_ms = now_ms(db)
            return [self._plan(one, handler, db) for one in batch]

        return told

    def _plan(self, delivery: Delivery, handler: AnyHandler, db: Any) -> RedisPlan:
        if not self._is_applied(delivery):
            return RedisPlan(outcome=self._refusal(delivery))
        answer = self.answers[delivery.correlation_id]
        result = result_of(answer)
        if delivery.command.name == "CreateSession" or isinstance(result, Content):
            return RedisPlan(outcome=Outcome(result=result), writes=_writes(self.made(answer), self._now_ms))
        if isinstance(result, Session):  # what creates it, in its user's order, makes it as it is in the end
            return RedisPlan(outcome=Outcome(result=result))
        plan: RedisPlan
        (plan,) = handler([delivery], db)
        return plan

    def made(self, answer: CommandReceipt) -> Message | None:
        """Return what a command has made, as it is after all commands: a session ends when it was last told to."""
        result = result_of(answer)
        last = self.sessions.get(answer.correlation_id) if answer.command == "CreateSession" else None
        changed = None if last is None else result_of(last)
        if isinstance(result, Session) and isinstance(changed, Session):
            # Of a deleted one, nothing is told but whose it was.
            result.expire_time.CopyFrom(changed.expire_time)
        return result

    def has_expired(self, answer: CommandReceipt) -> bool:
        """Whether what a command has made has gone by itself meanwhile, by this machine's clock."""
        made = self.made(answer) if answer.command in _MAKING else None
        end_ns = made.expire_time.ToNanoseconds() if isinstance(made, (Content, Session)) else 0
        return 0 < end_ns <= time.time_ns()

    def _is_applied(self, delivery: Delivery) -> bool:
        return self.answers[delivery.correlation_id].state == Operation.SUCCEEDED

    def _refusal(self, delivery: Delivery) -> Outcome:
        error = self.answers[delivery.correlation_id].error
        reason = Reason.__members__.get(error.reason, Reason.HANDLER_FAILED)
        return Outcome(refusal=PolystreamError(reason, error.message, metadata=dict(error.metadata)))


def _writes(made: Message | None, at_ms: int) -> tuple[Write, ...]:
    """Return the writes after which a key is as it was made; it goes where it is past its time, or was deleted."""
    if isinstance(made, Content):
        lasts = not made.HasField("expire_time") or made.expire_time.ToMilliseconds() > at_ms
        if made.HasField("cache_time") and lasts:  # of a deleted one, neither is told
            return content_writes(made)
        return (("DEL", content_key(made.content_id)), ("ZREM", CONTENTS, made.content_id))
    is_there = isinstance(made, Session) and made.expire_time.ToMilliseconds() > at_ms
    return session_writes(made) if isinstance(made, Session) and is_there else ()
