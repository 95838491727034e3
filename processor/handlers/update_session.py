"""UpdateSession: a session is prolonged, or shortened, from now on."""

from collections.abc import Sequence

from polystream.v1.sessions_pb2 import Session, UpdateSessionRequest
from redis import Redis

from mesh.errors import Reason
from mesh.store_names.redis import session_key
from processor.model import Delivery, Outcome, refuse, requests_of
from processor.stores.redis_plans import RedisPlan, now_ms, timestamp_ms
from processor.stores.redis_sessions import expiry_writes, read_sessions


def redis(batch: Sequence[Delivery], db: Redis) -> Sequence[RedisPlan]:
    """Plan the new ends. What is read of a session never changes but for that, so it is right while it exists."""
    requests = requests_of(batch, UpdateSessionRequest)
    sessions = read_sessions(db, [request.session_id.lower() for request in requests])
    update_ms = now_ms(db)
    return [_plan(session, request, update_ms) for session, request in zip(sessions, requests, strict=True)]


def _plan(session: Session | None, request: UpdateSessionRequest, update_ms: int) -> RedisPlan:
    refusal = refuse(Reason.SESSION_NOT_FOUND, "session_id")
    if session is None:
        return RedisPlan(outcome=refusal)
    prolonged = Session()
    prolonged.CopyFrom(session)
    prolonged.expire_time.CopyFrom(timestamp_ms(update_ms + request.ttl_seconds * 1000))
    return RedisPlan(
        outcome=Outcome(result=prolonged),
        writes=expiry_writes(prolonged),
        requires=session_key(session.session_id),
        refusal=refusal,
    )
