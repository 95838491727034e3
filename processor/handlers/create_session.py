"""CreateSession: a hash `sessao:{id}` that expires, whose ID is the command's correlation ID."""

from collections.abc import Sequence
from typing import Final

from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from redis import Redis

from mesh.store_names.redis import SESSION_PREFIX, SessionHash, session_key, user_sessions_key
from mesh.stored_enums import DEVICES
from processor.model import Delivery, Outcome, requests_of
from processor.stores.redis_hashes import content_hash
from processor.stores.redis_plans import RedisPlan, Write, now_ms, set_fields, timestamp_ms, trim_index
from processor.stores.redis_sessions import expiry_writes

_DEFAULT_TTL_S: Final = 86_400
_TRIMMED_MEMBERS: Final = 3


def redis(batch: Sequence[Delivery], db: Redis) -> Sequence[RedisPlan]:
    """Plan the sessions, each with its place in the user's set."""
    create_ms = now_ms(db)
    return [
        _plan(delivery.correlation_id, request, create_ms)
        for delivery, request in zip(batch, requests_of(batch, CreateSessionRequest), strict=True)
    ]


def session_writes(session: Session) -> tuple[Write, ...]:
    """Return the writes that make a session, with its place in the user's set."""
    key, create_ms = session_key(session.session_id), session.create_time.ToMilliseconds()
    fields: SessionHash = {
        "user_id": str(session.user_id),
        "dispositivo": DEVICES.text(session.device),
        "criada_em": str(create_ms),
    }
    fields["hash_conteudo"] = content_hash(key, fields)
    return (
        set_fields(key, fields),
        ("ZADD", user_sessions_key(session.user_id), create_ms, session.session_id),
        *expiry_writes(session),
    )


def _plan(session_id: str, request: CreateSessionRequest, create_ms: int) -> RedisPlan:
    session = Session(
        session_id=session_id,
        user_id=request.user_id,
        device=request.device,
        create_time=timestamp_ms(create_ms),
        expire_time=timestamp_ms(create_ms + (request.ttl_seconds or _DEFAULT_TTL_S) * 1000),
    )
    index = user_sessions_key(request.user_id)
    return RedisPlan(
        outcome=Outcome(result=session),
        writes=(*session_writes(session), trim_index(index, SESSION_PREFIX, _TRIMMED_MEMBERS)),
    )
