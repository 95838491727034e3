"""Sessions as Redis has them: a hash `sessao:{id}` each, and a sorted set `sessoes:{user_id}` a user."""

from collections.abc import Sequence

from polystream.v1.sessions_pb2 import Session
from redis import Redis

from mesh.stored_enums import DEVICES
from processor.stores.redis_plans import Write, session_key, timestamp_ms, user_sessions_key


def read_sessions(db: Redis, session_ids: Sequence[str]) -> list[Session | None]:
    """Return sessions by their IDs, None in the place of one that is not there. Raises what the client raises."""
    pipeline = db.pipeline(transaction=False)
    for session_id in session_ids:
        pipeline.hgetall(session_key(session_id))
    return [_session(id_, fields) for id_, fields in zip(session_ids, pipeline.execute(), strict=True)]


def expiry_writes(session: Session) -> tuple[Write, ...]:
    """Return the writes that let a session's hash expire, and the user's set with the last of its sessions."""
    expire_ms = session.expire_time.ToMilliseconds()
    index = user_sessions_key(session.user_id)
    return (
        ("HSET", session_key(session.session_id), "expira_em", expire_ms),
        ("PEXPIREAT", session_key(session.session_id), expire_ms),
        ("PEXPIREAT", index, expire_ms, "NX"),  # what never expires is later than any time to GT
        ("PEXPIREAT", index, expire_ms, "GT"),
    )


def _session(session_id: str, fields: dict[bytes, bytes]) -> Session | None:
    if not fields:
        return None
    return Session(
        session_id=session_id,
        user_id=int(fields[b"user_id"]),
        device=DEVICES.value(fields[b"dispositivo"].decode()),
        create_time=timestamp_ms(int(fields[b"criada_em"])),
        expire_time=timestamp_ms(int(fields[b"expira_em"])),
    )
