"""DeleteSession: the hash `sessao:{id}` goes, and its place in the user's set with it."""

from collections.abc import Sequence

from polystream.v1.sessions_pb2 import DeleteSessionRequest, Session
from redis import Redis

from mesh.errors import Reason
from mesh.store_names.redis import session_key, user_sessions_key
from processor.model import Delivery, Outcome, refuse, requests_of
from processor.stores.redis_plans import RedisPlan
from processor.stores.redis_sessions import read_sessions


def redis(batch: Sequence[Delivery], db: Redis) -> Sequence[RedisPlan]:
    """Plan the ends of sessions, each of one that exists at that moment."""
    requests = requests_of(batch, DeleteSessionRequest)
    return [_plan(session) for session in read_sessions(db, [request.session_id.lower() for request in requests])]


def _plan(session: Session | None) -> RedisPlan:
    refusal = refuse(Reason.SESSION_NOT_FOUND, "session_id")
    if session is None:
        return RedisPlan(outcome=refusal)
    key = session_key(session.session_id)
    return RedisPlan(
        outcome=Outcome(result=Session(session_id=session.session_id, user_id=session.user_id)),
        writes=(("DEL", key), ("ZREM", user_sessions_key(session.user_id), session.session_id)),
        requires=key,
        refusal=refusal,
    )
