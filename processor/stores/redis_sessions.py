"""Sessions as Redis has them: a hash `sessao:{id}` each, and a sorted set `sessoes:{user_id}` a user."""

from collections.abc import Sequence
from typing import cast

from polystream.v1.sessions_pb2 import Session
from redis import Redis

from mesh.store_names.redis import SessionHash, session_key, user_sessions_key
from mesh.stored_enums import DEVICES
from processor.stores.redis_plans import Write, set_fields, timestamp_ms


def read_sessions(db: Redis, session_ids: Sequence[str]) -> list[Session | None]:
    """Return sessions by their IDs, None in the place of one that is not there. Raises what the client raises."""
    pipeline = db.pipeline(transaction=False)
    for session_id in session_ids:
        pipeline.hgetall(session_key(session_id))
    found: list[dict[bytes, bytes]] = pipeline.execute()
    return [_session(id_, _text_of(fields)) for id_, fields in zip(session_ids, found, strict=True)]


def expiry_writes(session: Session) -> tuple[Write, ...]:
    """Return the writes that let a session's hash expire, and the user's set with the last of its sessions."""
    expire_ms = session.expire_time.ToMilliseconds()
    index = user_sessions_key(session.user_id)
    return (
        set_fields(session_key(session.session_id), SessionHash(expira_em=str(expire_ms))),
        ("PEXPIREAT", session_key(session.session_id), expire_ms),
        ("PEXPIREAT", index, expire_ms, "NX"),  # what never expires is later than any time to GT
        ("PEXPIREAT", index, expire_ms, "GT"),
    )


def _text_of(fields: dict[bytes, bytes]) -> SessionHash:
    # Somebody else's field may be anything.
    text = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
    return cast(SessionHash, text)


def _session(session_id: str, fields: SessionHash) -> Session | None:
    if not fields:
        return None
    return Session(
        session_id=session_id,
        user_id=int(fields["user_id"]),
        device=DEVICES.value(fields["dispositivo"]),
        create_time=timestamp_ms(int(fields["criada_em"])),
        expire_time=timestamp_ms(int(fields["expira_em"])),
    )
